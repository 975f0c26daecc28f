use effect_ledger::{Clock, EffectKey, EffectStore, SetAside, StoreError};

use crate::{Delivery, Outcome, TaskError};

/// How a task ends that does not get as far as its effect. The ledger says so too; what was done before stays done.
impl Delivery {
    /// Nothing need be done, for a reason in a short word.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer.
    pub async fn skip(
        &self,
        ledger: &impl EffectStore,
        clock: &impl Clock,
        key: &EffectKey,
        reason: &'static str,
    ) -> Result<Outcome, StoreError> {
        let skipped = SetAside::Skipped(reason);
        let written = ledger.set_aside(key, skipped, self.event.id(), clock.now_ms()).await?;
        Ok(Outcome::Skipped(written.map_or("already_done", |()| reason)))
    }

    /// Nothing can be done until somebody mends something.
    ///
    /// # Errors
    ///
    /// `error` itself, unless the effect was done before; or that the ledger does not answer.
    pub async fn park<E: TaskError + From<StoreError>>(
        &self,
        ledger: &impl EffectStore,
        clock: &impl Clock,
        key: &EffectKey,
        error: E,
    ) -> Result<Outcome, E> {
        let parked = SetAside::Parked(error.reason());
        match ledger.set_aside(key, parked, self.event.id(), clock.now_ms()).await? {
            Ok(()) => Err(error),
            Err(_already_settled) => Ok(Outcome::Skipped("already_done")),
        }
    }
}
