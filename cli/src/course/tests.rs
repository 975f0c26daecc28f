use effect_ledger::{Claim, Effect, Subject};
use fulfilment::{Movement, SessionOutcome, effects};

use super::*;

const NOW: i64 = 1_000;

fn key(effect: Effect) -> EffectKey {
    EffectKey { subject: Subject::new("pi_1"), effect }
}

/// Every state an effect can be in, none where there is no row.
fn states() -> Vec<(&'static str, Option<EffectState>)> {
    let reason = |reason: &str| reason.to_owned();
    let claimed =
        |lease_until| EffectState::Claimed(Claim { owner: "req/m1".to_owned(), attempt: 1, lease_until });
    vec![
        ("none", None),
        ("done", Some(EffectState::Done)),
        ("refunded", Some(EffectState::Skipped { reason: reason("refunded") })),
        ("skipped", Some(EffectState::Skipped { reason: reason("overtaken") })),
        ("closed", Some(EffectState::Skipped { reason: reason(CLOSED) })),
        ("retry", Some(EffectState::Retry { reason: reason("mail_throttled") })),
        ("parked", Some(EffectState::Parked { reason: reason("no_recipient") })),
        ("limited", Some(EffectState::Parked { reason: reason(LIMITED) })),
        ("busy", Some(claimed(NOW))),
        ("ended", Some(claimed(NOW - 1))),
        ("unknown", Some(EffectState::Unknown { reason: reason("lease_expired") })),
    ]
}

/// What becomes of each state in turn; a text is a part of the sentence of a refusal.
type Row = [Result<Course, &'static str>; 11];

fn check(asked: Asked, effect: &Effect, expected: Row) {
    for ((name, state), expected) in states().into_iter().zip(expected) {
        let decided = course(asked, &key(effect.clone()), state.as_ref(), NOW);
        match (&decided, expected) {
            (Ok(course), Ok(expected)) => assert_eq!(*course, expected, "{asked:?} {effect} {name}"),
            (Err(said), Err(part)) => {
                assert!(said.contains(part), "{asked:?} {effect} {name}: {said}");
                assert!(said.contains("pi_1"), "{asked:?} {effect} {name}: {said}");
            }
            _ => panic!("{asked:?} {effect} {name}: {decided:?}, expected {expected:?}"),
        }
    }
}

const BUSY: Result<Course, &str> = Err("look again in a minute");
const FIND_OUT: Result<Course, &str> = Err("find out, then `afterlink resolve pi_1");
const RESEND: Result<Course, &str> = Err("use resend again: `afterlink resend pi_1");
const NO_CHANGE: Result<Course, &str> = Err("would change nothing");
const RETRY: Result<Course, &str> = Err("`afterlink retry pi_1");
const NOTHING: Result<Course, &str> = Err("there is nothing to resolve");

#[test]
fn a_retry_delivers_what_the_task_will_act_on_and_says_else_what_to_do() {
    use Course::{Deliver, DeliverRequest, SetFree};
    let delivered = Ok(Deliver);
    let mail = |done| {
        [
            delivered,
            done,
            Err("`afterlink resend pi_1"),
            NO_CHANGE,
            Ok(SetFree),
            delivered,
            delivered,
            delivered,
            BUSY,
            FIND_OUT,
            FIND_OUT,
        ]
    };
    check(Asked::Retry, &effects::email("thank-you"), mail(RESEND));
    check(Asked::Retry, &effects::email("files-ready"), mail(RESEND));
    check(Asked::Retry, &effects::email("payment-pending"), mail(Err("it is sent once")));
    check(
        Asked::Retry,
        &effects::resent(&effects::email("thank-you"), "r-1"),
        [
            RESEND,
            RESEND,
            RESEND,
            RESEND,
            RESEND,
            Ok(DeliverRequest),
            Ok(DeliverRequest),
            Ok(DeliverRequest),
            BUSY,
            FIND_OUT,
            FIND_OUT,
        ],
    );
    // A folded event may be folded again.
    for effect in [
        effects::contribution(SessionOutcome::Paid),
        effects::contribution_refund("re_1"),
        effects::contribution_term(),
    ] {
        let mut expected = [delivered; 11];
        expected[4] = Ok(SetFree);
        (expected[8], expected[10]) = (BUSY, FIND_OUT);
        check(Asked::Retry, &effect, expected);
    }
    let refund = Movement::Refund("re_1".to_owned());
    for effect in [effects::consents(), effects::acquisition(), effects::acquisition_correction(&refund)] {
        let mut expected = [delivered; 11];
        (expected[1], expected[2], expected[3]) = (NO_CHANGE, NO_CHANGE, NO_CHANGE);
        expected[4] = Ok(SetFree);
        (expected[8], expected[10]) = (BUSY, FIND_OUT);
        check(Asked::Retry, &effect, expected);
    }
}

#[test]
fn a_resolution_is_for_what_is_not_known() {
    use Course::{Close, SetFree, Settle};
    let expected = |ended, unknown| {
        [NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, RETRY, RETRY, RETRY, BUSY, ended, unknown]
    };
    for mail in ["thank-you", "files-ready", "payment-pending", "payment-failed"].map(effects::email) {
        check(Asked::Sent, &mail, expected(Ok(Settle), Ok(Settle)));
        check(Asked::NotSent, &mail, expected(Ok(SetFree), Ok(SetFree)));
        check(Asked::Sent, &effects::resent(&mail, "r-1"), expected(Ok(Settle), Ok(Settle)));
        // Stripe's event does not hold the operator's request: another one takes its place.
        check(Asked::NotSent, &effects::resent(&mail, "r-1"), expected(Ok(Close), Ok(Close)));
    }
    for effect in [effects::contribution(SessionOutcome::Paid), effects::consents(), effects::acquisition()] {
        check(Asked::Sent, &effect, expected(RETRY, Ok(Settle)));
        check(Asked::NotSent, &effect, expected(RETRY, Ok(SetFree)));
    }
}

#[test]
fn a_mail_is_sent_once_more_where_none_is_on_its_way() {
    use Course::{Another, AnotherInstead};
    let parked = Err("fix the cause, then `afterlink retry pi_1");
    for (elsewhere, parked) in [(false, parked), (true, Ok(AnotherInstead))] {
        check(
            Asked::Resend { elsewhere },
            &effects::email("thank-you"),
            [
                RETRY,
                Ok(Another),
                Ok(Another),
                Err("left out on purpose (overtaken)"),
                Ok(Another),
                Err("comes back by itself"),
                parked,
                Ok(AnotherInstead),
                BUSY,
                FIND_OUT,
                Ok(Another),
            ],
        );
    }
}

#[test]
fn what_is_proven_not_to_be_done_can_be_closed_and_opened_again() {
    let nothing = Err("there is nothing to close");
    let closes = Ok(Course::Close);
    for (effect, ended) in [
        (effects::email("thank-you"), FIND_OUT),
        (effects::resent(&effects::email("thank-you"), "r-1"), FIND_OUT),
        (effects::contribution(SessionOutcome::Paid), closes),
        (effects::acquisition(), closes),
    ] {
        check(
            Asked::Close,
            &effect,
            [nothing, nothing, nothing, nothing, nothing, closes, closes, closes, BUSY, ended, FIND_OUT],
        );
    }
}
