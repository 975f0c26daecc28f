//! Whether a published event keeps to the schema that analysts were given.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// The schema that analysts read: fields may be added to it.
fn published() -> Value {
    serde_json::from_str(include_str!("../../../docs/acquisition-event.v1.schema.json")).unwrap()
}

/// The same schema for our own events: no object may have a field that it does not name, so that a field cannot be
/// published before it is in the schema.
fn closed() -> Value {
    let mut schema = published();
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // Not the schemas that apply under a condition: they name only what they restrict.
            if fields.get("type") == Some(&Value::from("object")) {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

static CLOSED: LazyLock<Validator> = LazyLock::new(|| validator(&closed()));

/// Where an event breaks `docs/acquisition-event.v1.schema.json`, or has a field that it does not name; empty when it
/// does neither.
pub fn violations(event: &Value) -> Vec<String> {
    CLOSED.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields() -> Vec<String> {
        published()["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_field_has_to_be_there() {
        let mut required: Vec<_> = published()["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        required.sort();
        assert_eq!(required, fields());
        assert_eq!(violations(&json!({})).len(), fields().len());
    }

    #[test]
    fn a_field_may_be_added_for_analysts_and_not_by_our_own_events() {
        let open = validator(&published());
        let missing = open.iter_errors(&json!({})).count();
        for event in [
            json!({ "email": "ada@example.org" }),
            json!({ "ab_tests": [{ "name": "a", "variant": "b", "group": "c" }] }),
        ] {
            let named = event.as_object().unwrap().keys().filter(|name| fields().contains(name)).count();
            let refused: Vec<_> = open.iter_errors(&event).map(|error| error.to_string()).collect();
            assert_eq!(refused.len(), missing - named, "the published schema refuses no more: {refused:?}");
            let added = if named == 0 { "'email'" } else { "'group'" };
            let violations = violations(&event);
            assert!(violations.iter().any(|violation| violation.contains(added)), "{violations:?}");
        }
    }

    #[test]
    fn the_analysts_tables_have_a_column_for_every_field_and_no_other() {
        let document = include_str!("../../../docs/ACQUISITION-EVENTS.md");
        for create in [
            "CREATE TABLE analytics.acquisition_events (",
            "CREATE EXTERNAL TABLE analytics.acquisition_events (",
        ] {
            let columns = document.split(create).nth(1).unwrap().split("\n)").next().unwrap();
            let mut columns: Vec<_> = columns
                .lines()
                .filter_map(|line| line.split_whitespace().next())
                .map(str::to_owned)
                .collect();
            columns.sort();
            assert_eq!(columns, fields(), "{create}");
        }
    }
}
