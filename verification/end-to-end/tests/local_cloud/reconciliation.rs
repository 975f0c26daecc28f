//! What no source delivered is found at Stripe, and done.

use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, SessionEvent};
use xtask::aws::unix_now;

use crate::stack::{Cloud, address, of};

/// Within the window of a run that begins now, and old enough to be looked at.
fn two_minutes_ago() -> i64 {
    i64::try_from(unix_now()).unwrap() - 120
}

fn forget(cloud: &Cloud, payment_id: &str, effect: &str) {
    let key = json!({ "payment_id": { "S": payment_id }, "effect": { "S": effect } });
    let input = json!({ "TableName": cloud.stack.output("EffectsTableName").unwrap(), "Key": key });
    cloud.stack.aws.json("dynamodb", "DynamoDB_20120810.DeleteItem", &input).unwrap();
}

/// Looks at the window up to now. A run in the same second as the one before has nothing to look at.
fn reconcile(cloud: &Cloud) -> Value {
    let run = || {
        let report = cloud.stack.invoke("reconcile").unwrap();
        assert_eq!(report["complete"], true, "{report}");
        report
    };
    std::iter::repeat_with(run).find(|report| report["examined"] != 0).unwrap()
}

#[test]
fn what_was_lost_is_found_and_done_and_nothing_is_done_twice() {
    // No other test's events may be under way: they would be put back too.
    let cloud = Cloud::alone();
    let paid_at = two_minutes_ago();
    let paid = |payment: &str| of(SessionEvent::paid(), payment).at(paid_at).marketing(Some("yes"));

    let lost = paid("Withheld");
    cloud.stack.record_event(&lost.to_json().to_string()).unwrap();
    let refund = CorrectionEvent::refund("Withheld", "re_Withheld", "created").at(paid_at + 1).to_json();
    cloud.stack.record_event(&refund.to_string()).unwrap();
    let other = paid("WithheldOther").without_marker();
    cloud.stack.record_event(&other.to_json().to_string()).unwrap();

    let known = paid("Known");
    cloud.post(&known);
    for effect in ["contribution#paid done", "consents done", "acquisition done", "email#thank-you done"] {
        cloud.wait_for_effect("pi_Known", effect);
    }
    for effect in ["contribution#paid", "consents", "acquisition"] {
        forget(&cloud, "pi_Known", effect);
    }

    let report = reconcile(&cloud);
    assert_eq!(report["put_back"], 3, "the payment, its refund, and what the ledger forgot: {report}");
    cloud.wait_for_ledger(
        "pi_Withheld",
        &["contribution#paid done", "contribution#refund#re_Withheld done", "email#thank-you done"],
    );
    cloud.wait_for_effect("pi_Withheld", "consents done");
    cloud.wait_for_effect("pi_Withheld", "acquisition#refund#re_Withheld done");
    cloud.wait_for_effect("pi_Known", "contribution#paid skipped (already_recorded)");
    cloud.wait_for_effect("pi_Known", "consents skipped (already_recorded)");
    cloud.wait_for_effect("pi_Known", "acquisition done");
    assert_eq!(cloud.contribution("pi_Withheld").unwrap()["status"], "part_refunded");

    let again = reconcile(&cloud);
    assert_eq!((&again["put_back"], &again["unexplained"]), (&json!(0), &json!(0)), "{again}");
    assert!(cloud.ledger("pi_WithheldOther").is_empty());
    for payment in ["Withheld", "Known"] {
        assert_eq!(cloud.mails_to(&address(payment)).len(), 1, "{payment}");
    }
    let published = cloud.acquisition_events();
    let replayed = published.iter().filter(|event| event["payment_id"] == "pi_Withheld");
    assert!(replayed.clone().count() > 0 && replayed.into_iter().all(|event| event["replayed"] == true));
}

#[cfg(target_os = "linux")]
#[test]
fn reconcile_may_read_the_ledger_and_put_events_and_nothing_else() {
    use crate::permissions::denied;
    use crate::processes::processes_of;

    let cloud = Cloud::alone();
    cloud.stack.invoke("reconcile").unwrap();
    let aws = processes_of(&cloud, "reconcile").first().unwrap().aws(&cloud);
    let output = |name: &str| cloud.stack.output(name).unwrap().to_owned();
    let entry = |bus: &str| json!({ "Entries": [{ "EventBusName": output(bus), "Source": "x", "DetailType": "x", "Detail": "{}" }] });
    assert!(!denied(&aws, "events", "AWSEvents.PutEvents", &entry("FulfilmentBusName")));
    assert!(denied(&aws, "events", "AWSEvents.PutEvents", &entry("AcquisitionBusName")));
    let row = json!({ "TableName": output("EffectsTableName"),
        "Key": { "payment_id": { "S": "pi_P" }, "effect": { "S": "email#thank-you" } } });
    for write in ["UpdateItem", "DeleteItem"] {
        assert!(denied(&aws, "dynamodb", &format!("DynamoDB_20120810.{write}"), &row), "{write}");
    }
    for table in ["ContributionsTableName", "SupportersTableName", "ConsentsTableName", "EffectsTableName"] {
        assert!(
            denied(&aws, "dynamodb", "DynamoDB_20120810.Scan", &json!({ "TableName": output(table) })),
            "{table}"
        );
    }
    let secret = |name: &str| json!({ "SecretId": output(name) });
    assert!(!denied(&aws, "secretsmanager", "secretsmanager.GetSecretValue", &secret("StripeKeyName")));
    assert!(denied(&aws, "secretsmanager", "secretsmanager.GetSecretValue", &secret("SigningSecretName")));
}
