//! The key of a payment that another version filed.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use effect_ledger::{Effect, EffectKey, EffectState};
use fulfilment::{PaymentId, effects};
use payment_ledger::as_filed;
use serde_json::{Value, json};
use stripe_events::Event;
use testkit::ledger::InMemoryEffects;
use testkit::stripe::SessionEvent;

fn subscription() -> SessionEvent {
    SessionEvent::paid()
        .payment("Member")
        .session("mode", json!("subscription"))
        .session("payment_intent", Value::Null)
        .session("invoice", json!("in_Member"))
}

async fn key(rows: &[(&str, Effect)], event: SessionEvent) -> String {
    let ledger = InMemoryEffects::default();
    for (payment, effect) in rows {
        let key = EffectKey::new(*payment, effect.clone());
        ledger.put(&key, EffectState::Done);
    }
    let event = Event::from_value(event.to_json()).unwrap();
    let event = as_filed(&ledger, &event).await.unwrap().into_owned();
    let Event::Snapshot(event) = event else { panic!("{event:?}") };
    PaymentId::of_event(&event).unwrap().to_string()
}

#[tokio::test]
async fn a_subscriptions_payment_keeps_the_key_it_was_first_filed_under() {
    assert_eq!(key(&[], subscription()).await, "in_Member");
    assert_eq!(key(&[("in_Member", effects::acquisition())], subscription()).await, "in_Member");
    for effect in [effects::acquisition(), effects::email("thank-you"), effects::consents()] {
        assert_eq!(key(&[("cs_test_Member", effect)], subscription()).await, "cs_test_Member");
    }
}

#[tokio::test]
async fn a_one_off_payment_has_one_key() {
    let one_off = || SessionEvent::paid().payment("Member");
    assert_eq!(key(&[("cs_test_Member", effects::acquisition())], one_off()).await, "pi_Member");
    let with_invoice = one_off().session("invoice", json!("in_Member"));
    assert_eq!(key(&[("cs_test_Member", effects::acquisition())], with_invoice).await, "pi_Member");
    let free = one_off().session("payment_intent", Value::Null);
    assert_eq!(key(&[], free).await, "cs_test_Member");
}
