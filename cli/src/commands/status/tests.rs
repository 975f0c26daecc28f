use super::*;
use crate::page::plain;

fn quiet() -> Status {
    let tasks = [Task::ThankYouEmail, Task::ContributionRecords, Task::SoftOptIns, Task::AcquisitionEvents];
    let queues = tasks.map(|task| TaskQueues {
        task: task.name(),
        queue: Some(Depth::default()),
        oldest_seconds: Some(0),
        dead_letters: 0,
        oldest_dead_letter_seconds: None,
    });
    let forward = TaskQueues {
        task: "forward",
        queue: None,
        oldest_seconds: None,
        dead_letters: 0,
        oldest_dead_letter_seconds: None,
    };
    let reconciliation =
        ReconciliationStatus { checked_until: Some(Time(0)), ..ReconciliationStatus::default() };
    let queues = queues.into_iter().chain([forward]).collect();
    Status { queues, open: Vec::new(), reconciliation, unclear: Vec::new() }
}

fn open(state: &'static str, reason: &str, waiting_too_long: usize) -> OpenCount {
    let reason = Some(reason.to_owned());
    let task = Some(Task::ThankYouEmail);
    OpenCount { task, state, reason, effects: 4, waiting_too_long, oldest: Some(Time(0)) }
}

#[test]
fn a_quiet_day_needs_no_operator() {
    assert_eq!(quiet().verdict(), Verdict::Fine);
    insta::assert_snapshot!(plain(&quiet(), 0), @r#"
    Queues
      task                  waiting  in flight  oldest  DLQ  oldest
      thank-you-email       0        0                  0
      contribution-records  0        0                  0
      soft-opt-ins          0        0                  0
      acquisition-events    0        0                  0
      forward                                           0

    Open in the ledger
      nothing

    Paid and unexplained
      nothing
      reconciled until 1970-01-01T00:00:00Z, proven until never
    "#);
}

#[test]
fn reports_what_needs_an_operator() {
    let mut status = quiet();
    status.queues[0].queue = Some(Depth { waiting: 12, in_flight: 3 });
    status.queues[0].oldest_seconds = Some(400);
    status.queues[1].dead_letters = 2;
    status.open = vec![open("parked", "no_recipient", 0), open("retry", "mail_unavailable", 4)];
    let why = "Stripe refuses the key".to_owned();
    status.unclear.push(Unclear { what: "what is newer at Stripe".to_owned(), why });
    status.reconciliation.pending = 2;
    status.reconciliation.oldest_pending = Some(Time(0));
    insta::assert_snapshot!(plain(&status, 7_200_000), @r#"
    Queues
      task                  waiting  in flight  oldest  DLQ  oldest
      thank-you-email       12       3          6 min   0
      contribution-records  0        0                  2
      soft-opt-ins          0        0                  0
      acquisition-events    0        0                  0
      forward                                           0
      `afterlink redrive --task contribution-records` says why they are there

    Open in the ledger
      task             state   reason            effects  longest for
      thank-you-email  parked  no_recipient      4        2 h
      thank-you-email  retry   mail_unavailable  4        2 h
      4 of thank-you-email retried for too long: SES takes no mail of ours: no answer, sending paused, or a right that is missing (an operator's to fix)
      `afterlink tasks` lists them, `afterlink explain <payment>` says what to do

    Paid and unexplained
      2 sessions waiting for money, the oldest for 2 h
      reconciled until 1970-01-01T00:00:00Z, proven until never

    Could not be looked at
      what is newer at Stripe: Stripe refuses the key
    "#);
}

#[test]
fn each_fault_alone_needs_an_operator() {
    let mut status = quiet();
    status.queues[4].dead_letters = 1;
    assert_eq!(status.verdict(), Verdict::NeedsYou);
    let mut status = quiet();
    let unclear = || Unclear { what: "the ledger".to_owned(), why: "throttled".to_owned() };
    status.unclear.push(unclear());
    assert_eq!(status.verdict(), Verdict::Unclear, "what could not be looked at is not fine");
    assert!(!plain(&status, 0).contains("ledger\n  nothing"), "{}", plain(&status, 0));
    for (count, expected) in [
        (open("parked", "no_recipient", 0), Verdict::NeedsYou),
        (open("unknown", "mail_reply_lost", 0), Verdict::NeedsYou),
        (open("retry", "mail_unavailable", 0), Verdict::Fine),
        (open("retry", "mail_unavailable", 1), Verdict::NeedsYou),
    ] {
        let mut status = quiet();
        let state = count.state;
        status.open = vec![count];
        assert_eq!(status.verdict(), expected, "{state}");
        status.unclear.push(unclear());
        assert_eq!(status.verdict(), expected.max(Verdict::Unclear), "{state}");
    }
}
