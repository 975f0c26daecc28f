use std::error::Error;

use effect_ledger::{Effect, MovedMoney};
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
}

/// Everything one event changes.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// The version the change was made from; `None` for a record that did not exist.
    pub(crate) revision: Option<&'a Revision>,
    /// The record after the event.
    pub(crate) contribution: Contribution,
    /// When the contribution may be deleted, in Unix seconds.
    pub(crate) expires_at: i64,
    /// The supporter's row after the event.
    pub(crate) supporter: Option<SupporterRow>,
    /// Whose row has to go, because a newer event says that somebody else paid.
    pub(crate) left_supporter: Option<SupporterId>,
    /// What the ledger notes as done: the event's own effect, and with a payment that has become known those
    /// that were waiting for it.
    pub(crate) notes: Vec<Note>,
    /// Unix milliseconds, for the ledger.
    pub(crate) now: i64,
}

/// What the ledger notes of one effect.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) effect: Effect,
    /// `evt_…`
    pub(crate) event_id: String,
    /// The money that a refund or a dispute holds back.
    pub(crate) moved: Option<MovedMoney>,
    /// When the row may be deleted, in Unix seconds: only while nobody knows the payment.
    pub(crate) expires_at: Option<i64>,
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
#[error("the records did not answer")]
pub(crate) struct RecordsError(#[source] pub(crate) Box<dyn Error + Send + Sync>);
