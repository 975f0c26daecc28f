use effect_ledger::Effect;
use effect_ledger::EffectState;
use fulfilment::{SessionOutcome, effects};
use stripe_client::StripeError;

use super::*;
use crate::testing::{Lookup, executor, executor_of, lookup, rows};

fn id(text: &str) -> PaymentId {
    PaymentId::new(text)
}

fn done(lookup: &Lookup, payment_id: &str, effect: Effect) {
    lookup.ledger.put(&EffectKey::new(id(payment_id), effect), EffectState::Done);
}

async fn payment(lookup: &Lookup, payment_intent: &str) -> String {
    let payment = lookup.payment(&id(payment_intent), executor("a")).await.unwrap();
    payment.payment_id.as_str().to_owned()
}

#[tokio::test]
async fn a_payment_that_is_known_is_its_own_key_without_a_question() {
    let lookup = lookup();
    for effect in
        [effects::contribution(SessionOutcome::Pending), effects::acquisition(), effects::consents()]
    {
        done(&lookup, "pi_1", effect.clone());
        assert_eq!(payment(&lookup, "pi_1").await, "pi_1", "{effect}");
        lookup.ledger.forget(&EffectKey::new(id("pi_1"), effect));
    }
    assert_eq!(payment(&lookup, "cs_1").await, "cs_1");
    assert_eq!(payment(&lookup, "in_1").await, "in_1");
    assert_eq!(lookup.stripe.asked.get(), 0);
}

#[tokio::test]
async fn an_invoice_of_a_subscription_is_the_key_and_is_asked_for_once() {
    let lookup = lookup();
    lookup.stripe.pays("pi_1", "in_1", Some("sub_1"));
    assert_eq!(payment(&lookup, "pi_1").await, "in_1");
    assert_eq!(payment(&lookup, "pi_1").await, "in_1");
    assert_eq!(lookup.stripe.asked.get(), 1);
    let [row] = &rows(&lookup, "pi_1")[..] else { panic!() };
    assert_eq!(row.expires_at, Some(lookup.clock.now_ms() / 1000 + 7 * 86_400));
}

#[tokio::test]
async fn what_leads_to_a_payment_of_ours_is_remembered_for_good() {
    let lookup = lookup();
    lookup.stripe.pays("pi_1", "in_1", Some("sub_1"));
    done(&lookup, "in_1", effects::contribution(SessionOutcome::Paid));
    assert_eq!(payment(&lookup, "pi_1").await, "in_1");
    let [row] = &rows(&lookup, "pi_1")[..] else { panic!() };
    assert_eq!((row.expires_at, row.open), (None, false));
}

#[tokio::test]
async fn another_businesss_refund_is_asked_about_once_and_never_again() {
    let lookup = lookup();
    for _ in 0..3 {
        assert_eq!(payment(&lookup, "pi_another").await, "pi_another");
    }
    assert_eq!(lookup.stripe.asked.get(), 1);
    let [row] = &rows(&lookup, "pi_another")[..] else { panic!() };
    assert_eq!(row.reference.as_deref(), Some("none"));
    assert!(row.expires_at.is_some());
}

#[tokio::test]
async fn an_invoice_of_a_one_off_payment_leads_nowhere() {
    let lookup = lookup();
    lookup.stripe.pays("pi_1", "in_1", None);
    assert_eq!(payment(&lookup, "pi_1").await, "pi_1");
}

#[tokio::test]
async fn of_two_tasks_with_the_same_event_one_asks_and_the_other_comes_back() {
    let lookup = lookup();
    lookup.stripe.pays("pi_1", "in_1", Some("sub_1"));
    let payment_id = id("pi_1");
    let ask = |owner| lookup.payment(&payment_id, executor(owner));
    let (first, second) = tokio::join!(ask("a"), ask("b"));
    assert_eq!(first.unwrap().payment_id, id("in_1"));
    assert!(matches!(second, Err(LookupFailed::InFlight(_))), "{second:?}");
    assert_eq!(ask("b").await.unwrap().payment_id, id("in_1"));
    assert_eq!(lookup.stripe.asked.get(), 1);
}

#[tokio::test]
async fn a_stripe_that_is_down_is_asked_again_and_is_then_exact() {
    let lookup = lookup();
    lookup.stripe.pays("pi_1", "in_1", Some("sub_1"));
    let down = StripeError::Unavailable { path: String::new(), attempts: 4, reason: "503".to_owned() };
    let refused = StripeError::Unreadable { path: String::new() };
    for (error, reason) in [(down, "stripe_unavailable"), (refused, "stripe_refused")] {
        *lookup.stripe.fails.borrow_mut() = Some(error);
        let failed = lookup.payment(&id("pi_1"), executor("a")).await.unwrap_err();
        assert_eq!(failed.reason(), reason);
        let [row] = &rows(&lookup, "pi_1")[..] else { panic!() };
        assert_eq!(row.state, EffectState::Retry { reason: reason.to_owned() });
        assert!(row.open);
    }
    *lookup.stripe.fails.borrow_mut() = None;
    assert_eq!(payment(&lookup, "pi_1").await, "in_1");
}

/// What the row of a question says, and whether it is listed as open.
fn question(lookup: &Lookup, id: &str) -> (&'static str, Option<String>, bool) {
    let row = rows(lookup, id).into_iter().find(|row| row.effect == effects::lookup()).unwrap();
    (row.state.name(), row.reference, row.open)
}

#[tokio::test]
async fn a_question_that_became_needless_is_settled() {
    for dies in [false, true] {
        let lookup = lookup();
        let refund = executor_of(&lookup, "a", "evt_refund");
        if dies {
            let key = EffectKey::new(id("pi_1"), effects::lookup());
            let claimed = lookup.ledger.claim(&key, &refund, lookup.clock.now_ms());
            claimed.await.unwrap().unwrap();
        } else {
            let down =
                StripeError::Unavailable { path: String::new(), attempts: 4, reason: "503".to_owned() };
            *lookup.stripe.fails.borrow_mut() = Some(down);
            lookup.payment(&id("pi_1"), refund).await.unwrap_err();
        }
        done(&lookup, "pi_1", effects::contribution(SessionOutcome::Paid));
        lookup.clock.advance_ms(1);
        let dispute = executor_of(&lookup, "b", "evt_dispute");
        assert_eq!(lookup.payment(&id("pi_1"), dispute).await.unwrap().payment_id, id("pi_1"));
        assert_eq!(question(&lookup, "pi_1"), ("done", Some("not_needed".to_owned()), false), "{dies}");
        assert_eq!(lookup.stripe.asked.get(), u32::from(!dies));
    }
}

#[tokio::test]
async fn a_lookup_in_flight_is_left_to_its_caller_unless_that_may_be_an_earlier_try() {
    let lookup = lookup();
    let key = EffectKey::new(id("pi_1"), effects::lookup());
    let now = lookup.clock.now_ms();
    lookup.ledger.claim(&key, &executor("a"), now).await.unwrap().unwrap();
    done(&lookup, "pi_1", effects::contribution(SessionOutcome::Paid));
    lookup.payment(&id("pi_1"), executor_of(&lookup, "b", "evt_another")).await.unwrap();
    assert_eq!(question(&lookup, "pi_1").0, "claimed");
    let again = lookup.payment(&id("pi_1"), executor("b")).await.unwrap_err();
    assert_eq!(again.reason(), "in_flight");
}

#[tokio::test]
async fn what_a_question_asked_on_the_way_is_asked_to_its_end() {
    let lookup = lookup();
    lookup.stripe.pays("pi_1", "in_1", Some("sub_1"));
    // An executor died at both, and the invoice came meanwhile.
    let refund = executor_of(&lookup, "a", "evt_refund");
    for asked in ["pi_1", "sub_1"] {
        let key = EffectKey::new(id(asked), effects::lookup());
        let claimed = lookup.ledger.claim(&key, &refund, lookup.clock.now_ms());
        claimed.await.unwrap().unwrap();
    }
    done(&lookup, "in_1", effects::contribution(SessionOutcome::Paid));
    lookup.clock.advance_ms(1);
    assert_eq!(payment(&lookup, "pi_1").await, "in_1");
    assert_eq!(question(&lookup, "sub_1").0, "done");
}

#[tokio::test]
async fn a_payment_of_an_invoice_is_remembered_only_if_the_invoice_is_known() {
    let lookup = lookup();
    assert!(!lookup.remember("pi_1", "in_1", executor("a")).await.unwrap());
    assert!(lookup.ledger.rows().is_empty());
    done(&lookup, "in_1", effects::contribution_term());
    assert!(lookup.remember("pi_1", "in_1", executor("a")).await.unwrap());
    assert!(lookup.remember("pi_1", "in_1", executor("b")).await.unwrap());
    assert_eq!(payment(&lookup, "pi_1").await, "in_1");
    assert_eq!(lookup.stripe.asked.get(), 0);
}

/// Version 0.1.0 filed the first payment of a subscription under its session.
#[tokio::test]
async fn a_first_invoice_leads_to_the_session_that_an_earlier_version_filed_it_under() {
    let lookup = lookup();
    let began = |metadata: serde_json::Value| {
        let session = serde_json::json!({ "id": "cs_1", "object": "checkout.session", "metadata": metadata });
        stripe_access::Began {
            session: serde_json::from_value(session).unwrap(),
            recurring: None,
            items: Vec::new(),
        }
    };
    let first = |payment_intent: &str, invoice: &str| {
        lookup.stripe.pays(payment_intent, invoice, Some("sub_1"));
        let reason = serde_json::json!("subscription_create");
        lookup.stripe.invoices.borrow_mut().get_mut(payment_intent).unwrap()["billing_reason"] = reason;
    };
    let ours = began(serde_json::json!({ "fulfilment": "membership" }));
    lookup.stripe.sessions.borrow_mut().insert("sub_1".to_owned(), ours);
    done(&lookup, "cs_1", effects::acquisition());
    first("pi_1", "in_1");
    assert_eq!(payment(&lookup, "pi_1").await, "cs_1");
    assert_eq!(payment(&lookup, "pi_1").await, "cs_1");
    assert_eq!(lookup.stripe.asked.get(), 2, "the invoice once and the session once");
    let [row] = &rows(&lookup, "pi_1")[..] else { panic!() };
    assert_eq!(row.expires_at, None, "it is ours, and is remembered");
    // The term of a first invoice that was skipped is no payment.
    let term = EffectKey::new(id("in_1"), effects::contribution_term());
    lookup.ledger.put(&term, EffectState::Skipped { reason: "filed_under_session".to_owned() });
    assert!(!lookup.remember("pi_2", "in_1", executor("a")).await.unwrap());
    first("pi_2", "in_1");
    assert_eq!(payment(&lookup, "pi_2").await, "cs_1");
    // A renewal has its invoice for a key.
    lookup.stripe.pays("pi_3", "in_3", Some("sub_1"));
    assert_eq!(payment(&lookup, "pi_3").await, "in_3");
}

#[tokio::test]
async fn a_first_invoice_that_is_filed_costs_no_second_question() {
    let lookup = lookup();
    lookup.stripe.pays("pi_1", "in_1", Some("sub_1"));
    lookup.stripe.invoices.borrow_mut().get_mut("pi_1").unwrap()["billing_reason"] =
        serde_json::json!("subscription_create");
    done(&lookup, "in_1", effects::contribution(SessionOutcome::Paid));
    assert_eq!(payment(&lookup, "pi_1").await, "in_1");
    assert_eq!(lookup.stripe.asked.get(), 1);
}
