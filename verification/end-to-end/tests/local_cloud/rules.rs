//! The deployed rules, asked by EventBridge's own matcher which events they let through.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use catalogue::Task;
use serde_json::{Value, json};
use testkit::queue::envelope;

use crate::stack::Cloud;

/// Every task of the catalogue, in the order of their names.
static ALL: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut names: Vec<_> = Task::ALL.iter().map(|task| task.name()).collect();
    names.sort_unstable();
    names
});
const MONEY: [&str; 2] = ["acquisition-events", "contribution-records"];
const OUTCOME: [&str; 2] = ["contribution-records", "thank-you-email"];
const ANSWERED: [&str; 3] = ["contribution-records", "soft-opt-ins", "thank-you-email"];

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testkit/fixtures/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The pattern of each task's rule.
fn patterns(cloud: &Cloud) -> BTreeMap<String, String> {
    let bus = cloud.stack.output("FulfilmentBusName").unwrap();
    let rules =
        cloud.stack.aws.json("events", "AWSEvents.ListRules", &json!({ "EventBusName": bus })).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rules = rules["Rules"].as_array().unwrap().iter();
    rules
        .map(|rule| {
            let name = text(&rule["Name"]);
            let task = ALL.iter().find(|task| name.ends_with(**task)).unwrap_or_else(|| panic!("{name}"));
            ((*task).to_owned(), text(&rule["EventPattern"]))
        })
        .collect()
}

/// The tasks that would get an event.
fn let_through(
    cloud: &Cloud,
    patterns: &BTreeMap<String, String>,
    source: &str,
    event: &Value,
) -> Vec<String> {
    let matches = |pattern: &String| {
        let input = json!({ "EventPattern": pattern, "Event": envelope(source, event) });
        cloud.stack.aws.json("events", "AWSEvents.TestEventPattern", &input).unwrap()["Result"] == true
    };
    patterns.iter().filter(|(_, pattern)| matches(pattern)).map(|(task, _)| task.clone()).collect()
}

#[test]
fn each_task_gets_what_concerns_it_from_every_source_and_nothing_else() {
    let cloud = Cloud::shared();
    let patterns = patterns(&cloud);
    assert_eq!(patterns.keys().map(String::as_str).collect::<Vec<_>>(), *ALL);
    for (name, expected) in [
        ("session_completed_paid", &ALL[..]),
        ("session_async_payment_succeeded", &ALL[..]),
        ("session_no_payment_required", &ALL[..]),
        ("session_subscription", &ALL[..]),
        ("session_completed_unpaid", &ANSWERED),
        ("session_async_payment_failed", &OUTCOME),
        ("refund_created", &MONEY),
        ("dispute_funds_withdrawn", &MONEY),
        ("dispute_closed_inquiry", &MONEY),
        ("session_of_another_business", &[]),
        ("session_livemode", &[]),
        ("session_setup", &[]),
        ("thin_session_completed", &[]),
    ] {
        let event = fixture(name);
        for source in ["afterlink.webhook", "afterlink.reconcile", "aws.partner/stripe.com/ed_test_61Example"]
        {
            assert_eq!(let_through(&cloud, &patterns, source, &event), expected, "{name} from {source}");
        }
        for source in ["aws.partner/example.com/x", "com.example"] {
            assert!(let_through(&cloud, &patterns, source, &event).is_empty(), "{name} from {source}");
        }
    }
}

/// What the rules of this template add to a plain comparison: absent fields, null, keys in several forms.
#[test]
fn what_stripe_or_a_marketer_writes_otherwise_reaches_the_tasks_that_park_or_do_it() {
    let cloud = Cloud::shared();
    let patterns = patterns(&cloud);
    let session = |change: &dyn Fn(&mut Value)| {
        let mut event = fixture("session_completed_paid");
        change(&mut event);
        let_through(&cloud, &patterns, "aws.partner/stripe.com/ed_test_61Example", &event)
    };
    for field in ["mode", "payment_status"] {
        for value in [json!("rental"), json!(""), json!(null)] {
            assert_eq!(
                session(&|event| event["data"]["object"][field] = value.clone()),
                *ALL,
                "{field} {value}"
            );
        }
        let without = |event: &mut Value| {
            event["data"]["object"].as_object_mut().unwrap().remove(field);
        };
        assert_eq!(session(&without), *ALL, "{field} is missing");
    }
    for key in fulfilment::LinkContract::MARKERS {
        let with = |event: &mut Value| event["data"]["object"]["metadata"] = json!({ key: "contribution" });
        assert_eq!(session(&with), *ALL, "{key:?}");
    }
    for key in ["fullfilment", "fulfilment_type", "order"] {
        let with = |event: &mut Value| event["data"]["object"]["metadata"] = json!({ key: "contribution" });
        assert!(session(&with).is_empty(), "{key:?}");
    }
    assert!(session(&|event| event["account"] = json!("acct_1")).is_empty(), "of a connected account");
    assert_eq!(session(&|event| event["account"] = json!(null)), *ALL);
}
