//! What goes over the wire to EventBridge, and what each answer means.

use std::time::Duration;

use fulfilment::{AcquisitionCorrection, Circumstances, Currency, Money, Movement, PaymentId};
use serde_json::{Value, json};
use testkit::aws::{Endpoint, Reply};
use testkit::silence::SilentAws;

use super::*;

fn event() -> AcquisitionEvent {
    let correction = AcquisitionCorrection {
        payment_id: PaymentId::new("pi_1"),
        movement: Movement::Refund("re_1".to_owned()),
        reason: Some("requested_by_customer".to_owned()),
        amount: Money::new(500, Currency::try_from("gbp").unwrap()),
        occurred_at: 1_795_000_600,
    };
    AcquisitionEvent::of_correction(
        &correction,
        Circumstances { livemode: false, replayed: false, published_at: 0 },
    )
}

async fn publish(endpoint: &Endpoint) -> Attempted<NotPublished> {
    let bus = EventBridgeBus::new(&endpoint.sdk_config(), "acquisition");
    bus.publish(&event()).await
}

fn name(attempted: &Attempted<NotPublished>) -> &'static str {
    match attempted {
        Attempted::Accepted(_) => "published",
        Attempted::NotDone(_) => "not published",
        Attempted::Rejected(_) => "refused",
        Attempted::Ambiguous(_) => "ambiguous",
    }
}

fn entry_failed(code: &str) -> Reply {
    let entry = json!({ "ErrorCode": code, "ErrorMessage": "about the entry" });
    Reply::json(200, &json!({ "FailedEntryCount": 1, "Entries": [entry] }))
}

#[tokio::test]
async fn one_event_is_one_entry_as_documented_for_analysts() {
    let taken = json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "eb-1" }] });
    let endpoint = Endpoint::start([Reply::json(200, &taken)]);
    assert!(matches!(publish(&endpoint).await, Attempted::Accepted(id) if id == "eb-1"));
    let [body] = &endpoint.bodies()[..] else { panic!() };
    let entry = &body["Entries"][0];
    assert_eq!(body["Entries"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&entry["EventBusName"], &entry["Source"], &entry["DetailType"]),
        (&json!("acquisition"), &json!("afterlink"), &json!("AcquisitionEvent"))
    );
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, serde_json::to_value(event()).unwrap());
    assert_eq!(testkit::acquisition::violations(&detail), Vec::<String>::new());
}

#[tokio::test]
async fn a_success_that_holds_a_failed_entry_is_none() {
    for (code, expected) in [
        ("ThrottlingException", "not published"),
        ("InternalFailure", "not published"),
        ("NotAuthorizedForSourceException", "not published"),
        ("SomethingNew", "not published"),
        ("MalformedDetail", "refused"),
        ("InvalidArgument", "refused"),
    ] {
        let endpoint = Endpoint::start([entry_failed(code)]);
        let attempted = publish(&endpoint).await;
        assert_eq!((name(&attempted), endpoint.count()), (expected, 1), "{code}");
    }
}

#[tokio::test]
async fn whatever_else_fails_proves_nothing() {
    let denied = json!({ "__type": "AccessDeniedException", "message": "not allowed" });
    for reply in [Reply::json(400, &denied), Reply::Answer(200, "not what EventBridge says".to_owned())] {
        let endpoint = Endpoint::start([reply]);
        assert_eq!(name(&publish(&endpoint).await), "ambiguous");
    }
    assert_eq!(name(&publish(&Endpoint::unreachable()).await), "ambiguous");
}

#[tokio::test]
async fn a_silent_bus_is_given_up_after_nine_seconds_and_proves_nothing() {
    let aws = SilentAws::start();
    let bus = EventBridgeBus::new(&aws.sdk_config(), "acquisition");
    let (attempted, waited) = aws.wait(Duration::from_secs(2), bus.publish(&event())).await;
    assert_eq!((name(&attempted), waited.elapsed), ("ambiguous", Duration::from_secs(9)));
    // The remaining time after two tries and short pauses may begin a third.
    assert!((2..=3).contains(&waited.requests), "{waited:?}");
}
