//! What is made again from Stripe's lists, against what the function published of Stripe's events.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

use std::collections::BTreeMap;

use acquisition_history::{Settings, Window, read};
use analysts::{SEED, SUPPORTER_NAMESPACE, Story, cloud, published};
use aws::Clock as _;
use fulfilment::Policy;
use serde_json::Value;
use stripe_client::{ApiKey, STRIPE_API, StripeClient};
use testkit::clock::ManualClock;

/// What Stripe's lists say otherwise: README.md of `acquisition-history`.
const OTHERWISE: [&str; 3] = ["occurred_at", "published_at", "replayed"];

async fn history(story: &Story, window: Window) -> Vec<Value> {
    let clock = ManualClock::default();
    let sdk = aws_in_memory::sdk_config(&cloud(story), clock.clone());
    let key = ApiKey::new("rk_live_simulated").unwrap();
    let http = sdk.http_client().unwrap();
    let stripe = StripeClient::new(STRIPE_API, key, http, sdk.sleep_impl().unwrap(), 5_000).unwrap();
    let settings = Settings {
        stripe: &stripe,
        policy: &Policy::compiled_in().unwrap(),
        supporter_namespace: SUPPORTER_NAMESPACE.parse().unwrap(),
        livemode: true,
        now: clock.now_ms() / 1000,
    };
    let history = read(&settings, window, |_| {}).await.unwrap();
    assert_eq!(history.broken, []);
    history.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

fn by_id(events: &[Value]) -> BTreeMap<String, Value> {
    let of = |event: &Value| {
        let mut event = event.clone();
        OTHERWISE.iter().for_each(|field| {
            event.as_object_mut().unwrap().remove(*field).unwrap();
        });
        (event["event_id"].as_str().unwrap().to_owned(), event)
    };
    events.iter().map(of).collect()
}

#[tokio::test]
async fn makes_the_events_that_were_published() {
    let story = Story::from_seed(SEED);
    let clock = ManualClock::default();
    let published = by_id(&published(&story, &story.events, &clock).await.unwrap());
    let whole = Window { from: 0, to: clock.now_ms() / 1000 };
    let events = history(&story, whole).await;
    for event in &events {
        assert_eq!(testkit::acquisition::violations(event), Vec::<String>::new());
    }
    let again = by_id(&events);
    assert_eq!(again.len(), events.len(), "each event once");
    assert!(published.len() > 200 && published.values().any(|event| event["cause"] == "dispute"));
    for (id, event) in &published {
        assert_eq!(again.get(id), Some(event), "{} {}", event["payment_id"], event["kind"]);
    }
    assert_eq!(again.len(), published.len());
}

#[tokio::test]
async fn keeps_to_its_window_and_finds_the_payments_before_it() {
    let story = Story::from_seed(SEED);
    let whole = history(&story, Window { from: 0, to: i64::MAX / 2 }).await;
    let from = 1_790_000_000;
    let later = history(&story, Window { from, to: i64::MAX / 2 }).await;
    let since = fulfilment::utc(from);
    let is_in = |event: &&Value| event["occurred_at"].as_str() >= Some(&since);
    // A dispute is in the window it was opened in, with all that it moved.
    let is_dated = |event: &&Value| event["cause"] != "dispute";
    let ids = |events: &[Value]| -> Vec<String> {
        events.iter().filter(is_dated).filter(is_in).map(|event| event["event_id"].to_string()).collect()
    };
    assert_eq!(ids(&later), ids(&whole));
    assert!(later.len() < whole.len());
    let paid_in_it: Vec<_> =
        later.iter().filter(|event| event["kind"] == "acquisition").map(|it| &it["payment_id"]).collect();
    let of_before = later.iter().filter(|event| !paid_in_it.contains(&&event["payment_id"]));
    assert!(of_before.count() > 5, "refunds of payments that were made before");
}
