use std::error::Error;

use effect_ledger::{Effect, EffectKey, MovedMoney};
use fulfilment::{Contribution, SupporterId, SupporterRow};

/// Which version of a record: changes whenever the record does.
///
/// A function of the record's content, so that the same events leave the same row whatever their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revision(pub(crate) String);

impl Revision {
    /// The version that no record has.
    pub(crate) const fn none() -> Self {
        Self(String::new())
    }
}

/// Where the records are kept.
pub(crate) trait Records {
    /// Writes contribution, supporter row and ledger rows together, if the contribution is still the one the
    /// change was made from and the change's other conditions hold.
    fn save(&self, change: RecordChange<'_>) -> impl Future<Output = Result<Saved, RecordsError>>;
}

/// Everything one event changes.
#[derive(Debug)]
pub(crate) struct RecordChange<'a> {
    /// The version the change was made from; `None` for a record that did not exist. No record has
    /// [`Revision::none`]: such a change is refused, and only asks for the record.
    pub(crate) revision: Option<&'a Revision>,
    /// The record after the event.
    pub(crate) contribution: Contribution,
    /// When the contribution may be deleted, in Unix seconds. `None` for what waits for a payment of ours: that comes
    /// whenever an operator sends it again.
    pub(crate) expires_at: Option<i64>,
    /// The supporter's row after the event.
    pub(crate) supporter: Option<SupporterRow>,
    /// Whose row has to go, because a newer event names another payer.
    pub(crate) left_supporter: Option<SupporterId>,
    /// What the ledger files as done: the event's own effect, and with a payment that has become known those
    /// that were waiting for it.
    pub(crate) entries: Vec<LedgerEntry>,
    /// Whether nothing may be written if the ledger has settled the event's own effect, the first of the entries.
    pub(crate) unless_settled: bool,
    /// Word for the thanks that money went back.
    pub(crate) raises: Option<RaisedVersion>,
    /// What the event says of a subscription, for its renewals.
    pub(crate) contract: Option<&'a ContractNote>,
    /// Unix milliseconds, for the ledger.
    pub(crate) now: i64,
}

/// What a session says of the subscription it begins.
#[derive(Debug)]
pub(crate) struct ContractNote {
    /// Under the subscription.
    pub(crate) key: EffectKey,
    /// `evt_…`
    pub(crate) event_id: String,
    /// [`fulfilment::SubscriptionContract`] as JSON. No personal data.
    pub(crate) contract: String,
}

/// One effect as the ledger files it.
#[derive(Debug)]
pub(crate) struct LedgerEntry {
    pub(crate) effect: Effect,
    /// `evt_…`
    pub(crate) event_id: String,
    /// The money that a refund or a dispute holds back.
    pub(crate) moved: Option<MovedMoney>,
    /// When the row may be deleted, in Unix seconds: only while the payment is not known.
    pub(crate) expires_at: Option<i64>,
}

/// The raised version of an effect's row: its executor has to read the payment's other rows first.
#[derive(Debug)]
pub(crate) struct RaisedVersion {
    pub(crate) key: EffectKey,
    /// When the row expires, in Unix seconds: only while the payment is not known, and only if no executor has
    /// begun the effect. Then nothing is written.
    pub(crate) expires_at: Option<i64>,
}

/// How a save ended.
#[derive(Debug)]
pub(crate) enum Saved {
    /// All of it is written.
    Written,
    /// None of it is.
    Refused(CurrentRows),
}

/// What a refused save found.
#[derive(Debug, Default)]
pub(crate) struct CurrentRows {
    /// The record as it is now, if it is not the one the change was made from and is known.
    pub(crate) record: Option<Box<Stored>>,
    /// There is no record, though the change was made from one.
    pub(crate) is_absent: bool,
    /// The ledger has settled the event's own effect.
    pub(crate) already_settled: bool,
    /// An executor has begun the effect whose version is raised: the payment is ours.
    pub(crate) is_ours: bool,
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
