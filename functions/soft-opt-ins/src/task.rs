use aws::Clock;
use effect_ledger::{Busy, Effect, EffectKey, EffectStore, StoreError, Subject};
use fulfilment::{
    ConsentForm, Consents, NotReadable, PaymentId, Policy, SessionBroken, SessionEvent, SessionOutcome,
    SupporterId, effects,
};
use payment_ledger::as_filed;
use stripe_events::Event;
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError};
use tracing::warn;
use uuid::Uuid;

use crate::records::{ConsentChange, ConsentRecords, RecordsError, Saved};

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

    fn subject(&self, event: &Event) -> Option<Subject> {
        PaymentId::subject_of(event)
    }

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let filed = as_filed(&self.ledger, &delivery.event).await?;
        let event = match SessionEvent::from_event(&filed, self.livemode) {
            Ok(event) => event,
            Err(NotReadable::Skip(reason)) => return Ok(Outcome::Skipped(reason.as_str())),
            Err(NotReadable::Broken { payment_id, intended, broken }) => {
                let form = ConsentForm::of_event(&filed).unwrap_or_default();
                let Some(effect) = effect_of(intended, &form) else {
                    return Ok(Outcome::Skipped(NOT_PAID));
                };
                let error = TaskFailed::Broken(broken);
                let key = EffectKey::new(payment_id, effect);
                return delivery.park(&self.ledger, &self.clock, &key, error).await;
            }
        };
        match effect_of(event.outcome, &event.consent_form) {
            Some(effect) => self.record(&event, effect, delivery).await,
            None => Ok(Outcome::Skipped(NOT_PAID)),
        }
    }
}

/// What a session event is recorded as, if it is.
///
/// An answer counts from the moment it was given, whatever becomes of the money; a sale, and so a soft opt-in, from the
/// moment the money is there. Each has its own effect, so that neither waits for the other and both may come in any
/// order. `async_payment_failed` adds nothing: `completed` came before it with the same answers and their time.
fn effect_of(outcome: SessionOutcome, form: &ConsentForm) -> Option<Effect> {
    match outcome {
        SessionOutcome::Paid => Some(effects::consents()),
        SessionOutcome::Pending => form.is_answered().then(effects::consent_answers),
        SessionOutcome::Failed => None,
    }
}

const NOT_PAID: &str = "not_paid";

/// Counts yes-or-no answers to custom fields that the policy does not name.
const UNKNOWN_QUESTION: &str = "UnknownConsentQuestion";

impl<R: ConsentRecords, L: EffectStore, C: Clock> SoftOptIns<R, L, C> {
    /// Writes what the event shows, less what the supporter's later or stronger answers have settled.
    ///
    /// Ranks only ever grow, so a state that was outranked once is outranked for good: it can be left out
    /// without looking again, and nothing has to be read before it is written.
    async fn record(
        &self,
        event: &SessionEvent,
        effect: Effect,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        // The ledger says so too, or the payment would look forgotten.
        let key = EffectKey::new(&event.payment_id, effect);
        let skip = async |reason| delivery.skip(&self.ledger, &self.clock, &key, reason).await;
        let Some(email) = &event.email else {
            return skip("no_email").await;
        };
        let supporter_id = SupporterId::of_email(&self.supporter_namespace, email.expose());
        let mut consents = Consents::of(event, &self.policy, &supporter_id);
        if consents.is_empty() {
            let outcome = skip("nothing_to_record").await?;
            if outcome == Outcome::Skipped("nothing_to_record") {
                report_unknown_questions(event, &consents, delivery);
            }
            return Ok(outcome);
        }
        for _ in 0..TRIES {
            let event_id = &event.event_id;
            let now = self.clock.now_ms();
            let change = ConsentChange { consents: &consents, key: &key, event_id, now };
            match self.records.save(change).await? {
                Saved::Written => {
                    report_unknown_questions(event, &consents, delivery);
                    return Ok(Outcome::Done);
                }
                Saved::AlreadyThere { is_done: true } => return Ok(Outcome::Skipped("already_done")),
                // The ledger's row has gone.
                Saved::AlreadyThere { is_done: false } => return skip("already_recorded").await,
                // The ledger outlives the records. An erased record stays erased, whatever is replayed.
                Saved::Gone => return Ok(Outcome::Skipped("erased_or_expired")),
                Saved::Outranked(records) => consents.states.retain(|state| !records.contains(&state.record)),
                Saved::Conflict => {}
            }
        }
        Err(TaskFailed::Contended)
    }
}

/// Counted when an event is recorded, and logged with the key, which is the marketer's own.
fn report_unknown_questions(event: &SessionEvent, consents: &Consents, delivery: &Delivery) {
    for question in &consents.unknown_questions {
        delivery.count(UNKNOWN_QUESTION);
        let link = event.payment_link_id.as_deref().unwrap_or_default();
        warn!(
            payment.id = event.payment_id.as_str(),
            link.id = link,
            question.key = question,
            "custom field \"{question}\" was answered and is not in policy.toml"
        );
    }
}

#[cfg(test)]
mod tests;
