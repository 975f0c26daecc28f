//! What an event calls for, and what the rules let through, agree: an effect that no rule brings to its task would be
//! missing for ever, and reconciliation would put its event back in vain.
//!
//! The patterns are those that the CDK app makes for stage `test`; its own tests keep the file up to date.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use catalogue::Task;
use effect_key::Effect;
use fulfilment::{ExpectedEffects, FulfilmentKind, LinkContract, Policy};
use serde_json::{Value, json};
use stripe_events::{Event, Source};
use testkit::policy::with_renewals_thanked;

const SOURCES: [&str; 3] =
    ["aws.partner/stripe.com/ed_test_61Example", Source::WEBHOOK_SOURCE, Source::RECONCILE_SOURCE];

/// Calls for all that any policy does: members are thanked for renewals, and the patterns are made for that too.
static POLICY: LazyLock<Policy> = LazyLock::new(|| with_renewals_thanked(&[FulfilmentKind::Membership]));

/// By task.
fn patterns() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("../../../../cdk/test/golden/patterns-test.json")).unwrap()
}

/// The task whose effect this is.
fn task_of(effect: &Effect) -> &'static str {
    Task::of_effect(effect).unwrap_or_else(|| panic!("{effect} belongs to no task of the catalogue")).name()
}

/// Whether an event passes a pattern, for the operators that ours use; it refuses every other, so that a new one
/// cannot pass unnoticed. EventBridge itself is asked in the end-to-end tests.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>
fn passes(pattern: &Value, event: Option<&Value>) -> bool {
    pattern.as_object().unwrap().iter().all(|(field, expected)| {
        if field == "$or" {
            return expected.as_array().unwrap().iter().any(|alternative| passes(alternative, event));
        }
        let actual = event.and_then(|event| event.get(field));
        match expected.as_array() {
            Some(values) => values.iter().any(|value| is_value(value, actual)),
            None => passes(expected, actual),
        }
    })
}

fn is_value(expected: &Value, actual: Option<&Value>) -> bool {
    let leaf = actual.filter(|value| !value.is_object() && !value.is_array());
    let Some(operator) = expected.as_object() else {
        return leaf == Some(expected);
    };
    let (name, operand) = operator.iter().next().unwrap();
    assert_eq!(operator.len(), 1, "one operator at a time: {expected}");
    match name.as_str() {
        "prefix" => {
            leaf.and_then(Value::as_str).is_some_and(|text| text.starts_with(operand.as_str().unwrap()))
        }
        "anything-but" => leaf.is_some_and(|value| value != operand),
        "exists" => leaf.is_some() == operand.as_bool().unwrap(),
        other => panic!("the matcher does not have the operator {other}"),
    }
}

fn fixtures() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../verification/testkit/fixtures");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let read = |file: &std::path::PathBuf| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let bare = |event: Value| event.get("detail").cloned().unwrap_or(event);
    files.iter().map(read).map(bare).collect()
}

/// An event with each type that its object can come with.
fn of_every_type(event: &Value) -> Vec<Value> {
    let types: &[&str] = match event.pointer("/data/object/object").and_then(Value::as_str) {
        Some("checkout.session") => &[
            "checkout.session.completed",
            "checkout.session.async_payment_succeeded",
            "checkout.session.async_payment_failed",
            "checkout.session.expired",
        ],
        Some("refund") => &["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"],
        Some("invoice") => &["invoice.paid", "invoice.payment_succeeded", "invoice.voided"],
        Some("radar.early_fraud_warning") => {
            &["radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"]
        }
        Some("dispute") => &[
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.funds_reinstated",
        ],
        _ => return vec![event.clone()],
    };
    let with = |name: &&str| {
        let mut event = event.clone();
        event["type"] = json!(name);
        event
    };
    types.iter().map(with).collect()
}

/// An event with each of its fields in every shape that it may have once Stripe, or a marketer, writes another.
fn with_every_field_changed(event: &Value) -> Vec<Value> {
    let mut changed = Vec::new();
    for pointer in pointers(event, "") {
        for value in
            [json!(null), json!("rental"), json!(""), json!("unpaid"), json!(0), json!({}), json!([])]
        {
            let mut event = event.clone();
            *event.pointer_mut(&pointer).unwrap() = value;
            changed.push(event);
        }
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let mut event = event.clone();
        if let Some(fields) = event.pointer_mut(parent).and_then(Value::as_object_mut) {
            fields.remove(field);
            changed.push(event);
        }
    }
    changed
}

fn pointers(value: &Value, path: &str) -> Vec<String> {
    let below = |key: String, value: &Value| {
        let path = format!("{path}/{key}");
        let mut all = pointers(value, &path);
        all.push(path);
        all
    };
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(key, value)| below(key.clone(), value)).collect(),
        Value::Array(values) => {
            values.iter().enumerate().flat_map(|(at, value)| below(at.to_string(), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Each effect of an event passes the rule of its task, from each of the sources. How many there were.
fn check(event: &Value, patterns: &BTreeMap<String, Value>, sources: &[&str]) -> usize {
    let Some(expected) = Event::from_value(event.clone())
        .ok()
        .and_then(|event| ExpectedEffects::from_event(&event, false, &POLICY))
    else {
        return 0;
    };
    for source in sources {
        let envelope = json!({ "source": source, "detail-type": event["type"], "detail": event });
        for effect in &expected.effects {
            let passes = passes(&patterns[task_of(effect)], Some(&envelope));
            assert!(passes, "{effect} from {source} is expected of {event:#}");
        }
    }
    expected.effects.len()
}

#[test]
fn every_effect_that_is_expected_passes_the_rule_of_its_task() {
    let patterns = patterns();
    let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
    for fixture in fixtures() {
        for event in of_every_type(&fixture) {
            *effects.entry("as recorded").or_default() += check(&event, &patterns, &SOURCES);
            for changed in with_every_field_changed(&event) {
                *effects.entry("changed").or_default() += check(&changed, &patterns, &SOURCES[..1]);
            }
        }
    }
    assert!(effects["as recorded"] > 50 && effects["changed"] > 5_000, "{effects:?}");
}

#[test]
fn every_form_of_the_marker_that_is_read_passes_the_rules() {
    let patterns = patterns();
    let fixtures = fixtures();
    let is_paid = |event: &&Value| {
        event["type"] == "checkout.session.completed" && event["data"]["object"]["payment_status"] == "paid"
    };
    let session = fixtures.iter().filter(is_paid).find(|event| event["livemode"] == false).unwrap();
    for key in LinkContract::MARKERS {
        for kind in ["contribution", "donation", ""] {
            let mut event = session.clone();
            event["data"]["object"]["metadata"] = json!({ key: kind });
            assert_eq!(check(&event, &patterns, &SOURCES), Task::ALL.len(), "{key:?}");
        }
    }
}

/// The other way round: an event that is not ours costs nothing.
#[test]
fn what_is_not_ours_passes_no_rule() {
    let patterns = patterns();
    let mut checked = 0;
    for fixture in fixtures() {
        for event in of_every_type(&fixture)
            .into_iter()
            .filter(|event| event["type"].as_str().is_some_and(|name| name.starts_with("checkout.")))
        {
            for metadata in
                [json!(null), json!({}), json!({ "order": "42" }), json!({ "fulfilment_type": "download" })]
            {
                let mut event = event.clone();
                event["data"]["object"]["metadata"] = metadata;
                let envelope = json!({ "source": SOURCES[0], "detail-type": event["type"], "detail": event });
                assert!(!patterns.values().any(|pattern| passes(pattern, Some(&envelope))), "{event:#}");
                checked += 1;
            }
        }
        let mut connected = fixture;
        connected["account"] = json!("acct_1");
        let envelope = json!({ "source": SOURCES[0], "detail-type": connected["type"], "detail": connected });
        assert!(!patterns.values().any(|pattern| passes(pattern, Some(&envelope))), "{connected:#}");
        assert!(
            Event::from_value(connected)
                .ok()
                .and_then(|event| ExpectedEffects::from_event(&event, false, &POLICY))
                .is_none()
        );
    }
    assert!(checked > 40);
}

#[test]
fn the_matcher_of_these_tests_matches_as_eventbridge_does() {
    let check = |pattern: Value, event: Value, expected: bool| {
        assert_eq!(passes(&pattern, Some(&event)), expected, "{pattern} {event}");
    };
    check(json!({ "a": [{ "exists": false }] }), json!({ "a": { "b": 1 } }), true);
    check(json!({ "a": [{ "exists": true }] }), json!({ "a": null }), true);
    check(json!({ "a": { "b": [{ "exists": false }] } }), json!({}), true);
    check(json!({ "a": [{ "anything-but": "x" }] }), json!({}), false);
    check(json!({ "a": [{ "anything-but": "x" }, { "exists": false }] }), json!({}), true);
    check(json!({ "a": [{ "anything-but": "x" }] }), json!({ "a": "x" }), false);
    check(json!({ "a": [{ "anything-but": "x" }] }), json!({ "a": null }), true);
    check(
        json!({ "a": ["1"], "$or": [{ "b": [2] }, { "c": [null] }] }),
        json!({ "a": "1", "c": null }),
        true,
    );
    check(json!({ "a": ["1"], "$or": [{ "b": [2] }, { "c": [null] }] }), json!({ "a": "1" }), false);
}
