//! Over a fake of Stripe's API on loopback; the key is in a cloud in memory.

use aws_in_memory::{Cloud, sdk_config};
use serde_json::{Value, json};
use stripe_events::Interval;
use testkit::aws::Endpoint;
use testkit::clock::ManualClock;
use testkit::stripe_api::{Fault, KEY, StripeApi};

use super::*;

fn case() -> (StripeApi, StripeAccess<ManualClock>) {
    let cloud = Cloud::new();
    let clock = ManualClock::default();
    cloud.put_secret("stripe-key", KEY);
    let stripe = StripeApi::start(|| 1_795_000_000);
    let config = StripeConfig {
        key_secret_name: "stripe-key".to_owned(),
        api_base_url: Some(stripe.url().to_owned()),
    };
    let sdk = sdk_config(&cloud, clock.clone());
    let network = Endpoint::unreachable().sdk_config();
    let access = StripeAccess::new(&config, &sdk, &network, clock).unwrap();
    (stripe, access)
}

fn membership(stripe: &StripeApi) {
    let recorded = [
        include_str!("../../../../../verification/testkit/fixtures/session_subscription.json"),
        include_str!("../../../../../verification/testkit/fixtures/invoice_paid_first.json"),
        include_str!("../../../../../verification/testkit/fixtures/invoice_paid_renewal.json"),
        include_str!("../../../../../verification/testkit/fixtures/invoice_payment_paid.json"),
        include_str!("../../../../../verification/testkit/fixtures/invoice_paid_one_off.json"),
    ];
    recorded.iter().for_each(|event| stripe.record(event));
    stripe.put(&subscription("month", 3));
}

fn subscription(interval: &str, count: i64) -> Value {
    json!({
        "id": "sub_1Fixture", "object": "subscription", "status": "active",
        "items": { "object": "list", "data": [{
            "id": "si_1Fixture", "object": "subscription_item",
            "price": { "id": "price_1Fixture", "object": "price",
                "recurring": { "interval": interval, "interval_count": count } }
        }] }
    })
}

#[tokio::test]
async fn finds_the_invoice_that_a_payment_intent_pays() {
    let (stripe, access) = case();
    membership(&stripe);
    let invoice = access.invoice_paid_by("pi_3FixtureRenewal").await.unwrap().unwrap();
    assert_eq!(
        (invoice.id.as_str(), invoice.subscription_id()),
        ("in_1FixtureRenewal", Some("sub_1Fixture"))
    );
    assert!(access.invoice_paid_by("pi_3FixtureContribution").await.unwrap().is_none());
    assert_eq!(stripe.requests().len(), 2);
}

#[tokio::test]
async fn finds_what_began_a_subscription_and_how_often_it_is_due() {
    let (stripe, access) = case();
    membership(&stripe);
    let began = access.began("sub_1Fixture").await.unwrap().unwrap();
    assert_eq!(began.session.id, "cs_test_a1FixtureMembership");
    let recurring = began.recurring.unwrap();
    assert_eq!((recurring.interval, recurring.interval_count), (Some(Interval::Month), Some(3)));
    assert!(access.began("sub_another").await.unwrap().is_none());
    assert_eq!(stripe.requests().len(), 2);
}

#[tokio::test]
async fn separates_a_busy_stripe_from_a_refusal() {
    let (stripe, access) = case();
    stripe.fail([Some(Fault::Status(400))]);
    let refused = access.began("sub_1").await.unwrap_err();
    assert_eq!((refused.passes(), refused.reason()), (false, "stripe_refused"));
    stripe.withhold(Some("rak_invoice_read"));
    let refused = access.invoice_paid_by("pi_1").await.unwrap_err();
    assert_eq!(refused.reason(), "stripe_refused");
    stripe.withhold(None);
    stripe.fail(std::iter::repeat_n(Some(Fault::Status(503)), 8));
    let down = access.began("sub_1").await.unwrap_err();
    assert_eq!((down.passes(), down.reason()), (true, "stripe_unavailable"));
}
