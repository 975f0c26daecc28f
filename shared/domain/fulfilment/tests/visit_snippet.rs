//! The script of the marketers' handbook, run as sites run it, against the code that reads what it makes.

use std::collections::BTreeMap;
use std::process::Command;

use fulfilment::{Attribution, QueryParameter};
use serde_json::{Value, json};
use stripe_events::Personal;

const HANDBOOK: &str = include_str!("../../../../docs/PAYMENT-LINKS.md");

/// The address that the script makes for each search and what the page says.
fn addresses(cases: &Value) -> Vec<String> {
    let blocks = HANDBOOK.split("```js\n").skip(1).filter_map(|rest| rest.split("```").next());
    let script = blocks.into_iter().find(|block| block.contains("function clientReferenceId"));
    let script = script.expect("the handbook has the script");
    let run = format!(
        "{script}\nconst cases = {cases};\nconst made = cases.map(([search, page]) => \
         paymentLink('https://buy.stripe.com/x', search, page));\nconsole.log(JSON.stringify(made));"
    );
    let done = Command::new("node").arg("-e").arg(&run).output();
    let done = done.expect("Node runs the handbook's script: README.md says which version is needed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("the addresses as JSON")
}

fn read(address: &str) -> (Attribution, usize) {
    let reference = address.split_once("?client_reference_id=").map(|(_, reference)| reference.to_owned());
    let length = reference.as_ref().map_or(0, String::len);
    // What Stripe takes: the address needs no percent signs.
    assert!(
        reference
            .iter()
            .all(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)))
    );
    (Attribution::read(&BTreeMap::new(), reference.map(Personal::new).as_ref()), length)
}

fn one(search: &str, page: Value) -> Attribution {
    let made = addresses(&json!([[search, page]]));
    let (attribution, length) = read(&made[0]);
    assert!(length <= 200, "{length}");
    assert_eq!(attribution.undecoded, None, "all of it is read");
    attribution
}

fn parameters(pairs: &[(&str, &str)]) -> Vec<QueryParameter> {
    let parameter = |(name, value): &(&str, &str)| QueryParameter {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    pairs.iter().map(parameter).collect()
}

#[test]
fn the_utm_parameters_of_a_page_reach_the_analysts() {
    let read = one(
        "?utm_campaign=herbst-2026&utm_source=M%C3%BCnchner+Blatt&utm_medium=email&utm_content=kopf&gclid=x",
        json!({}),
    );
    assert_eq!(read.campaign_codes, ["herbst-2026"]);
    assert_eq!(read.source.as_deref(), Some("Münchner Blatt"));
    assert_eq!(read.component_type.as_deref(), Some("email"));
    let short = one("?utm_campaign=a&utm_source=b&utm_id=7&gclid=x", json!({ "v": null, "l": [], "i": "" }));
    assert_eq!(
        short.query_parameters,
        parameters(&[("utm_campaign", "a"), ("utm_id", "7"), ("utm_source", "b")]),
        "and no other parameter of the address"
    );
}

#[test]
fn what_the_page_says_wins_over_its_address() {
    let page = json!({ "c": ["für-alle", "früh"], "i": "knopf", "a": ["überschrift:kurz"] });
    let read = one("?utm_campaign=a", page);
    assert_eq!(read.campaign_codes, ["für-alle", "früh"]);
    assert_eq!(read.ab_tests[0].name, "überschrift");
    assert_eq!(read.query_parameters, parameters(&[("utm_campaign", "a")]));
}

#[test]
fn nothing_is_said_where_there_is_nothing_to_say() {
    let cases = json!([["", {}], ["?page=2", { "c": null, "l": [], "s": "" }], ["?utm_campaign=", {}]]);
    let made = addresses(&cases);
    assert_eq!(made[..2], ["https://buy.stripe.com/x", "https://buy.stripe.com/x"]);
    let (empty, _) = read(&made[2]);
    assert_eq!(empty, Attribution::default());
}

/// What matters least is left out first, and the campaign last.
#[test]
fn what_is_too_long_is_shortened_in_its_order() {
    let long = |letter: &str, times: usize| letter.repeat(times);
    let ids = json!({ "v": long("v", 36), "b": long("b", 36), "i": "knopf" });
    let read = one("?utm_campaign=herbst-2026&utm_source=blatt&utm_term=w%C3%A4lder", ids);
    assert_eq!((read.page_view_id, read.browser_id.is_some()), (None, false));
    assert_eq!(read.campaign_codes, ["herbst-2026"]);
    assert_eq!(read.component_id.as_deref(), Some("knopf"));

    let labels = json!({ "l": (0..30).map(|n| format!("label-{n}")).collect::<Vec<_>>(), "b": "b-1" });
    let read = one("?utm_campaign=herbst-2026", labels);
    assert!(read.labels.is_empty() && read.browser_id.is_none());
    assert_eq!(read.query_parameters, parameters(&[("utm_campaign", "herbst-2026")]));

    let wordy = format!("?utm_campaign=herbst-2026&utm_source={}", long("ü", 60));
    let read = one(&wordy, json!({}));
    assert_eq!(read.campaign_codes, ["herbst-2026"]);
    assert!(read.query_parameters.is_empty(), "said twice, it has no room");

    let hopeless = one(&format!("?utm_campaign={}", long("x", 400)), json!({ "s": "blatt" }));
    assert_eq!(hopeless, Attribution::default(), "Stripe would drop it");
}

#[test]
fn an_emoji_arrives_whole() {
    assert_eq!(one("?utm_campaign=%F0%9F%8C%B2", json!({})).campaign_codes, ["🌲"]);
}
