use fulfilment::PaymentId;
use fulfilment::{FulfilmentKind, effects};
use serde_json::{Value, json};
use stripe_access::{Began, SubscriptionItem};
use stripe_client::StripeError;
use stripe_events::Interval;
use stripe_events::{CheckoutSession, Event, Object};
use testkit::subscriptions::every;

use super::*;
use crate::testing::{Lookup, executor, lookup, rows};

fn session(metadata: Value) -> CheckoutSession {
    let fixture = include_str!("../../../../../verification/testkit/fixtures/session_subscription.json");
    let mut event: Value = serde_json::from_str(fixture).unwrap();
    event["data"]["object"]["metadata"] = metadata;
    let Event::Snapshot(event) = Event::from_value(event).unwrap() else { panic!() };
    let Object::Session(session) = event.object else { panic!() };
    *session
}

fn item() -> SubscriptionItem {
    let price = json!({ "id": "price_1", "product": "prod_1", "unit_amount": 250 });
    serde_json::from_value(json!({ "price": price, "quantity": 2 })).unwrap()
}

fn began(lookup: &Lookup, metadata: Value) {
    let began =
        Began { session: session(metadata), recurring: Some(every(3, Interval::Month)), items: vec![item()] };
    lookup.stripe.sessions.borrow_mut().insert("sub_1Fixture".to_owned(), began);
}

fn invoice(metadata: Value) -> InvoiceEvent {
    let fixture = include_str!("../../../../../verification/testkit/fixtures/invoice_paid_renewal.json");
    let mut event: Value = serde_json::from_str(fixture).unwrap();
    event["data"]["object"]["parent"]["subscription_details"]["metadata"] = metadata;
    InvoiceEvent::from_event(&Event::from_value(event).unwrap(), false).unwrap()
}

async fn whose(lookup: &Lookup, metadata: Value) -> Whose {
    lookup.whose(&invoice(metadata), executor("a")).await.unwrap()
}

fn kind(whose: Whose) -> Option<(FulfilmentKind, Option<String>)> {
    match whose {
        Whose::Ours(contract) => Some((contract.kind, contract.session_id)),
        Whose::Broken(_) | Whose::AnotherBusiness => None,
    }
}

const SESSION: &str = "cs_test_a1FixtureMembership";

#[tokio::test]
async fn the_session_that_began_it_says_whose_it_is_and_is_asked_for_once() {
    let lookup = lookup();
    began(&lookup, json!({ "fulfilment": "membership", "campaign": "spring" }));
    for _ in 0..3 {
        let found = kind(whose(&lookup, json!({})).await);
        assert_eq!(found, Some((FulfilmentKind::Membership, Some(SESSION.to_owned()))));
    }
    let Subscribed { frequency, items } = lookup.subscribed("sub_1Fixture", executor("a")).await.unwrap();
    let item = &items[0];
    assert_eq!((item.price_id.as_deref(), item.product_id.as_deref()), (Some("price_1"), Some("prod_1")));
    assert_eq!((item.quantity, item.amount, items.len()), (Some(2), Some(500), 1));
    assert_eq!(frequency, Some(PaymentFrequency::Quarterly));
    assert_eq!(lookup.stripe.asked.get(), 1);
    let [row] = &rows(&lookup, "sub_1Fixture")[..] else { panic!() };
    assert_eq!(row.expires_at, None);
    let kept = row.reference.as_deref().unwrap();
    assert!(kept.contains("spring") && !kept.contains("ada@") && !kept.contains("cus_"), "{kept}");
}

#[tokio::test]
async fn what_the_sessions_own_event_said_needs_no_question() {
    let lookup = lookup();
    let contract = SubscriptionContract::of_session(&session(json!({ "fulfilment": "membership" })));
    let row = EffectRow {
        reference: serde_json::to_string(&contract.unwrap().unwrap()).ok(),
        ..EffectRow::new(effects::contract(), EffectState::Done)
    };
    lookup.ledger.put_row(&PaymentId::new("sub_1Fixture"), row);
    assert!(kind(whose(&lookup, json!({})).await).is_some());
    assert_eq!(lookup.stripe.asked.get(), 0);
}

#[tokio::test]
async fn another_businesss_subscription_is_asked_about_once() {
    let lookup = lookup();
    began(&lookup, json!({ "order": "42" }));
    for _ in 0..3 {
        assert_eq!(whose(&lookup, json!({})).await, Whose::AnotherBusiness);
    }
    assert_eq!(lookup.stripe.asked.get(), 1);
    let [row] = &rows(&lookup, "sub_1Fixture")[..] else { panic!() };
    assert_eq!((row.reference.as_deref(), row.expires_at.is_some()), (Some("none"), true));
}

#[tokio::test]
async fn the_marker_on_the_subscription_makes_it_ours_without_a_session() {
    let lookup = lookup();
    let marked = json!({ "fulfilment": "membership" });
    for _ in 0..2 {
        let found = kind(whose(&lookup, marked.clone()).await);
        assert_eq!(found, Some((FulfilmentKind::Membership, None)));
    }
    assert_eq!(lookup.stripe.asked.get(), 1);
    // Where a session began it, the session says more.
    let lookup = crate::testing::lookup();
    began(&lookup, json!({ "fulfilment": "membership" }));
    assert!(kind(whose(&lookup, marked).await).unwrap().1.is_some());
}

#[tokio::test]
async fn a_broken_contract_is_reported_and_remembered() {
    let lookup = lookup();
    began(&lookup, json!({ "fulfilment": "membersip" }));
    for _ in 0..2 {
        let broken = whose(&lookup, json!({})).await;
        assert_eq!(broken, Whose::Broken(ContractError::Kind("membersip".to_owned())));
    }
    assert_eq!(lookup.stripe.asked.get(), 1);
    let lookup = crate::testing::lookup();
    assert!(matches!(whose(&lookup, json!({ "fulfilment": "?" })).await, Whose::Broken(_)));
}

#[tokio::test]
async fn an_interval_that_stripe_refuses_to_return_stops_no_payment() {
    let lookup = lookup();
    let refused = StripeError::Unreadable { path: String::new() };
    *lookup.stripe.fails.borrow_mut() = Some(refused);
    assert_eq!(lookup.subscribed("sub_1Fixture", executor("a")).await.unwrap().frequency, None);
    let down = StripeError::RateLimited { path: String::new(), attempts: 4 };
    *lookup.stripe.fails.borrow_mut() = Some(down);
    assert!(lookup.subscribed("sub_1Fixture", executor("a")).await.is_err());
}

#[tokio::test]
async fn a_question_that_the_session_answered_is_asked_to_its_end_and_nothing_waits_for_it() {
    let lookup = lookup();
    began(&lookup, json!({ "fulfilment": "membership" }));
    let down = StripeError::Unavailable { path: String::new(), attempts: 4, reason: "503".to_owned() };
    *lookup.stripe.fails.borrow_mut() = Some(down);
    let renewal = invoice(json!({}));
    lookup.whose(&renewal, executor("a")).await.unwrap_err();
    let written = SubscriptionContract::of_session(&session(json!({ "fulfilment": "membership" })));
    let contract = EffectRow {
        reference: serde_json::to_string(&written.unwrap().unwrap()).ok(),
        ..EffectRow::new(effects::contract(), EffectState::Done)
    };
    lookup.ledger.put_row(&PaymentId::new("sub_1Fixture"), contract);
    let is_open = || {
        let of_it = rows(&lookup, "sub_1Fixture");
        of_it.iter().any(|row| row.effect == effects::lookup() && row.open)
    };
    for (is_down, asked) in [(true, 2), (false, 3), (false, 3)] {
        if !is_down {
            *lookup.stripe.fails.borrow_mut() = None;
        }
        assert!(kind(lookup.whose(&renewal, executor("a")).await.unwrap()).is_some());
        assert_eq!((is_open(), lookup.stripe.asked.get()), (is_down, asked));
    }
    let frequency = lookup.subscribed("sub_1Fixture", executor("b")).await.unwrap().frequency;
    assert_eq!((frequency, lookup.stripe.asked.get()), (Some(PaymentFrequency::Quarterly), 3));
}
