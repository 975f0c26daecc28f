//! What goes over the wire to EventBridge, and what each reply means.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

use std::time::Duration;

use aws::{BusEntry, EventBridgeBus, NotPut};
use serde_json::{Value, json};
use testkit::aws::{Endpoint, Reply};
use testkit::silence::SilentAws;

const EVENT: &str = r#"{ "id":"evt_1", "object":"event" }"#;

fn event() -> BusEntry {
    BusEntry {
        source: "afterlink.webhook",
        detail_type: "refund.created".to_owned(),
        detail: EVENT.to_owned(),
    }
}

fn entries(number: usize) -> Vec<BusEntry> {
    (0..number).map(|i| BusEntry { detail: format!("{{\"i\":{i}}}"), ..event() }).collect()
}

fn bus(endpoint: &Endpoint) -> EventBridgeBus {
    EventBridgeBus::new(&endpoint.sdk_config(), "fulfilment")
}

/// A reply: for each entry, the code with which it was refused, or `None`.
fn reply(codes: &[Option<&str>]) -> Reply {
    let entry = |code: &Option<&str>| match code {
        Some(code) => json!({ "ErrorCode": code, "ErrorMessage": "about it" }),
        None => json!({ "EventId": "eb-1" }),
    };
    let failed = codes.iter().flatten().count();
    let results: Vec<_> = codes.iter().map(entry).collect();
    Reply::json(200, &json!({ "FailedEntryCount": failed, "Entries": results }))
}

fn details(body: &Value) -> Vec<&str> {
    body["Entries"].as_array().unwrap().iter().map(|entry| entry["Detail"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_event_is_one_entry_and_verbatim() {
    let endpoint = Endpoint::start([reply(&[None])]);
    assert_eq!(bus(&endpoint).put(&event()).await.unwrap(), "eb-1");
    let entry = json!({
        "EventBusName": "fulfilment", "Source": "afterlink.webhook", "DetailType": "refund.created", "Detail": EVENT
    });
    assert_eq!(endpoint.bodies(), [json!({ "Entries": [entry] })]);
}

#[tokio::test]
async fn a_success_with_a_refused_entry_is_an_error_with_its_code() {
    for code in ["ThrottlingException", "InternalFailure", "MalformedDetail"] {
        let endpoint = Endpoint::start([reply(&[Some(code)])]);
        let error = bus(&endpoint).put(&event()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the bus refused 1 entries ({code})"));
        assert_eq!(endpoint.count(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_silent_bus_is_given_up_after_nine_seconds() {
    let aws = SilentAws::start();
    let bus = EventBridgeBus::new(&aws.sdk_config(), "fulfilment");
    let event = event();
    let (put, waited) = aws.wait(Duration::from_secs(2), bus.put(&event)).await;
    assert!(matches!(put, Err(NotPut::NoAnswer(_))), "{put:?}");
    assert_eq!(waited.elapsed, Duration::from_secs(9));
    // The remaining time after two tries and short pauses may begin a third.
    assert!((2..=3).contains(&waited.requests), "{waited:?}");
}

#[tokio::test]
async fn puts_ten_in_a_call_and_nothing_in_none() {
    let endpoint = Endpoint::start([reply(&[None; 10]), reply(&[None; 2])]);
    bus(&endpoint).put_all(&entries(12)).await.unwrap();
    bus(&endpoint).put_all(&[]).await.unwrap();
    let sizes: Vec<_> = endpoint.bodies().iter().map(|body| details(body).len()).collect();
    assert_eq!(sizes, [10, 2]);
}

#[tokio::test]
async fn sends_refused_entries_alone_again() {
    let endpoint = Endpoint::start([reply(&[None, Some("ThrottlingException"), None]), reply(&[None])]);
    bus(&endpoint).put_all(&entries(3)).await.unwrap();
    assert_eq!(details(&endpoint.bodies()[1]), ["{\"i\":1}"]);
}

#[tokio::test]
async fn reports_entries_that_stay_refused() {
    let endpoint = Endpoint::start(vec![reply(&[Some("InternalFailure")]); 3]);
    let error = bus(&endpoint).put_all(&entries(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the bus refused 1 entries (InternalFailure)");
    assert_eq!(endpoint.count(), 3);
}
