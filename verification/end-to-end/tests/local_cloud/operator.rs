//! The operator's command line, as a process, on the deployed stack.

use std::process::Command;

use end_to_end::operator;
pub(crate) use end_to_end::operator::text;
use serde_json::{Value, json};
use testkit::queue::envelope;
use testkit::stripe::{CorrectionEvent, SessionEvent};
use xtask::aws::unix_now;

use crate::stack::{Cloud, address, of, stack_file};

/// `afterlink --local`; the stack's file comes from the environment of the tests.
pub(crate) fn afterlink() -> Command {
    let mut command = Command::new(binary());
    command.arg("--local");
    command
}

/// Beside the stack's file, where `cargo xtask` puts it once it is built with the functions.
fn binary() -> std::path::PathBuf {
    stack_file().parent().unwrap().join("afterlink")
}

pub(crate) fn says(arguments: &[&str]) -> String {
    operator::says(afterlink(), arguments)
}

pub(crate) fn json_of(arguments: &[&str]) -> Value {
    operator::json_of(afterlink(), arguments)
}

fn refusal(arguments: &[&str]) -> String {
    operator::refusal(afterlink(), arguments)
}

const MAIL: &str = "email#thank-you";

/// Leaves a mail in a state, as history would have.
fn put_mail(cloud: &Cloud, payment_id: &str, state: &str, reason: &str, event_id: &str) {
    let item = json!({
        "payment_id": { "S": payment_id }, "effect": { "S": MAIL }, "state": { "S": state },
        "reason": { "S": reason }, "event_id": { "S": event_id }, "updated_at": { "N": "1795000000000" },
        "owner": { "S": "req/m1" }, "attempt": { "N": "1" }, "open": { "S": "00" }
    });
    let input = json!({ "TableName": cloud.stack.output("EffectsTableName").unwrap(), "Item": item });
    cloud.stack.aws.json("dynamodb", "DynamoDB_20120810.PutItem", &input).unwrap();
}

fn mail_stands(cloud: &Cloud, payment_id: &str) -> String {
    let rows = cloud.ledger(payment_id);
    rows.into_iter().find(|row| row.starts_with(&format!("{MAIL} "))).unwrap_or_default()
}

fn operators_rows(cloud: &Cloud, payment_id: &str) -> Vec<String> {
    let rows = cloud.ledger(payment_id).into_iter();
    rows.filter(|row| row.starts_with("operator#"))
        .map(|row| row.split('#').nth(2).unwrap().to_owned())
        .collect()
}

#[test]
fn a_parked_mail_is_sent_once_fixed_and_redriven() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "Redriven").to_json();
    put_mail(&cloud, "pi_Redriven", "parked", "not_rendered", "evt_Redriven_completed");
    let attribute = |value: &str| json!({ "DataType": "String", "StringValue": value });
    let input = json!({
        "QueueUrl": cloud.stack.output("ThankYouEmailDlqUrl").unwrap(),
        "MessageBody": envelope("afterlink.webhook", &event),
        "MessageAttributes": { "reason": attribute("not_rendered"), "cause": attribute("the test says so") }
    });
    cloud.stack.aws.json("sqs", "AmazonSQS.SendMessage", &input).unwrap();

    let redrive = ["redrive", "--task", "thank-you-email", "--reason", "not_rendered"];
    assert_eq!(json_of(&redrive)["reasons"]["not_rendered"]["messages"], 1, "a dry run counts");
    assert_eq!(json_of(&redrive)["messages"], 1, "and changes nothing");
    assert!(cloud.mails_to(&address("Redriven")).is_empty());

    let redriven = json_of(&[&redrive[..], &["--yes", "--because", "the link is mended"]].concat());
    assert_eq!((&redriven["acted"], &redriven["messages"]), (&json!(true), &json!(1)));
    cloud.wait_for_effect("pi_Redriven", "email#thank-you done");
    assert_eq!(cloud.mails_to(&address("Redriven")).len(), 1);
    assert_eq!(operators_rows(&cloud, "pi_Redriven"), ["redrive"]);
    assert_eq!(json_of(&redrive)["messages"], 0);
}

#[test]
fn an_unknown_mail_is_resolved_either_way_and_never_sent_twice() {
    let cloud = Cloud::shared();
    for (payment, how, mails, expected) in [
        ("ResolvedSent", "--sent", 0, "email#thank-you done"),
        ("ResolvedNotSent", "--not-sent", 1, "email#thank-you done"),
    ] {
        let payment_id = format!("pi_{payment}");
        put_mail(&cloud, &payment_id, "unknown", "lease_expired", &format!("evt_{payment}_completed"));
        cloud.post(&of(SessionEvent::paid(), payment));
        cloud.wait_for_effect(&payment_id, "contribution#paid done");
        assert!(refusal(&["retry", &payment_id, MAIL]).contains("resolve"), "a retry never sends it");

        let resolve = ["resolve", &payment_id, MAIL, how];
        assert_eq!(json_of(&resolve)["acted"], false);
        assert_eq!(mail_stands(&cloud, &payment_id), "email#thank-you unknown (lease_expired)");
        let unexplained = [&resolve[..], &["--yes"]].concat();
        assert!(refusal(&unexplained).contains("--because"));
        let act = [&resolve[..], &["--yes", "--because", "she says so"]].concat();
        assert_eq!(json_of(&act)["acted"], true);
        cloud.wait_for_effect(&payment_id, expected);
        assert_eq!(cloud.mails_to(&address(payment)).len(), mails, "{how}");
        assert_eq!(operators_rows(&cloud, &payment_id), ["resolve"]);
        assert!(refusal(&act).contains("not unknown"), "a second resolution is refused");
    }
}

#[test]
fn a_retry_delivers_the_event_again_only_with_yes() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "Retried");
    put_mail(&cloud, "pi_Retried", "retry", "mail_throttled", "evt_Retried_completed");
    cloud.stack.record_event(&event.to_json().to_string()).unwrap();
    let retry = ["retry", "pi_Retried", MAIL];
    let dry = json_of(&retry);
    assert_eq!((&dry["acted"], &dry["source"]), (&json!(false), &json!("stripe_event")));
    assert_eq!(mail_stands(&cloud, "pi_Retried"), "email#thank-you retry (mail_throttled)");
    assert!(operators_rows(&cloud, "pi_Retried").is_empty());

    json_of(&[&retry[..], &["--because", "it came back", "--yes"]].concat());
    cloud.wait_for_effect("pi_Retried", "email#thank-you done");
    assert_eq!(cloud.mails_to(&address("Retried")).len(), 1);
    assert_eq!(cloud.contribution("pi_Retried"), None, "delivered to that task's queue only");
    assert!(refusal(&retry).contains("resend"), "what is done is not retried");
}

#[test]
fn a_resend_is_one_more_mail_and_recorded() {
    let cloud = Cloud::shared();
    cloud.post(&of(SessionEvent::paid(), "Resent"));
    cloud.wait_for_effect("pi_Resent", "email#thank-you done");
    let resend = ["resend", "pi_Resent", "--template", "thank-you", "--to", "elsewhere@example.org"];
    assert_eq!(json_of(&resend)["to"], "e***@e***.org");
    let act = [&resend[..], &["--yes", "--because", "mistyped"]].concat();
    let resent = json_of(&act);
    cloud.wait_for_effect("pi_Resent", &format!("{} done", resent["effect"].as_str().unwrap()));
    assert_eq!(cloud.mails_to(&address("Resent")).len(), 1);
    assert_eq!(cloud.mails_to("elsewhere@example.org").len(), 1);
    assert_eq!(operators_rows(&cloud, "pi_Resent"), ["resend"]);
}

#[test]
fn payments_over_a_mistyped_link_are_completed_by_one_command_and_stay_so() {
    const EFFECTS: [&str; 4] = ["email#thank-you", "contribution#paid", "consents", "acquisition"];
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "Mistyped")
        .marketing(Some("yes"))
        .metadata(json!({ "fulfilment": "donation" }))
        .session("payment_link", json!("plink_Mistyped"));
    cloud.post(&event);
    for effect in EFFECTS {
        cloud.wait_for_effect("pi_Mistyped", &format!("{effect} parked (broken_link_contract)"));
    }
    cloud.wait_for_dead_letter("AcquisitionEvents", "evt_Mistyped_completed");

    let complete = ["complete", "--link", "plink_Mistyped", "--as", "contribution"];
    let dry = json_of(&complete);
    assert_eq!((&dry["acted"], &dry["payments"][0]["payment_id"]), (&json!(false), &json!("pi_Mistyped")));
    assert!(refusal(&[&complete[..], &["--yes"]].concat()).contains("--because"));
    assert!(cloud.mails_to(&address("Mistyped")).is_empty(), "a dry run");
    json_of(&[&complete[..], &["--yes", "--because", "typed donation"]].concat());
    for effect in EFFECTS {
        cloud.wait_for_effect("pi_Mistyped", &format!("{effect} done"));
    }
    assert_eq!(cloud.mails_to(&address("Mistyped")).len(), 1);
    assert_eq!(operators_rows(&cloud, "pi_Mistyped"), ["complete"]);
    cloud.wait_until(0, || cloud.dead_letters("AcquisitionEvents", "evt_Mistyped_completed").len());

    // The event as Stripe has it is still the mistyped one, and changes no effect that is done.
    cloud.post(&event);
    cloud.post_json(&CorrectionEvent::refund("Mistyped", "re_Mistyped", "created").to_json());
    cloud.wait_for_effect("pi_Mistyped", "acquisition#refund#re_Mistyped done");
    cloud.wait_for_effect("pi_Mistyped", "contribution#paid done");
    assert_eq!(cloud.contribution("pi_Mistyped").unwrap()["kind"], "contribution");
    assert_eq!(json_of(&["complete", "pi_Mistyped", "--as", "download"])["payments"], json!([]));
}

#[test]
fn explains_a_payment_by_any_of_its_names_and_masks_whose_it_is() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "Explained").customer("Ada Lovelace", &address("Explained"));
    cloud.post(&event.marketing(Some("no")));
    for effect in ["contribution#paid done", "email#thank-you done", "consents done", "acquisition done"] {
        cloud.wait_for_effect("pi_Explained", effect);
    }
    let page = "https://dashboard.stripe.com/test/payments/pi_Explained";
    for name in ["pi_Explained", "cs_test_Explained", "explained@example.org", " pi_Explained ", page] {
        let story = json_of(&["explain", name]);
        let payment = &story["payments"][0];
        assert_eq!(payment["payment_id"], "pi_Explained", "{name}");
        assert_eq!(payment["record"]["email"], "e***@e***.org");
        assert_eq!(payment["effects"].as_array().unwrap().len(), 4);
        assert_eq!(payment["consents"][0]["answer"], "no");
        assert!(!says(&["explain", name]).contains("Lovelace"));
    }
    assert!(says(&["explain", "pi_Explained", "--show-personal-data"]).contains("Ada Lovelace"));
    let unseen = refusal(&["explain", "pi_NobodyPaid"]);
    assert!(unseen.contains("nothing is known") && unseen.contains("no checkout session"), "{unseen}");
    assert!(refusal(&["explain", "plink_1"]).contains("many payments"));
}

#[test]
fn stripe_is_asked_before_it_is_said_that_nothing_came() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "NotOurs").without_marker();
    cloud.stack.record_event(&event.to_json().to_string()).unwrap();
    for name in ["pi_NotOurs", "cs_test_NotOurs"] {
        let output = refusal(&["explain", name]);
        assert!(output.contains("so it is not Afterlink's"), "{output}");
    }
}

#[test]
fn a_record_is_folded_again_also_when_it_is_done() {
    let cloud = Cloud::shared();
    cloud.post(&of(SessionEvent::paid(), "Folded"));
    cloud.wait_for_effect("pi_Folded", "contribution#paid done");
    let record = cloud.contribution("pi_Folded");
    let output = says(&["retry", "pi_Folded", "contribution#paid", "--because", "the row is gone", "--yes"]);
    assert!(output.contains("folded again"), "{output}");
    assert_eq!(cloud.contribution("pi_Folded"), record);
}

#[test]
fn an_event_that_never_came_is_found_put_back_and_explained() {
    // No other test's events may be under way: they would be put back too.
    let cloud = Cloud::alone();
    let event = of(SessionEvent::paid(), "NeverCame").at(i64::try_from(unix_now()).unwrap() - 600);
    cloud.stack.record_event(&event.to_json().to_string()).unwrap();
    let missing = |report: &Value, list: &str| {
        let gaps = report.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        gaps.iter().any(|gap| gap["payment_id"] == "pi_NeverCame")
    };
    let unseen = refusal(&["explain", "pi_NeverCame"]);
    assert!(unseen.contains("it is paid") && unseen.contains("afterlink reconcile --since"), "{unseen}");
    assert!(missing(&json_of(&["status", "--since", "1h"]), "/reconciliation/unexplained"));
    assert!(missing(&json_of(&["reconcile", "--since", "1h"]), "/missing"));
    assert!(cloud.ledger("pi_NeverCame").is_empty(), "a dry run");
    json_of(&["reconcile", "--since", "1h", "--yes", "--because", "the destination was disabled"]);
    cloud.wait_for_effect("pi_NeverCame", "email#thank-you done");
    assert!(says(&["explain", "pi_NeverCame"]).contains("the ledger lacked"));
    assert_eq!(cloud.mails_to(&address("NeverCame")).len(), 1);
}

#[test]
fn says_plainly_what_it_lacks() {
    let nowhere = operator::run(afterlink(), &["--stack-file", "/nowhere/stack.json", "status"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).contains("cargo xtask local up"));
    let no_stage = Command::new(binary()).arg("status").env_remove("AFTERLINK_STAGE").output().unwrap();
    assert!(text(&no_stage.stderr).contains("--stage"));
    let no_command = operator::run(afterlink(), &["resolve", "pi_1", MAIL]);
    assert_eq!(no_command.status.code(), Some(2), "neither --sent nor --not-sent");
}

/// Rows of a long history: done, so in no index.
fn put_history(cloud: &Cloud, payments: std::ops::Range<u32>) {
    let table = cloud.stack.output("EffectsTableName").unwrap();
    for chunk in payments.collect::<Vec<_>>().chunks(25) {
        let puts: Vec<_> = chunk
            .iter()
            .map(|number| {
                json!({ "PutRequest": { "Item": {
                    "payment_id": { "S": format!("pi_Past{number}") }, "effect": { "S": MAIL },
                    "state": { "S": "done" }, "updated_at": { "N": "1795000000000" }
                } } })
            })
            .collect();
        let input = json!({ "RequestItems": { table: puts } });
        cloud.stack.aws.json("dynamodb", "DynamoDB_20120810.BatchWriteItem", &input).unwrap();
    }
}

/// The evidence is in what is read, not in the time it takes here: that is for a bench on a real table. It is run
/// with as many rows as `AFTERLINK_HISTORY` says; 100 000 take the local cloud minutes to load.
#[test]
fn a_question_reads_what_is_open_however_long_the_history() {
    #[expect(clippy::disallowed_methods, reason = "how much history is a question of patience")]
    let rows = std::env::var("AFTERLINK_HISTORY").map_or(1_000, |rows| rows.parse().unwrap());
    let cloud = Cloud::alone();
    let asked = || {
        let report = json_of(&["tasks"]);
        let open = report["tasks"].as_array().unwrap().len();
        (open, report["pages"].as_u64().unwrap(), report["scanned"].as_u64().unwrap())
    };
    put_mail(&cloud, "pi_OpenForLong", "parked", "no_recipient", "evt_OpenForLong");
    let (open, pages, scanned) = asked();
    assert!(open >= 1);
    assert_eq!(
        (pages, scanned),
        (16, u64::try_from(open).unwrap()),
        "a page a shard, and nothing but what is open"
    );
    put_history(&cloud, 0..rows);
    assert_eq!(asked(), (open, pages, scanned), "the same after {rows} more payments");
    assert_eq!(json_of(&["explain", "pi_Past7"])["payments"][0]["effects"].as_array().unwrap().len(), 1);
}
