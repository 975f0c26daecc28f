//! What analysts read: every acquisition and every correction, once each, and sums that are the money kept.

use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, SessionEvent};

use crate::stack::{Cloud, of};

/// The events published about a payment, oldest first.
pub(crate) fn published(cloud: &Cloud, payment_id: &str) -> Vec<Value> {
    let mut events = cloud.acquisition_events();
    events.retain(|event| event["payment_id"] == payment_id);
    for event in &events {
        assert_eq!(testkit::acquisition::violations(event), Vec::<String>::new());
    }
    events.sort_by_key(|event| event["occurred_at"].as_str().unwrap_or_default().to_owned());
    events
}

fn kinds(cloud: &Cloud, payment_id: &str) -> Vec<String> {
    let mut kinds: Vec<_> = published(cloud, payment_id)
        .iter()
        .map(|event| event["kind"].as_str().unwrap_or_default().to_owned())
        .collect();
    kinds.sort();
    kinds
}

fn money_kept(cloud: &Cloud, payment_id: &str) -> i64 {
    published(cloud, payment_id).iter().map(|event| event["amount"].as_i64().unwrap()).sum()
}

#[test]
fn a_payment_is_published_once_with_where_it_came_from() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "Acquired")
        .metadata(json!({ "fulfilment": "contribution", "campaign": "autumn", "source": "poster" }))
        .visit(&json!({ "c": "spring", "a": "button:green", "v": "view-1" }));
    cloud.post(&event);
    cloud.post(&event);
    cloud.wait_until(vec!["acquisition"], || kinds(&cloud, "pi_Acquired"));
    let event = &published(&cloud, "pi_Acquired")[0];
    assert_eq!(event["campaign_codes"], json!(["spring"]), "the visit wins over the link");
    assert_eq!(event["source"], "poster");
    assert_eq!(event["ab_tests"], json!([{ "name": "button", "variant": "green" }]));
    assert_eq!((&event["amount"], &event["amount_decimal"]), (&json!(1250), &json!("12.50")));
    assert_eq!(event["referrer_url"], Value::Null, "what is not known is null, not left out");
    assert!(!event.to_string().contains("@example.org"));
}

#[test]
fn refunds_disputes_and_their_reversals_leave_the_money_kept() {
    let cloud = Cloud::shared();
    cloud.post(&of(SessionEvent::paid(), "Corrected"));
    cloud.wait_for_effect("pi_Corrected", "acquisition done");
    for event in [
        CorrectionEvent::refund("Corrected", "re_one", "created").amount(500, "gbp"),
        CorrectionEvent::refund("Corrected", "re_two", "created").amount(250, "gbp"),
        CorrectionEvent::refund("Corrected", "re_two", "failed").amount(250, "gbp"),
        // An inquiry moves no money.
        CorrectionEvent::dispute("Corrected", "du_inquiry", "closed").status("warning_closed"),
    ] {
        cloud.post_json(&event.to_json());
    }
    cloud.wait_until(vec!["acquisition", "reinstatement", "reversal", "reversal"], || {
        kinds(&cloud, "pi_Corrected")
    });
    assert_eq!(money_kept(&cloud, "pi_Corrected"), 750);
    let events = published(&cloud, "pi_Corrected");
    let acquisition = events.iter().find(|event| event["kind"] == "acquisition").unwrap();
    for reversal in events.iter().filter(|event| event["kind"] == "reversal") {
        assert_eq!(reversal["reverses"], acquisition["event_id"]);
    }
    cloud
        .wait_until(json!("part_refunded"), || cloud.contribution("pi_Corrected").unwrap()["status"].clone());
}

#[test]
fn a_refund_that_comes_before_its_payment_is_published_with_it_and_no_thank_you_is_sent() {
    let cloud = Cloud::shared();
    let refund = CorrectionEvent::refund("Early", "re_early", "created").amount(1250, "gbp");
    cloud.post_json(&refund.to_json());
    cloud.wait_for_effect("pi_Early", "contribution#refund#re_early done");
    let waiting = cloud.contribution("pi_Early").unwrap();
    assert!(waiting["expires_at"].is_i64(), "what nobody pays for goes away by itself: {waiting}");
    cloud.post(&of(SessionEvent::paid(), "Early"));
    cloud.wait_until(vec!["acquisition", "reversal"], || kinds(&cloud, "pi_Early"));
    assert_eq!(money_kept(&cloud, "pi_Early"), 0);
    cloud.wait_until(json!("refunded"), || cloud.contribution("pi_Early").unwrap()["status"].clone());
    cloud.wait_for_effect("pi_Early", "email#thank-you skipped (refunded)");
    assert!(cloud.mails_to("early@example.org").is_empty());
    assert_eq!(cloud.supporter_rows("pi_Early")[0]["status"], "refunded");
}

#[test]
fn a_dispute_takes_the_money_and_gives_it_back() {
    let cloud = Cloud::shared();
    cloud.post(&of(SessionEvent::paid(), "Disputed"));
    cloud.wait_for_effect("pi_Disputed", "acquisition done");
    let dispute = |what: &str| CorrectionEvent::dispute("Disputed", "du_one", what).amount(1250, "gbp");
    cloud.post_json(&dispute("created").to_json());
    cloud.post_json(&dispute("funds_withdrawn").to_json());
    cloud.wait_until(vec!["acquisition", "reversal"], || kinds(&cloud, "pi_Disputed"));
    cloud.wait_until(json!("disputed"), || cloud.contribution("pi_Disputed").unwrap()["status"].clone());
    cloud.post_json(&dispute("funds_reinstated").status("won").to_json());
    cloud.post_json(&dispute("closed").status("won").to_json());
    cloud.wait_until(vec!["acquisition", "reinstatement", "reversal"], || kinds(&cloud, "pi_Disputed"));
    assert_eq!(money_kept(&cloud, "pi_Disputed"), 1250);
    cloud.wait_until(json!("paid"), || cloud.contribution("pi_Disputed").unwrap()["status"].clone());
}
