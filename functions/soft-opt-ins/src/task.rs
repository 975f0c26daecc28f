use effect_ledger::{Busy, Clock, Effect, EffectKey, EffectStore, Policy as Attempts, StoreError};
use fulfilment::{
    Consents, NotReadable, PaymentId, Policy, SessionBroken, SessionEvent, SessionOutcome, SupporterId,
};
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError};
use uuid::Uuid;

use crate::records::{Change, ConsentRecords, RecordsError, Saved};

/// Records what customers agreed to.
pub(crate) struct SoftOptIns<R, L, C> {
    pub(crate) records: R,
    pub(crate) ledger: L,
    pub(crate) policy: Policy,
    pub(crate) livemode: bool,
    pub(crate) supporter_namespace: Uuid,
    pub(crate) clock: C,
}

/// How often a write that met another one is made again, before the message goes back.
const TRIES: u32 = 4;

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the event is ours but its consents cannot be read")]
    Broken(#[source] SessionBroken),
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Ledger(#[from] StoreError),
    #[error(transparent)]
    InFlight(#[from] Busy),
    #[error("other payments of this supporter kept changing their consents")]
    Contended,
}

impl TaskError for TaskFailed {
    fn class(&self) -> FailureClass {
        match self {
            Self::Broken(_) => FailureClass::Permanent,
            Self::Records(_) | Self::Ledger(_) | Self::InFlight(_) | Self::Contended => {
                FailureClass::Retryable
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Broken(broken) => broken.as_str(),
            Self::Records(_) => "consents_unavailable",
            Self::Ledger(_) => "ledger_unavailable",
            Self::InFlight(_) => "in_flight",
            Self::Contended => "contended",
        }
    }
}

impl<R: ConsentRecords, L: EffectStore, C: Clock> Task for SoftOptIns<R, L, C> {
    type Error = TaskFailed;

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let event = match SessionEvent::read(&delivery.event, self.livemode) {
            Ok(event) => event,
            Err(NotReadable::Skip(reason)) => return Ok(Outcome::Skipped(reason.as_str())),
            Err(NotReadable::Broken { payment_id, intended: SessionOutcome::Paid, broken }) => {
                let error = TaskFailed::Broken(broken);
                let key = key(payment_id);
                return delivery.park(&self.ledger, &self.clock, &key, Attempts::AtLeastOnce, error).await;
            }
            Err(NotReadable::Broken {
                intended: SessionOutcome::Pending | SessionOutcome::Failed, ..
            }) => {
                return Ok(Outcome::Skipped(NOT_PAID));
            }
        };
        match event.outcome {
            SessionOutcome::Paid => self.record(&event, delivery).await,
            SessionOutcome::Pending | SessionOutcome::Failed => Ok(Outcome::Skipped(NOT_PAID)),
        }
    }
}

const NOT_PAID: &str = "not_paid";

impl<R: ConsentRecords, L: EffectStore, C: Clock> SoftOptIns<R, L, C> {
    /// Writes what the payment tells, less what the supporter's later or stronger answers have settled.
    ///
    /// Ranks only ever grow, so a state that was outranked once is outranked for good: it can be left out
    /// without looking again, and nothing has to be read before it is written.
    async fn record(&self, event: &SessionEvent, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        // The ledger says so too, or the payment would look forgotten.
        let key = key(event.payment_id.clone());
        let skip = async |reason| {
            delivery.skip(&self.ledger, &self.clock, &key, Attempts::AtLeastOnce, reason).await
        };
        let Some(email) = &event.email else {
            return skip("no_email").await;
        };
        let supporter_id = SupporterId::of_email(&self.supporter_namespace, email.expose());
        let mut consents = Consents::of(event, &self.policy, &supporter_id);
        if consents.is_empty() {
            return skip("nothing_to_record").await;
        }
        let mut unless_noted = true;
        for _ in 0..TRIES {
            let (event_id, now) = (&event.event_id, self.clock.now_ms());
            let change = Change { consents: &consents, key: &key, unless_noted, event_id, now };
            match self.records.save(change).await? {
                Saved::Written => return Ok(Outcome::Done),
                Saved::AlreadyThere { noted: true } => return Ok(Outcome::Skipped("already_done")),
                // The ledger's row has gone.
                Saved::AlreadyThere { noted: false } => return skip("already_recorded").await,
                Saved::Noted => unless_noted = false,
                Saved::Outranked(records) => consents.states.retain(|state| !records.contains(&state.record)),
                Saved::Conflict => {}
            }
        }
        Err(TaskFailed::Contended)
    }
}

fn key(payment_id: PaymentId) -> EffectKey {
    EffectKey { payment_id, effect: Effect::consents() }
}

#[cfg(test)]
mod tests;
