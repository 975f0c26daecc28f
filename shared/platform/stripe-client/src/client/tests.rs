//! What goes over the wire to Stripe, and what each answer means.

use std::sync::{Arc, Mutex};

use aws_smithy_async::rt::sleep::Sleep;
use proptest::prelude::*;
use testkit::aws::{Endpoint, Reply};

use super::*;

/// Time in which pauses pass at once and are remembered, and time-outs only when they are to.
#[derive(Debug, Clone, Default)]
struct Time {
    attempts_end: bool,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl AsyncSleep for Time {
    fn sleep(&self, duration: Duration) -> Sleep {
        match duration.as_secs() {
            15 if self.attempts_end => Sleep::new(async {
                // Long enough for the request to be written: the other side has it.
                for _ in 0..10_000 {
                    tokio::task::yield_now().await;
                }
            }),
            3 | 15 => Sleep::new(std::future::pending()),
            _ => {
                self.pauses.lock().unwrap().push(duration);
                Sleep::new(std::future::ready(()))
            }
        }
    }
}

fn client(stripe: &Endpoint, time: &Time, budget: u32) -> StripeClient {
    let sdk = stripe.sdk_config();
    let key = ApiKey::new("rk_test_key").unwrap();
    let url = sdk.endpoint_url().unwrap();
    let http = sdk.http_client().unwrap();
    StripeClient::new(url, key, http, SharedAsyncSleep::new(time.clone()), budget).unwrap()
}

fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer(status, body.to_owned())
}

const PAGE: &str = r#"{"object":"list","has_more":false,"data":[{"id":"evt_1","created":7}]}"#;

#[tokio::test]
async fn keeps_every_byte_of_an_object() {
    let event = r#"{ "id": "evt_1",  "created": 7, "amount": 1.50, "name": "\u00e9" }"#;
    let page = format!(r#"{{"object":"list","has_more":true,"data":[{event}]}}"#);
    let stripe = Endpoint::start([answer(200, &page)]);
    let page = client(&stripe, &Time::default(), 9).page(&Request::events(&[])).await.unwrap();
    assert_eq!((page.items[0].id.as_str(), page.items[0].created), ("evt_1", 7));
    assert_eq!(page.items[0].json(), event);
    assert_eq!(page.next, Some(Request::events(&[]).starting_after("evt_1")));
    assert!(!format!("{page:?}").contains("1.50"), "objects hold personal data");
}

#[tokio::test]
async fn half_of_a_surrogate_pair_makes_no_object_unreadable() {
    let event = r#"{"id":"evt_1","created":7,"name":"Ada \ud83d","\ude00":"\ud83d\ude00"}"#;
    let page = format!(r#"{{"object":"list","has_more":false,"data":[{event}]}}"#);
    let stripe = Endpoint::start([answer(200, &page), answer(200, event)]);
    let client = client(&stripe, &Time::default(), 9);
    let listed = client.page(&Request::events(&[])).await.unwrap().items.remove(0);
    let one = client.one(&Request::event("evt_1")).await.unwrap();
    for object in [listed, one] {
        let read: serde_json::Value = object.read().unwrap();
        assert_eq!((&read["name"], &read["\u{fffd}"]), (&"Ada \u{fffd}".into(), &"😀".into()));
    }
}

#[tokio::test]
async fn follows_both_ways_of_paging() {
    let more = PAGE.replace("false", "true");
    let last = r#"{"data":[]}"#;
    let stripe = Endpoint::start([answer(200, &more), answer(200, PAGE)]);
    let events = client(&stripe, &Time::default(), 9).all(Request::refunds()).await.unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(stripe.lines()[1], "GET /v1/refunds?limit=100&starting_after=evt_1");

    let elsewhere = r#"{"data":[{"id":"ed_1","created":"2026-11-18T11:06:40Z"}],
        "next_page_url":"https://elsewhere.example/v2/core/event_destinations?page=p2"}"#;
    let stripe = Endpoint::start([answer(200, elsewhere), answer(200, last)]);
    let found = client(&stripe, &Time::default(), 9).all(Request::event_destinations()).await.unwrap();
    assert_eq!(found[0].id, "ed_1");
    assert_eq!(stripe.lines()[1], "GET /v2/core/event_destinations?page=p2");
}

#[tokio::test]
async fn tries_again_what_passes() {
    for (reply, expected) in [
        (answer(429, "{}"), "RateLimited"),
        (answer(500, "oops"), "500"),
        (answer(503, "{}"), "503"),
        (Reply::Close, "no answer"),
    ] {
        let stripe = Endpoint::start([reply.clone(), answer(200, PAGE)]);
        let time = Time::default();
        assert!(client(&stripe, &time, 9).page(&Request::events(&[])).await.is_ok(), "{expected}");
        assert_eq!((stripe.count(), time.pauses.lock().unwrap().len()), (2, 1), "{expected}");

        let stripe = Endpoint::start(vec![reply; 9]);
        let error = client(&stripe, &Time::default(), 9).page(&Request::events(&[])).await.unwrap_err();
        assert!(format!("{error:?}").contains(expected) && error.passes(), "{error:?}");
        assert_eq!(stripe.count(), 4, "{expected}");
    }
}

#[tokio::test]
async fn silence_ends() {
    let stripe = Endpoint::start(vec![Reply::Silence; 9]);
    let time = Time { attempts_end: true, ..Time::default() };
    let error = client(&stripe, &time, 2).page(&Request::events(&[])).await.unwrap_err();
    assert_eq!(error, StripeError::BudgetSpent);
    assert!(stripe.count() <= 2);
}

#[tokio::test]
async fn asks_once_for_what_will_not_change() {
    for status in [400, 401, 403, 404] {
        let stripe = Endpoint::start(vec![answer(status, "{}"); 9]);
        let error = client(&stripe, &Time::default(), 9).one(&Request::event("evt_1")).await.unwrap_err();
        assert!(!error.passes(), "{error}");
        assert_eq!(stripe.count(), 1, "{status}");
    }
    for body in ["", "[]", "{}", r#"{"data":[{"created":1}]}"#] {
        let stripe = Endpoint::start([answer(200, body)]);
        let error = client(&stripe, &Time::default(), 9).page(&Request::events(&[])).await.unwrap_err();
        assert_eq!(error, StripeError::Unreadable { path: "/v1/events".to_owned() }, "{body}");
    }
}

#[tokio::test]
async fn every_attempt_counts_against_the_budget() {
    let stripe = Endpoint::start(vec![answer(500, "{}"); 9]);
    let client = client(&stripe, &Time::default(), 3);
    assert_eq!(client.page(&Request::events(&[])).await.unwrap_err(), StripeError::BudgetSpent);
    assert_eq!((stripe.count(), client.requests_left()), (3, 0));
}

#[test]
fn a_live_key_goes_to_stripe_and_nowhere_else() {
    let http = || Endpoint::unreachable().sdk_config().http_client().unwrap();
    let check = |url: &str, key: &str, expected: Option<NotAClient>| {
        let sleep = SharedAsyncSleep::new(Time::default());
        let made = StripeClient::new(url, ApiKey::new(key).unwrap(), http(), sleep, 1);
        assert_eq!(made.err(), expected, "{url} {key}");
    };
    check(STRIPE_API, "rk_live_1", None);
    check("https://api.stripe.com/", "rk_live_1", None);
    for url in ["http://127.0.0.1:4010", "https://api.stripe.com.example.org", "http://api.stripe.com"] {
        check(url, "rk_live_1", Some(NotAClient::LiveKeyElsewhere));
    }
    check("http://127.0.0.1:4010", "rk_test_1", None);
    check("https://stripe.example.org", "rk_test_1", None);
    for url in ["http://example.org", "http://127.0.0.1.example.org", "http://127.0.0.1:80@example.org", "x"]
    {
        check(url, "rk_test_1", Some(NotAClient::InTheClear));
    }
}

proptest! {
    #[test]
    fn pauses_grow_and_end(attempts in 1_u32..40, wanted in proptest::option::of(0_u64..1000)) {
        let pause = pause(attempts, wanted.map(Duration::from_secs), Patience::QUEUED.longest_pause);
        prop_assert!(pause <= Patience::QUEUED.longest_pause);
        prop_assert!(pause >= Duration::from_secs(wanted.unwrap_or_default()).min(Patience::QUEUED.longest_pause));
        prop_assert!(wanted.is_some() || pause <= FIRST_PAUSE * 2_u32.saturating_pow(attempts - 1));
    }
}

#[tokio::test]
async fn a_write_is_a_post_and_is_tried_again_like_a_question() {
    let product = r#"{"id":"guide","created":7}"#;
    let stripe = Endpoint::start([Reply::Close, answer(503, "{}"), answer(200, product)]);
    let write = Write::new_product().with("id", "guide").with("name", "The guide");
    let made = client(&stripe, &Time::default(), 9).write(&write).await.unwrap();
    assert_eq!((made.object.id.as_str(), made.replayed), ("guide", false));
    assert_eq!(stripe.lines(), vec!["POST /v1/products"; 3]);

    let taken = r#"{"error":{"code":"resource_already_exists","param":"id"}}"#;
    let stripe = Endpoint::start([answer(400, taken)]);
    let refused = client(&stripe, &Time::default(), 9).write(&write).await.unwrap_err();
    assert!(matches!(&refused, StripeError::Refused { code, .. } if code == "resource_already_exists"));
    assert_eq!(stripe.count(), 1);
}

#[tokio::test]
async fn a_refusal_that_stripe_replays_is_a_kept_one_whatever_its_status() {
    for status in [400, 402, 403, 404, 429, 500] {
        let reply = Reply::Replayed(status, "{}".to_owned());
        let stripe = Endpoint::start(vec![reply; 9]);
        let write = Write::new_price().once("k".to_owned());
        let refused = client(&stripe, &Time::default(), 9).write(&write).await.unwrap_err();
        assert!(matches!(refused, StripeError::Kept { status: kept, .. } if kept == status), "{refused:?}");
        assert_eq!(stripe.count(), 1, "{status}");
    }
    let reply = Reply::Replayed(200, r#"{"id":"price_1"}"#.to_owned());
    let written =
        client(&Endpoint::start([reply]), &Time::default(), 9).write(&Write::new_price()).await.unwrap();
    assert!(written.replayed);
}

#[tokio::test]
async fn errors_name_the_endpoint_and_never_an_id() {
    for request in [
        Request::session("cs_live_secret"),
        Request::line_items("cs_live_secret"),
        Request::event("cs_live_secret"),
        Request::at("/v2/core/event_destinations?page=cs_live_secret"),
    ] {
        for status in [400, 401, 404, 429, 500] {
            let stripe = Endpoint::start(vec![answer(status, "{}"); 9]);
            let error = client(&stripe, &Time::default(), 9).one(&request).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }
    let stripe = Endpoint::start([answer(404, "{}")]);
    let error = client(&stripe, &Time::default(), 9).one(&Request::session("cs_1")).await.unwrap_err();
    assert_eq!(error.to_string(), "Stripe has no /v1/checkout/sessions/{id} in this account and mode");
}
