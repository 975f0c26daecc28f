use std::time::Duration;

use fulfilment::Contribution;

use crate::{Claim, Effect, EffectKey, EffectRow, EffectState, MovedMoney, Policy, Settlement, Standing};

/// The time, as an argument: real in the functions, controlled in tests.
pub trait Clock {
    /// Unix milliseconds.
    fn now_ms(&self) -> i64;

    /// Resolves once this much time has passed.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// Conditional writes on the ledger's rows. Each either happens whole or not at all.
pub trait EffectStore {
    /// Claims the effect if it is [`Standing::Free`] at `now` and, to act at most once, the executor knows all news.
    ///
    /// A claim that is already this very executor's (the store's own retry after a lost reply) counts as granted.
    fn claim(
        &self,
        key: &EffectKey,
        policy: Policy,
        executor: &Executor<'_>,
        now: i64,
    ) -> impl Future<Output = Result<Result<Claim, NotGranted>, StoreError>>;

    /// Ends a claim, if it is still that owner's and attempt's, and says how often news was left on the row.
    ///
    /// A claim that already ended this way (again a lost reply) counts as written.
    fn settle(
        &self,
        key: &EffectKey,
        claim: &Claim,
        settlement: &Settlement,
        now: i64,
    ) -> impl Future<Output = Result<Result<u32, Refused>, StoreError>>;

    /// Writes what `set_aside` says where nothing was claimed, unless the effect is claimed or settled.
    ///
    /// `Ok(Err(row))` is the row that stood in the way.
    fn set_aside(
        &self,
        key: &EffectKey,
        set_aside: SetAside<'_>,
        event_id: &str,
        now: i64,
    ) -> impl Future<Output = Result<Result<(), EffectRow>, StoreError>>;

    /// Notes that this claim stood in another delivery's way, so that an operator finds it among what is open. No
    /// change if it has been settled meanwhile.
    fn note_in_the_way(&self, key: &EffectKey, claim: &Claim)
    -> impl Future<Output = Result<(), StoreError>>;

    /// Leaves word on the effect's row that there is news of its payment, and says where the effect stands.
    ///
    /// Both are one write of one row, as claims and settlements are, so either its executor hears of the news or
    /// whoever left it sees the executor. While nobody has begun the effect, the word goes away at `expires_at` (Unix
    /// seconds): the payment is probably another business's.
    fn leave_news(
        &self,
        key: &EffectKey,
        expires_at: i64,
    ) -> impl Future<Output = Result<Option<EffectState>, StoreError>>;

    /// Every effect of a payment that somebody has begun.
    fn of_payment(
        &self,
        payment_id: &fulfilment::PaymentId,
    ) -> impl Future<Output = Result<Vec<EffectRow>, StoreError>>;
}

/// Who wants to act, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Executor<'a> {
    /// Unique to one message in one invocation.
    pub owner: &'a str,
    /// When the lease ends, in Unix milliseconds: the function's deadline and a margin, because a timeout may
    /// kill late.
    pub lease_until: i64,
    /// `evt_…`, for the operator.
    pub event_id: &'a str,
    /// How much of the news on the effect's row it has looked at: 0 for somebody who has not looked.
    pub knows: u32,
}

impl Executor<'_> {
    /// When the claim of this effect goes away by itself, in Unix seconds: `None` for all but questions. A question's
    /// claim that the ledger takes late, once no answer is needed, would else be open for ever.
    pub fn forgotten_at(&self, key: &EffectKey) -> Option<i64> {
        let is_question = key.effect == Effect::lookup();
        is_question
            .then(|| (self.lease_until / 1000).saturating_add(Contribution::UNKNOWN_PAYMENT_KEPT_SECONDS))
    }
}

/// Why a claim is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotGranted {
    /// This row stands in the way.
    InTheWay(Box<EffectRow>),
    /// There is news that the executor does not know: so much of it. The payment's other rows tell what it is.
    News(u32),
}

/// What is written where nothing is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetAside<'a> {
    /// Deliberately not done, and why in a short word.
    Skipped(&'a str),
    /// Cannot be done until somebody mends something, and why in a short word.
    Parked(&'a str),
    /// Not done because the payment it is about is not known, and why in a short word. The row says `retry`, so
    /// that the payment's own event can claim it, and what it takes to do it then. It goes away at `expires_at`
    /// (Unix seconds) where the payment is probably another business's, and stays where it is ours. A claim keeps it.
    Waiting {
        /// The short word.
        reason: &'a str,
        /// The money it is about.
        moved: MovedMoney,
        /// When nobody waits any longer; `None` for a payment that is known to be ours.
        expires_at: Option<i64>,
    },
}

impl SetAside<'_> {
    /// The name of the state that is written.
    pub const fn state_name(&self) -> &'static str {
        match self {
            Self::Skipped(_) => "skipped",
            Self::Parked(_) => "parked",
            Self::Waiting { .. } => "retry",
        }
    }

    /// Why, in a short word.
    pub const fn reason(&self) -> &str {
        match self {
            Self::Skipped(reason) | Self::Parked(reason) | Self::Waiting { reason, .. } => reason,
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
    /// Which call.
    pub operation: &'static str,
    /// What the SDK said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What an outside call turned out to be.
#[derive(Debug)]
pub enum Attempted<E> {
    /// Accepted; with the other side's id for it.
    Accepted(String),
    /// Proven to have had no effect; worth another try later.
    NotDone(E),
    /// Refused for good.
    Rejected(E),
    /// Nobody can tell whether it had an effect.
    Ambiguous(E),
}

/// How [`perform`] ended.
#[derive(Debug)]
pub enum Performed<E> {
    /// Done now.
    Done {
        /// How often news of the payment was left meanwhile and before.
        news: u32,
    },
    /// There was nothing left to do: done, skipped or unknown since earlier.
    AlreadySettled {
        /// Where it stands.
        state: EffectState,
        /// How often news of the payment was left.
        news: u32,
    },
    /// Nothing was done: there is so much news of the payment, which the executor does not know.
    News(u32),
    /// Another executor is at it.
    Busy,
    /// Proven not done, or not known to be by the policy that acts again. The ledger says `retry`.
    NotDone(E),
    /// Refused for good. The ledger says `parked`.
    Rejected(E),
    /// The reply was lost. The ledger says `unknown` now.
    Ambiguous(E),
    /// An earlier executor died at it. The ledger says `unknown` now.
    Abandoned,
    /// The call was made, but the lease had ended meanwhile; whoever ended it decided.
    LeaseLost,
}

/// Does an outside effect under the ledger's protocol: claim, act, settle.
///
/// Everything that can fail without the outside call belongs before this. `reason` names an error in a short
/// word for the ledger.
///
/// # Errors
///
/// When the ledger does not answer. If that happens after the call was made, the claim stays and runs out, so
/// that the next delivery finds it ambiguous.
pub async fn perform<S: EffectStore, E>(
    store: &S,
    clock: &impl Clock,
    key: &EffectKey,
    policy: Policy,
    executor: Executor<'_>,
    act: impl AsyncFnOnce() -> Attempted<E>,
    reason: impl Fn(&E) -> &'static str,
) -> Result<Performed<E>, StoreError> {
    let now = clock.now_ms();
    let claim = match store.claim(key, policy, &executor, now).await? {
        Ok(claim) => claim,
        Err(NotGranted::News(news)) => return Ok(Performed::News(news)),
        Err(NotGranted::InTheWay(row)) => {
            return match EffectState::standing(Some(&row.state), policy, now) {
                Standing::Ambiguous(expired) => match settle_abandoned(store, key, expired, now).await? {
                    Ok(()) => Ok(Performed::Abandoned),
                    Err(Refused) => Ok(Performed::Busy),
                },
                Standing::Settled => Ok(Performed::AlreadySettled { state: row.state, news: row.news }),
                // `Free` cannot stand in the way; if the store says so, its row changed in between.
                Standing::Free => Ok(Performed::Busy),
                Standing::Busy(claim) => {
                    store.note_in_the_way(key, claim).await?;
                    Ok(Performed::Busy)
                }
            };
        }
    };
    let (settlement, performed) = match act().await {
        Attempted::Accepted(reference) => (Settlement::Done { reference }, Performed::Done { news: 0 }),
        Attempted::NotDone(error) => {
            (Settlement::Retry { reason: reason(&error).to_owned() }, Performed::NotDone(error))
        }
        Attempted::Rejected(error) => {
            (Settlement::Parked { reason: reason(&error).to_owned() }, Performed::Rejected(error))
        }
        Attempted::Ambiguous(error) => {
            let reason = reason(&error).to_owned();
            match policy {
                Policy::AtMostOnce => (Settlement::Unknown { reason }, Performed::Ambiguous(error)),
                // Done or not, it may be done again.
                Policy::AtLeastOnce => (Settlement::Retry { reason }, Performed::NotDone(error)),
            }
        }
    };
    let mut settled = store.settle(key, &claim, &settlement, clock.now_ms()).await;
    for _ in 1..SETTLE_TRIES {
        if settled.is_err() {
            clock.sleep(SETTLE_PAUSE).await;
            settled = store.settle(key, &claim, &settlement, clock.now_ms()).await;
        }
    }
    match settled? {
        Ok(news) if matches!(performed, Performed::Done { .. }) => Ok(Performed::Done { news }),
        Ok(_) => Ok(performed),
        Err(Refused) => Ok(Performed::LeaseLost),
    }
}

/// How often what came of a call is written down, if the ledger does not answer: what is known now is unknown for
/// ever if it is not. Each try has the store's own retries and pauses.
const SETTLE_TRIES: u32 = 3;

/// Longer than a transaction that leaves news on the row keeps it to itself: what meets one is refused at once, and
/// the store does not try again.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// How [`put_aside`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutAside {
    /// The ledger says so now.
    Written,
    /// It was done, skipped or unknown since earlier.
    AlreadySettled,
    /// An earlier executor died at it. The ledger says `unknown` now.
    Abandoned,
}

/// Another delivery is at this effect, or died at it and will come again.
#[derive(Debug, thiserror::Error)]
#[error("another delivery is at this effect")]
pub struct Busy;

/// Ends an effect that is not to be acted on, unless that is over already.
///
/// Nobody may leave behind a claim that nobody comes back to: an expired one is dealt with as [`perform`] does.
///
/// # Errors
///
/// When the ledger does not answer, or another delivery is at the effect: then this one has to wait for it.
pub async fn put_aside<S: EffectStore, E: From<StoreError> + From<Busy>>(
    store: &S,
    clock: &impl Clock,
    key: &EffectKey,
    policy: Policy,
    set_aside: SetAside<'_>,
    event_id: &str,
) -> Result<PutAside, E> {
    let now = clock.now_ms();
    let Err(row) = store.set_aside(key, set_aside, event_id, now).await? else {
        return Ok(PutAside::Written);
    };
    match EffectState::standing(Some(&row.state), policy, now) {
        Standing::Settled => Ok(PutAside::AlreadySettled),
        Standing::Ambiguous(expired) => match settle_abandoned(store, key, expired, now).await? {
            Ok(()) => Ok(PutAside::Abandoned),
            Err(Refused) => Err(Busy.into()),
        },
        Standing::Busy(claim) => {
            store.note_in_the_way(key, claim).await?;
            Err(Busy.into())
        }
        // A claim that may be taken over: its own message comes back and does so.
        Standing::Free => Err(Busy.into()),
    }
}

/// Makes an expired claim `unknown`, fenced by that claim: whoever settled it meanwhile wins.
async fn settle_abandoned<S: EffectStore>(
    store: &S,
    key: &EffectKey,
    expired: &Claim,
    now: i64,
) -> Result<Result<(), Refused>, StoreError> {
    let unknown = Settlement::Unknown { reason: "lease_expired".to_owned() };
    Ok(store.settle(key, expired, &unknown, now).await?.map(drop))
}
