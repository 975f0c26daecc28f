//! Payments of subscriptions: their key is an invoice, and only the subscription's session says whose they are.

use std::ops::ControlFlow;

use effect_ledger::{Effect, EffectKey, EffectState, Subject};
use fulfilment::{FulfilmentKind, PaymentId, SessionOutcome, effects};
use serde_json::{Value, json};
use testkit::policy::with_renewals_thanked;
use testkit::stripe::{CorrectionEvent, InvoiceEvent, SessionEvent};

use crate::world::{DAY, HOUR, MINUTE, NOW, World};

fn session(name: &str) -> Value {
    SessionEvent::paid()
        .subscription(name)
        .session("status", json!("complete"))
        .at(NOW - 30 * MINUTE)
        .to_json()
}

fn first(name: &str) -> Value {
    InvoiceEvent::first(name).at(NOW - 29 * MINUTE).to_json()
}

fn renewal(name: &str, which: &str) -> Value {
    InvoiceEvent::renewal(name, which).at(NOW - 28 * MINUTE).to_json()
}

fn refund(payment: &str, id: &str) -> Value {
    let refund = CorrectionEvent::refund(payment, id, "created").at(NOW - 20 * MINUTE);
    refund.object("created", json!(NOW - 20 * MINUTE)).to_json()
}

fn dispute(payment: &str, id: &str) -> Value {
    let dispute = CorrectionEvent::dispute(payment, id, "created").at(NOW - 20 * MINUTE);
    dispute.object("created", json!(NOW - 20 * MINUTE)).to_json()
}

fn fraud_warning(payment: &str, id: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!(
        "../../../../../verification/testkit/fixtures/early_fraud_warning_created.json"
    ))
    .unwrap();
    event["id"] = json!(format!("evt_{id}"));
    event["created"] = json!(NOW - 20 * MINUTE);
    event["data"]["object"]["id"] = json!(id);
    event["data"]["object"]["payment_intent"] = json!(format!("pi_{payment}"));
    event
}

/// A payment intent pays an invoice.
fn pays(world: &World, payment: &str, invoice: &str) {
    world.stripe.put(&json!({
        "id": format!("inpay_{payment}"), "object": "invoice_payment", "created": NOW - HOUR, "invoice": invoice,
        "status": "paid", "payment": { "type": "payment_intent", "payment_intent": format!("pi_{payment}") },
    }));
}

fn key(payment: &str, effect: Effect) -> EffectKey {
    EffectKey { subject: Subject::new(payment), effect }
}

fn state(world: &World, payment: &str, effect: Effect) -> Option<EffectState> {
    world.ledger.state(&key(payment, effect))
}

/// How often Stripe was asked something of which the request has a part.
fn asked(world: &World, part: &str) -> usize {
    world.stripe.requests().iter().filter(|line| line.contains(part)).count()
}

/// What a run puts back reaches the tasks; after that nothing is missing any more.
async fn found(world: &World) -> Vec<String> {
    world.run().await;
    let mut delivered = world.deliver();
    delivered.sort();
    world.pass(HOUR);
    let again = world.run().await;
    assert_eq!((again.put_back, again.unexplained), (0, 0));
    delivered
}

#[tokio::test]
async fn a_lost_renewal_and_a_lost_first_invoice_are_found_without_a_question() {
    let world = World::new();
    world.record_event(&session("Ada"));
    world.lose(&first("Ada"));
    world.lose(&renewal("Ada", "Second"));
    let report = world.run().await;
    assert_eq!((report.put_back, report.tally.paid, report.tally.unexplained), (2, 2, 1));
    assert_eq!(found(&world).await, ["evt_in_AdaFirst", "evt_in_AdaSecond"]);
    assert_eq!(world.rows_of("in_AdaSecond"), 2);
    assert_eq!(state(&world, "in_AdaFirst", effects::contribution_term()), Some(EffectState::Done));
    assert_eq!(asked(&world, "subscription="), 0, "the ledger knows the subscription");
}

#[tokio::test]
async fn a_renewal_lacks_its_thanks_only_where_they_are_wanted() {
    for (kinds, effects) in [(&[][..], 2), (&[FulfilmentKind::Membership], 3)] {
        let world = World { policy: with_renewals_thanked(kinds), ..World::new() };
        world.record_event(&session("Ada"));
        world.lose(&renewal("Ada", "Second"));
        let report = world.run().await;
        assert_eq!(report.missing[0].effects.len(), effects, "{kinds:?}");
        assert_eq!(found(&world).await, ["evt_in_AdaSecond"]);
        assert_eq!(world.rows_of("in_AdaSecond"), effects);
    }
}

#[tokio::test]
async fn thanks_that_are_no_longer_wanted_are_not_missed_for_ever() {
    let mut world = World { policy: with_renewals_thanked(&[FulfilmentKind::Membership]), ..World::new() };
    world.record_event(&session("Ada"));
    world.lose(&renewal("Ada", "Second"));
    world.run().await;
    world.deliver();
    // The mail is all that its task did not get round to.
    let thanks = key("in_AdaSecond", effects::email_about(SessionOutcome::Paid));
    world.ledger.forget(|key| *key == thanks);
    assert_eq!(world.run().await.unexplained, 1);
    world.policy = with_renewals_thanked(&[]);
    world.pass(2 * HOUR);
    let report = world.run().await;
    assert_eq!((report.put_back, report.unexplained), (0, 0));
}

#[tokio::test]
async fn a_membership_of_which_every_event_was_lost_is_found() {
    let world = World::new();
    for event in [session("Ada"), first("Ada"), renewal("Ada", "Second"), refund("AdaTwo", "re_2")] {
        world.lose(&event);
    }
    pays(&world, "AdaTwo", "in_AdaSecond");
    let delivered = found(&world).await;
    assert_eq!(delivered, ["evt_Ada_completed", "evt_in_AdaFirst", "evt_in_AdaSecond", "evt_re_2_created"]);
    assert_eq!(asked(&world, "subscription="), 1);
    assert_eq!(asked(&world, "/v1/invoice_payments"), 1);
}

#[tokio::test]
async fn a_lost_refund_and_a_lost_dispute_of_a_subscriptions_payments_are_found_under_their_invoices() {
    let world = World::new();
    for event in [session("Ada"), first("Ada"), renewal("Ada", "Second")] {
        world.record_event(&event);
    }
    pays(&world, "One", "in_AdaFirst");
    pays(&world, "Two", "in_AdaSecond");
    world.lose(&refund("One", "re_1"));
    world.lose(&dispute("Two", "dp_2"));
    let report = world.run().await;
    let mut payments: Vec<_> = report.missing.iter().map(|missing| missing.payment_id.as_str()).collect();
    payments.sort_unstable();
    assert_eq!(payments, ["in_AdaFirst", "in_AdaSecond"]);
    assert_eq!(asked(&world, "/v1/invoice_payments"), 2, "once for each, whichever list they are in");
    let mut delivered = world.deliver();
    delivered.sort();
    assert_eq!(delivered, ["evt_dp_2_created", "evt_re_1_created"]);
    let recorded = state(&world, "in_AdaFirst", effects::contribution_refund("re_1"));
    assert_eq!(recorded, Some(EffectState::Done));
    world.pass(MINUTE);
    assert_eq!(world.run().await.put_back, 0);
    assert_eq!(asked(&world, "/v1/invoice_payments"), 2, "from here on the ledger knows");
}

/// Version 0.1.0 filed the first payment of a subscription under its session.
#[tokio::test]
async fn a_lost_refund_of_a_payment_that_is_filed_under_its_session_is_found_under_it() {
    let world = World::new();
    let session = SessionEvent::paid().subscription("Ada").session("invoice", Value::Null);
    world.record_event(&session.at(NOW - 30 * MINUTE).to_json());
    world.stripe.put(&first("Ada")["data"]["object"]);
    pays(&world, "One", "in_AdaFirst");
    world.lose(&refund("One", "re_1"));
    let report = world.run().await;
    assert_eq!(report.missing[0].payment_id, PaymentId::new("cs_test_Ada"));
    assert_eq!(report.put_back, 1);
}

/// The look-up of the first delivery is in the ledger, the effect is not.
#[tokio::test]
async fn a_remembered_invoice_costs_no_question() {
    let world = World::new();
    world.record_event(&session("Ada"));
    world.record_event(&first("Ada"));
    world.ledger.remember("pi_One", "in_AdaFirst");
    world.lose(&refund("One", "re_1"));
    assert_eq!(found(&world).await, ["evt_re_1_created"]);
    assert_eq!(asked(&world, "/v1/invoice_payments"), 0);
    assert_eq!(asked(&world, "payment_intent="), 0);
}

#[tokio::test]
async fn another_businesss_subscriptions_are_left_alone_at_one_question_each() {
    let world = World::new();
    let foreign = SessionEvent::paid().subscription("Other").without_marker().at(NOW - 30 * MINUTE).to_json();
    for event in [foreign, renewal("Other", "Second"), renewal("Other", "Third"), refund("Two", "re_2")] {
        world.lose(&event);
    }
    world.lose(&dispute("Two", "dp_2"));
    pays(&world, "Two", "in_OtherSecond");
    let report = world.run().await;
    assert_eq!((report.put_back, report.missing.len(), report.tally.paid), (0, 0, 0));
    assert_eq!(asked(&world, "subscription=sub_Other"), 1);
    assert_eq!(asked(&world, "/v1/invoice_payments"), 1);
    assert!(world.ledger.rows().is_empty());
}

#[tokio::test]
async fn what_the_ledger_remembers_of_another_business_costs_no_question() {
    let world = World::new();
    world.lose(&renewal("Other", "Second"));
    world.ledger.remember("sub_Other", "none");
    world.lose(&refund("Once", "re_1"));
    world.ledger.remember("pi_Once", "none");
    assert_eq!(world.run().await.put_back, 0);
    assert_eq!(asked(&world, "subscription="), 0);
    assert_eq!(asked(&world, "/v1/invoice_payments"), 0);
    assert_eq!(asked(&world, "payment_intent=pi_Once"), 1, "whose the one-off payment is, its session says");
}

#[tokio::test]
async fn a_subscription_that_carries_the_marker_itself_needs_no_session() {
    let world = World::new();
    let marked = InvoiceEvent::renewal("Made", "Second").marked(json!({ "fulfilment": "membership" }));
    world.lose(&marked.at(NOW - 28 * MINUTE).to_json());
    pays(&world, "Two", "in_MadeSecond");
    world.lose(&refund("Two", "re_2"));
    assert_eq!(found(&world).await, ["evt_in_MadeSecond", "evt_re_2_created"]);
    assert_eq!(asked(&world, "subscription="), 0);
}

#[tokio::test]
async fn a_lost_warning_of_fraud_is_found_where_the_payment_is_ours() {
    let world = World::new();
    world.record_event(&session("Ada"));
    world.record_event(&first("Ada"));
    world.record_event(&SessionEvent::paid().payment("Once").at(NOW - 30 * MINUTE).to_json());
    pays(&world, "One", "in_AdaFirst");
    for (payment, id) in [("One", "issfr_1"), ("Once", "issfr_2"), ("Foreign", "issfr_3")] {
        world.lose(&fraud_warning(payment, id));
    }
    assert_eq!(found(&world).await, ["evt_issfr_1", "evt_issfr_2"]);
}

/// Thirty days and more back only the lists are left.
#[tokio::test]
async fn renewals_and_their_refunds_of_long_ago_are_made_from_the_lists() {
    let world = World::new();
    let opened = NOW - 60 * DAY;
    let paid = NOW - 38 * DAY;
    let begin = |name: &str| {
        let session = SessionEvent::paid().subscription(name).session("status", json!("complete"));
        session.session("created", json!(opened - 90)).at(opened)
    };
    world.record_event(&begin("Ada").to_json());
    world.lose(&begin("Other").without_marker().to_json());
    let renewal = |name: &str, which: &str, drafted: i64, paid: i64| {
        InvoiceEvent::renewal(name, which).at(paid).object("created", json!(drafted)).to_json()
    };
    // A card that was refused for three weeks; one from before the window; another business's.
    world.lose(&renewal("Ada", "Late", opened, paid));
    world.lose(&renewal("Ada", "Before", opened, NOW - 55 * DAY));
    world.lose(&renewal("Other", "Second", opened, paid));
    pays(&world, "Late", "in_AdaLate");
    let of_it = CorrectionEvent::refund("Late", "re_late", "created").at(paid + DAY);
    world.lose(&of_it.object("created", json!(paid + DAY)).to_json());
    let client = world.client();
    let report = world
        .reconciliation(&client)
        .look_back(NOW - 50 * DAY, NOW, true, |_| ControlFlow::Continue(()))
        .await
        .unwrap();
    assert_eq!((report.put_back, report.tally.paid), (2, 1));
    let made: Value = serde_json::from_str(&world.bus.entries.borrow()[0].detail).unwrap();
    assert_eq!((&made["type"], &made["created"]), (&json!("invoice.paid"), &json!(paid)));
    // They got lost on their way, and are made again.
    world.bus.entries.borrow_mut().clear();
    world.pass(HOUR);
    assert_eq!(world.run().await.put_back, 2);
    let mut delivered = world.deliver();
    delivered.sort();
    assert_eq!(delivered, ["evt_reconcile_in_AdaLate", "evt_reconcile_re_late"]);
    assert_eq!(world.run().await.unexplained, 0);
}

#[tokio::test]
async fn a_key_that_may_not_read_invoices_says_so_and_the_next_run_goes_on() {
    let world = World::new();
    world.record_event(&session("Ada"));
    world.record_event(&first("Ada"));
    pays(&world, "One", "in_AdaFirst");
    world.lose(&refund("One", "re_1"));
    world.stripe.fail([None, Some(testkit::stripe_api::Fault::Status(403))]);
    assert!(world.try_run().await.is_err());
    world.stripe.forget_faults();
    assert_eq!(found(&world).await, ["evt_re_1_created"]);
}
