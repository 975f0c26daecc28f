//! EventBridge: what buses were given.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Response, read};

#[derive(Debug, Default)]
pub(super) struct EventBridge {
    pub(super) buses: BTreeSet<String>,
    pub(super) events: Vec<BusEvent>,
    accepted: u64,
}

/// An event that a bus accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct BusEvent {
    /// The name of the bus.
    pub bus: String,
    /// EventBridge's own id.
    pub id: String,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// Who says it.
    pub source: String,
    /// What kind of event it is.
    pub detail_type: String,
    /// The event.
    pub detail: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    event_bus_name: Option<String>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    detail_type: String,
    #[serde(default)]
    detail: String,
}

/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
const MAX_ENTRIES: usize = 10;
const MAX_BYTES: usize = 1024 * 1024;

impl EventBridge {
    pub(super) fn answer(&mut self, now_ms: i64, operation: &str, body: &[u8]) -> Response {
        assert_eq!(operation, "PutEvents", "the cloud in memory knows no other operation of EventBridge");
        let PutEvents { entries } = read(operation, body);
        if !(1..=MAX_ENTRIES).contains(&entries.len()) {
            return invalid(&format!(
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length between 1 and {MAX_ENTRIES}, inclusive"
            ));
        }
        let bytes = |entry: &Entry| entry.source.len() + entry.detail_type.len() + entry.detail.len();
        if entries.iter().map(bytes).sum::<usize>() > MAX_BYTES {
            return invalid("Total size of the entries in the request is over the limit.");
        }
        let answers: Vec<_> = entries.into_iter().map(|entry| self.put(now_ms, entry)).collect();
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        let answers: Vec<_> = answers
            .into_iter()
            .map(|answer| match answer {
                Ok(id) => json!({ "EventId": id }),
                Err((code, message)) => json!({ "ErrorCode": code, "ErrorMessage": message }),
            })
            .collect();
        Response::json(200, &json!({ "FailedEntryCount": failed, "Entries": answers }))
    }

    /// The entry's event id. A bus that does not exist takes everything and keeps nothing.
    fn put(&mut self, now_ms: i64, entry: Entry) -> Result<String, (&'static str, String)> {
        let Entry { event_bus_name, source, detail_type, detail } = entry;
        for (name, value) in [("Source", &source), ("DetailType", &detail_type), ("Detail", &detail)] {
            if value.is_empty() {
                let message =
                    format!("Parameter {name} is not valid. Reason: {name} is a required argument.");
                return Err(("InvalidArgument", message));
            }
        }
        if source.starts_with("aws.") {
            return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".to_owned()));
        }
        let detail: Value = match serde_json::from_str(&detail) {
            Ok(detail @ Value::Object(_)) => detail,
            Ok(_) | Err(_) => return Err(("MalformedDetail", "Detail is malformed.".to_owned())),
        };
        self.accepted += 1;
        let id = format!("{:08x}-0000-4000-9000-000000000000", self.accepted);
        let bus = event_bus_name.unwrap_or_else(|| "default".to_owned());
        // A bus may be named by its ARN as well.
        let bus = bus.rsplit('/').next().unwrap_or_default().to_owned();
        if self.buses.contains(&bus) {
            self.events.push(BusEvent { bus, id: id.clone(), at_ms: now_ms, source, detail_type, detail });
        }
        Ok(id)
    }
}

fn invalid(message: &str) -> Response {
    Response::json(400, &json!({ "__type": "ValidationException", "message": message }))
}

/// What EventBridge answers when it throttles the whole call.
pub(super) fn throttled() -> Response {
    Response::json(400, &json!({ "__type": "ThrottlingException", "message": "Rate exceeded" }))
}

/// What EventBridge answers when it throttles an entry: a success, with the last entry refused.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
pub(super) fn entry_throttled(body: &[u8]) -> Response {
    let PutEvents { entries } = read("PutEvents", body);
    let mut answers: Vec<_> = (1..entries.len())
        .map(|index| json!({ "EventId": format!("{index:08x}-0000-4000-9000-000000000001") }))
        .collect();
    answers.push(json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded" }));
    Response::json(200, &json!({ "FailedEntryCount": 1, "Entries": answers }))
}
