use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use stripe_client::{API_VERSION, ApiObject};

/// What the ids of events begin with that Stripe never sent.
pub const MADE_PREFIX: &str = "evt_reconcile_";

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
/// Its id follows from the object's, and its time is the object's. `livemode` is the key's: refunds do not say theirs.
/// `None` for what calls for nothing any more: a
/// session that was not paid within thirty days owes nobody anything, and a mail about it would only confuse.
pub fn made_from(object: &ApiObject, livemode: bool) -> Option<String> {
    let fields: Value = serde_json::from_str(object.json()).ok()?;
    let text = |name: &str| fields[name].as_str().unwrap_or_default();
    let event_type = match text("object") {
        "checkout.session" => match text("payment_status") {
            // Whether the money came at once or days later can no longer be told, and makes no difference.
            "paid" | "no_payment_required" => "checkout.session.completed",
            _ => return None,
        },
        "refund" if text("status") == "failed" => "refund.failed",
        "refund" => "refund.updated",
        "dispute" => of_dispute(&fields, text("status")),
        _ => return None,
    };
    let data = Data { object: serde_json::from_str(object.json()).ok()? };
    let made = MadeEvent {
        id: format!("{MADE_PREFIX}{}", object.id),
        object: "event",
        api_version: API_VERSION,
        created: object.created,
        data,
        livemode: fields["livemode"].as_bool().unwrap_or(livemode),
        pending_webhooks: 0,
        request: None,
        event_type,
    };
    serde_json::to_string(&made).ok()
}

/// A dispute lists what it moved: nothing, the withdrawal, or the withdrawal and the return.
///
/// <https://docs.stripe.com/api/disputes/object#dispute_object-balance_transactions>
fn of_dispute(fields: &Value, status: &str) -> &'static str {
    match fields["balance_transactions"].as_array().map_or(0, Vec::len) {
        0 if matches!(status, "won" | "lost" | "warning_closed" | "prevented") => "charge.dispute.closed",
        0 => "charge.dispute.created",
        1 => "charge.dispute.funds_withdrawn",
        _ => "charge.dispute.funds_reinstated",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stripe_events::Event;

    use super::*;

    fn made(object: &Value) -> Option<Event> {
        let made = made_from(&ApiObject::from_json(&object.to_string()).unwrap(), false)?;
        Some(Event::from_json(made.as_bytes()).unwrap())
    }

    #[test]
    fn a_session_is_told_when_it_is_paid() {
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
    fn other_objects_are_no_events_of_ours() {
        assert!(made(&json!({ "id": "ch_1", "object": "charge", "created": 1_795_000_000 })).is_none());
    }
}
