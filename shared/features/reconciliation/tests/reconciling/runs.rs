//! Single runs.

use std::ops::ControlFlow;

use catalogue::Task;
use effect_ledger::{EffectKey, EffectState};
use fulfilment::{PaymentId, effects};
use reconciliation::RunError;
use serde_json::json;
use stripe_client::StripeError;
use testkit::stripe::{CorrectionEvent, SessionEvent};
use testkit::stripe_api::Fault;

use crate::world::{DAY, HOUR, MINUTE, NOW, World};

/// Every task has one effect of a paid session.
const EFFECTS_OF_A_PAYMENT: usize = Task::ALL.len();

fn paid(payment: &str) -> SessionEvent {
    SessionEvent::paid().payment(payment).at(NOW - 30 * MINUTE)
}

#[tokio::test]
async fn puts_back_what_is_missing_byte_for_byte_and_nothing_else() {
    let world = World::new();
    world.record_event(&paid("Known").to_json());
    // Written as Stripe writes it, which is not how we would.
    let lost = serde_json::to_string_pretty(&paid("Lost").to_json()).unwrap();
    world.stripe.record(&lost);
    let report = world.run().await;
    assert_eq!((report.examined, report.put_back, report.complete), (2, 1, true));
    let entry = world.bus.entries.borrow()[0].clone();
    assert_eq!(
        (entry.source, entry.detail_type.as_str()),
        ("afterlink.reconcile", "checkout.session.completed")
    );
    assert_eq!(entry.detail, lost);
    world.deliver();
    assert_eq!(world.rows_of("pi_Lost"), EFFECTS_OF_A_PAYMENT);

    let again = world.run().await;
    assert_eq!((again.put_back, again.unexplained), (0, 0));
}

#[tokio::test]
async fn one_missing_effect_is_enough_and_the_others_are_left_alone() {
    let world = World::new();
    world.record_event(&paid("P").to_json());
    world.ledger.forget(|key| key.effect == effects::consents());
    let report = world.run().await;
    assert_eq!(report.missing[0].effects, [effects::consents()]);
    world.deliver();
    assert_eq!(world.rows_of("pi_P"), EFFECTS_OF_A_PAYMENT);
    assert!(world.mails.borrow().values().all(|mails| *mails == 1));
}

#[tokio::test]
async fn leaves_the_last_minutes_to_live_traffic() {
    let world = World::new();
    world.lose(&paid("Fresh").at(NOW - MINUTE).to_json());
    assert_eq!(world.run().await.put_back, 0);
    world.pass(6 * MINUTE);
    assert_eq!(world.run().await.put_back, 1);
}

#[tokio::test]
async fn an_event_that_is_listed_late_is_found_by_the_overlap() {
    let world = World::new();
    let event = paid("Late").at(NOW - 6 * MINUTE).to_json();
    world.stripe.record_late(&event.to_string(), 2);
    assert_eq!(world.run().await.put_back, 0);
    world.pass(MINUTE);
    assert_eq!(world.run().await.put_back, 1);
}

#[tokio::test]
async fn what_needs_a_person_or_is_under_way_is_not_put_back() {
    let world = World::new();
    world.record_event(&paid("P").to_json());
    let reason = || "a_reason".to_owned();
    for state in [
        EffectState::Parked { reason: reason() },
        EffectState::Unknown { reason: reason() },
        EffectState::Retry { reason: reason() },
        EffectState::Skipped { reason: reason() },
    ] {
        let key = EffectKey::new("pi_P", effects::acquisition());
        world.ledger.put(&key, state);
        world.journal.set_until(NOW - HOUR);
        assert_eq!(world.run().await.put_back, 0);
    }
}

#[tokio::test]
async fn another_businesss_payments_are_left_alone() {
    let world = World::new();
    world.lose(&paid("Other").without_marker().to_json());
    let refund = CorrectionEvent::refund("Other", "re_1", "created").at(NOW - 20 * MINUTE);
    world.lose(&refund.to_json());
    let report = world.run().await;
    assert_eq!((report.put_back, report.missing), (0, vec![]));
}

#[tokio::test]
async fn a_refund_of_a_payment_of_ours_comes_back_also_before_its_payment() {
    let world = World::new();
    let refund = |payment: &str, id: &str| {
        CorrectionEvent::refund(payment, id, "created").at(NOW - 20 * MINUTE).to_json()
    };
    world.record_event(&paid("Known").to_json());
    world.lose(&refund("Known", "re_known"));
    // The payment itself was before this window, and the ledger has no trace of it: only Stripe can say whose it is.
    world.lose(&paid("Unknown").at(NOW - 5 * DAY).to_json());
    world.lose(&refund("Unknown", "re_unknown"));
    world.run().await;
    let mut delivered = world.deliver();
    delivered.sort();
    assert_eq!(delivered, ["evt_re_known_created", "evt_re_unknown_created"]);
    let asked = world.stripe.requests().into_iter().filter(|line| line.contains("payment_intent=pi_Unknown"));
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn what_stays_missing_is_put_back_hourly_and_stays_in_view() {
    let world = World::new();
    world.lose(&paid("Stubborn").to_json());
    let report = world.run().await;
    assert_eq!((report.put_back, report.unexplained), (1, 1));
    assert_eq!(report.oldest_unexplained_at, Some(NOW - 30 * MINUTE));
    let mut put_back = Vec::new();
    for _ in 0..16 {
        world.pass(15 * MINUTE);
        put_back.push(world.run().await.put_back);
    }
    assert_eq!(put_back, [0, 0, 0, 1].repeat(4));
    world.deliver();
    world.pass(15 * MINUTE);
    assert_eq!(world.run().await.unexplained, 0);
}

#[tokio::test]
async fn two_events_of_one_change_are_put_back_once() {
    let world = World::new();
    world.lose(&paid("P").to_json());
    world.lose(&paid("P").event_id("evt_again").to_json());
    assert_eq!(world.run().await.put_back, 1);
    assert_eq!(world.deliver(), ["evt_again"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_nothing() {
    let world = World::new();
    world.lose(&paid("Strange").session("payment_intent", json!(7)).to_json());
    world.lose(&paid("P").to_json());
    let report = world.run().await;
    assert_eq!((report.unreadable, report.put_back, report.complete), (1, 1, true));
}

#[tokio::test]
async fn the_first_run_begins_at_its_own_window() {
    let world = World { journal: crate::world::InMemoryJournal::default(), ..World::new() };
    world.lose(&paid("Before").at(NOW - 16 * MINUTE).to_json());
    world.lose(&paid("Within").at(NOW - 14 * MINUTE).to_json());
    world.run().await;
    assert_eq!(world.deliver(), ["evt_Within_completed"]);
}

#[tokio::test]
async fn stripes_bad_moments_pass() {
    let world = World::new();
    world.lose(&paid("P").to_json());
    world.stripe.fail([Some(Fault::Status(429)), Some(Fault::Status(500)), Some(Fault::Reset)]);
    assert_eq!(world.run().await.put_back, 1);
}

#[tokio::test]
async fn a_bad_day_at_stripe_is_an_error_and_the_next_run_goes_on() {
    let world = World::new();
    for i in 0..250 {
        world.lose(&paid(&format!("P{i}")).to_json());
    }
    world.stripe.fail(std::iter::once(None).chain([Some(Fault::Status(503)); 4]));
    let error = world.try_run().await.unwrap_err();
    assert!(matches!(error, RunError::Stripe(StripeError::Unavailable { .. })), "{error:?}");
    assert_eq!(world.deliver().len(), 100);
    let before = world.stripe.requests().len();
    assert_eq!(world.run().await.put_back, 150);
    assert_eq!(world.stripe.requests().len() - before, 4, "the first page is not asked for again");
}

#[tokio::test]
async fn a_key_without_a_permission_says_which() {
    let world = World::new();
    world.stripe.withhold(Some("rak_event_read"));
    let error = world.try_run().await.unwrap_err();
    let RunError::Stripe(cause) = error else { panic!("{error:?}") };
    assert!(cause.to_string().ends_with("give the restricted key the permission rak_event_read"), "{cause}");
}

#[tokio::test]
async fn a_run_ends_when_its_measure_is_full() {
    let world = World::new();
    for i in 0..250 {
        world.lose(&paid(&format!("P{i}")).to_json());
    }
    world.put_back_at_most.set(100);
    let report = world.run().await;
    assert_eq!((report.put_back, report.complete), (100, false));
    world.budget.set(1);
    let report = world.run().await;
    assert_eq!((report.put_back, report.complete), (100, false));
    world.budget.set(100);
    let report = world.run().await;
    assert_eq!((report.put_back, report.complete), (50, true));
    assert_eq!(world.deliver().len(), 250);
}

#[tokio::test]
async fn a_bus_that_does_not_answer_keeps_the_checkpoint_where_it_is() {
    let world = World::new();
    world.lose(&paid("P").to_json());
    world.bus.out_of_order.set(true);
    assert!(matches!(world.try_run().await.unwrap_err(), RunError::NotPut(_)));
    world.bus.out_of_order.set(false);
    world.pass(HOUR);
    assert_eq!(world.run().await.put_back, 1);
    world.deliver();
    assert_eq!(world.rows_of("pi_P"), EFFECTS_OF_A_PAYMENT);
}

#[tokio::test]
async fn looking_back_changes_nothing_without_a_flag() {
    let world = World::new();
    world.lose(&paid("Old").at(NOW - 3 * DAY).to_json());
    let client = world.client();
    let reconciliation = world.reconciliation(&client);
    let mut pages = 0;
    let look = reconciliation
        .look_back(NOW - 4 * DAY, NOW, false, |_| {
            pages += 1;
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
    assert_eq!((look.missing.len(), look.put_back, pages, look.tally.unexplained), (1, 0, 3, 1));
    assert!(world.bus.entries.borrow().is_empty() && world.journal.missing.borrow().is_empty());
    let mended =
        reconciliation.look_back(NOW - 4 * DAY, NOW, true, |_| ControlFlow::Continue(())).await.unwrap();
    assert_eq!(mended.put_back, 1);
    assert_eq!(world.deliver(), ["evt_Old_completed"]);
}

#[tokio::test]
async fn a_run_that_is_interrupted_ends_its_page_and_says_that_it_is_not_complete() {
    let world = World::new();
    world.lose(&paid("Old").at(NOW - 3 * DAY).to_json());
    let client = world.client();
    let report = world
        .reconciliation(&client)
        .look_back(NOW - 4 * DAY, NOW, true, |_| ControlFlow::Break(()))
        .await
        .unwrap();
    assert_eq!((report.put_back, report.complete), (1, false));
    assert_eq!(world.deliver(), ["evt_Old_completed"]);
}

/// Between the claim and the bus, or between the bus and the mark.
#[tokio::test]
async fn a_run_that_dies_leaves_no_event_marked_that_was_not_put_back() {
    for writes in 0..3 {
        let world = World::new();
        world.lose(&paid("Old").at(NOW - 3 * DAY).to_json());
        let client = world.client();
        let look_back = async || {
            let run = world.reconciliation(&client);
            run.look_back(NOW - 4 * DAY, NOW, true, |_| ControlFlow::Continue(())).await
        };
        world.journal.dies_after.set(Some(writes));
        let died = look_back().await.is_err();
        world.journal.dies_after.set(None);
        assert_eq!(died, writes < 2, "{writes}");
        let put = world.bus.entries.borrow().len();
        let marked = world.journal.missing.borrow().values().any(|missing| missing.put_back_at.is_some());
        assert!(!marked || put == 1, "marked and not put after {writes} writes");
        // Its claim is over within minutes.
        world.clock.advance_ms(121_000);
        assert_eq!(look_back().await.unwrap().put_back, u64::from(!marked), "{writes}");
    }
}

/// An hour would pass before anybody put it back, and the operator would read that it was.
#[tokio::test]
async fn a_bus_that_takes_nothing_leaves_nothing_marked() {
    let world = World::new();
    world.lose(&paid("Old").at(NOW - 3 * DAY).to_json());
    let client = world.client();
    let look_back = async || {
        let run = world.reconciliation(&client);
        run.look_back(NOW - 4 * DAY, NOW, true, |_| ControlFlow::Continue(())).await
    };
    world.bus.out_of_order.set(true);
    assert!(look_back().await.is_err());
    assert!(world.journal.missing.borrow().values().all(|missing| missing.put_back_at.is_none()));
    world.bus.out_of_order.set(false);
    world.clock.advance_ms(121_000);
    assert_eq!(look_back().await.unwrap().put_back, 1);
    assert_eq!(world.deliver(), ["evt_Old_completed"]);
}

#[tokio::test]
async fn what_is_older_than_stripes_events_is_made_from_its_objects() {
    let world = World::new();
    let session = |event: SessionEvent, payment: &str| {
        let event = event.payment(payment).at(NOW - 40 * DAY).session("created", json!(NOW - 40 * DAY - 90));
        event.session("status", json!("complete")).to_json()
    };
    world.lose(&session(SessionEvent::paid(), "Old"));
    world.lose(&session(SessionEvent::unpaid(), "Unpaid"));
    world.lose(&session(SessionEvent::paid().without_marker(), "Foreign"));
    for payment in ["Old", "Foreign"] {
        let refund = CorrectionEvent::refund(payment, &format!("re_{payment}"), "created")
            .at(NOW - 39 * DAY)
            .object("created", json!(NOW - 39 * DAY));
        world.lose(&refund.to_json());
    }
    let client = world.client();
    let report = world
        .reconciliation(&client)
        .look_back(NOW - 50 * DAY, NOW, true, |_| ControlFlow::Continue(()))
        .await
        .unwrap();
    assert_eq!(report.tally.paid, 1);
    assert_eq!(world.deliver(), ["evt_reconcile_cs_test_Old", "evt_reconcile_re_Old"]);
    assert_eq!(world.rows_of("pi_Old"), EFFECTS_OF_A_PAYMENT + 2);
    // Explained now, also when asked for by the ids that were made.
    assert_eq!(world.run().await.unexplained, 0);
}

#[tokio::test]
async fn what_was_made_can_be_made_again() {
    let world = World::new();
    let old = SessionEvent::paid().payment("Old").at(NOW - 40 * DAY).session("status", json!("complete"));
    world.lose(&old.session("created", json!(NOW - 40 * DAY)).to_json());
    let client = world.client();
    world
        .reconciliation(&client)
        .look_back(NOW - 50 * DAY, NOW, true, |_| ControlFlow::Continue(()))
        .await
        .unwrap();
    world.pass(HOUR);
    assert_eq!(world.run().await.put_back, 1);
    assert_eq!(world.deliver(), ["evt_reconcile_cs_test_Old"; 2]);
}

/// Stripe writes its list of events in the version of the API that the account has, and old ones have no refund events.
#[tokio::test]
async fn refunds_and_disputes_that_no_event_reports_are_found_in_their_own_lists() {
    let world = World::new();
    world.record_event(&paid("Known").to_json());
    let at = NOW - 20 * MINUTE;
    let refund = CorrectionEvent::refund("Known", "re_1", "created").object("created", json!(at)).to_json();
    let dispute = CorrectionEvent::dispute("Known", "dp_1", "created").object("created", json!(at)).to_json();
    for event in [&refund, &dispute] {
        world.stripe.put(&event["data"]["object"]);
    }
    let foreign =
        CorrectionEvent::refund("Foreign", "re_2", "created").object("created", json!(at)).to_json();
    world.stripe.put(&foreign["data"]["object"]);
    world.run().await;
    let mut delivered = world.deliver();
    delivered.sort();
    assert_eq!(delivered, ["evt_reconcile_dp_1", "evt_reconcile_re_1"]);
    let asked = world.stripe.requests().into_iter().filter(|line| line.contains("payment_intent=pi_Foreign"));
    assert_eq!(asked.count(), 1, "another business's costs one look-up");
    world.pass(MINUTE);
    assert_eq!(world.run().await.put_back, 0);
}

#[tokio::test]
async fn a_refund_that_an_event_reports_is_not_put_back_twice() {
    let world = World::new();
    world.record_event(&paid("Known").to_json());
    let refund = CorrectionEvent::refund("Known", "re_1", "created").at(NOW - 20 * MINUTE);
    world.lose(&refund.object("created", json!(NOW - 20 * MINUTE)).to_json());
    assert_eq!(world.run().await.put_back, 1);
    // The task has not got to it yet.
    world.pass(MINUTE);
    assert_eq!(world.run().await.put_back, 0);
    assert_eq!(world.deliver(), ["evt_re_1_created"]);
}

/// Thirty days and more back only the lists are left, and a debit's money comes days after its session was opened.
#[tokio::test]
async fn a_bank_debit_of_a_month_ago_is_found_and_nothing_from_before_the_window() {
    let world = World::new();
    let session = |event: SessionEvent, payment: &str, at: i64| {
        let opened = event.payment(payment).session("created", json!(NOW - 42 * DAY));
        opened.session("status", json!("complete")).at(at).to_json()
    };
    world.record_event(&session(SessionEvent::unpaid(), "Debit", NOW - 42 * DAY + 300));
    world.lose(&session(SessionEvent::async_succeeded(), "Debit", NOW - 32 * DAY));
    world.lose(&session(SessionEvent::paid(), "Card", NOW - 42 * DAY + 300));
    let client = world.client();
    let report = world
        .reconciliation(&client)
        .look_back(NOW - 35 * DAY, NOW, true, |_| ControlFlow::Continue(()))
        .await
        .unwrap();
    assert_eq!((report.examined, report.put_back, report.tally.paid), (1, 1, 1));
    assert_eq!(world.deliver(), ["evt_reconcile_cs_test_Debit"]);
}

/// Every task receives an event that is put back, and the one that parked the event parks it again.
#[tokio::test]
async fn what_is_missing_beside_something_parked_is_put_back_daily() {
    let world = World::new();
    world.record_event(&paid("P").to_json());
    world.ledger.forget(|key| key.effect == effects::consents());
    let key = EffectKey::new("pi_P", effects::acquisition());
    world.ledger.put(&key, EffectState::Parked { reason: "entry_refused".to_owned() });
    let mut put_back = 0;
    for _ in 0..49 {
        put_back += world.run().await.put_back;
        world.pass(HOUR);
    }
    assert_eq!(put_back, 3, "at once, and after one and two days");
}

/// The first payment of a subscription, as an earlier version filed it: under its session.
fn subscription(payment: &str) -> SessionEvent {
    paid(payment)
        .session("mode", json!("subscription"))
        .session("payment_intent", json!(null))
        .session("invoice", json!(format!("in_{payment}")))
        .session("subscription", json!(format!("sub_{payment}")))
}

#[tokio::test]
async fn a_payment_that_another_version_filed_is_found_under_its_former_key() {
    let world = World::new();
    let former = subscription("Member").session("invoice", json!(null)).to_json();
    world.record_event(&former);
    assert_eq!(world.rows_of("cs_test_Member"), EFFECTS_OF_A_PAYMENT);
    world.stripe.record(&subscription("Member").to_json().to_string());
    let report = world.run().await;
    assert_eq!((report.examined, report.put_back, report.missing), (1, 0, vec![]));
    // One of its effects is missing: it is put back under the key that the others have.
    world.ledger.forget(|key| key.effect == effects::consents());
    world.journal.set_until(NOW - HOUR);
    let report = world.run().await;
    assert_eq!(report.missing[0].payment_id, PaymentId::new("cs_test_Member"));
}

#[tokio::test]
async fn what_an_earlier_version_found_missing_is_explained_by_the_key_of_this_one() {
    let world = World::new();
    let event = subscription("Member").at(NOW - 5 * HOUR).to_json();
    world.stripe.record(&event.to_string());
    let missing = reconciliation::Missing {
        event_id: event["id"].as_str().unwrap().to_owned(),
        event_type: "checkout.session.completed".to_owned(),
        payment_id: PaymentId::new("cs_test_Member"),
        effects: vec![effects::acquisition()],
        happened_at: NOW - 5 * HOUR,
        put_back_at: None,
        beside_parked: false,
    };
    world.journal.missing.borrow_mut().insert(missing.event_id.clone(), missing);
    assert_eq!(world.run().await.put_back, 1);
    world.deliver();
    assert_eq!(world.rows_of("in_Member"), EFFECTS_OF_A_PAYMENT);
    world.pass(2 * HOUR);
    let report = world.run().await;
    assert_eq!((report.put_back, report.unexplained), (0, 0));
}
