use std::collections::BTreeSet;

use serde_json::Value;
use testkit::stripe::{CorrectionEvent, SessionEvent};

use super::*;
use crate::page::plain;
use crate::test_stage::{NOW, Stage};

const AT: i64 = NOW / 1000 - 86_400;

/// A stage whose Stripe had a payment of each of two campaigns, one refunded in part, and a refund of an older one.
fn stage() -> Stage {
    let stage = Stage::with_stripe();
    let paid = |name: &str, campaign: &str, minor: i64, currency: &str, at: i64| {
        let metadata = serde_json::json!({ "fulfilment": "contribution", "campaign": campaign });
        let session = SessionEvent::paid().payment(name).at(at).session("created", at.into());
        session.metadata(metadata).amount(minor, currency).to_json()
    };
    let refund = |name: &str, minor: i64, currency: &str| {
        let refund = CorrectionEvent::refund(name, &format!("re_{name}"), "created").amount(minor, currency);
        refund.object("created", (AT + 60).into()).to_json()
    };
    for event in [
        paid("A", "autumn", 1250, "gbp", AT),
        paid("B", "autumn", 500, "gbp", AT),
        paid("C", "winter", 500, "jpy", AT),
        paid("Old", "spring", 700, "gbp", AT - 40 * 86_400),
        SessionEvent::paid().payment("Other").without_marker().session("created", AT.into()).to_json(),
        refund("A", 250, "gbp"),
        refund("Old", 700, "gbp"),
        refund("Other", 100, "gbp"),
    ] {
        stage.cloud.record_at_stripe(&event);
    }
    stage
}

fn arguments(file: Option<PathBuf>) -> Arguments {
    Arguments { since: Since::SecondsAgo(7 * 86_400), until: None, csv: file, parquet: None }
}

#[tokio::test]
async fn sums_up_each_campaign_in_each_currency() {
    let found = find_out(&stage().here, &arguments(None), NOW).await.unwrap();
    insta::assert_snapshot!(plain(&found, NOW), @"
    From 2026-11-11T11:06:40Z until 2026-11-18T11:06:41Z: 5 events.

      campaign        currency  payments  gross  refunded  disputed  net
      (paid earlier)  GBP       0         0.00   -7.00     0.00      -7.00
      autumn          GBP       2         17.50  -2.50     0.00      15.00
      winter          JPY       1         500    0         0         500

    A payment counts on the day its page was opened, money that went back for the payment's campaign. Without Stripe's fees. Amounts of two currencies do not add up.
    ");
    assert_eq!(found.verdict(), Verdict::Fine);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["events"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn writes_a_file_that_a_spreadsheet_opens() {
    let file = std::env::temp_dir().join(format!("afterlink-acquisitions-{}.csv", std::process::id()));
    find_out(&stage().here, &arguments(Some(file.clone())), NOW).await.unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let lines: Vec<_> = text.strip_prefix('\u{feff}').unwrap().lines().collect();
    assert_eq!((lines.len(), lines[0].split(',').count()), (6, csv::COLUMNS.len()));
    assert!(lines.iter().any(|line| line.contains(",reversal,,,-2.50,GBP,refund,")), "{text}");
    let nowhere = arguments(Some("/nowhere/at/all.csv".into()));
    let error = find_out(&stage().here, &nowhere, NOW).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all.csv cannot be written"), "{error}");
}

#[tokio::test]
async fn writes_a_file_that_a_warehouse_loads() {
    let file = std::env::temp_dir().join(format!("afterlink-acquisitions-{}.parquet", std::process::id()));
    let arguments = |file: PathBuf| Arguments { parquet: Some(file), ..arguments(None) };
    let found = find_out(&stage().here, &arguments(file.clone()), NOW).await.unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    // <https://parquet.apache.org/docs/file-format/>: what is in it, `verification/analysts` reads with DuckDB.
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert!(plain(&found, NOW).contains(&format!("Written to {}", file.display())));
    let error = find_out(&stage().here, &arguments("/nowhere/at/all".into()), NOW).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all cannot be written"), "{error}");
}

#[tokio::test]
async fn a_file_has_a_column_for_every_field() {
    let found = find_out(&stage().here, &arguments(None), NOW).await.unwrap();
    let Value::Object(fields) = serde_json::to_value(&found.events[0]).unwrap() else { panic!() };
    let fields: BTreeSet<_> = fields.keys().map(String::as_str).collect();
    assert_eq!(BTreeSet::from(csv::COLUMNS), fields);
}

#[tokio::test]
async fn a_payment_over_a_broken_link_is_named() {
    let stage = stage();
    let broken = SessionEvent::paid().payment("Broken").session("created", AT.into());
    let broken = broken.metadata(serde_json::json!({ "fulfilment": "donation" }));
    stage.cloud.record_at_stripe(&broken.to_json());
    let found = find_out(&stage.here, &arguments(None), NOW).await.unwrap();
    assert_eq!((found.verdict(), &found.broken[..]), (Verdict::NeedsYou, &["pi_Broken".to_owned()][..]));
    assert!(plain(&found, NOW).contains("1 payment left out"), "{}", plain(&found, NOW));
}

#[tokio::test]
async fn a_window_that_ends_before_it_begins_is_refused() {
    let until = Some(Since::SecondsAgo(8 * 86_400));
    let error = find_out(&stage().here, &Arguments { until, ..arguments(None) }, NOW).await.unwrap_err();
    assert!(error.to_string().contains("--since is not before --until"), "{error}");
}

#[tokio::test]
async fn nothing_paid_is_said_so() {
    let found = find_out(&Stage::with_stripe().here, &arguments(None), NOW).await.unwrap();
    assert!(plain(&found, NOW).contains("Nothing was paid"));
}
