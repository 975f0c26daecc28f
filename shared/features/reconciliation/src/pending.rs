//! Sessions whose money had not come when the customer finished.
//!
//! ```text
//! checkout.session.completed, unpaid ─▶ remembered ─▶ looked at again at Stripe ─▶ paid: async_payment_succeeded is made
//!                                          ▲                │                   └─▶ for good not: async_payment_failed
//!                                          └── still open ──┘
//! ```
//!
//! A bank debit is reported by an event that can get lost. A payment whose money is only held
//! (`capture_method=manual`) is never reported by an event of its session: on capture come `payment_intent.succeeded` and
//! `charge.captured`, which name neither the session nor our marker. So both are looked at until Stripe's own answer is
//! final. <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>

use fulfilment::{LinkContract, PaymentId, SessionOutcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stripe_client::{API_VERSION, ApiObject};

use crate::made_event::MADE_PREFIX;

/// A session whose money has not come, so far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// `cs_…`
    pub session_id: String,
    /// The payment it is about.
    pub payment_id: PaymentId,
    /// When the customer finished, in Unix seconds.
    pub since: i64,
    /// When Stripe is to be asked again, in Unix seconds.
    pub next_look_at: i64,
}

/// How far the search for sessions has come that were pending before this was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingSearch {
    /// Not begun: a version without it wrote the position.
    #[default]
    Due,
    /// Under way: the last session that was looked at, and the newest to look at, in Unix seconds.
    At {
        /// `cs_…`
        after: String,
        /// In Unix seconds.
        to: i64,
    },
    /// Over.
    Done,
}

/// A payment is held for 7 days, with some cards for 30, and a bank debit takes 14 at most.
/// <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>
pub(crate) const SEARCHED_SECONDS: i64 = 31 * 86_400;

/// Sessions that are looked at in one run.
pub(crate) const LOOKS: usize = 100;

/// Pages of the search in one run.
pub(crate) const SEARCH_PAGES: usize = 10;

const HOUR: i64 = 3600;

/// A bank may have said no to a first attempt, and the event about it may be on its way.
const REFUSED_FOR_GOOD_SECONDS: i64 = HOUR;

impl Pending {
    pub(crate) fn new(session_id: &str, payment_id: &PaymentId, since: i64) -> Self {
        let session_id = session_id.to_owned();
        let payment_id = payment_id.clone();
        Self { session_id, payment_id, since, next_look_at: since }
    }

    /// The same, to be looked at again: at each run for an hour, hourly for a day, then every six hours.
    pub(crate) fn postponed(self, now: i64) -> Self {
        let age = now.saturating_sub(self.since);
        let pause = if age < HOUR {
            0
        } else if age < 25 * HOUR {
            HOUR
        } else {
            6 * HOUR
        };
        Self { next_look_at: now.saturating_add(pause), ..self }
    }
}

/// What Stripe says of a pending session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// The money may still come.
    Open,
    /// The money is there, or will not come: the event that says so.
    Final {
        /// `evt_reconcile_paid_cs_…` or `evt_reconcile_failed_cs_…`.
        event_id: String,
        /// The event, as JSON.
        json: String,
    },
    /// The session is not one whose money is waited for.
    NotOurs,
}

/// What a session says, with its payment intent written out. `noticed_at` dates the event that is made of it, since
/// Stripe does not say when the money was captured; `waited` is how long the session has been pending, in seconds.
pub(crate) fn read_look(session: &ApiObject, noticed_at: i64, waited: i64) -> Look {
    let Ok(mut fields) = session.read::<Value>() else {
        return Look::NotOurs;
    };
    let intent = fields["payment_intent"].take();
    fields["payment_intent"] = intent.get("id").cloned().unwrap_or_else(|| intent.clone());
    let intent_status = intent["status"].as_str().unwrap_or_default();
    match (fields["status"].as_str(), fields["payment_status"].as_str(), intent_status) {
        (Some("complete"), Some("paid" | "no_payment_required"), _) | (Some("complete"), _, "succeeded") => {
            book_captured(&mut fields, &intent);
            made("checkout.session.async_payment_succeeded", "paid", fields, noticed_at)
        }
        (Some("complete"), _, "canceled") => {
            made("checkout.session.async_payment_failed", "failed", fields, noticed_at)
        }
        (Some("complete"), _, "requires_payment_method") if waited >= REFUSED_FOR_GOOD_SECONDS => {
            made("checkout.session.async_payment_failed", "failed", fields, noticed_at)
        }
        (Some("complete"), ..) => Look::Open,
        _ => Look::NotOurs,
    }
}

/// Of a hold, a part can be captured: that is what the customer paid. What the customer saw, in another currency or
/// with its parts, was about the whole.
fn book_captured(session: &mut Value, intent: &Value) {
    session["payment_status"] = match session["payment_status"].as_str() {
        Some("no_payment_required") => "no_payment_required".into(),
        _ => "paid".into(),
    };
    let received = intent["amount_received"].as_i64().filter(|received| *received > 0);
    let (Some(received), Some(booked)) = (received, session["amount_total"].as_i64()) else {
        return;
    };
    if intent["currency"] == session["currency"] && received < booked {
        session["amount_total"] = received.into();
        session["presentment_details"] = Value::Null;
    }
}

fn made(event_type: &str, what: &str, session: Value, noticed_at: i64) -> Look {
    let id = session["id"].as_str().unwrap_or_default();
    let event_id = format!("{MADE_PREFIX}{what}_{id}");
    let livemode = session["livemode"].clone();
    let event = json!({
        "id": event_id, "object": "event", "api_version": API_VERSION, "created": noticed_at, "livemode": livemode,
        "pending_webhooks": 0, "request": null, "type": event_type, "data": { "object": session },
    });
    Look::Final { event_id, json: event.to_string() }
}

/// The session that an event was made of by [`read_look`].
pub(crate) fn session_of_made(event_id: &str) -> Option<&str> {
    let made = event_id.strip_prefix(MADE_PREFIX)?;
    let session_id = made.strip_prefix("paid_").or_else(|| made.strip_prefix("failed_"))?;
    session_id.starts_with("cs_").then_some(session_id)
}

/// Whether a session in Stripe's list waits for its money, and its payment is ours.
pub(crate) fn waits_for_money(session: &ApiObject) -> Option<PaymentId> {
    let read = session.session().ok()?;
    let fields: Value = session.read().ok()?;
    let unpaid = fields["status"] == "complete" && fields["payment_status"] == "unpaid";
    let ours = LinkContract::from_metadata(&read.metadata).transpose().is_some();
    (unpaid && ours && fields["mode"] != "setup").then(|| PaymentId::of_session(&read))
}

/// The outcomes after which a session is no longer pending.
pub(crate) const FINAL: [SessionOutcome; 2] = [SessionOutcome::Paid, SessionOutcome::Failed];

#[cfg(test)]
mod tests {
    use super::*;

    fn look(session: Value, intent: Value, waited: i64) -> Look {
        let mut fields = json!({
            "id": "cs_1", "object": "checkout.session", "created": 7, "livemode": false, "status": "complete",
            "payment_status": "unpaid", "amount_total": 1250, "currency": "gbp", "payment_intent": intent,
        });
        for (name, value) in session.as_object().unwrap() {
            fields[name] = value.clone();
        }
        read_look(&ApiObject::from_json(&fields.to_string()).unwrap(), 42, waited)
    }

    fn intent(status: &str, received: i64) -> Value {
        json!({ "id": "pi_1", "status": status, "amount_received": received, "currency": "gbp" })
    }

    fn event(look: Look) -> Value {
        let Look::Final { event_id, json } = look else { panic!("{look:?}") };
        let event: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(event["id"], event_id);
        assert_eq!(event["created"], 42);
        event
    }

    #[test]
    fn only_a_final_answer_makes_an_event() {
        for status in
            ["processing", "requires_capture", "requires_action", "requires_confirmation", "new one"]
        {
            assert_eq!(look(json!({}), intent(status, 0), 100 * HOUR), Look::Open, "{status}");
        }
        assert_eq!(look(json!({}), Value::Null, 0), Look::Open, "a subscription's names no payment intent");
        assert_eq!(look(json!({}), intent("requires_payment_method", 0), HOUR - 1), Look::Open);
        for (status, waited) in [("canceled", 0), ("requires_payment_method", HOUR)] {
            let event = event(look(json!({}), intent(status, 0), waited));
            assert_eq!(event["type"], "checkout.session.async_payment_failed");
            assert_eq!(event["data"]["object"]["payment_status"], "unpaid");
        }
        assert_eq!(look(json!({ "status": "expired" }), Value::Null, 0), Look::NotOurs);
    }

    #[test]
    fn a_captured_hold_is_booked_with_what_was_captured() {
        let check = |session: Value, received: i64, booked: i64| {
            let event = event(look(session, intent("succeeded", received), 0));
            assert_eq!(event["type"], "checkout.session.async_payment_succeeded");
            let session = &event["data"]["object"];
            assert_eq!(
                (&session["payment_status"], &session["amount_total"]),
                (&json!("paid"), &json!(booked))
            );
            assert_eq!(session["payment_intent"], "pi_1");
            session["presentment_details"].is_object()
        };
        let shown =
            json!({ "presentment_details": { "presentment_amount": 1500, "presentment_currency": "eur" } });
        assert!(check(shown.clone(), 1250, 1250));
        assert!(!check(shown, 1000, 1000), "what the customer saw was the whole");
        check(json!({ "payment_status": "paid" }), 1250, 1250);
        check(json!({ "currency": "eur" }), 1000, 1250);
    }

    #[test]
    fn looks_become_rarer() {
        let pending = Pending::new("cs_1", &PaymentId::new("pi_1"), 0);
        for (now, next) in
            [(0, 0), (HOUR - 1, HOUR - 1), (HOUR, 2 * HOUR), (24 * HOUR, 25 * HOUR), (25 * HOUR, 31 * HOUR)]
        {
            assert_eq!(pending.clone().postponed(now).next_look_at, next, "{now}");
        }
    }

    #[test]
    fn a_made_event_leads_back_to_its_session() {
        assert_eq!(session_of_made("evt_reconcile_paid_cs_1"), Some("cs_1"));
        assert_eq!(session_of_made("evt_reconcile_failed_cs_1"), Some("cs_1"));
        for other in ["evt_reconcile_cs_1", "evt_reconcile_re_1", "evt_paid_cs_1", "evt_reconcile_paid_re_1"]
        {
            assert_eq!(session_of_made(other), None, "{other}");
        }
    }
}
