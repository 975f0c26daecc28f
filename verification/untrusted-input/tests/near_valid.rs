//! The bounded run of what `verification/fuzz/` runs for hours: recorded events, bent in a few places.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Stands for what JSON values cannot say; the text says it instead.
const RAW: [(&str, &str); 5] = [
    ("\"raw-huge\"", "1e999"),
    ("\"raw-digits\"", "123456789012345678901234567890"),
    ("\"raw-surrogate\"", "\"\\ud800\""),
    ("\"raw-nul\"", "\"\\u0000\""),
    ("\"raw-exponent\"", "-0.0000001e-999"),
];

/// Every recorded event; all are small.
fn fixtures() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/fixtures");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: &std::path::PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    paths.iter().map(read).collect()
}

/// What may stand where something else is expected.
fn strange() -> impl Strategy<Value = Value> {
    let raw = ["raw-huge", "raw-digits", "raw-surrogate", "raw-nul", "raw-exponent"];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![i64::MIN, i64::MAX, -1, 0]).prop_map(Value::from),
        Just(json!(u64::MAX)),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,60}".prop_map(Value::from),
        prop::sample::select(raw.to_vec()).prop_map(Value::from),
        "[a-z]{1,8}".prop_map(|word| json!({ "value": word, "custom": word, "id": word, "object": word })),
        Just(json!([])),
        Just(json!({})),
        (1usize..90).prop_map(|depth| (0..depth).fold(json!("deep"), |inner, _| json!([inner]))),
        prop::sample::select(vec!["usd", "jpy", "isk", "kwd", "zzz", "", "USD"]).prop_map(Value::from),
        prop::sample::select(vec!["paid", "unpaid", "no_payment_required", "setup", "won", "lost", "failed"])
            .prop_map(Value::from),
        prop::sample::select(vec!["contribution", "download", " Membership ", "al1-", "al1-e30", "../x"])
            .prop_map(Value::from),
    ]
}

/// One place of a document becomes something else, or goes away.
#[derive(Debug, Clone)]
enum Bend {
    Replace(prop::sample::Index, Value),
    Remove(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn bend() -> impl Strategy<Value = Bend> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), strange()).prop_map(|(at, value)| Bend::Replace(at, value)),
        2 => any::<prop::sample::Index>().prop_map(Bend::Remove),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(a, b)| Bend::Swap(a, b)),
    ]
}

/// The pointers to all values of a document.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(values) => {
            values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let below = |(key, value): (String, &Value)| {
        std::iter::once(format!("/{key}"))
            .chain(pointers(value).into_iter().map(move |rest| format!("/{key}{rest}")))
            .collect::<Vec<_>>()
    };
    children.into_iter().flat_map(below).collect()
}

fn bent(mut document: Value, bends: Vec<Bend>) -> Value {
    for bend in bends {
        let pointers = pointers(&document);
        if pointers.is_empty() {
            return document;
        }
        match bend {
            Bend::Replace(at, value) => *document.pointer_mut(at.get::<String>(&pointers)).unwrap() = value,
            Bend::Remove(at) => {
                let (parent, key) = at.get::<String>(&pointers).rsplit_once('/').unwrap();
                if let Some(fields) = document.pointer_mut(parent).and_then(Value::as_object_mut) {
                    fields.remove(&key.replace("~1", "/").replace("~0", "~"));
                }
            }
            Bend::Swap(from, to) => {
                let value = document.pointer(from.get::<String>(&pointers)).unwrap().clone();
                *document.pointer_mut(to.get::<String>(&pointers)).unwrap() = value;
            }
        }
    }
    document
}

/// What may happen to the text of a document.
#[derive(Debug, Clone)]
enum Damage {
    None,
    Truncate(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Nest(usize),
    Twice,
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => Just(Damage::None),
        1 => index().prop_map(Damage::Truncate),
        1 => (index(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (1usize..4000).prop_map(Damage::Nest),
        1 => Just(Damage::Twice),
    ]
}

fn text_of(document: &Value, damage: Damage) -> Vec<u8> {
    let mut text = document.to_string();
    for (sign, raw) in RAW {
        text = text.replace(sign, raw);
    }
    let mut text = text.into_bytes();
    match damage {
        Damage::None => {}
        Damage::Truncate(at) => text.truncate(at.index(text.len())),
        Damage::Flip(at, bit) => {
            let at = at.index(text.len());
            text[at] ^= 1 << bit;
        }
        Damage::Insert(at, bytes) => {
            let at = at.index(text.len());
            text.splice(at..at, bytes);
        }
        Damage::Twice => {
            let again = br#""object":"event","id":"","type":7,"data":null,"detail":[],"fulfilment":"membership","c":1,"#;
            if text.starts_with(b"{\"") {
                text.splice(1..1, *again);
            }
        }
        Damage::Nest(depth) => text = [vec![b'['; depth], text, vec![b']'; depth]].concat(),
    }
    text
}

/// A document of these, bent and damaged.
fn near(documents: Vec<Value>) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(documents), prop::collection::vec(bend(), 0..5), damage())
        .prop_map(|(document, bends, damage)| text_of(&bent(document, bends), damage))
}

fn envelopes() -> Vec<Value> {
    let around = |event: Value| match event.get("detail") {
        Some(_) => event,
        None => json!({ "source": "afterlink.webhook", "detail-type": event["type"], "detail": event }),
    };
    fixtures().into_iter().map(around).collect()
}

fn objects() -> Vec<Value> {
    fixtures().into_iter().filter_map(|event| Some(event.pointer("/data/object")?.clone())).collect()
}

fn links() -> Vec<Value> {
    vec![
        json!({
            "fulfilment": "download", "campaign": "autumn", "source": "newsletter", "component": "footer",
            "component_type": "banner", "labels": "a, b", "ab_test": "colour:blue", "thank_you": "gala",
            "files": "guide.pdf, audio/Guide one.mp3"
        }),
        json!({ "fulfilment": " Contribution ", "thank_you": "Autumn 2026" }),
        json!({ "fulfilment": "" }),
    ]
}

fn visits() -> Vec<Value> {
    vec![json!({
        "c": "winter", "s": "newsletter", "m": "banner", "i": "header", "v": "pv1", "b": "bw1",
        "a": ["price:high"], "l": ["a", "b"]
    })]
}

/// A signature header of one of these parts in any order, bent.
fn near_header() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("t=1795000000".to_owned()),
        Just(format!("v1={}", "00".repeat(32))),
        Just(format!("v0={}", "ab".repeat(32))),
        Just("t=".to_owned()),
        Just("v1=".to_owned()),
        Just("t=99999999999999999999".to_owned()),
        any::<i64>().prop_map(|at| format!("t={at}")),
        "[ tv01=,]{0,12}",
        ".{0,20}",
    ];
    let body = prop::collection::vec(any::<u8>(), 0..60);
    (prop::collection::vec(part, 0..6), body).prop_map(|(parts, body)| {
        let header = parts.join(",").replace('\n', " ");
        [header.as_bytes(), b"\n", &body].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_our_own_signature_passes(input in near_header()) {
        untrusted_input::signature_header(&input);
    }

    #[test]
    fn no_body_stops_the_webhook(input in near(fixtures())) {
        untrusted_input::webhook_body(&input);
    }

    #[test]
    fn no_message_stops_a_task(input in near(envelopes())) {
        untrusted_input::envelope(&input);
    }

    #[test]
    fn no_object_stops_a_task(input in near(objects())) {
        untrusted_input::object(&input);
    }

    #[test]
    fn nothing_a_marketer_types_stops_a_task(input in near(links())) {
        untrusted_input::link_contract(&input);
    }

    #[test]
    fn nothing_in_an_address_stops_a_task(visit in near(visits()), tail in ".{0,8}") {
        let encoded = BASE64_URL_SAFE_NO_PAD.encode(&visit);
        untrusted_input::client_reference_id(format!("al1-{encoded}").as_bytes());
        untrusted_input::client_reference_id(format!("al1-{encoded}{tail}").as_bytes());
        untrusted_input::client_reference_id(&visit);
    }
}

/// Otherwise the tests above could all stop at the first brace.
#[test]
fn most_of_this_is_read() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = near(envelopes());
    let read = (0..500)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .filter(|input| stripe_events::Delivered::from_json(input).is_ok())
        .count();
    assert!((150..500).contains(&read), "{read} of 500");
}
