use super::*;

#[test]
fn a_case_can_be_written_down_and_read_again() {
    let injection = |fault, times| Injection { instance: 1, call: 3, fault, times };
    let injections = Fault::ALL.into_iter().map(|fault| injection(fault, 3)).collect();
    let case = Case { scenario: "mail-twice".to_owned(), order: u64::MAX, injections };
    assert_eq!(case.to_string().parse::<Case>().unwrap(), case);
}
