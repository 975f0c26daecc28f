use std::error::Error;

use effect_ledger::{
    Busy, Clock, Effect, EffectKey, EffectRow, EffectState, EffectStore, Performed, Policy as Attempts,
    StoreError, perform,
};
use fulfilment::{NotReadable, Policy, SessionBroken, SessionEvent, SessionOutcome};
use stripe_events::Personal;
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError, cause_chain};
use tracing::warn;

use crate::locale::LocaleRequest;
use crate::mail::{MailContext, Occasion, RenderError, render};
use crate::overrides::{Overrides, TemplateFiles, TemplatesError};
use crate::sender::{EmailSender, OutgoingMail, SendError};

/// Sends the mail a session event calls for, at most once each.
pub(crate) struct ThankYouEmail<L, S, F, C> {
    pub(crate) ledger: L,
    pub(crate) sender: S,
    pub(crate) overrides: Overrides<F, C>,
    pub(crate) policy: Policy,
    pub(crate) livemode: bool,
    pub(crate) clock: C,
}

/// The metric that counts mails whose own wording could not be used.
const BROKEN_WORDING: &str = "BrokenWording";

/// The metric that counts mails which SES did not take because of the account's sending rate or daily quota.
const MAIL_THROTTLED: &str = "MailThrottled";

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the event is ours but cannot be acted on")]
    Broken(#[source] SessionBroken),
    #[error("the customer has no usable email address")]
    NoRecipient,
    #[error("the mail's wording cannot be had")]
    NoWording(#[source] TemplatesError),
    #[error("the mail cannot be rendered")]
    NotRendered(#[source] RenderError),
    #[error("the mail was not sent")]
    NotSent(#[source] SendError),
    #[error("the mail was rejected")]
    Rejected(#[source] SendError),
    #[error(transparent)]
    InFlight(#[from] Busy),
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
            Self::NoWording(_) | Self::NotSent(_) | Self::InFlight(_) | Self::LeaseLost | Self::Ledger(_) => {
                FailureClass::Retryable
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Broken(broken) => broken.as_str(),
            Self::NoRecipient => "no_recipient",
            Self::NoWording(_) => "templates_unavailable",
            Self::NotRendered(_) => "not_rendered",
            Self::NotSent(error) | Self::Rejected(error) => error.reason(),
            Self::InFlight(_) => "in_flight",
            Self::LeaseLost => "lease_lost",
            Self::Ledger(_) => "ledger_unavailable",
        }
    }
}

impl<L: EffectStore, S: EmailSender, F: TemplateFiles, C: Clock> Task for ThankYouEmail<L, S, F, C> {
    type Error = TaskFailed;

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let event = match SessionEvent::read(&delivery.event, self.livemode) {
            Ok(event) => event,
            Err(NotReadable::Skip(reason)) => return Ok(Outcome::Skipped(reason.as_str())),
            Err(NotReadable::Broken { payment_id, intended, broken }) => {
                let key = EffectKey { payment_id, effect: wanted(intended, delivery) };
                return delivery
                    .park(&self.ledger, &self.clock, &key, Attempts::AtMostOnce, TaskFailed::Broken(broken))
                    .await;
            }
        };
        let key = EffectKey { payment_id: event.payment_id.clone(), effect: wanted(event.outcome, delivery) };
        let history = self.ledger.of_payment(&key.payment_id).await?;
        let so_far = history.iter().find(|row| row.effect == key.effect);
        if let Some(already) = so_far.and_then(|row| already_settled(&row.state)) {
            return Ok(Outcome::Skipped(already));
        }
        if let Some(reason) = no_longer_wanted(&event, &history) {
            return delivery.skip(&self.ledger, &self.clock, &key, Attempts::AtMostOnce, reason).await;
        }
        match self.prepare(&event, &key, delivery).await {
            Ok(mail) => self.send(&mail, delivery).await,
            Err(error) => match error.class() {
                FailureClass::Permanent => {
                    delivery.park(&self.ledger, &self.clock, &key, Attempts::AtMostOnce, error).await
                }
                FailureClass::Retryable => Err(error),
            },
        }
    }
}

/// The mail that a delivery calls for: the outcome's own, or the one more that an operator asks for.
fn wanted(outcome: SessionOutcome, delivery: &Delivery) -> Effect {
    let own = Effect::email_about(outcome);
    match &delivery.resend {
        Some(resend) => own.resent(&resend.id),
        None => own,
    }
}

/// What became of the mail before, if it is over with.
const fn already_settled(state: &EffectState) -> Option<&'static str> {
    match state {
        EffectState::Done => Some("already_done"),
        EffectState::Skipped { .. } => Some("already_skipped"),
        EffectState::Unknown { .. } => Some("already_unknown"),
        EffectState::Retry { .. } | EffectState::Parked { .. } | EffectState::Claimed(_) => None,
    }
}

/// Why the mail would tell old news, if it would: events come in any order, and the money moves on.
fn no_longer_wanted(event: &SessionEvent, history: &[EffectRow]) -> Option<&'static str> {
    let later = match event.outcome {
        // Thanks for a gift that has been given back would read as mockery.
        SessionOutcome::Paid => {
            let refunded = EffectRow::refunded(history, event.amount.currency());
            return (refunded > 0 && refunded >= event.amount.minor()).then_some("refunded");
        }
        // After a thank-you nobody wants to read that the payment is being waited for.
        SessionOutcome::Failed => vec![Effect::email_about(SessionOutcome::Paid)],
        SessionOutcome::Pending => {
            vec![Effect::email_about(SessionOutcome::Paid), Effect::email_about(SessionOutcome::Failed)]
        }
    };
    let overtaken = history.iter().any(|row| {
        later.contains(&row.effect)
            && matches!(row.state, EffectState::Done | EffectState::Claimed(_) | EffectState::Unknown { .. })
    });
    overtaken.then_some("overtaken")
}

impl<L: EffectStore, S: EmailSender, F: TemplateFiles, C: Clock> ThankYouEmail<L, S, F, C> {
    /// Everything that can fail without the mail service.
    async fn prepare(
        &self,
        event: &SessionEvent,
        key: &EffectKey,
        delivery: &Delivery,
    ) -> Result<OutgoingMail, TaskFailed> {
        let elsewhere = delivery.resend.as_ref().and_then(|resend| resend.to.as_ref());
        let to = elsewhere.or(event.email.as_ref()).filter(|email| is_one_address(email.expose()));
        let to = to.ok_or(TaskFailed::NoRecipient)?.clone();
        let context = MailContext {
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
        };
        let broken = |error: &dyn Error| {
            warn!(payment.id = key.payment_id.as_str(), "wording passed over: {}", cause_chain(error));
        };
        if let (SessionOutcome::Paid, Some(error)) = (event.outcome, &event.link.unusable_thank_you) {
            broken(error);
            delivery.note(BROKEN_WORDING);
        }
        let own = match self.overrides.wordings(&context.templates()).await {
            Ok(own) => own,
            Err(error @ TemplatesError::Unavailable(_)) => return Err(TaskFailed::NoWording(error)),
            Err(error @ TemplatesError::Refused(_)) => {
                broken(&error);
                delivery.note(BROKEN_WORDING);
                None
            }
        };
        let rendered = render(own.as_deref(), &context).map_err(TaskFailed::NotRendered)?;
        if !rendered.passed_over.is_empty() {
            rendered.passed_over.iter().for_each(|error| broken(error));
            delivery.note(BROKEN_WORDING);
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
            Performed::AlreadySettled(state) => {
                Ok(Outcome::Skipped(already_settled(&state).unwrap_or("already_done")))
            }
            Performed::Ambiguous(error) => Ok(Outcome::Unknown(error.reason())),
            Performed::Abandoned => Ok(Outcome::Unknown("lease_expired")),
            Performed::NotDone(error) => {
                if matches!(error, SendError::Throttled(_)) {
                    delivery.note(MAIL_THROTTLED);
                }
                Err(TaskFailed::NotSent(error))
            }
            Performed::Rejected(error) => Err(TaskFailed::Rejected(error)),
            Performed::Busy => Err(TaskFailed::InFlight(Busy)),
            Performed::LeaseLost => Err(TaskFailed::LeaseLost),
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
