use std::error::Error;

use effect_ledger::EffectKey;
use fulfilment::Consents;

/// Where consents are kept.
pub(crate) trait ConsentRecords {
    /// Writes evidence, states and the ledger's row together: all of it or nothing.
    ///
    /// The evidence must not be there yet, each state must outrank the one that is there, and the ledger must not say
    /// that the effect is done.
    fn save(&self, change: ConsentChange<'_>) -> impl Future<Output = Result<Saved, RecordsError>>;
}

/// Everything one event changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConsentChange<'a> {
    pub(crate) consents: &'a Consents,
    /// What the ledger notes as done.
    pub(crate) key: &'a EffectKey,
    /// `evt_…`, for the ledger.
    pub(crate) event_id: &'a str,
    /// Unix milliseconds, for the ledger.
    pub(crate) now: i64,
}

/// How a save ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// All of it is written.
    Written,
    /// None of it is: the evidence is there already, so an earlier delivery wrote it all.
    AlreadyThere {
        /// The ledger says so too.
        is_done: bool,
    },
    /// None of it is: the ledger says that it was written, but the evidence is gone.
    Gone,
    /// None of it is: these states (by their `record`) are outranked by the stored ones.
    Outranked(Vec<String>),
    /// None of it is: another write of one of the rows was under way.
    Conflict,
}

/// The records did not answer. Always worth another try.
#[derive(Debug, thiserror::Error)]
#[error("the consents did not answer")]
pub(crate) struct RecordsError(#[source] pub(crate) Box<dyn Error + Send + Sync>);
