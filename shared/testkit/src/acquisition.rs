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
