use aws::{BusEntry, EventBridgeBus, NotPut};
use stripe_events::Source;

use crate::DailyProof;

/// The bus on which events are put back and the daily proof is published.
pub trait FulfilmentBus {
    /// Puts events on the bus. `Ok` only once the bus has taken all of them; otherwise it may have taken some.
    fn put(&self, entries: &[BusEntry]) -> impl Future<Output = Result<(), NotPut>>;
}

impl FulfilmentBus for EventBridgeBus {
    async fn put(&self, entries: &[BusEntry]) -> Result<(), NotPut> {
        self.put_all(entries).await
    }
}

/// An event that is put back.
pub(crate) fn replay(event_type: &str, json: String) -> BusEntry {
    BusEntry { source: Source::RECONCILE_SOURCE, detail_type: event_type.to_owned(), detail: json }
}

/// The proof of a day.
pub(crate) fn proof_entry(proof: &DailyProof) -> BusEntry {
    let detail = serde_json::to_string(proof).unwrap_or_default();
    BusEntry { source: DailyProof::SOURCE, detail_type: DailyProof::DETAIL_TYPE.to_owned(), detail }
}
