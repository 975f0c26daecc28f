use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stripe_events::{Personal, without_lone_surrogates};

use crate::MetadataKey;
use crate::file_key::percent_decoded;
use crate::typed::{distinct, split, tidy, unquoted};

/// Where a sale came from: what the marketer typed on the link, and what the site passed on about this one visit.
///
/// The visit wins, field by field. All of it is other people's text: a link's address can be edited by anyone who
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
    /// Parameters of the address by which the visitor came to the site, as the site passed them on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query_parameters: Vec<QueryParameter>,
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

/// A part of the address by which the customer came to the payment page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryParameter {
    /// The part before `=`.
    pub name: String,
    /// The part after it.
    pub value: String,
}

impl AbTest {
    /// Reads `name:variant`; `None` when there is no name that may be passed on.
    fn of(text: &str) -> Option<Self> {
        if has_address(text) {
            return None;
        }
        let (name, variant) = text.split_once(':').unwrap_or((text, ""));
        Some(Self { name: publishable(name)?, variant: publishable(variant).unwrap_or_default() })
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
        let decoded = decoded(reference.expose());
        let (visit, whole) = decoded.as_deref().map_or_else(|| (Self::default(), false), Self::of_visit);
        let names_a_person =
            [Some(reference.expose()), decoded.as_ref()].into_iter().flatten().any(|text| has_address(text));
        let undecoded = (!whole && !names_a_person).then(|| reference.clone());
        Self { undecoded, ..link.overridden_by(visit) }
    }

    fn of_link(metadata: &BTreeMap<String, String>) -> Self {
        let text =
            |key: MetadataKey| key.value_in(metadata).and_then(tidy).and_then(|typed| publishable(&typed));
        let parts = |key: MetadataKey| key.value_in(metadata).map_or_else(Vec::new, split);
        Self {
            campaign_codes: safe_list(parts(MetadataKey::Campaign)),
            source: text(MetadataKey::Source),
            component_id: text(MetadataKey::Component),
            component_type: text(MetadataKey::ComponentType),
            ab_tests: ab_tests(&parts(MetadataKey::AbTest)),
            labels: safe_list(parts(MetadataKey::Labels)),
            page_view_id: None,
            browser_id: None,
            query_parameters: Vec::new(),
            undecoded: None,
        }
    }

    /// What could be read of the JSON in a `client_reference_id`, and whether that is all there was in it.
    fn of_visit(json: &str) -> (Self, bool) {
        let mut visit = Self::default();
        let Ok(Value::Object(fields)) = serde_json::from_slice(&without_lone_surrogates(json.as_bytes()))
        else {
            return (visit, false);
        };
        let mut whole = true;
        for (key, value) in &fields {
            if key == "u" {
                match query_parameters(value) {
                    Some(parameters) => visit.query_parameters = parameters,
                    None => whole = false,
                }
                continue;
            }
            let parts = if LISTS.contains(&key.as_str()) { split } else { whole_text };
            let Some(texts) = texts_of(value, parts) else {
                whole = false;
                continue;
            };
            if key == "a" {
                visit.ab_tests = ab_tests(&texts);
                continue;
            }
            let texts = safe_list(texts);
            let first = texts.first().cloned();
            match key.as_str() {
                "c" => visit.campaign_codes = texts,
                "s" => visit.source = first,
                "m" => visit.component_type = first,
                "i" => visit.component_id = first,
                "v" => visit.page_view_id = first,
                "b" => visit.browser_id = first,
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
            query_parameters: all(self.query_parameters, visit.query_parameters),
            undecoded: visit.undecoded.or(self.undecoded),
        }
    }
}

/// The short keys of a visit whose texts are lists.
const LISTS: [&str; 3] = ["c", "a", "l"];

fn whole_text(typed: &str) -> Vec<String> {
    tidy(typed).into_iter().collect()
}

/// A text in its parts, a number or a list of them; null is an empty list. Anything else is not ours.
fn texts_of(value: &Value, parts: fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) => Some(parts(text)),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Array(values) => {
            let texts = values.iter().map(|value| texts_of(value, parts)).collect::<Option<Vec<_>>>()?;
            Some(texts.into_iter().flatten().collect())
        }
        Value::Bool(_) | Value::Object(_) => None,
    }
}

/// The parameters of an address, `{"utm_campaign": "autumn"}` or `[["utm_campaign", "autumn"]]`; null is none. Anything
/// else is not ours. A parameter without a value, or with one that may not be passed on, is left out.
fn query_parameters(value: &Value) -> Option<Vec<QueryParameter>> {
    let pairs: Vec<(Vec<String>, &Value)> = match value {
        Value::Null => Vec::new(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (whole_text(name), value)).collect(),
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([name, value]) => Some((texts_of(name, whole_text)?, value)),
                Some(_) | None => None,
            })
            .collect::<Option<_>>()?,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    let read = pairs.into_iter().map(|(name, value)| Some((name, texts_of(value, whole_text)?)));
    let read = read.collect::<Option<Vec<_>>>()?;
    let safe = read.into_iter().flat_map(|(names, values)| {
        let name = names.first().and_then(|name| publishable(name));
        values.into_iter().filter_map(move |value| {
            Some(QueryParameter { name: name.clone()?, value: publishable(&value)? })
        })
    });
    Some(safe.take(MOST).collect())
}

/// The JSON in a `client_reference_id` of ours.
fn decoded(reference: &str) -> Option<String> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(reference.strip_prefix(Attribution::PREFIX)?).ok()?;
    String::from_utf8(json).ok()
}

/// The longest value, in characters: enough for every id and code, and too little for a text.
const LONGEST: usize = 100;

/// The most values of a list. More are no campaign's, and every reader has to keep them.
const MOST: usize = 20;

/// Each value as it may be passed on, the first [`MOST`] of them.
fn safe_list(texts: Vec<String>) -> Vec<String> {
    let mut safe_texts = distinct(texts.iter().filter_map(|text| publishable(text)));
    safe_texts.truncate(MOST);
    safe_texts
}

fn ab_tests(texts: &[String]) -> Vec<AbTest> {
    texts.iter().filter_map(|text| AbTest::of(text)).take(MOST).collect()
}

/// A value as it may be passed on; `None` when it is an e-mail address, or nothing is left of it. Quotes around it are
/// typing, not part of a code: `“autumn-2026”` is the campaign `autumn-2026`.
///
/// Analysts open what we publish in spreadsheets, which run a cell that begins like a formula
/// (<https://owasp.org/www-community/attacks/CSV_Injection>), and keep it for years, which no address may be.
pub(crate) fn publishable(text: &str) -> Option<String> {
    if has_address(text) {
        return None;
    }
    let mut text = text;
    loop {
        let begun = text.trim_start_matches(|c: char| c.is_whitespace() || FORMULA.contains(&c));
        let inside = unquoted(begun);
        if inside == text {
            break;
        }
        text = inside;
    }
    let text: String = text.chars().take(LONGEST).collect();
    tidy(&text)
}

/// What a formula may begin with, in either width.
const FORMULA: [char; 9] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '−'];

/// What may stand before the sign of an address beside letters and digits.
/// <https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3>
const LOCAL: &str = "!#$%&'*+-/=?^_`{|}~.\"";

/// Whether there is an e-mail address in a text, also behind percent signs, once or twice.
fn has_address(text: &str) -> bool {
    let once = percent_decoded(text);
    let twice = percent_decoded(&once);
    [text, &once, &twice].into_iter().any(|text| {
        let inner = text.char_indices().filter(|(_, c)| matches!(c, '@' | '＠' | '﹫'));
        inner.into_iter().any(|(at, sign)| {
            // Before the sign any text without a blank may stand, if there is a letter or a digit in it.
            let mut local =
                text[..at].chars().rev().take_while(|c| c.is_alphanumeric() || LOCAL.contains(*c));
            let after = text[at + sign.len_utf8()..].chars().next();
            local.any(char::is_alphanumeric) && after.is_some_and(|c| c.is_alphanumeric() || c == '[')
        })
    })
}

#[cfg(test)]
mod tests;
