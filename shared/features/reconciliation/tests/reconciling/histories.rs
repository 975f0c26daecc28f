//! Histories: whatever was lost and whichever process died, the state is as without faults, and no customer is thanked
//! twice.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;
use testkit::stripe::{CorrectionEvent, SessionEvent};
use testkit::stripe_api::Fault;

use crate::world::{HOUR, MINUTE, NOW, World};

/// What happens to one payment, in order.
fn events_of(number: usize, kind: usize) -> Vec<Value> {
    let payment = &format!("P{number}");
    let at = NOW - 50 * MINUTE + i64::try_from(number % 900).unwrap();
    let refund =
        |what: &str| CorrectionEvent::refund(payment, &format!("re_{number}"), what).at(at + 60).to_json();
    let dispute =
        |what: &str| CorrectionEvent::dispute(payment, &format!("dp_{number}"), what).at(at + 60).to_json();
    let session = |event: SessionEvent| event.payment(payment).at(at).to_json();
    match kind {
        0 => vec![session(SessionEvent::paid())],
        1 => vec![session(SessionEvent::unpaid()), session(SessionEvent::async_succeeded())],
        2 => vec![session(SessionEvent::unpaid()), session(SessionEvent::async_failed())],
        3 => vec![session(SessionEvent::paid()), refund("created"), refund("failed")],
        4 => vec![session(SessionEvent::paid()), dispute("funds_withdrawn"), dispute("funds_reinstated")],
        _ => vec![session(SessionEvent::paid().without_marker()), refund("created")],
    }
}

fn rows(world: &World) -> Vec<String> {
    let rows = world.ledger.rows();
    rows.into_iter().map(|(key, state)| format!("{} {} {}", key.subject, key.effect, state.name())).collect()
}

/// What only the one or only the other says.
fn differences(world: &World, whole: &World) -> Vec<String> {
    let (world, whole): (BTreeSet<_>, BTreeSet<_>) =
        (rows(world).into_iter().collect(), rows(whole).into_iter().collect());
    world.symmetric_difference(&whole).cloned().collect()
}

fn at_most_one_mail_each(world: &World) {
    for (key, mails) in world.mails.borrow().iter() {
        assert_eq!(*mails, 1, "{key:?}");
    }
}

#[derive(Debug, Clone)]
struct History {
    /// The kind of each payment, and which of its events get lost.
    payments: Vec<(usize, [bool; 3])>,
    /// Which ledger rows go away, as a choice among all that may.
    forgotten: BTreeSet<usize>,
    /// After how many writes each of the first runs dies.
    deaths: Vec<u32>,
    faults: Vec<Option<Fault>>,
}

fn history() -> impl Strategy<Value = History> {
    let payments = prop::collection::vec((0_usize..6, any::<[bool; 3]>()), 1..40);
    let forgotten = prop::collection::btree_set(0_usize..40, 0..4);
    let deaths = prop::collection::vec(0_u32..12, 1..4);
    let fault = prop_oneof![
        Just(None),
        Just(Some(Fault::Status(429))),
        Just(Some(Fault::Status(500))),
        Just(Some(Fault::Reset))
    ];
    let faults = prop::collection::vec(fault, 0..12);
    (payments, forgotten, deaths, faults).prop_map(|(payments, forgotten, deaths, faults)| History {
        payments,
        forgotten,
        deaths,
        faults,
    })
}

/// The world in which nothing was lost, and the one in which something was.
fn worlds(history: &History) -> (World, World) {
    let whole = World::new();
    let world = World::new();
    for (number, (kind, lost)) in history.payments.iter().enumerate() {
        for (event, lost) in events_of(number, *kind).iter().zip(lost) {
            // Another business's refund leaves rows only where it was delivered, and these are no payment's of ours.
            let lost = *lost && *kind != 5;
            whole.record_event(event);
            if lost { world.lose(event) } else { world.record_event(event) }
        }
    }
    // A ledger that forgets a mail would send it again, so it is not asked to forget that.
    let all = world.ledger.rows();
    let mut may_go = all.iter().map(|(key, _)| key).filter(|key| !key.effect.as_str().starts_with("email#"));
    let ours = |key: &&effect_ledger::EffectKey| {
        let number: usize = key.subject.as_str()["pi_P".len()..].parse().unwrap();
        history.payments[number].0 != 5
    };
    let gone: Vec<_> = may_go
        .by_ref()
        .filter(ours)
        .enumerate()
        .filter(|(i, _)| history.forgotten.contains(i))
        .map(|(_, key)| key.clone())
        .collect();
    world.ledger.forget(|key| gone.contains(key));
    (whole, world)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_state_is_what_it_would_have_been(history in history()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (whole, world) = worlds(&history);
        world.stripe.fail(history.faults.iter().copied());
        runtime.block_on(async {
            for dies_after in &history.deaths {
                world.journal.dies_after.set(Some(*dies_after));
                // Dead or not, what it put back is on its way.
                let _ = world.try_run().await;
                world.deliver();
            }
            world.journal.dies_after.set(None);
            world.stripe.forget_faults();
            for _ in 0..4 {
                world.run().await;
                world.deliver();
                world.pass(HOUR);
            }
            let last = world.run().await;
            assert_eq!((last.put_back, last.unexplained), (0, 0));
        });
        assert_eq!(differences(&world, &whole), Vec::<String>::new());
        at_most_one_mail_each(&world);
    }

    #[test]
    fn two_runs_at_once_put_each_event_back_once(history in history()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (whole, world) = worlds(&history);
        runtime.block_on(async {
            let one = world.client();
            let other = world.client();
            let one = world.reconciliation(&one);
            let other = world.reconciliation(&other);
            let (one, other) = tokio::join!(one.run(), other.run());
            let put_back = world.deliver();
            assert_eq!(put_back.len(), put_back.iter().collect::<BTreeSet<_>>().len());
            assert!(one.unwrap().complete || other.unwrap().complete);
            assert_eq!(world.run().await.unexplained, 0);
        });
        assert_eq!(differences(&world, &whole), Vec::<String>::new());
        at_most_one_mail_each(&world);
    }
}

#[tokio::test]
async fn of_ten_thousand_sessions_exactly_the_missing_hundredth_is_repaired() {
    let world = World::new();
    let mut lost = BTreeSet::new();
    for number in 0..10_000 {
        let event = events_of(number, 0).remove(0);
        if number % 100 == 37 {
            lost.insert(event["id"].as_str().unwrap().to_owned());
            world.lose(&event);
        } else {
            world.record_event(&event);
        }
    }
    let report = world.run().await;
    assert_eq!((report.examined, report.put_back, report.complete), (10_000, 100, true));
    assert_eq!(world.deliver().into_iter().collect::<BTreeSet<_>>(), lost);
    assert_eq!(
        world.stripe.requests().len(),
        102,
        "a request for each hundred, one for refunds, one for disputes"
    );
    let again = world.run().await;
    assert_eq!((again.put_back, again.unexplained), (0, 0));
    at_most_one_mail_each(&world);
}
