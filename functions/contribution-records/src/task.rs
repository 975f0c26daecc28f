use effect_ledger::{Clock, Effect, EffectKey, SetAside};
use fulfilment::{Contribution, NotReadable, Policy, SessionEvent, SupporterRow};
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError};
use uuid::Uuid;

use crate::records::{Change, Records, RecordsError, Saved, Stored};

/// Keeps the contribution and supporter records.
pub(crate) struct ContributionRecords<R, C> {
    pub(crate) records: R,
    pub(crate) policy: Policy,
    pub(crate) livemode: bool,
    pub(crate) supporter_namespace: Uuid,
    pub(crate) clock: C,
}

/// How often a change is folded again onto a record that changed meanwhile, before the message goes back.
const TRIES: u32 = 4;

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the event is ours but cannot be recorded")]
    Broken {
        reason: &'static str,
        #[source]
        source: fulfilment::SessionBroken,
    },
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error("other events of this payment kept changing the record")]
    Contended,
}

impl TaskError for TaskFailed {
    fn class(&self) -> FailureClass {
        match self {
            Self::Broken { .. } => FailureClass::Permanent,
            Self::Records(_) | Self::Contended => FailureClass::Retryable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Broken { reason, .. } => reason,
            Self::Records(_) => "records_unavailable",
            Self::Contended => "contended",
        }
    }
}

impl<R: Records, C: Clock> Task for ContributionRecords<R, C> {
    type Error = TaskFailed;

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        match SessionEvent::read(&delivery.event, self.livemode) {
            Ok(event) => self.record(&event).await,
            Err(NotReadable::Skip(reason)) => Ok(Outcome::Skipped(reason.as_str())),
            Err(NotReadable::Broken { payment_id, intended, broken }) => {
                let reason = broken.as_str();
                let key = EffectKey { payment_id, effect: Effect::contribution(intended) };
                let now = self.clock.now_ms();
                self.records.set_aside(&key, SetAside::Parked(reason), delivery.event.id(), now).await?;
                Err(TaskFailed::Broken { reason, source: broken })
            }
        }
    }
}

impl<R: Records, C: Clock> ContributionRecords<R, C> {
    /// Folds the event into the record and writes what follows, in one transaction.
    ///
    /// The first try assumes that there is no record yet, which is so for most events; the failed condition
    /// brings the record that is there. A record the event does not change has seen it before.
    async fn record(&self, event: &SessionEvent) -> Result<Outcome, TaskFailed> {
        let mut stored: Option<Box<Stored>> = None;
        for _ in 0..TRIES {
            let before = stored.as_ref().map(|stored| &stored.contribution);
            let after = before
                .cloned()
                .unwrap_or_else(|| Contribution::new(event.payment_id.clone()))
                .with_session_event(event, &self.supporter_namespace);
            if before == Some(&after) {
                return Ok(Outcome::Skipped("already_done"));
            }
            let supporter_before = before.and_then(|record| record.session.supporter_id.clone());
            let supporter = SupporterRow::of(&after, &self.policy);
            let change = Change {
                revision: stored.as_ref().map(|stored| &stored.revision),
                left_supporter: supporter_before
                    .filter(|id| supporter.as_ref().is_none_or(|row| row.supporter_id != *id)),
                supporter,
                expires_at: after.expires_at(&self.policy),
                contribution: after,
                effect: Effect::contribution(event.outcome),
                event_id: &event.event_id,
                now: self.clock.now_ms(),
            };
            match self.records.save(change).await? {
                Saved::Written => return Ok(Outcome::Done),
                Saved::Outdated(current) => stored = current,
            }
        }
        Err(TaskFailed::Contended)
    }
}

#[cfg(test)]
mod tests;
