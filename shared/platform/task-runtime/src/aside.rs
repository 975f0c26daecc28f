use effect_ledger::{Busy, Clock, EffectKey, EffectStore, Policy, PutAside, SetAside, StoreError, put_aside};

use crate::{Delivery, Outcome, TaskError};

/// How a task ends that does not get as far as its effect. The ledger says so too; what was done before stays done.
impl Delivery {
    /// Nothing need be done, for a reason in a short word.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer, or another delivery is at the effect.
    pub async fn skip<E: From<StoreError> + From<Busy>>(
        &self,
        ledger: &impl EffectStore,
        clock: &impl Clock,
        key: &EffectKey,
        policy: Policy,
        reason: &'static str,
    ) -> Result<Outcome, E> {
        let skipped = SetAside::Skipped(reason);
        Ok(match put_aside::<_, E>(ledger, clock, key, policy, skipped, self.event.id()).await? {
            PutAside::Written => Outcome::Skipped(reason),
            PutAside::AlreadySettled => Outcome::Skipped("already_done"),
            PutAside::Abandoned => Outcome::Unknown("lease_expired"),
        })
    }

    /// Nothing can be done until somebody mends something.
    ///
    /// # Errors
    ///
    /// `error` itself, unless the effect was settled before; that the ledger does not answer; or that another
    /// delivery is at the effect.
    pub async fn park<E: TaskError + From<StoreError> + From<Busy>>(
        &self,
        ledger: &impl EffectStore,
        clock: &impl Clock,
        key: &EffectKey,
        policy: Policy,
        error: E,
    ) -> Result<Outcome, E> {
        let parked = SetAside::Parked(error.reason());
        match put_aside::<_, E>(ledger, clock, key, policy, parked, self.event.id()).await? {
            PutAside::Written => Err(error),
            PutAside::AlreadySettled => Ok(Outcome::Skipped("already_done")),
            PutAside::Abandoned => Ok(Outcome::Unknown("lease_expired")),
        }
    }
}
