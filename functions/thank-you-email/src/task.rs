use effect_ledger::{
    Clock, Effect, EffectKey, EffectState, EffectStore, Performed, Policy as Attempts, SetAside, StoreError,
    perform,
};
use fulfilment::{NotReadable, Policy, SessionBroken, SessionEvent, SessionOutcome};
use stripe_events::Personal;
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError, cause_chain};
use tracing::warn;

use crate::locale::LocaleRequest;
use crate::mail::{MailContext, Occasion, RenderError, render};
use crate::sender::{EmailSender, OutgoingMail, SendError};

/// Sends the mail a session event calls for, at most once each.
pub(crate) struct ThankYouEmail<L, S, C> {
    pub(crate) ledger: L,
    pub(crate) sender: S,
    pub(crate) policy: Policy,
    pub(crate) livemode: bool,
    pub(crate) clock: C,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the event is ours but cannot be acted on")]
    Broken(#[source] SessionBroken),
    #[error("the customer has no usable email address")]
    NoRecipient,
    #[error("the mail cannot be rendered")]
    NotRendered(#[source] RenderError),
    #[error("the mail was not sent")]
    NotSent(#[source] SendError),
    #[error("the mail was rejected")]
    Rejected(#[source] SendError),
    #[error("another delivery is sending this mail")]
    InFlight,
    #[error("the lease ran out while the mail was being sent")]
    LeaseLost,
    #[error(transparent)]
    Ledger(#[from] StoreError),
}

impl TaskError for TaskFailed {
    fn class(&self) -> FailureClass {
        match self {
            Self::Broken(_) | Self::NoRecipient | Self::NotRendered(_) | Self::Rejected(_) => {
                FailureClass::Permanent
            }
            Self::NotSent(_) | Self::InFlight | Self::LeaseLost | Self::Ledger(_) => FailureClass::Retryable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Broken(broken) => broken.as_str(),
            Self::NoRecipient => "no_recipient",
            Self::NotRendered(_) => "not_rendered",
            Self::NotSent(error) | Self::Rejected(error) => error.reason(),
            Self::InFlight => "in_flight",
            Self::LeaseLost => "lease_lost",
            Self::Ledger(_) => "ledger_unavailable",
        }
    }
}

impl<L: EffectStore, S: EmailSender, C: Clock> Task for ThankYouEmail<L, S, C> {
    type Error = TaskFailed;

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let event = match SessionEvent::read(&delivery.event, self.livemode) {
            Ok(event) => event,
            Err(NotReadable::Skip(reason)) => return Ok(Outcome::Skipped(reason.as_str())),
            Err(NotReadable::Broken { payment_id, intended, broken }) => {
                let key = EffectKey { payment_id, effect: effect(intended) };
                return self.park(&key, delivery, TaskFailed::Broken(broken)).await;
            }
        };
        let key = EffectKey { payment_id: event.payment_id.clone(), effect: effect(event.outcome) };
        if self.is_overtaken(&event, &key).await? {
            self.ledger
                .set_aside(&key, SetAside::Skipped(OVERTAKEN), delivery.event.id(), self.clock.now_ms())
                .await?
                .ok();
            return Ok(Outcome::Skipped(OVERTAKEN));
        }
        match self.prepare(&event, &key) {
            Ok(mail) => self.send(&mail, delivery).await,
            Err(error) => self.park(&key, delivery, error).await,
        }
    }
}

/// The money moved on before this mail was sent, and the mail would tell old news.
const OVERTAKEN: &str = "overtaken";

/// The mail a session's outcome calls for, by its ledger name.
fn effect(outcome: SessionOutcome) -> Effect {
    Effect::email(match outcome {
        SessionOutcome::Paid => "thank-you",
        SessionOutcome::Pending => "payment-pending",
        SessionOutcome::Failed => "payment-failed",
    })
}

impl<L: EffectStore, S: EmailSender, C: Clock> ThankYouEmail<L, S, C> {
    /// Whether a later mail of this payment is already on its way: events come in any order, and after a
    /// thank-you nobody wants to read that the payment is being waited for.
    async fn is_overtaken(&self, event: &SessionEvent, key: &EffectKey) -> Result<bool, StoreError> {
        let later = match event.outcome {
            // Nothing comes after the thank-you; and most mails are one, so they cost no look-up.
            SessionOutcome::Paid => return Ok(false),
            SessionOutcome::Failed => vec![effect(SessionOutcome::Paid)],
            SessionOutcome::Pending => vec![effect(SessionOutcome::Paid), effect(SessionOutcome::Failed)],
        };
        let rows = self.ledger.of_payment(&key.payment_id).await?;
        Ok(rows.iter().any(|row| {
            later.contains(&row.effect)
                && matches!(
                    row.state,
                    EffectState::Done | EffectState::Claimed(_) | EffectState::Unknown { .. }
                )
        }))
    }

    /// Everything that can fail without the mail service.
    fn prepare(&self, event: &SessionEvent, key: &EffectKey) -> Result<OutgoingMail, TaskFailed> {
        let to = event.email.as_ref().filter(|email| is_one_address(email.expose()));
        let to = to.ok_or(TaskFailed::NoRecipient)?.clone();
        let rendered = render(&MailContext {
            occasion: match event.outcome {
                SessionOutcome::Paid => Occasion::ThankYou { template: event.link.thank_you.as_ref() },
                SessionOutcome::Pending => Occasion::PaymentPending,
                SessionOutcome::Failed => Occasion::PaymentFailed,
            },
            kind: event.link.kind,
            policy: &self.policy,
            locale: LocaleRequest { session: event.locale.as_deref(), country: event.country.as_deref() },
            customer_name: event.name.as_ref().map(|name| name.expose().as_str()),
            amount: *event.shown_amount(),
            paid_on: event.occurred_at,
            reference: event.payment_id.as_str(),
        })
        .map_err(TaskFailed::NotRendered)?;
        for error in &rendered.passed_over {
            warn!(payment.id = key.payment_id.as_str(), "wording passed over: {}", cause_chain(error));
        }
        Ok(OutgoingMail {
            key: key.clone(),
            to,
            reply_to: self.policy.organisation.contact.clone(),
            subject: Personal::new(rendered.subject),
            html: Personal::new(rendered.html),
            text: Personal::new(rendered.text),
        })
    }

    async fn send(&self, mail: &OutgoingMail, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let performed = perform(
            &self.ledger,
            &self.clock,
            &mail.key,
            Attempts::AtMostOnce,
            delivery.executor(),
            async || self.sender.send(mail).await,
            SendError::reason,
        )
        .await?;
        match performed {
            Performed::Done => Ok(Outcome::Done),
            Performed::AlreadySettled(state) => Ok(Outcome::Skipped(match state {
                EffectState::Skipped { .. } => "already_skipped",
                EffectState::Unknown { .. } => "already_unknown",
                EffectState::Done
                | EffectState::Retry { .. }
                | EffectState::Parked { .. }
                | EffectState::Claimed(_) => "already_done",
            })),
            Performed::Ambiguous(error) => Ok(Outcome::Unknown(error.reason())),
            Performed::Abandoned => Ok(Outcome::Unknown("lease_expired")),
            Performed::NotDone(error) => Err(TaskFailed::NotSent(error)),
            Performed::Rejected(error) => Err(TaskFailed::Rejected(error)),
            Performed::Busy => Err(TaskFailed::InFlight),
            Performed::LeaseLost => Err(TaskFailed::LeaseLost),
        }
    }

    /// Notes in the ledger what cannot be done, unless the mail was sent before.
    async fn park(
        &self,
        key: &EffectKey,
        delivery: &Delivery,
        error: TaskFailed,
    ) -> Result<Outcome, TaskFailed> {
        let parked = SetAside::Parked(error.reason());
        match self.ledger.set_aside(key, parked, delivery.event.id(), self.clock.now_ms()).await? {
            Ok(()) => Err(error),
            Err(_already_settled) => Ok(Outcome::Skipped("already_done")),
        }
    }
}

/// Whether a text is one address and nothing else: it becomes a header.
fn is_one_address(email: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !",;<>\"".contains(c);
    let parts = email.split_once('@');
    email.len() <= 320
        && email.chars().all(plain)
        && parts.is_some_and(|(user, domain)| {
            !user.is_empty() && domain.contains('.') && !domain.contains('@') && !domain.starts_with('.')
        })
}

#[cfg(test)]
mod tests;
