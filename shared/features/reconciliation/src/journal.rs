use effect_ledger::{Effect, StoreError};
use fulfilment::PaymentId;
use serde::{Deserialize, Serialize};

use crate::{Pending, PendingSearch, Sweep};

/// Where reconciliation writes down how far it has come and what it found missing.
pub trait Journal {
    /// How far it has come; `None` before the first run.
    fn position(&self) -> impl Future<Output = Result<Option<Position>, StoreError>>;

    /// Writes a position, if none was written since the one it was made from was read. The new position's revision is
    /// one more.
    fn save(&self, position: &Position) -> impl Future<Output = Result<Result<(), Overtaken>, StoreError>>;

    /// Everything that is missing, the oldest first.
    fn missing(&self) -> impl Future<Output = Result<Vec<Missing>, StoreError>>;

    /// Writes down that something is missing. Whether the caller puts it back now: not when that was done after
    /// `not_after` (Unix seconds), and not while another run is at it. Decided by the write's condition.
    ///
    /// The caller is at it for [`PUTTING_BACK_SECONDS`] from `now` on. What it puts back it then writes down by
    /// [`Journal::put_back`]; if it dies in between, nothing claims that the event was put back.
    fn record(
        &self,
        missing: &Missing,
        not_after: i64,
        now: i64,
    ) -> impl Future<Output = Result<bool, StoreError>>;

    /// Writes down that an event was put on the bus.
    fn put_back(&self, missing: &Missing, now: i64) -> impl Future<Output = Result<(), StoreError>>;

    /// Removes effects that are no longer missing.
    fn explained(&self, event_id: &str) -> impl Future<Output = Result<(), StoreError>>;

    /// Every session whose money is waited for.
    fn pending(&self) -> impl Future<Output = Result<Vec<Pending>, StoreError>>;

    /// Remembers a session whose money is waited for, unless it is remembered already.
    fn remember(&self, pending: &Pending) -> impl Future<Output = Result<(), StoreError>>;

    /// Writes down when a session is to be looked at again.
    fn postpone(&self, pending: &Pending) -> impl Future<Output = Result<(), StoreError>>;

    /// Strikes out a session whose money came, or will not come.
    fn decided(&self, session_id: &str) -> impl Future<Output = Result<(), StoreError>>;
}

/// How long a run has for putting back an event that it recorded, until another run may.
pub const PUTTING_BACK_SECONDS: i64 = 120;

/// An event is put back again only after this. A task that is well needs seconds.
pub const PUT_BACK_AGAIN_AFTER_SECONDS: i64 = 3600;

/// An event of which something is parked as well is put back again only after this: every task gets it, and one that
/// cannot act on it parks it once more.
pub const PUT_BACK_BESIDE_PARKED_AFTER_SECONDS: i64 = 24 * 3600;

/// How far reconciliation has come. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The fence: how often the position was written.
    pub revision: u64,
    /// What happened before is none of this deployment's business.
    pub began_at: i64,
    /// Everything up to here has been looked at.
    pub until: i64,
    /// The window that is being looked at.
    #[serde(default)]
    pub sweep: Option<Sweep>,
    /// The daily proof has been given up to here.
    pub proven_until: i64,
    /// The day that is being proven.
    #[serde(default)]
    pub proof: Option<Sweep>,
    /// How far the search for older pending sessions has come.
    #[serde(default)]
    pub pending_search: PendingSearch,
}

/// Another run wrote the position meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overtaken;

/// An event of which something is missing in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// `evt_…`
    pub event_id: String,
    /// Stripe's event type.
    pub event_type: String,
    /// The payment it is about.
    pub payment_id: PaymentId,
    /// The missing effects.
    pub effects: Vec<Effect>,
    /// When it happened, in Unix seconds.
    pub happened_at: i64,
    /// When it was last put back, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back_at: Option<i64>,
    /// Whether another effect of the event is parked or unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside_parked: bool,
}

impl Missing {
    /// In seconds.
    pub const fn put_back_again_after(&self) -> i64 {
        if self.beside_parked { PUT_BACK_BESIDE_PARKED_AFTER_SECONDS } else { PUT_BACK_AGAIN_AFTER_SECONDS }
    }
}
