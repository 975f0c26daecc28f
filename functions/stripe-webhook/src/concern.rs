//! Which events go on. One Stripe account often serves several businesses, and its destination delivers the customers of
//! all of them: an event that no task reacts to is dropped here, before it is kept anywhere.

use catalogue::Task;
use fulfilment::LinkContract;
use serde_json::Value;

/// Whether a task may react to a snapshot event of this type with this body.
///
/// Sessions carry our marker. Refunds, disputes, invoices and fraud warnings carry none: those of every business pass,
/// and the tasks find out whose they are.
pub(crate) fn concerns_a_task(event_type: &str, body: &[u8]) -> bool {
    let is_reacted_to = Task::ALL.iter().any(|task| task.reacts_to().contains(&event_type));
    is_reacted_to && (!event_type.starts_with(SESSION) || is_marked(body))
}

/// What the types of a session's events begin with.
const SESSION: &str = "checkout.session.";

/// Whether the object's metadata has our marker, in any spelling.
fn is_marked(body: &[u8]) -> bool {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let metadata = event.pointer("/data/object/metadata").and_then(Value::as_object);
    metadata.is_some_and(|metadata| metadata.keys().any(|key| LinkContract::is_marker(key)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn session(metadata: &Value) -> Vec<u8> {
        json!({ "data": { "object": { "metadata": metadata } } }).to_string().into_bytes()
    }

    #[test]
    fn a_session_with_the_marker_in_any_spelling_concerns_a_task() {
        for event_type in [
            "checkout.session.completed",
            "checkout.session.async_payment_succeeded",
            "checkout.session.async_payment_failed",
        ] {
            for key in ["fulfilment", "Fulfilment", "FULFILLMENT", " fulfillment"] {
                assert!(concerns_a_task(event_type, &session(&json!({ key: "" }))), "{event_type} {key}");
            }
        }
    }

    #[test]
    fn a_session_of_another_business_does_not() {
        for metadata in
            [json!({}), json!({ "order": "fulfilment" }), json!(null), json!([]), json!("fulfilment")]
        {
            assert!(!concerns_a_task("checkout.session.completed", &session(&metadata)), "{metadata}");
        }
        assert!(!concerns_a_task("checkout.session.completed", b"{}"));
    }

    #[test]
    fn other_events_concern_a_task_by_their_type_alone() {
        for event_type in [
            "refund.created",
            "refund.updated",
            "refund.failed",
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.funds_reinstated",
            "invoice.paid",
            "invoice_payment.paid",
        ] {
            assert!(concerns_a_task(event_type, b"{}"), "{event_type}");
        }
        for event_type in [
            "customer.created",
            "charge.succeeded",
            "checkout.session.expired",
            "payment_intent.succeeded",
            "",
        ] {
            let marked = session(&json!({ "fulfilment": "download" }));
            assert!(!concerns_a_task(event_type, &marked), "{event_type}");
        }
    }
}
