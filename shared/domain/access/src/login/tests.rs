use super::*;

fn wanted(has_access: bool) -> Wanted {
    let without_access = WithoutAccess::Disable;
    Wanted { has_access, subject: "ada".into(), mirrored: "{}".into(), without_access }
}

fn user() -> User {
    User {
        is_enabled: true,
        email_verified: true,
        must_change_password: false,
        subject: Some("ada".into()),
        mirrored: Some("{}".into()),
    }
}

const NONE: KnownLogin = KnownLogin { made_by_us: false, disabled_by_us: false };
const MADE: KnownLogin = KnownLogin { made_by_us: true, disabled_by_us: false };
const DISABLED: KnownLogin = KnownLogin { made_by_us: true, disabled_by_us: true };

fn steps(plan: Plan) -> Result<Vec<Step>, Option<Park>> {
    match plan {
        Plan::Steps { steps, .. } => Ok(steps),
        Plan::Park(park) => Err(Some(park)),
        Plan::NoLogin => Err(None),
    }
}

#[test]
fn every_row_of_who_is_there_and_what_is_wanted() {
    use Step::{Create, Disable, Enable, SetPassword, WriteAttributes};
    let of_others = User { subject: None, mirrored: None, ..user() };
    let invited = User { must_change_password: true, ..of_others.clone() };
    let half_made = User { must_change_password: true, ..user() };
    let disabled = User { is_enabled: false, ..user() };
    let unproven = User { email_verified: false, ..of_others.clone() };
    let of_eve = User { subject: Some("eve".into()), ..user() };
    let outdated = User { mirrored: Some("{\"a\":1}".into()), ..user() };
    let park = |park| Err(Some(park));
    for (has_access, known, user, expected) in [
        (true, NONE, None, Ok(vec![Create, SetPassword])),
        (true, MADE, None, Ok(vec![Create, SetPassword])),
        (false, MADE, None, Err(None)),
        (true, MADE, Some(user()), Ok(vec![])),
        (true, MADE, Some(half_made.clone()), Ok(vec![SetPassword])),
        (true, NONE, Some(half_made), Ok(vec![])),
        (true, NONE, Some(of_others.clone()), Ok(vec![WriteAttributes])),
        (true, NONE, Some(invited.clone()), Ok(vec![WriteAttributes])),
        (true, MADE, Some(invited), Ok(vec![WriteAttributes])),
        (true, NONE, Some(unproven), park(Park::NotVerified)),
        (true, DISABLED, Some(disabled.clone()), Ok(vec![Enable])),
        (true, MADE, Some(disabled.clone()), park(Park::DisabledByAdministrator)),
        (true, NONE, Some(of_eve.clone()), park(Park::AnotherSubject)),
        (false, NONE, Some(of_eve), park(Park::AnotherSubject)),
        (true, MADE, Some(outdated), Ok(vec![WriteAttributes])),
        (false, MADE, Some(user()), Ok(vec![Disable])),
        (false, MADE, Some(disabled), Ok(vec![])),
        (false, NONE, Some(of_others), Ok(vec![])),
    ] {
        let plan = Plan::of(&wanted(has_access), known, user.as_ref());
        assert_eq!(steps(plan), expected, "{has_access} {known:?} {user:?}");
    }
    let keep = Wanted { without_access: WithoutAccess::Keep, ..wanted(false) };
    assert_eq!(steps(Plan::of(&keep, MADE, Some(&user()))), Ok(vec![]));
}

#[test]
fn our_deeds_are_written_down_before_they_are_done() {
    let marks = |known, user: &User, has_access| match Plan::of(&wanted(has_access), known, Some(user)) {
        Plan::Steps { before, after, .. } => (before, after),
        other @ (Plan::Park(_) | Plan::NoLogin) => panic!("{other:?}"),
    };
    let disabled = User { is_enabled: false, ..user() };
    assert_eq!(marks(MADE, &user(), false), (DISABLED, DISABLED));
    assert_eq!(marks(DISABLED, &disabled, true), (DISABLED, MADE));
    // A crash between enabling and writing that down: an administrator disables them later, and not us.
    assert_eq!(marks(DISABLED, &user(), true), (MADE, MADE));
    // An administrator made the user between our look and our call.
    assert_eq!(marks(MADE, &User { subject: None, ..user() }, true), (NONE, NONE));
}

/// A pool of one user, as the plan's calls change it.
fn carry_out(user: &mut User, step: Step, wanted: &Wanted) {
    match step {
        Step::Create => panic!("there is one"),
        Step::SetPassword => user.must_change_password = false,
        Step::Enable => user.is_enabled = true,
        Step::Disable => user.is_enabled = false,
        Step::WriteAttributes => {
            user.subject = Some(wanted.subject.clone());
            user.mirrored = Some(wanted.mirrored.clone());
        }
    }
}

/// Every user there can be, everything we may know, and a crash after each call.
#[test]
fn whatever_is_there_a_plan_ends_in_three_calls_and_nothing_is_left_to_do() {
    for bits in 0..64_u8 {
        let bit = |nth: u8| bits & (1 << nth) != 0;
        let subject = bit(3).then(|| "ada".to_owned());
        let known = KnownLogin { made_by_us: bit(4) && bit(3), disabled_by_us: bit(5) && !bit(0) };
        for has_access in [false, true] {
            let wanted = wanted(has_access);
            let start = User {
                is_enabled: bit(0),
                email_verified: bit(1),
                must_change_password: bit(2),
                mirrored: subject.clone().map(|_| "{\"a\":1}".to_owned()),
                subject: subject.clone(),
            };
            let Plan::Steps { steps, before, after } = Plan::of(&wanted, known, Some(&start)) else {
                continue;
            };
            assert!(steps.len() <= 3, "{steps:?}");
            for crash in 0..=steps.len() {
                let mut user = start.clone();
                steps.iter().take(crash).for_each(|step| carry_out(&mut user, *step, &wanted));
                let marked = if crash == steps.len() { after } else { before };
                let Plan::Steps { steps: rest, .. } = Plan::of(&wanted, marked, Some(&user)) else {
                    panic!("parked after a crash: {start:?} {steps:?} {crash}")
                };
                assert_eq!(rest, steps[crash..], "{start:?}");
                let touches_password = rest.contains(&Step::SetPassword);
                assert!(!touches_password || marked.made_by_us, "the password of a person is theirs");
            }
        }
    }
}
