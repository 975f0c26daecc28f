use std::error::Error;

use effect_ledger::{Effect, EffectKey, SetAside};
use fulfilment::{Contribution, SupporterId, SupporterRow};

/// Which version of a record: changes whenever the record does.
///
/// A function of the record's content, so that the same events leave the same row whatever their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revision(pub(crate) String);

/// Where the records are kept.
pub(crate) trait Records {
    /// Writes contribution, supporter row and ledger row together, if the contribution is still the one the
    /// change was made from.
    fn save(&self, change: Change<'_>) -> impl Future<Output = Result<Saved, RecordsError>>;

    /// Notes in the ledger that the effect cannot happen. An effect that already did stays as it is.
    fn set_aside(
        &self,
        key: &EffectKey,
        set_aside: SetAside<'_>,
        event_id: &str,
        now: i64,
    ) -> impl Future<Output = Result<(), RecordsError>>;
}

/// Everything one event changes.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// The version the change was made from; `None` for a record that did not exist.
    pub(crate) revision: Option<&'a Revision>,
    /// The record after the event.
    pub(crate) contribution: Contribution,
    /// When the contribution may be deleted, in Unix seconds.
    pub(crate) expires_at: Option<i64>,
    /// The supporter's row after the event.
    pub(crate) supporter: Option<SupporterRow>,
    /// Whose row has to go, because a newer event says that somebody else paid.
    pub(crate) left_supporter: Option<SupporterId>,
    /// What the ledger notes as done.
    pub(crate) effect: Effect,
    /// `evt_…`, for the ledger.
    pub(crate) event_id: &'a str,
    /// Unix milliseconds, for the ledger.
    pub(crate) now: i64,
}

/// How a save ended.
#[derive(Debug)]
pub(crate) enum Saved {
    /// All of it is written.
    Written,
    /// None of it is: this is the record now, if that is known.
    Outdated(Option<Box<Stored>>),
}

/// A record and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) contribution: Contribution,
    pub(crate) revision: Revision,
}

/// The records did not answer. Always worth another try.
#[derive(Debug, thiserror::Error)]
#[error("the records did not answer ({operation})")]
pub(crate) struct RecordsError {
    pub(crate) operation: &'static str,
    #[source]
    pub(crate) source: Box<dyn Error + Send + Sync>,
}
