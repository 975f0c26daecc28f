use std::error::Error;

use effect_ledger::Attempted;
use fulfilment::AcquisitionEvent;

/// Where analysts listen.
pub(crate) trait AcquisitionBus {
    /// Publishes one event. `Accepted` carries the bus's own id of it.
    ///
    /// An entry that may not have arrived is published again: consumers drop an `event_id` they have seen.
    fn publish(&self, event: &AcquisitionEvent) -> impl Future<Output = Attempted<NotPublished>>;
}

/// Why an event was not published, or perhaps not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPublished {
    /// The event may have arrived all the same.
    #[error("the acquisition bus did not answer")]
    NoAnswer(#[source] Box<dyn Error + Send + Sync>),
    /// The bus answered, and the answer is that it did not take this entry; perhaps later.
    #[error("the acquisition bus did not take the entry ({0})")]
    NotTaken(String),
    /// The bus will never take this entry.
    #[error("the acquisition bus refuses the entry ({0})")]
    Refused(String),
}

impl NotPublished {
    /// A short name for the ledger and the metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::NoAnswer(_) => "bus_unavailable",
            Self::NotTaken(_) => "entry_not_taken",
            Self::Refused(_) => "entry_refused",
        }
    }
}
