//! The protocol over the ledger's rows: claim, act, settle.
//!
//! An outside call and a write of the ledger cannot be one transaction, so a crash between them is always possible. The
//! protocol makes every such crash visible, and leaves the decision to the effect's delivery guarantee.
//!
//! ```text
//!  executor            ledger row                      outside
//!     │── claim ────────▶ claimed(owner, attempt, lease)
//!     │── call ─────────────────────────────────────────▶│
//!     │◀─ reply ─────────────────────────────────────────│
//!     │── settle ───────▶ done | retry | parked | unknown
//! ```
//!
//! * A claim is written right before the call, once everything that can fail without the call has succeeded. It names its
//!   owner (one message in one invocation), counts the attempt, and carries a lease that ends after the function can
//!   still be running.
//! * Owner and attempt are the fencing token: a settlement applies only while the row still has both.
//! * A claim whose lease has ended means that its executor died, before or after the call. At most once, the effect
//!   becomes `unknown`, for an operator to resolve. At least once, the next executor claims it again.
//! * The row counts later facts about the payment as its **version** (attribute `news`). An effect that is performed at
//!   most once is claimed only with the version that the executor expects: `thank-you-email` reads the payment's other
//!   rows when a refund has raised it, and needs no query when the version is 0. An effect that is performed at least
//!   once reads the version from its settlement and catches up afterwards. Both sides write the same row, so whichever
//!   comes second sees the other.

use std::time::Duration;

use aws::Clock;

use crate::{Claim, EffectKey, EffectRow, EffectState, Guarantee, MovedMoney, Settlement, Standing, Subject};

/// Conditional writes on the ledger's rows. Each either happens whole or not at all.
pub trait EffectStore {
    /// Claims the effect if it is [`Standing::Free`] at `now` and, for an effect that is performed at most once, the row
    /// has the version that the executor expects.
    ///
    /// A claim that is already this very executor's (the store's own retry after a lost reply) counts as granted.
    fn claim(
        &self,
        key: &EffectKey,
        executor: &Executor<'_>,
        now: i64,
    ) -> impl Future<Output = Result<Result<Claim, NotGranted>, StoreError>>;

    /// Ends a claim if it is still that owner's and attempt's. Returns the row's version.
    ///
    /// A claim that already ended this way (again a lost reply) counts as written.
    fn settle(
        &self,
        key: &EffectKey,
        claim: &Claim,
        settlement: &Settlement,
        now: i64,
    ) -> impl Future<Output = Result<Result<u32, Refused>, StoreError>>;

    /// Writes a disposition without a claim, unless the effect is claimed or settled.
    ///
    /// `Ok(Err(row))` is the row that stood in the way.
    fn write_disposition(
        &self,
        key: &EffectKey,
        disposition: Disposition<'_>,
        event_id: &str,
        now: i64,
    ) -> impl Future<Output = Result<Result<(), EffectRow>, StoreError>>;

    /// Marks a claim that stood in another delivery's way, so that it is listed among the open effects. No change if it
    /// has been settled meanwhile.
    fn mark_contended(&self, key: &EffectKey, claim: &Claim) -> impl Future<Output = Result<(), StoreError>>;

    /// Raises the version of the effect's row. Returns the effect's state, `None` while no executor has begun it.
    ///
    /// While no executor has begun it, the row expires at `expires_at` (Unix seconds): the payment is probably another
    /// business's.
    fn raise_version(
        &self,
        key: &EffectKey,
        expires_at: i64,
    ) -> impl Future<Output = Result<Option<EffectState>, StoreError>>;

    /// Every effect of a subject that an executor has begun.
    fn of_subject(&self, subject: &Subject) -> impl Future<Output = Result<Vec<EffectRow>, StoreError>>;
}

/// The party that acts, and until when it may.
#[derive(Debug, Clone, Copy)]
pub struct Executor<'a> {
    /// Unique to one message in one invocation.
    pub owner: &'a str,
    /// When the lease ends, in Unix milliseconds: the function's deadline and a margin, because a timeout may
    /// kill late.
    pub lease_until: i64,
    /// `evt_…`, for the operator.
    pub event_id: &'a str,
    /// How the effect is performed, in a sentence for the operator. Never personal data.
    pub detail: Option<&'a str>,
    /// The version of the row up to which this executor has read the payment's other rows; 0 for none.
    pub expected_version: u32,
}

impl Executor<'_> {
    /// When an unsettled claim of this effect expires by itself, in Unix seconds; `None` for never.
    pub fn claim_expires_at(&self, key: &EffectKey) -> Option<i64> {
        let kept_seconds = key.effect.claim_kept_seconds()?;
        Some((self.lease_until / 1000).saturating_add(kept_seconds))
    }
}

/// The reason for which a claim is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotGranted {
    /// This row stands in the way.
    InTheWay(Box<EffectRow>),
    /// The row has another version than the executor expects: this one.
    Stale(u32),
}

/// How an effect ends for now without an attempt at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition<'a> {
    /// Deliberately not performed, with the reason code.
    Skip(&'a str),
    /// Cannot be performed until an operator or a marketer fixes its cause.
    Park {
        /// The reason code.
        reason: &'a str,
        /// The cause in a sentence. Never personal data.
        detail: &'a str,
    },
    /// Not performed because its payment is not known yet. The row says `retry`, so that the payment's own event can
    /// claim it, and holds what that takes.
    AwaitPayment {
        /// The reason code.
        reason: &'a str,
        /// The money that moved.
        moved: MovedMoney,
        /// Stripe's word for why. Never personal data.
        moved_reason: Option<&'a str>,
        /// When the row expires, in Unix seconds: the payment is probably another business's. `None` for a payment that
        /// is known to be ours. A claim lifts it.
        expires_at: Option<i64>,
    },
}

impl Disposition<'_> {
    /// The name of the state that is written.
    pub const fn state_name(&self) -> &'static str {
        match self {
            Self::Skip(_) => "skipped",
            Self::Park { .. } => "parked",
            Self::AwaitPayment { .. } => "retry",
        }
    }

    /// The reason code.
    pub const fn reason(&self) -> &str {
        match self {
            Self::Skip(reason) | Self::Park { reason, .. } | Self::AwaitPayment { reason, .. } => reason,
        }
    }
}

/// A write's condition did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// The ledger did not answer. Always worth another try.
#[derive(Debug, thiserror::Error)]
#[error("the effect ledger did not answer ({operation})")]
pub struct StoreError {
    /// The call that failed.
    pub operation: &'static str,
    /// The SDK's error.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The end of an outside call.
#[derive(Debug)]
pub enum Attempted<E> {
    /// Accepted; with the other side's id for it.
    Accepted(String),
    /// Proven to have had no effect; worth another try later.
    NotDone(E),
    /// Refused for good.
    Rejected(E),
    /// It may or may not have had an effect.
    Ambiguous(E),
}

/// The end of [`perform`].
#[derive(Debug)]
pub enum Performed<E> {
    /// Done now.
    Done {
        /// The row's version when it was settled.
        version: u32,
    },
    /// There was nothing left to do: done, skipped or unknown since earlier.
    AlreadySettled {
        /// The effect's state.
        state: EffectState,
        /// The row's version.
        version: u32,
    },
    /// Nothing was done: the row has this version, which is not the one that the executor expects.
    Stale {
        /// The row's version.
        version: u32,
    },
    /// Another executor holds the claim.
    Busy,
    /// Proven not done; or not known to be, and performed at least once. The ledger says `retry`.
    NotDone(E),
    /// Refused for good. The ledger says `parked`.
    Rejected(E),
    /// The reply was lost. The ledger says `unknown` now.
    Ambiguous(E),
    /// An earlier executor died holding the claim. The ledger says `unknown` now.
    Abandoned,
    /// The call was made, but the lease had ended meanwhile; the executor that ended it decided.
    LeaseLost,
}

/// Performs an outside effect under the ledger's protocol: claim, act, settle.
///
/// Everything that can fail without the outside call belongs before this. `reason` gives an error's code for the ledger.
///
/// # Errors
///
/// When the ledger does not answer. If that happens after the call was made, the claim stays and its lease runs out, so
/// that the next delivery finds it ambiguous.
pub async fn perform<S: EffectStore, E>(
    store: &S,
    clock: &impl Clock,
    key: &EffectKey,
    executor: Executor<'_>,
    act: impl AsyncFnOnce() -> Attempted<E>,
    reason: impl Fn(&E) -> &'static str,
) -> Result<Performed<E>, StoreError> {
    let now = clock.now_ms();
    let claim = match store.claim(key, &executor, now).await? {
        Ok(claim) => claim,
        Err(NotGranted::Stale(version)) => return Ok(Performed::Stale { version }),
        Err(NotGranted::InTheWay(row)) => return in_the_way(store, key, *row, now).await,
    };
    let (settlement, performed) = match act().await {
        Attempted::Accepted(reference) => (Settlement::Done { reference }, Performed::Done { version: 0 }),
        Attempted::NotDone(error) => {
            (Settlement::Retry { reason: reason(&error).to_owned() }, Performed::NotDone(error))
        }
        Attempted::Rejected(error) => {
            (Settlement::Parked { reason: reason(&error).to_owned() }, Performed::Rejected(error))
        }
        Attempted::Ambiguous(error) => {
            let reason = reason(&error).to_owned();
            match key.effect.guarantee() {
                Guarantee::AtMostOnce => (Settlement::Unknown { reason }, Performed::Ambiguous(error)),
                // Done or not, it may be done again.
                Guarantee::AtLeastOnce => (Settlement::Retry { reason }, Performed::NotDone(error)),
            }
        }
    };
    match settle_persistently(store, clock, key, &claim, &settlement).await? {
        Ok(version) if matches!(performed, Performed::Done { .. }) => Ok(Performed::Done { version }),
        Ok(_) => Ok(performed),
        Err(Refused) => Ok(Performed::LeaseLost),
    }
}

/// What a row that stood in the way of a claim means.
async fn in_the_way<S: EffectStore, E>(
    store: &S,
    key: &EffectKey,
    row: EffectRow,
    now: i64,
) -> Result<Performed<E>, StoreError> {
    match EffectState::standing(Some(&row.state), key.effect.guarantee(), now) {
        Standing::Ambiguous(expired) => match settle_abandoned(store, key, expired, now).await? {
            Ok(()) => Ok(Performed::Abandoned),
            Err(Refused) => Ok(Performed::Busy),
        },
        Standing::Settled => Ok(Performed::AlreadySettled { state: row.state, version: row.version }),
        // `Free` cannot stand in the way; if the store says so, its row changed in between.
        Standing::Free => Ok(Performed::Busy),
        Standing::Busy(claim) => {
            store.mark_contended(key, claim).await?;
            Ok(Performed::Busy)
        }
    }
}

/// How often a settlement is tried while the ledger does not answer: the outcome of the call is known now, and lost if
/// it is not written. Each try has the store's own retries and pauses.
const SETTLE_TRIES: u32 = 3;

/// Longer than a transaction that raises the row's version holds the row: a write that meets one is refused at once,
/// and the store does not retry.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

async fn settle_persistently<S: EffectStore>(
    store: &S,
    clock: &impl Clock,
    key: &EffectKey,
    claim: &Claim,
    settlement: &Settlement,
) -> Result<Result<u32, Refused>, StoreError> {
    let mut settled = store.settle(key, claim, settlement, clock.now_ms()).await;
    for _ in 1..SETTLE_TRIES {
        if settled.is_err() {
            clock.sleep(SETTLE_PAUSE).await;
            settled = store.settle(key, claim, settlement, clock.now_ms()).await;
        }
    }
    settled
}

/// The end of [`dispose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposed {
    /// The ledger says so now.
    Written,
    /// It was done, skipped or unknown since earlier.
    AlreadySettled,
    /// An earlier executor died holding the claim. The ledger says `unknown` now.
    Abandoned,
}

/// Another delivery holds the claim of this effect, or died holding it and will be received again.
#[derive(Debug, thiserror::Error)]
#[error("another delivery is performing this effect")]
pub struct Busy;

/// Ends an effect without an attempt, unless it is settled already.
///
/// An expired claim is dealt with as [`perform`] does, so that none is left behind.
///
/// # Errors
///
/// When the ledger does not answer, or another delivery holds the claim: then this one has to wait for it.
pub async fn dispose<S: EffectStore, E: From<StoreError> + From<Busy>>(
    store: &S,
    clock: &impl Clock,
    key: &EffectKey,
    disposition: Disposition<'_>,
    event_id: &str,
) -> Result<Disposed, E> {
    let now = clock.now_ms();
    let Err(row) = store.write_disposition(key, disposition, event_id, now).await? else {
        return Ok(Disposed::Written);
    };
    match EffectState::standing(Some(&row.state), key.effect.guarantee(), now) {
        Standing::Settled => Ok(Disposed::AlreadySettled),
        Standing::Ambiguous(expired) => match settle_abandoned(store, key, expired, now).await? {
            Ok(()) => Ok(Disposed::Abandoned),
            Err(Refused) => Err(Busy.into()),
        },
        Standing::Busy(claim) => {
            store.mark_contended(key, claim).await?;
            Err(Busy.into())
        }
        // A claim that may be taken over: its own message is received again and does so.
        Standing::Free => Err(Busy.into()),
    }
}

/// Makes an expired claim `unknown`, fenced by that claim: an executor that settled it meanwhile wins.
async fn settle_abandoned<S: EffectStore>(
    store: &S,
    key: &EffectKey,
    expired: &Claim,
    now: i64,
) -> Result<Result<(), Refused>, StoreError> {
    let unknown = Settlement::Unknown { reason: "lease_expired".to_owned() };
    Ok(store.settle(key, expired, &unknown, now).await?.map(drop))
}
