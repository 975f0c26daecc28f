use serde::{Deserialize, Serialize};

/// The place of an event among a payment's events: by time, then by id.
///
/// Stripe's times have a resolution of one second and its ids are not in order of time, so the id only settles
/// ties, the same way on every machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AsOf {
    /// When the event happened, in Unix seconds.
    #[serde(rename = "as_of")]
    pub occurred_at: i64,
    /// `evt_…`
    #[serde(rename = "as_of_event")]
    pub event_id: String,
}
