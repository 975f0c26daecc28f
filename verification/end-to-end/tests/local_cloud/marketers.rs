//! What marketers choose: what customers are asked, and how they are written to.

use serde_json::{Value, json};
use testkit::stripe::SessionEvent;

use crate::stack::{Cloud, of};

/// The current state of a payment's customer, as `consent answer basis`.
fn consents(cloud: &Cloud, payment_id: &str) -> Vec<String> {
    let rows = consent_rows(cloud, payment_id);
    let states = rows.iter().filter(|row| row["record"].as_str().unwrap().starts_with("state#"));
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    states
        .map(|row| format!("{} {} {}", text(row, "consent"), text(row, "answer"), text(row, "basis")))
        .collect()
}

fn consent_rows(cloud: &Cloud, payment_id: &str) -> Vec<Value> {
    let supporter_id = cloud.supporter_rows(payment_id).first().map(|row| row["supporter_id"].clone());
    let mut rows = cloud.stack.rows("ConsentsTableName").unwrap();
    rows.retain(|row| Some(&row["supporter_id"]) == supporter_id.as_ref());
    rows
}

/// A custom field as Payment Links send it.
fn marketing(answer: &str) -> Value {
    json!([{
        "key": "marketing", "optional": true, "type": "dropdown",
        "label": { "type": "custom", "custom": "May we write to you?" },
        "dropdown": { "default_value": null, "value": answer,
            "options": [{ "label": "Yes", "value": "yes" }, { "label": "No", "value": "no" }] }
    }])
}

#[test]
fn a_yes_and_a_no_are_kept_with_their_evidence_and_a_no_is_not_overridden_by_a_sale() {
    let cloud = Cloud::shared();
    let asked = |payment: &str, answer: &str| {
        of(SessionEvent::paid(), payment)
            .email("asked@example.org")
            .session("custom_fields", marketing(answer))
    };
    cloud.post(&asked("AskedYes", "yes").at(1_795_000_000));
    cloud.wait_for_effect("pi_AskedYes", "consents done");
    cloud.wait_until(vec!["supporter_newsletter yes explicit"], || consents(&cloud, "pi_AskedYes"));
    cloud.post(&asked("AskedNo", "no").at(1_795_000_100).session("created", json!(1_795_000_050)));
    cloud.wait_for_effect("pi_AskedNo", "consents done");
    cloud.wait_until(vec!["supporter_newsletter no explicit"], || consents(&cloud, "pi_AskedNo"));
    let evidence = consent_rows(&cloud, "pi_AskedNo");
    let evidence = evidence.iter().filter(|row| row["record"].as_str().unwrap().starts_with("evidence#"));
    assert_eq!(evidence.count(), 2, "nothing answered is ever forgotten");
}

#[test]
fn a_no_counts_before_the_money_is_there() {
    let cloud = Cloud::shared();
    let debit = of(SessionEvent::unpaid(), "DebitNo")
        .email("debit-no@example.org")
        .session("custom_fields", marketing("no"));
    cloud.post(&debit);
    cloud.wait_for_effect("pi_DebitNo", "consents#answers done");
    cloud.wait_until(vec!["supporter_newsletter no explicit"], || consents(&cloud, "pi_DebitNo"));
}

#[test]
fn a_sale_where_the_law_allows_it_is_a_soft_opt_in() {
    let cloud = Cloud::shared();
    let sale = of(SessionEvent::paid(), "SoftOptIn")
        .notice()
        .metadata(json!({ "fulfilment": "download", "files": "guide.pdf" }));
    cloud.post(&sale);
    cloud.wait_for_effect("pi_SoftOptIn", "consents done");
    cloud.wait_until(vec!["similar_products yes soft_opt_in"], || consents(&cloud, "pi_SoftOptIn"));
}
