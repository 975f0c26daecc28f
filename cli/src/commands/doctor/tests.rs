use fulfilment::Policy;
use serde_json::{Value, json};
use stripe_client::PaymentLink;
use testkit::aws::{Endpoint, Reply};

use reconciliation::EVENT_TYPES;
use stripe_client::{API_VERSION, EventDestination};

use super::alarms::{alarm_states, of_alarm_states, states_in};
use super::contract::of_links;
use super::destination::{is_ours, of_destination};
use super::*;
use crate::page::plain;

fn destination(changes: &[(&str, Value)]) -> EventDestination {
    let types: Vec<_> = EVENT_TYPES.iter().map(|event_type| event_type.as_str()).collect();
    let mut json = json!({
        "id": "ed_1", "type": "amazon_eventbridge", "status": "enabled", "event_payload": "snapshot",
        "snapshot_api_version": API_VERSION, "enabled_events": types,
        "amazon_eventbridge": { "aws_account_id": "1", "aws_event_source_status": "active" },
    });
    for (name, value) in changes {
        json[*name] = value.clone();
    }
    serde_json::from_value(json).unwrap()
}

/// The defects of a destination: the part, and how bad it is.
fn complaints(changes: &[(&str, Value)]) -> Vec<(String, CheckResult)> {
    let checks = of_destination(&destination(changes)).into_iter();
    let bad = checks.filter(|check| check.result != CheckResult::Pass);
    bad.map(|check| (check.what.rsplit(": ").next().unwrap().to_owned(), check.result)).collect()
}

#[test]
fn a_sound_destination_passes_and_each_fault_is_named() {
    assert_eq!(complaints(&[]), []);
    assert_eq!(complaints(&[("enabled_events", json!(["*"]))]), []);
    assert_eq!(complaints(&[("events_from", json!(["@self", "@accounts"]))]), []);
    for (field, value, part, result) in [
        ("status", json!("disabled"), "status", CheckResult::Fail),
        (
            "amazon_eventbridge",
            json!({ "aws_event_source_status": "pending" }),
            "event source",
            CheckResult::Fail,
        ),
        ("event_payload", json!("thin"), "payload", CheckResult::Fail),
        ("snapshot_api_version", json!("2024-06-20"), "API version", CheckResult::Warn),
        ("snapshot_api_version", json!(null), "API version", CheckResult::Warn),
        ("enabled_events", json!(["checkout.session.completed"]), "events", CheckResult::Fail),
        ("events_from", json!(["@accounts"]), "events from", CheckResult::Fail),
        ("events_from", json!(["@organization_members", "@accounts"]), "events from", CheckResult::Fail),
    ] {
        assert_eq!(complaints(&[(field, value)]), [(part.to_owned(), result)]);
    }
}

#[test]
fn a_destination_is_ours_by_its_event_source_or_its_address() {
    let bridge = destination(&[]);
    let webhook =
        destination(&[("id", json!("we_1")), ("webhook_endpoint", json!({ "url": "https://x.example/" }))]);
    for (destination, url, partner, expected) in [
        (&bridge, None, Some("aws.partner/stripe.com/ed_1"), true),
        (&bridge, None, Some("aws.partner/stripe.com/ed_11"), false),
        (&bridge, Some("https://x.example"), None, false),
        (&webhook, Some("https://x.example"), None, true),
        (&webhook, Some("https://y.example"), None, false),
        (&webhook, None, None, false),
    ] {
        assert_eq!(is_ours(destination, url, partner), expected);
    }
}

fn link(id: &str, metadata: Value) -> PaymentLink {
    serde_json::from_value(json!({ "id": id, "active": true, "metadata": metadata })).unwrap()
}

#[test]
fn links_are_distinguished_by_their_contract() {
    let links = [
        link("plink_sound", json!({ "fulfilment": "contribution" })),
        link(
            "plink_us",
            json!({ "fulfillment": "download", "soft_opt_in": "shown", "files": "s3://goods/files/a.pdf, b.pdf" }),
        ),
        link("plink_broken", json!({ "fulfilment": "donation" })),
        link("plink_foreign", json!({ "order": "42" })),
        link("plink_shop", json!({ "fulfilment_type": "express" })),
        link("plink_wording", json!({ "fulfilment": "contribution", "thank_you": "gala/2026" })),
        link(
            "plink_theirs",
            json!({ "fulfilment": "download", "soft_opt_in": "shown", "files": "s3://theirs/a.pdf, ../b.pdf" }),
        ),
    ];
    let checks = of_links(&links, &Policy::compiled_in().unwrap(), Some("goods"));
    let results: Vec<_> = checks.iter().map(|check| (check.what.clone(), check.result)).collect();
    let expected = [
        ("Payment Links", CheckResult::Pass),
        ("link plink_broken", CheckResult::Fail),
        ("link plink_wording", CheckResult::Warn),
        ("link plink_theirs", CheckResult::Fail),
        ("link plink_theirs", CheckResult::Fail),
    ];
    assert_eq!(results, expected.map(|(what, result)| (what.to_owned(), result)));
    assert!(checks[0].seen.starts_with("7 active, 2 with a sound contract, 2 without our marker"));
    assert!(checks[3].seen.contains("the bucket \"theirs\""), "{}", checks[3].seen);
}

#[test]
fn a_key_that_is_read_as_none_is_named_with_the_one_that_was_meant() {
    let metadata =
        json!({ "fulfilment": "contribution", "campain": "spring", "thankyou": "gala", "size": "XL" });
    let checks = of_links(&[link("plink_near", metadata)], &Policy::compiled_in().unwrap(), None);
    let seen: Vec<_> = checks[1..].iter().map(|check| (check.result, check.seen.as_str())).collect();
    let expected = [
        (CheckResult::Warn, "its metadata key `campain` is not read; `campaign` would be"),
        (CheckResult::Warn, "its metadata key `thankyou` is not read; `thank_you` would be"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_campaign_that_is_not_listed_is_named_with_the_one_that_was_meant() {
    let mut policy = Policy::compiled_in().unwrap();
    let links = |codes: &str| [link("plink_new", json!({ "fulfilment": "contribution", "campaign": codes }))];
    assert_eq!(of_links(&links("Autumn-2026"), &policy, None).len(), 1, "nothing is listed");
    policy.attribution.campaigns = vec!["autumn-2026".to_owned()];
    let checks = of_links(&links("“autumn-2026”, Autumn-2026"), &policy, None);
    let seen: Vec<_> = checks[1..].iter().map(|check| (check.result, check.seen.as_str())).collect();
    assert_eq!(seen, [(CheckResult::Warn, "Campaign “Autumn-2026” is new. Known: autumn-2026.")]);
}

#[test]
fn a_link_whose_key_is_nearly_right_fails_by_name_with_the_key_it_should_have() {
    for (key, shown, is_read) in [
        ("Fulfilment", "`Fulfilment`", true),
        ("fulfillment ", "`fulfillment `", true),
        ("fullfilment", "`fullfilment`", false),
        ("fulfilement", "`fulfilement`", false),
        ("fulfilment\u{200b}", "`fulfilment[U+200B]`", false),
        ("fulf\u{456}lment", "[U+0456]", false),
    ] {
        let checks = of_links(
            &[link("plink_near", json!({ key: "contribution" }))],
            &Policy::compiled_in().unwrap(),
            None,
        );
        let [_, check] = &checks[..] else { panic!("{checks:?}") };
        assert_eq!((check.what.as_str(), check.result), ("link plink_near", CheckResult::Fail), "{key}");
        assert!(check.seen.contains(shown) && check.seen.ends_with("must be `fulfilment`"), "{}", check.seen);
        let completes = check.fix.as_ref().unwrap().contains("afterlink complete --link plink_near");
        assert_eq!(completes, !is_read, "{key}");
    }
}

#[test]
fn alarms_must_be_there_and_quiet() {
    let answer = |states: &[&str]| {
        let alarms: String = states
            .iter()
            .map(|state| {
                format!(
                    "<member><AlarmName>afterlink-live-x</AlarmName><StateValue>{state}</StateValue></member>"
                )
            })
            .collect();
        format!("<R><MetricAlarms>{alarms}</MetricAlarms></R>")
    };
    for (states, expected) in [
        (&[][..], CheckResult::Fail),
        (&["OK", "INSUFFICIENT_DATA"], CheckResult::Pass),
        (&["OK", "ALARM"], CheckResult::Warn),
    ] {
        assert_eq!(of_alarm_states(&states_in(&answer(states))).result, expected, "{states:?}");
    }
}

#[test]
fn only_a_failed_check_needs_an_operator() {
    let health = |checks| Health { checks };
    let pass = Check::pass("ledger", "answers");
    let warn = Check::warn("alarms", "ringing: x", "look");
    assert_eq!(health(vec![pass.clone(), warn.clone()]).verdict(), Verdict::Fine);
    let unchecked = Check::unanswered("mail account", "ses:GetAccount", true, "");
    assert_eq!(health(vec![pass.clone(), unchecked.clone()]).verdict(), Verdict::Unclear);
    assert_eq!(health(vec![Check::skipped("x", "not yet", "later")]).verdict(), Verdict::Fine);
    let failed = health(vec![
        pass,
        warn,
        unchecked,
        Check::fail("mail identity", "not verified", "publish the records"),
    ]);
    assert_eq!(failed.verdict(), Verdict::NeedsYou);
    insta::assert_snapshot!(plain(&failed, 0), @r#"
      result     what           seen → fix
      pass       ledger         answers
      warn       alarms         ringing: x → look
      unchecked  mail account   you may not look (ses:GetAccount) → nothing is said about it: change nothing, and ask whoever may look
      FAIL       mail identity  not verified → publish the records

    1 of 4 checks failed, 1 could not be looked at.
    "#);
}

#[tokio::test]
async fn every_page_of_alarms_is_read() {
    let page = |name: &str, next: &str| {
        let alarm = format!("<member><AlarmName>{name}</AlarmName><StateValue>OK</StateValue></member>");
        Reply::Answer(
            200,
            format!("<R><DescribeAlarmsResult><M>{alarm}</M>{next}</DescribeAlarmsResult></R>"),
        )
    };
    let endpoint = Endpoint::start([page("a", "<NextToken>more</NextToken>"), page("b", "")]);
    let states = alarm_states(&endpoint.sdk_config(), "afterlink-live-").await.unwrap();
    assert_eq!(states, [("a".to_owned(), "OK".to_owned()), ("b".to_owned(), "OK".to_owned())]);
    assert_eq!(endpoint.count(), 2);
}
