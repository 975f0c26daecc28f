//! What goes over the wire to EventBridge, and what each answer means.

use std::time::Duration;

use serde_json::json;
use testkit::aws::{Endpoint, Reply};
use testkit::silence::SilentAws;

use super::*;

const EVENT: &str = r#"{ "id":"evt_1", "object":"event" }"#;

async fn put(endpoint: &Endpoint) -> Result<(), String> {
    let bus = EventBridgeBus::new(Client::new(&endpoint.sdk_config()), "fulfilment".to_owned());
    bus.put("refund.created", EVENT).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn one_event_is_one_entry_and_verbatim() {
    let taken = json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "eb-1" }] });
    let endpoint = Endpoint::start([Reply::json(200, &taken)]);
    assert_eq!(put(&endpoint).await, Ok(()));
    let entry = json!({
        "EventBusName": "fulfilment", "Source": "afterlink.webhook", "DetailType": "refund.created", "Detail": EVENT
    });
    assert_eq!(endpoint.bodies(), [json!({ "Entries": [entry] })]);
}

#[tokio::test]
async fn a_success_that_holds_a_failed_entry_is_none() {
    let entry = json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "about the entry" });
    let endpoint = Endpoint::start([Reply::json(200, &json!({ "FailedEntryCount": 1, "Entries": [entry] }))]);
    assert_eq!(put(&endpoint).await.unwrap_err(), "the bus refused the entry (ThrottlingException)");
}

#[tokio::test]
async fn a_silent_bus_is_given_up_after_nine_seconds() {
    let aws = SilentAws::start();
    let bus = EventBridgeBus::new(Client::new(&aws.sdk_config()), "fulfilment".to_owned());
    let (put, waited) = aws.wait(Duration::from_secs(2), bus.put("refund.created", EVENT)).await;
    assert!(matches!(put, Err(NotPut::NoAnswer(_))), "{put:?}");
    assert_eq!(waited.elapsed, Duration::from_secs(9));
    // What is left after two tries and short pauses may begin a third.
    assert!((2..=3).contains(&waited.requests), "{waited:?}");
}
