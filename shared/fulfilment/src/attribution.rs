use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stripe_events::Personal;

/// Where a sale came from: what the marketer typed on the link, and what the site told of this one visit.
///
/// The visit wins, field by field. All of it is other people's text: a link's address can be edited by whoever
/// visits it, so nothing here may decide about money or goods, and nothing here can be wrong enough to stop them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attribution {
    /// The campaigns' codes.
    pub campaign_codes: Vec<String>,
    /// Which channel: a newsletter, a partner, a poster.
    pub source: Option<String>,
    /// Which button or banner.
    pub component_id: Option<String>,
    /// What kind of thing that is.
    pub component_type: Option<String>,
    /// The site's id of the page view.
    pub page_view_id: Option<String>,
    /// The site's id of the browser.
    pub browser_id: Option<String>,
    /// The tests this visit was part of.
    pub ab_tests: Vec<AbTest>,
    /// Free words for the analysts.
    pub labels: Vec<String>,
    /// A `client_reference_id` with something in it that this version cannot read, as it came. It may be another
    /// tool's, and then often names a person.
    pub undecoded: Option<Personal<String>>,
}

/// A test and what this visitor got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbTest {
    /// The test.
    pub name: String,
    /// Its variant; empty when none was given.
    pub variant: String,
}

impl AbTest {
    /// Reads `name:variant`.
    fn of(text: &str) -> Self {
        let (name, variant) = text.split_once(':').unwrap_or((text, ""));
        Self { name: name.trim().to_owned(), variant: variant.trim().to_owned() }
    }
}

impl Attribution {
    /// What a `client_reference_id` of ours starts with; the number is the format's version.
    pub const PREFIX: &str = "al1-";

    /// Reads what a session says of where it came from. Never fails: what cannot be read is kept in
    /// [`Attribution::undecoded`].
    pub fn read(metadata: &BTreeMap<String, String>, reference: Option<&Personal<String>>) -> Self {
        let link = Self::of_link(metadata);
        let Some(reference) = reference else {
            return link;
        };
        let (visit, whole) = Self::of_visit(reference.expose());
        Self { undecoded: (!whole).then(|| reference.clone()), ..link.overridden_by(visit) }
    }

    fn of_link(metadata: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| metadata.get(key).and_then(|typed| tidy(typed));
        let texts = |key: &str| metadata.get(key).map_or_else(Vec::new, |typed| split(typed));
        Self {
            campaign_codes: texts("campaign"),
            source: text("source"),
            component_id: text("component"),
            component_type: text("component_type"),
            ab_tests: texts("ab_test").iter().map(|test| AbTest::of(test)).collect(),
            labels: texts("labels"),
            page_view_id: None,
            browser_id: None,
            undecoded: None,
        }
    }

    /// What could be read of a `client_reference_id`, and whether that is all there was in it.
    fn of_visit(reference: &str) -> (Self, bool) {
        let mut visit = Self::default();
        let json = reference
            .strip_prefix(Self::PREFIX)
            .and_then(|encoded| BASE64_URL_SAFE_NO_PAD.decode(encoded).ok())
            .and_then(|json| serde_json::from_slice(&json).ok());
        let Some(Value::Object(fields)) = json else {
            return (visit, false);
        };
        let mut whole = true;
        for (key, value) in &fields {
            let Some(texts) = texts_of(value) else {
                whole = false;
                continue;
            };
            let first = texts.first().cloned();
            match key.as_str() {
                "c" => visit.campaign_codes = texts,
                "s" => visit.source = first,
                "m" => visit.component_type = first,
                "i" => visit.component_id = first,
                "v" => visit.page_view_id = first,
                "b" => visit.browser_id = first,
                "a" => visit.ab_tests = texts.iter().map(|test| AbTest::of(test)).collect(),
                "l" => visit.labels = texts,
                _ => whole = false,
            }
        }
        (visit, whole)
    }

    fn overridden_by(self, visit: Self) -> Self {
        fn all<T>(link: Vec<T>, visit: Vec<T>) -> Vec<T> {
            if visit.is_empty() { link } else { visit }
        }
        Self {
            campaign_codes: all(self.campaign_codes, visit.campaign_codes),
            source: visit.source.or(self.source),
            component_id: visit.component_id.or(self.component_id),
            component_type: visit.component_type.or(self.component_type),
            page_view_id: visit.page_view_id.or(self.page_view_id),
            browser_id: visit.browser_id.or(self.browser_id),
            ab_tests: all(self.ab_tests, visit.ab_tests),
            labels: all(self.labels, visit.labels),
            undecoded: visit.undecoded.or(self.undecoded),
        }
    }
}

/// A text, a number or a list of them; null is an empty list. Anything else is not ours.
fn texts_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) => Some(split(text)),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Array(values) => {
            let texts = values.iter().map(texts_of).collect::<Option<Vec<_>>>()?;
            Some(texts.into_iter().flatten().collect())
        }
        Value::Bool(_) | Value::Object(_) => None,
    }
}

/// What is between the commas. Typed by hand, so empty places and repetitions are forgiven.
pub(crate) fn split(typed: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in typed.split(',').filter_map(tidy) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

/// The text without what only breaks reports: control characters and white space around it.
fn tidy(typed: &str) -> Option<String> {
    let text: String = typed.chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn reference_of(json: &Value) -> String {
        format!("{}{}", Attribution::PREFIX, BASE64_URL_SAFE_NO_PAD.encode(json.to_string()))
    }

    fn read(metadata: &[(&str, &str)], reference: Option<&str>) -> Attribution {
        let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let reference = reference.map(|reference| Personal::new(reference.to_owned()));
        Attribution::read(&metadata, reference.as_ref())
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    const LINK: [(&str, &str); 7] = [
        ("fulfilment", "contribution"),
        ("campaign", " autumn_2026 "),
        ("source", "newsletter"),
        ("component", "footer-button"),
        ("component_type", "BUTTON"),
        ("labels", "reader, ,weekly,reader"),
        ("ab_test", "colour:green"),
    ];

    #[test]
    fn reads_what_a_marketer_types() {
        let link = read(&LINK, None);
        assert_eq!(link.campaign_codes, ["autumn_2026"]);
        assert_eq!(link.source.as_deref(), Some("newsletter"));
        assert_eq!(link.component_id.as_deref(), Some("footer-button"));
        assert_eq!(link.component_type.as_deref(), Some("BUTTON"));
        assert_eq!(link.labels, ["reader", "weekly"]);
        assert_eq!(link.ab_tests, [AbTest { name: "colour".into(), variant: "green".into() }]);
        assert_eq!(read(&[("campaign", " , "), ("source", " ")], None), Attribution::default());
        assert_eq!(read(&[("ab_test", "colour")], None).ab_tests[0].variant, "");
    }

    #[test]
    fn the_visit_wins_field_by_field() {
        let reference = reference_of(&json!({
            "c": "spring", "i": "header", "v": "pv-1", "b": 42, "a": ["colour:red", "size:xl"], "l": "evening,mobile",
            "s": "", "m": null
        }));
        let expected = Attribution {
            campaign_codes: texts(&["spring"]),
            source: Some("newsletter".to_owned()),
            component_id: Some("header".to_owned()),
            component_type: Some("BUTTON".to_owned()),
            page_view_id: Some("pv-1".to_owned()),
            browser_id: Some("42".to_owned()),
            ab_tests: vec![AbTest::of("colour:red"), AbTest::of("size:xl")],
            labels: texts(&["evening", "mobile"]),
            undecoded: None,
        };
        assert_eq!(read(&LINK, Some(&reference)), expected);
    }

    #[test]
    fn the_example_of_the_handbook_is_right() {
        let handbook = include_str!("../../../docs/PAYMENT-LINKS.md");
        let (_, address) = handbook.split_once("?client_reference_id=").unwrap();
        let expected = Attribution {
            campaign_codes: texts(&["autumn-2026"]),
            component_id: Some("footer-button".to_owned()),
            ab_tests: vec![AbTest::of("headline:short")],
            ..Attribution::default()
        };
        assert_eq!(read(&[], address.lines().next()), expected);
    }

    #[test]
    fn what_cannot_be_decoded_is_kept_and_harms_nothing() {
        for reference in [
            "user_4711",
            "al1-",
            "al1-!!!!",
            "al1-bm90IGpzb24",
            "al2-eyJjIjoiYSJ9",
            "AL1-eyJjIjoiYSJ9",
            &reference_of(&json!(["c"])),
            &reference_of(&json!({ "campaign": "spring" })),
            &reference_of(&json!({ "s": { "deep": 1 } })),
        ] {
            let kept =
                Attribution { undecoded: Some(Personal::new(reference.to_owned())), ..read(&LINK, None) };
            assert_eq!(read(&LINK, Some(reference)), kept, "{reference}");
        }
    }

    #[test]
    fn what_can_be_read_of_a_broken_one_is_used() {
        let reference = reference_of(&json!({ "c": "spring", "z": 1 }));
        let read = read(&LINK, Some(&reference));
        assert_eq!(read.campaign_codes, ["spring"]);
        assert_eq!(read.undecoded.unwrap().expose(), &reference);
    }

    #[test]
    fn a_foreign_reference_is_never_printed() {
        assert!(!format!("{:?}", read(&[], Some("ada@example.org"))).contains("ada"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_kept(reference in ".{0,200}") {
            let kept = Attribution { undecoded: Some(Personal::new(reference.clone())), ..read(&LINK, None) };
            prop_assert_eq!(read(&LINK, Some(&reference)), kept);
        }

        #[test]
        fn whatever_a_visit_says_holds_no_control_characters(value in any::<String>()) {
            let read = read(&[], Some(&reference_of(&json!({ "c": value, "s": value, "a": [value] }))));
            let tests = read.ab_tests.iter().flat_map(|test| [&test.name, &test.variant]);
            let mut texts = read.campaign_codes.iter().chain(&read.source).chain(tests);
            prop_assert!(texts.all(|text| !text.chars().any(char::is_control)));
            prop_assert_eq!(read.undecoded, None);
        }
    }
}
