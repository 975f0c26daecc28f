use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use stripe_client::{API_VERSION, ApiObject};
use stripe_events::Invoice;

/// What the ids of events begin with that Stripe never sent.
pub const MADE_PREFIX: &str = fulfilment::MADE_EVENT_PREFIX;

/// An event as it is made here: Stripe's shape around an object as Stripe wrote it.
#[derive(Serialize)]
struct MadeEvent<'a> {
    id: String,
    object: &'static str,
    api_version: &'static str,
    created: i64,
    data: Data<'a>,
    livemode: bool,
    pending_webhooks: u32,
    request: Option<()>,
    #[serde(rename = "type")]
    event_type: &'static str,
}

#[derive(Serialize)]
struct Data<'a> {
    object: &'a RawValue,
}

/// The event that an object's present state amounts to, for when Stripe no longer has the ones that led there.
///
/// Its id follows from the object's, and its time is the object's: of an invoice, when it was paid. But where a dispute
/// stands now is newer than what its events said, so that event has the time `now` (Unix seconds) when Stripe was
/// asked. `livemode` is the key's: refunds do not say theirs. `None` for what calls for nothing any more: a session
/// that was not paid within thirty days owes nothing, and a mail about it would only confuse.
pub fn made_from(object: &ApiObject, livemode: bool, now: i64) -> Option<String> {
    let fields: Value = serde_json::from_str(object.json()).ok()?;
    let text = |name: &str| fields[name].as_str().unwrap_or_default();
    let event_type = match text("object") {
        "checkout.session" => match text("payment_status") {
            // Whether the money came at once or days later is no longer known, and makes no difference.
            "paid" | "no_payment_required" => "checkout.session.completed",
            _ => return None,
        },
        "refund" if text("status") == "failed" => "refund.failed",
        "refund" => "refund.updated",
        "dispute" => of_dispute(&fields, text("status")),
        "invoice" if text("status") == "paid" => "invoice.paid",
        _ => return None,
    };
    let data = Data { object: serde_json::from_str(object.json()).ok()? };
    let made = MadeEvent {
        id: format!("{MADE_PREFIX}{}", object.id),
        object: "event",
        api_version: API_VERSION,
        created: match text("object") {
            "dispute" => now,
            "invoice" => paid_at(object),
            _ => object.created,
        },
        data,
        livemode: fields["livemode"].as_bool().unwrap_or(livemode),
        pending_webhooks: 0,
        request: None,
        event_type,
    };
    serde_json::to_string(&made).ok()
}

/// When an invoice was paid, in Unix seconds. <https://docs.stripe.com/api/invoices/object>
pub(crate) fn paid_at(invoice: &ApiObject) -> i64 {
    let read = invoice.read::<Invoice>().ok();
    read.and_then(|invoice| invoice.status_transitions?.paid_at).unwrap_or(invoice.created)
}

/// A dispute lists what it moved: withdrawals below zero, returns above. How much that is, the reader of the event
/// takes from the list, so a return in part is no return of the whole.
///
/// <https://docs.stripe.com/api/disputes/object#dispute_object-balance_transactions>
fn of_dispute(fields: &Value, status: &str) -> &'static str {
    let listed = fields["balance_transactions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has_come_back = match listed {
        [] | [_] => listed.iter().any(|transaction| transaction["amount"].as_i64() > Some(0)),
        [_, ..] => listed.iter().any(|transaction| transaction["amount"].as_i64().is_none_or(|it| it > 0)),
    };
    match listed {
        _ if has_come_back => "charge.dispute.funds_reinstated",
        [_, ..] => "charge.dispute.funds_withdrawn",
        [] if matches!(status, "won" | "lost" | "warning_closed" | "prevented") => "charge.dispute.closed",
        [] => "charge.dispute.created",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stripe_events::Event;

    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn made(object: &Value) -> Option<Event> {
        let made = made_from(&ApiObject::from_json(&object.to_string()).unwrap(), false, NOW)?;
        Some(Event::from_json(made.as_bytes()).unwrap())
    }

    #[test]
    fn a_session_gets_a_completed_event_when_it_is_paid() {
        let check = |payment_status: &str, expected: Option<&str>| {
            let session = json!({ "id": "cs_1", "object": "checkout.session", "created": 1_795_000_000,
                "livemode": false, "payment_status": payment_status });
            let event = made(&session);
            assert_eq!(event.as_ref().map(Event::type_name), expected, "{payment_status}");
            assert!(event.is_none_or(|event| event.id() == "evt_reconcile_cs_1"));
        };
        check("paid", Some("checkout.session.completed"));
        check("no_payment_required", Some("checkout.session.completed"));
        check("unpaid", None);
    }

    #[test]
    fn a_refund_says_where_it_stands() {
        let check = |status: &str, expected: &str| {
            let refund =
                json!({ "id": "re_1", "object": "refund", "created": 1_795_000_000, "status": status });
            assert_eq!(made(&refund).unwrap().type_name(), expected, "{status}");
        };
        check("succeeded", "refund.updated");
        check("canceled", "refund.updated");
        check("failed", "refund.failed");
    }

    #[test]
    fn a_dispute_says_what_it_moved() {
        let check = |status: &str, moved: usize, expected: &str| {
            let dispute = json!({ "id": "dp_1", "object": "dispute", "created": 1_795_000_000, "status": status,
                "balance_transactions": vec![json!({}); moved] });
            assert_eq!(made(&dispute).unwrap().type_name(), expected, "{status} {moved}");
        };
        check("warning_needs_response", 0, "charge.dispute.created");
        check("warning_closed", 0, "charge.dispute.closed");
        check("needs_response", 1, "charge.dispute.funds_withdrawn");
        check("lost", 1, "charge.dispute.funds_withdrawn");
        check("won", 2, "charge.dispute.funds_reinstated");
    }

    #[test]
    fn a_dispute_that_was_taken_twice_has_not_come_back_twice() {
        let check = |status: &str, amounts: &[i64], expected: &str| {
            let moved: Vec<_> = amounts.iter().map(|amount| json!({ "amount": amount })).collect();
            let dispute = json!({ "id": "dp_1", "object": "dispute", "created": 1_795_000_000, "status": status,
                "balance_transactions": moved });
            assert_eq!(made(&dispute).unwrap().type_name(), expected, "{status} {amounts:?}");
        };
        check("under_review", &[-1250, -1250], "charge.dispute.funds_withdrawn");
        check("lost", &[-1250, 500], "charge.dispute.funds_reinstated");
        check("lost", &[500], "charge.dispute.funds_reinstated");
    }

    #[test]
    fn where_a_dispute_stands_is_dated_by_when_stripe_was_asked() {
        let created = |object: &str, id: &str| {
            let object = json!({ "id": id, "object": object, "created": 1_790_000_000, "status": "lost",
                "payment_status": "paid" });
            let made = made_from(&ApiObject::from_json(&object.to_string()).unwrap(), false, NOW).unwrap();
            serde_json::from_str::<Value>(&made).unwrap()["created"].as_i64()
        };
        assert_eq!(created("dispute", "dp_1"), Some(NOW));
        assert_eq!(created("refund", "re_1"), Some(1_790_000_000));
        assert_eq!(created("checkout.session", "cs_1"), Some(1_790_000_000));
    }

    #[test]
    fn an_invoice_is_reported_by_the_day_it_was_paid() {
        let check = |status: &str, transitions: Value, expected: Option<i64>| {
            let invoice = json!({ "id": "in_1", "object": "invoice", "created": 7, "status": status,
                "status_transitions": transitions });
            let made = made_from(&ApiObject::from_json(&invoice.to_string()).unwrap(), false, NOW);
            let made = made.map(|made| serde_json::from_str::<Value>(&made).unwrap());
            assert_eq!(made.as_ref().and_then(|made| made["created"].as_i64()), expected, "{status}");
            assert!(made.is_none_or(|made| made["type"] == "invoice.paid"));
        };
        check("paid", json!({ "paid_at": 9 }), Some(9));
        check("paid", Value::Null, Some(7));
        for status in ["draft", "open", "void", "uncollectible"] {
            check(status, json!({ "paid_at": 9 }), None);
        }
    }

    #[test]
    fn other_objects_are_no_events_of_ours() {
        assert!(made(&json!({ "id": "ch_1", "object": "charge", "created": 1_795_000_000 })).is_none());
    }
}
