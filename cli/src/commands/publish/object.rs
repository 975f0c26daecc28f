//! Stripe's objects as the forms that Stripe reads: `metadata[campaign]` is `autumn-2026`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The parameters of a POST: names and values.
pub(crate) type Form = Vec<(String, String)>;

/// An object of Stripe's, flat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FormObject {
    pub(crate) id: String,
    fields: BTreeMap<String, String>,
}

impl FormObject {
    /// An object as Stripe's API writes it. `None` when it was deleted.
    pub(crate) fn read(id: &str, json: &Value) -> Option<Self> {
        let mut object = Self { id: id.to_owned(), fields: BTreeMap::new() };
        flatten("", json, &mut object.fields);
        // The ids in a list's items are in another place than a form has them.
        for (said, form) in LINE_ITEM {
            if let Some(value) = object.fields.get(said).cloned() {
                object.fields.insert(form.to_owned(), value);
            }
        }
        (!object.is("deleted", "true")).then_some(object)
    }

    /// What a form makes. Stripe makes nothing that is not active.
    pub(crate) fn made(id: String, url: Option<String>, form: &Form) -> Self {
        let mut object = Self { id, fields: BTreeMap::new() };
        object.set(&active());
        object.set(form);
        object.fields.extend(url.map(|url| ("url".to_owned(), url)));
        object
    }

    pub(crate) fn set(&mut self, form: &Form) {
        for (name, value) in form {
            if value.is_empty() {
                self.fields.remove(name);
            } else {
                self.fields.insert(name.clone(), value.clone());
            }
        }
    }

    /// When it was made, in Unix seconds.
    pub(crate) fn created(&self) -> i64 {
        self.field("created").parse().unwrap_or_default()
    }

    pub(crate) fn url(&self) -> &str {
        self.field("url")
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The fields of a group, by their whole names.
    pub(crate) fn fields_in(&self, group: &str) -> impl Iterator<Item = (&str, &str)> {
        let inside = move |name: &str| name.strip_prefix(group).is_some_and(|rest| rest.starts_with('['));
        let fields = self.fields.iter().filter(move |(name, _)| inside(name));
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.field(name) == value
    }

    /// Whether a link that we made sells at this price: it has one item.
    pub(crate) fn sells(&self, price_id: &str) -> bool {
        self.is("line_items[0][price]", price_id)
    }

    /// Whether a link offers this price at all: as one of its items, or as an optional one.
    pub(crate) fn offers(&self, price_id: &str) -> bool {
        let is_price = |name: &str| {
            (name.starts_with("line_items[") || name.starts_with("optional_items["))
                && (name.ends_with("[price]") || name.ends_with("[price][id]"))
        };
        self.fields.iter().any(|(name, value)| value == price_id && is_price(name))
    }

    /// What of a form has to be sent. Stripe takes a group such as `custom_fields` as a whole, but metadata key by key.
    pub(crate) fn lacks(&self, form: &Form) -> Form {
        let differs = |(name, value): &&(String, String)| {
            // A setting that was never set may as well be off.
            let off = !self.fields.contains_key(name) && ["false", "none"].contains(&value.as_str());
            !off && !self.is(name, value)
        };
        let differing: BTreeSet<&str> = form.iter().filter(differs).map(|(name, _)| group(name)).collect();
        form.iter().filter(|(name, _)| differing.contains(group(name))).cloned().collect()
    }
}

const LINE_ITEM: [(&str, &str); 2] = [
    ("line_items[data][0][price][id]", "line_items[0][price]"),
    ("line_items[data][0][price][product]", "product"),
];

/// The parameter as a whole: `custom_fields` for `custom_fields[0][key]`.
fn group(name: &str) -> &str {
    if name.starts_with("metadata[") { name } else { name.split('[').next().unwrap_or(name) }
}

/// `{"a": {"b": [1]}}` is `a[b][0]` = `1`. Null is left out.
fn flatten(name: &str, json: &Value, fields: &mut BTreeMap<String, String>) {
    let inside = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}[{part}]") };
    match json {
        Value::Null => {}
        Value::String(text) => {
            fields.insert(name.to_owned(), text.clone());
        }
        Value::Bool(_) | Value::Number(_) => {
            fields.insert(name.to_owned(), json.to_string());
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| flatten(&inside(&i.to_string()), item, fields));
        }
        Value::Object(object) => object.iter().for_each(|(key, value)| flatten(&inside(key), value, fields)),
    }
}

pub(crate) fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Form {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub(crate) fn active() -> Form {
    form([("active", "true")])
}

pub(crate) fn inactive() -> Form {
    form([("active", "false")])
}
