use aws::{Clock, cause_chain};
use effect_ledger::{Busy, Disposed, Disposition, EffectKey, EffectStore, StoreError, dispose};

use crate::{Delivery, Outcome, TaskError};

/// How a task ends that does not attempt its effect. The ledger records it; an effect that was settled before stays as it
/// is.
impl Delivery {
    /// Skips the effect: nothing is to be done, for this reason.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer, or another delivery holds the effect's claim.
    pub async fn skip<E: From<StoreError> + From<Busy>>(
        &self,
        ledger: &impl EffectStore,
        clock: &impl Clock,
        key: &EffectKey,
        reason: &'static str,
    ) -> Result<Outcome, E> {
        let skip = Disposition::Skip(reason);
        Ok(match dispose::<_, E>(ledger, clock, key, skip, self.event.id()).await? {
            Disposed::Written => Outcome::Skipped(reason),
            Disposed::AlreadySettled => Outcome::Skipped("already_done"),
            Disposed::Abandoned => Outcome::Unknown("lease_expired"),
        })
    }

    /// Parks the effect: nothing can be done before this error's cause is fixed.
    ///
    /// # Errors
    ///
    /// `error` itself, unless the effect was settled before; when the ledger does not answer; and when another delivery
    /// holds the effect's claim.
    pub async fn park<E: TaskError + From<StoreError> + From<Busy>>(
        &self,
        ledger: &impl EffectStore,
        clock: &impl Clock,
        key: &EffectKey,
        error: E,
    ) -> Result<Outcome, E> {
        let cause = cause_chain(&error);
        let park = Disposition::Park { reason: error.reason(), detail: &cause };
        match dispose::<_, E>(ledger, clock, key, park, self.event.id()).await? {
            Disposed::Written => Err(error),
            Disposed::AlreadySettled => Ok(Outcome::Skipped("already_done")),
            Disposed::Abandoned => Ok(Outcome::Unknown("lease_expired")),
        }
    }
}
