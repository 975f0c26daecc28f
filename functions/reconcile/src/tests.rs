//! The function over AWS's own clients and Stripe's API, both on loopback.

use testkit::aws::{Endpoint, Reply};
use testkit::clock::ManualClock;
use testkit::stripe::SessionEvent;
use testkit::stripe_api::{KEY, StripeApi};

use super::*;

const NOW: i64 = 1_795_000_000;

fn config(stripe: &StripeApi) -> Config {
    Config {
        stage: "local".to_owned(),
        livemode: false,
        effects_table: "effects".to_owned(),
        reconciliation_table: "reconciliation".to_owned(),
        fulfilment_bus: "fulfilment".to_owned(),
        stripe_key_secret_name: "key".to_owned(),
        stripe_api_base_url: stripe.url().to_owned(),
        lag_seconds: 60,
        overlap_seconds: 600,
    }
}

#[tokio::test]
async fn a_run_is_these_calls_and_no_others() {
    let stripe = StripeApi::start(|| NOW);
    let lost = SessionEvent::paid().at(NOW - 120).to_json().to_string();
    stripe.record(&lost);
    let empty = || Reply::json(200, &json!({}));
    let aws = Endpoint::start([
        Reply::json(200, &json!({ "SecretString": KEY })),
        empty(), // no position yet
        empty(), // nothing missing yet
        empty(), // no rows in the ledger
        empty(), // noted
        Reply::json(200, &json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e" }] })),
        empty(), // marked
        empty(), // the position, past the events
        empty(), // past the refunds
        empty(), // past the disputes
        empty(), // no session to look at again
        empty(), // what is missing now
        empty(), // what is pending now
    ]);
    let report =
        handle(&config(&stripe), &aws.sdk_config(), &ManualClock::default(), i64::MAX).await.unwrap();
    assert_eq!((report.examined, report.put_back, report.complete), (1, 1, true));
    let bodies = aws.bodies();
    assert_eq!(bodies.len(), 13);
    assert_eq!(bodies[0]["SecretId"], "key");
    assert_eq!(bodies[3]["TableName"], "effects");
    assert_eq!(bodies[4]["Item"]["kind"]["S"], "missing");
    let entry = &bodies[5]["Entries"][0];
    assert_eq!(
        (&entry["EventBusName"], &entry["Source"]),
        (&json!("fulfilment"), &json!("afterlink.reconcile"))
    );
    assert_eq!(entry["Detail"], lost);
    assert_eq!(bodies[6]["Item"]["put_back_at"]["N"], NOW.to_string());
    assert_eq!(bodies[9]["Item"]["until"]["N"], (NOW - 60).to_string());
}

#[tokio::test]
async fn a_secret_without_a_key_says_what_to_do_and_not_what_it_holds() {
    let stripe = StripeApi::start(|| NOW);
    let aws = Endpoint::start([Reply::json(200, &json!({ "SecretString": "hunter2" }))]);
    let error =
        handle(&config(&stripe), &aws.sdk_config(), &ManualClock::default(), i64::MAX).await.unwrap_err();
    let text = cause_chain(&*error);
    assert!(text.contains("put a restricted key of Stripe's into it") && !text.contains("hunter2"), "{text}");
    assert!(stripe.requests().is_empty());
}

#[test]
fn counts_what_the_alarms_look_at() {
    let report = RunReport {
        examined: 1,
        put_back: 1,
        complete: true,
        unexplained: 1,
        oldest_unexplained_at: Some(NOW - 1),
        pending: 1,
        oldest_pending_at: Some(NOW - 1),
        misspelt: vec![reconciliation::Misspelt {
            payment_id: fulfilment::PaymentId::new("pi_1"),
            payment_link_id: Some("plink_1".to_owned()),
        }],
        ..RunReport::default()
    };
    let tally = Tally { paid: 1, fulfilled: 1, open: 1, unexplained: 1 };
    let run = testkit::metrics::of_counts(NAME, &run_counts(&report, NOW));
    let day = testkit::metrics::of_counts(NAME, &day_counts(&tally));
    testkit::metrics::assert_golden(&[run, day].concat(), include_str!("../metrics.golden.json"));
}
