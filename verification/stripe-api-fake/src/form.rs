//! Forms: which parameters may be said, and what they make of an object.

use serde_json::{Map, Value, json};

use crate::account::{Refusal, invalid};
use crate::query::Query;
use crate::shapes;

/// How many characters a text may have, by the name of its parameter without indices.
/// <https://docs.stripe.com/api/metadata>, <https://docs.stripe.com/api/payment-link/create>
const LONGEST: [(&str, usize); 8] = [
    ("metadata[*]", 500),
    ("subscription_data[metadata][*]", 500),
    ("lookup_key", 200),
    ("name", 250),
    ("custom_fields[][key]", 200),
    ("custom_fields[][label][custom]", 100),
    ("custom_fields[][dropdown][options][][label]", 100),
    ("custom_fields[][dropdown][options][][value]", 100),
];

/// <https://docs.stripe.com/api/metadata>
const METADATA_KEYS: usize = 50;

/// Every name must be one of what may be said, and no value longer than Stripe takes.
pub(crate) fn known(form: &Query, may: &[&[&str]]) -> Result<(), Refusal> {
    for (name, value) in form.pairs() {
        let pattern = without_indices(name);
        if !may.iter().any(|names| names.contains(&pattern.as_str())) {
            return Err(Refusal { param: Some(name.to_owned()), ..invalid_as("parameter_unknown", name) });
        }
        let longest =
            LONGEST.iter().find(|(known, _)| *known == pattern).map_or(usize::MAX, |(_, most)| *most);
        if value.chars().count() > longest {
            return Err(Refusal::about("parameter_invalid", name));
        }
    }
    Ok(())
}

/// `custom_fields[0][key]` as `custom_fields[][key]`, `metadata[campaign]` as `metadata[*]`.
fn without_indices(name: &str) -> String {
    let mut is_of_metadata = false;
    let parts = name.split('[').enumerate().map(|(i, part)| {
        let of_metadata = is_of_metadata;
        is_of_metadata = part.trim_end_matches(']') == "metadata";
        match part.strip_suffix(']') {
            Some(_) if of_metadata => "[*]".to_owned(),
            Some(index) if i > 0 && index.bytes().all(|byte| byte.is_ascii_digit()) => "[]".to_owned(),
            Some(key) => format!("[{key}]"),
            None => part.to_owned(),
        }
    });
    parts.collect()
}

/// Sets what a form says. Metadata is merged, and an empty value takes a key away; lists, and the metadata of a link's
/// subscriptions, are set as a whole.
pub(crate) fn change(object: &mut Value, form: &Query) -> Result<(), Refusal> {
    if form.names().any(|name| name.starts_with("custom_fields[")) {
        object["custom_fields"] = json!([]);
    }
    if form.names().any(|name| name.starts_with("images[")) {
        object["images"] = json!([]);
    }
    if form.names().any(|name| name.starts_with("subscription_data[metadata][")) {
        object["subscription_data"]["metadata"] = json!({});
    }
    for (name, value) in form.pairs() {
        if ["id", "product", "transfer_lookup_key"].contains(&name) || name.starts_with("line_items[") {
            continue;
        }
        if let Some(key) = name.strip_prefix("metadata[").and_then(|key| key.strip_suffix(']')) {
            let metadata = object["metadata"].as_object_mut().unwrap();
            match value {
                "" => metadata.remove(key),
                _ => metadata.insert(key.to_owned(), value.into()),
            };
            if key.chars().count() > 40 || metadata.len() > METADATA_KEYS {
                return Err(Refusal::about("parameter_invalid", name));
            }
            continue;
        }
        if value.is_empty() && name.starts_with("subscription_data[metadata][") {
            continue;
        }
        *place(object, name) = match value {
            "true" => true.into(),
            "false" => false.into(),
            "" => Value::Null,
            _ if NUMBERS.contains(&name) => value.parse::<i64>().unwrap().into(),
            _ => value.into(),
        };
    }
    shapes::complete(object);
    Ok(())
}

/// Parameters whose values are numbers.
const NUMBERS: [&str; 6] = [
    "unit_amount",
    "custom_unit_amount[preset]",
    "custom_unit_amount[minimum]",
    "custom_unit_amount[maximum]",
    "recurring[interval_count]",
    "subscription_data[trial_period_days]",
];

/// Where `a[b][0][c]` is, made if it is not there.
fn place<'a>(object: &'a mut Value, name: &str) -> &'a mut Value {
    let mut at = object;
    for part in name.split('[').map(|part| part.trim_end_matches(']')) {
        at = match part.parse::<usize>() {
            Ok(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let list = at.as_array_mut().unwrap();
                list.resize(list.len().max(index + 1), Value::Null);
                &mut list[index]
            }
            Err(_) => {
                if !at.is_object() {
                    *at = Value::Object(Map::new());
                }
                &mut at[part]
            }
        };
    }
    at
}

fn invalid_as(code: &'static str, name: &str) -> Refusal {
    Refusal { code, ..invalid(format!("Received unknown parameter: {name}")) }
}
