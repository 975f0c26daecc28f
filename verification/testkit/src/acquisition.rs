//! Whether a published event keeps to the schema that analysts were given.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = include_str!("../../../docs/acquisition-event.v1.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
});

/// Where an event breaks `docs/acquisition-event.v1.schema.json`, and how; empty when it does not.
pub fn violations(event: &Value) -> Vec<String> {
    SCHEMA.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        serde_json::from_str(include_str!("../../../docs/acquisition-event.v1.schema.json")).unwrap()
    }

    fn fields() -> Vec<String> {
        schema()["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_field_has_to_be_there() {
        let mut required: Vec<_> = schema()["required"]
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
    fn what_the_schema_does_not_know_is_refused() {
        let violations = violations(&json!({ "email": "ada@example.org" }));
        assert!(violations.iter().any(|violation| violation.contains("'email'")), "{violations:?}");
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
