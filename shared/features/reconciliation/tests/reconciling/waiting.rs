//! Sessions whose money had not come when the customer finished.

use effect_ledger::{Effect, EffectKey};
use fulfilment::{PaymentId, SessionOutcome, effects};
use reconciliation::PendingSearch;
use serde_json::{Value, json};
use testkit::stripe::SessionEvent;

use crate::world::{DAY, HOUR, MINUTE, NOW, World};

fn finished(payment: &str) -> SessionEvent {
    SessionEvent::unpaid().payment(payment).session("status", json!("complete")).at(NOW - 30 * MINUTE)
}

fn intent(payment: &str, status: &str, received: i64) -> Value {
    json!({
        "id": format!("pi_{payment}"), "object": "payment_intent", "created": NOW, "status": status,
        "amount": 1250, "amount_received": received, "currency": "gbp", "capture_method": "manual",
        "latest_charge": null,
    })
}

fn is_done(world: &World, payment: &str, effect: Effect) -> bool {
    let payment_id = PaymentId::new(format!("pi_{payment}"));
    world.ledger.state(&EffectKey::new(payment_id, effect)).is_some()
}

fn session_requests(world: &World) -> usize {
    let one = |line: &String| line.starts_with("GET /v1/checkout/sessions/cs_");
    world.stripe.requests().iter().filter(|line| one(line)).count()
}

#[tokio::test]
async fn a_captured_hold_is_fulfilled_with_the_amount_captured() {
    let world = World::new();
    world.record_event(&finished("Hold").to_json());
    world.stripe.put(&intent("Hold", "requires_capture", 0));
    let report = world.run().await;
    assert_eq!((report.pending, report.oldest_pending_at), (1, Some(NOW - 30 * MINUTE)));
    assert_eq!(report.put_back, 0);
    world.stripe.put(&intent("Hold", "succeeded", 1000));
    world.pass(15 * MINUTE);
    assert_eq!(world.run().await.put_back, 1);
    let entry = world.bus.entries.borrow().last().cloned().unwrap();
    let event: Value = serde_json::from_str(&entry.detail).unwrap();
    let session = &event["data"]["object"];
    assert_eq!(entry.detail_type, "checkout.session.async_payment_succeeded");
    assert_eq!((&session["payment_status"], &session["amount_total"]), (&json!("paid"), &json!(1000)));
    assert_eq!(event["created"], NOW + 15 * MINUTE);
    world.deliver();
    assert!(is_done(&world, "Hold", effects::contribution(SessionOutcome::Paid)));
    world.pass(15 * MINUTE);
    let report = world.run().await;
    assert_eq!((report.put_back, report.pending, report.unexplained), (0, 0, 0));
}

#[tokio::test]
async fn a_hold_that_is_released_is_reported_once() {
    let world = World::new();
    world.record_event(&finished("Released").to_json());
    world.stripe.put(&intent("Released", "canceled", 0));
    world.run().await;
    world.pass(15 * MINUTE);
    world.run().await;
    assert_eq!(world.deliver(), ["evt_reconcile_failed_cs_test_Released"]);
    assert!(is_done(&world, "Released", effects::contribution(SessionOutcome::Failed)));
    for _ in 0..8 {
        world.pass(HOUR);
        world.run().await;
    }
    assert_eq!(world.deliver().len(), 0);
    assert!(world.mails.borrow().values().all(|mails| *mails == 1));
}

/// Nothing in Stripe's list of events says so any more: only the session does.
#[tokio::test]
async fn a_bank_debit_whose_event_never_came_is_found() {
    let world = World::new();
    world.record_event(&finished("Debit").to_json());
    world.run().await;
    world.pass(5 * DAY);
    let arrived = finished("Debit").session("payment_status", json!("paid")).to_json();
    world.stripe.put(&arrived["data"]["object"]);
    world.run().await;
    assert_eq!(world.deliver(), ["evt_reconcile_paid_cs_test_Debit"]);
    assert!(is_done(&world, "Debit", effects::acquisition()));
}

#[tokio::test]
async fn live_traffic_ends_the_waiting_without_a_call_to_stripe() {
    let world = World::new();
    world.record_event(&finished("Live").to_json());
    world.run().await;
    world.record_event(&SessionEvent::async_succeeded().payment("Live").at(NOW + MINUTE).to_json());
    world.pass(15 * MINUTE);
    let asked = session_requests(&world);
    let report = world.run().await;
    assert_eq!((report.pending, report.put_back), (0, 0));
    assert_eq!(session_requests(&world), asked);
}

#[tokio::test]
async fn looks_at_stripe_become_rarer_and_do_not_end() {
    let world = World::new();
    world.record_event(&finished("Slow").to_json());
    world.stripe.put(&intent("Slow", "processing", 0));
    let mut looks = Vec::new();
    for hours in [1, 24, 48] {
        let before = session_requests(&world);
        for _ in 0..hours * 4 {
            world.run().await;
            world.pass(15 * MINUTE);
        }
        looks.push(session_requests(&world) - before);
    }
    assert!((2..=5).contains(&looks[0]), "{looks:?}");
    assert!((20..=26).contains(&looks[1]), "{looks:?}");
    assert!((7..=9).contains(&looks[2]), "{looks:?}");
    assert_eq!(world.journal.pending.borrow().len(), 1);
}

#[tokio::test]
async fn what_was_made_stays_in_view_until_the_ledger_has_it() {
    let world = World::new();
    world.record_event(&finished("Lost").to_json());
    world.stripe.put(&intent("Lost", "succeeded", 1250));
    world.run().await;
    world.run().await;
    let put_back = |world: &World| world.bus.entries.borrow().len();
    assert_eq!(put_back(&world), 1);
    // It got lost on its way; the same event is put back an hour later.
    world.pass(HOUR);
    let report = world.run().await;
    assert_eq!((put_back(&world), report.unexplained), (2, 1));
    let entries = world.bus.entries.borrow().clone();
    assert_eq!(entries[0], entries[1]);
    world.deliver();
    world.pass(15 * MINUTE);
    assert_eq!(world.run().await.unexplained, 0);
}

#[tokio::test]
async fn sessions_that_were_pending_before_the_upgrade_are_found() {
    let world = World::new();
    let old = |payment: &str| finished(payment).at(NOW - 5 * DAY).session("created", json!(NOW - 5 * DAY));
    world.record_event(&old("Held").to_json());
    world.stripe.put(&intent("Held", "succeeded", 1250));
    world.record_event(&old("Arrived").to_json());
    world.record_event(&SessionEvent::async_succeeded().payment("Arrived").at(NOW - 3 * DAY).to_json());
    world.lose(&old("Foreign").without_marker().to_json());
    world.journal.forget_search();
    let report = world.run().await;
    assert_eq!(report.pending, 1);
    world.run().await;
    assert_eq!(world.deliver(), ["evt_reconcile_paid_cs_test_Held"]);
    assert_eq!(world.journal.position.borrow().as_ref().unwrap().pending_search, PendingSearch::Done);
}
