use std::fmt;

use anyhow::{Context as _, Error, Result};
use catalogue::Task;
use clap::Args;
use effect_ledger::{Change, Effect, EffectKey, EffectRow, EffectState, Verb};
use fulfilment::{InvoiceEvent, Money, PaymentId, Policy, SessionEvent, SessionOutcome, effects};
use serde::Serialize;
use stripe_events::{Delivered, Object};

use crate::contract::{contract_of, remembered_kind};
use crate::course::{Asked, Course, course};
use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Page, Report, Verdict};
use crate::payments::{self, PAYMENT};
use crate::queues::{self, DeadLetter, move_back, release, take};
use crate::stripe::{self, Found};

/// Delivers the event of one effect once more, to the one task it belongs to.
///
/// The event is looked for in the task's dead-letter queue, then among Stripe's events (30 days), then made again from
/// the session, or the invoice of a renewal, as Stripe has it now. A record (`contribution#…`) is folded again also
/// when it is done, so that it can be repaired from Stripe's events; everything else that is done or skipped stays so.
/// What is unknown is for `resolve`. A mail that an operator asked for (`#resend#`) is delivered again from the
/// dead-letter queue only: when its message is gone, the effect is closed, and `resend` asks for another.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink --stage live retry pi_3Q9… contribution#paid --yes")]
pub(crate) struct Arguments {
    #[arg(help = PAYMENT)]
    payment: String,
    /// The effect's name in the ledger, for example email#thank-you
    effect: String,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Serialize)]
pub(crate) struct Retried {
    payment_id: String,
    effect: String,
    acted: bool,
    before: String,
    /// None where the event cannot be delivered again, and the effect is closed instead.
    source: Option<Source>,
    /// What follows from the delivery.
    then: String,
}

/// Where an event was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    DeadLetterQueue,
    StripeEvent,
    MadeAgain,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadLetterQueue => "from the dead-letter queue",
            Self::StripeEvent => "from Stripe",
            Self::MadeAgain => "made again from what Stripe has now",
        })
    }
}

/// An event that can be delivered.
pub(crate) enum Event {
    DeadLetter(Box<DeadLetter>),
    OfStripe(Found),
    Made(Found),
}

impl Event {
    pub(crate) const fn source(&self) -> Source {
        match self {
            Self::DeadLetter(_) => Source::DeadLetterQueue,
            Self::OfStripe(_) => Source::StripeEvent,
            Self::Made(_) => Source::MadeAgain,
        }
    }

    /// The event itself, if it can be read.
    fn read(&self) -> Option<stripe_events::Event> {
        match self {
            Self::DeadLetter(message) => {
                Delivered::from_json(message.body.as_bytes()).ok().map(|delivered| delivered.event)
            }
            Self::OfStripe(found) | Self::Made(found) => Some(found.event.clone()),
        }
    }

    /// Lets go of a message that was only looked at.
    pub(crate) async fn let_go(&self, deployment: &Deployment, task: Task) -> Result<()> {
        if let Self::DeadLetter(message) = self {
            let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
            release(&sqs, deployment.dlq_url(task)?, std::slice::from_ref(&**message)).await;
        }
        Ok(())
    }
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Retried> {
    let operator = arguments.acting.operator(deployment, now).await?;
    retry(deployment, &arguments.payment, &arguments.effect, operator.as_ref(), now).await
}

/// Retries it if there is an operator to write it down for; else says what would be done.
async fn retry(
    deployment: &Deployment,
    payment: &str,
    effect: &str,
    operator: Option<&Operator>,
    now: i64,
) -> Result<Retried> {
    let NamedEffect { task, key, rows } = look_up(deployment, payment, effect).await?;
    let seen = rows.iter().find(|row| row.effect == key.effect);
    let course = course(Asked::Retry, &key, seen.map(|row| &row.state), now).map_err(Error::msg)?;
    let event = if course == Course::DeliverRequest {
        dead_letter(deployment, task, &key, seen).await?.map(|message| Event::DeadLetter(Box::new(message)))
    } else {
        Some(find(deployment, task, &key, seen).await?)
    };
    let before = seen.map_or_else(|| "nothing".to_owned(), |row| row.state.to_string());
    if let Some(operator) = operator {
        let (after, change) = match &event {
            Some(event) => (format!("delivered again, {}", event.source()), Change::Nothing),
            None => (format!("skipped ({REQUEST_GONE})"), Change::Closed { reason: REQUEST_GONE }),
        };
        let action = operator.action(Verb::Retry, Some(key.effect.clone()), before.clone(), after);
        deployment.ledger()?.record(&key, seen, &action, change).await?;
        if let Some(event) = &event {
            deliver(deployment, task, event).await?;
        }
    } else if let Some(event) = &event {
        event.let_go(deployment, task).await?;
    }
    Ok(Retried {
        then: event
            .as_ref()
            .map_or_else(String::new, |event| then(&key, event, &rows, deployment.livemode().ok())),
        source: event.as_ref().map(Event::source),
        payment_id: key.subject.to_string(),
        effect: key.effect.to_string(),
        acted: operator.is_some(),
        before,
    })
}

/// Under which reason a mail that an operator asked for is closed when its message is gone.
const REQUEST_GONE: &str = "request_gone";

/// An effect that an operator names by payment and name, with the rows of its payment.
pub(crate) struct NamedEffect {
    /// Whose effect it is.
    pub(crate) task: Task,
    pub(crate) key: EffectKey,
    /// Everything that the ledger has of the payment.
    pub(crate) rows: Vec<EffectRow>,
}

pub(crate) async fn look_up(deployment: &Deployment, payment: &str, effect: &str) -> Result<NamedEffect> {
    let effect = Effect::from(effect.trim());
    let task = Task::of_effect(&effect).with_context(|| format!("{effect} is no effect of any task"))?;
    let payment_id = payments::one(deployment, payment).await?;
    let ledger = deployment.ledger()?;
    let mut named = NamedEffect {
        task,
        rows: ledger.history(&payment_id).await?.effects,
        key: EffectKey::new(payment_id, effect),
    };
    // What came of a subscription's payment before it was known which invoice it pays waits under the payment intent.
    let typed = PaymentId::new(payment.trim());
    if typed.is_payment_intent() && !named.rows.iter().any(|row| row.effect == named.key.effect) {
        let rows = ledger.history(&typed).await?.effects;
        if rows.iter().any(|row| row.effect == named.key.effect) {
            (named.key.subject, named.rows) = (typed.into(), rows);
        }
    }
    Ok(named)
}

/// What the task does with the event that it is given.
pub(crate) fn then(key: &EffectKey, event: &Event, rows: &[EffectRow], livemode: Option<bool>) -> String {
    let task = Task::of_effect(&key.effect);
    if task == Some(Task::ContributionRecords) {
        return "The record is folded again: what the event says is in it afterwards, and nothing counts twice.".to_owned();
    }
    if task != Some(Task::ThankYouEmail) {
        return "The task does it now.".to_owned();
    }
    let event = event.read().zip(livemode);
    let left_out = event.and_then(|(event, livemode)| left_out(&event, rows, livemode));
    left_out.map_or_else(
        || "The task sends the mail.".to_owned(),
        |why| format!("The task leaves the mail out: {why}."),
    )
}

/// Why the mail task does not send a mail about an event, if it will not.
fn left_out(event: &stripe_events::Event, rows: &[EffectRow], livemode: bool) -> Option<&'static str> {
    let is_refunded =
        |amount: Money| payment_ledger::is_refunded(rows, amount).then_some("the payment was refunded");
    if let Some(Object::Invoice(_)) = event.object() {
        let thanks = Policy::compiled_in().ok()?.thanks_renewals();
        let amount = InvoiceEvent::from_event(event, livemode).ok()?.amount?;
        return if thanks { is_refunded(amount) } else { Some("policy.toml thanks for no renewals") };
    }
    let session = SessionEvent::from_event(event, livemode).ok()?;
    if session.outcome == SessionOutcome::Paid {
        return is_refunded(session.amount);
    }
    let later = match session.outcome {
        SessionOutcome::Pending => vec![SessionOutcome::Paid, SessionOutcome::Failed],
        SessionOutcome::Failed | SessionOutcome::Paid => vec![SessionOutcome::Paid],
    };
    let went_out = |row: &EffectRow| {
        later.iter().any(|outcome| row.effect == effects::email_about(*outcome))
            && matches!(row.state, EffectState::Done | EffectState::Claimed(_) | EffectState::Unknown { .. })
    };
    rows.iter().any(went_out).then_some("a later mail says what became of the payment")
}

/// The message of an effect in the dead-letter queue of its task, if it is there.
///
/// One event may have several: that of the first mail, and those of mails that operators asked for.
async fn dead_letter(
    deployment: &Deployment,
    task: Task,
    key: &EffectKey,
    seen: Option<&EffectRow>,
) -> Result<Option<DeadLetter>> {
    let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
    let dlq_url = deployment.dlq_url(task)?;
    let livemode = deployment.livemode()?;
    let event_id = seen.and_then(|row| row.event_id.as_deref());
    let mut waiting =
        take(&sqs, dlq_url, |message| message.is_of(key, event_id, livemode)).await?.into_iter();
    let message = waiting.next();
    release(&sqs, dlq_url, &waiting.collect::<Vec<_>>()).await;
    Ok(message)
}

/// The event of an effect, from the nearest place that has it.
///
/// # Errors
///
/// When it is nowhere, or a source does not answer.
pub(crate) async fn find(
    deployment: &Deployment,
    task: Task,
    key: &EffectKey,
    seen: Option<&EffectRow>,
) -> Result<Event> {
    // What a record has of a refund or a dispute is repaired from how it stands now, not from the event that was
    // folded.
    if seen.is_some_and(|row| row.state == EffectState::Done) && stripe::correction_id(&key.effect).is_some()
    {
        let client = stripe::client(deployment, stripe::BUDGET).await?;
        return Ok(Event::Made(stripe::event_again(&client, key, deployment.livemode()?).await?));
    }
    if let Some(message) = dead_letter(deployment, task, key, seen).await? {
        return Ok(Event::DeadLetter(Box::new(message)));
    }
    let event_id = seen.and_then(|row| row.event_id.as_deref());
    let client = stripe::client(deployment, stripe::BUDGET).await?;
    // What an operator completed is read as they decided, also when another operator delivers it again.
    let contract = remembered_kind(&deployment.ledger()?.history(&key.subject).await?).map(contract_of);
    if let Some(event_id) = event_id
        && let Some(found) = stripe::event(&client, event_id).await?
    {
        return Ok(Event::OfStripe(found.corrected(contract)));
    }
    let again = stripe::event_again(&client, key, deployment.livemode()?).await?;
    Ok(Event::Made(again.corrected(contract)))
}

/// Puts an event into a task's queue, and into no other.
///
/// # Errors
///
/// When the queue does not answer.
pub(crate) async fn deliver(deployment: &Deployment, task: Task, event: &Event) -> Result<()> {
    let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
    let queue_url = deployment.queue_url(task)?;
    match event {
        Event::DeadLetter(message) => move_back(&sqs, message, deployment.dlq_url(task)?, queue_url).await,
        Event::OfStripe(found) | Event::Made(found) => queues::send(&sqs, queue_url, &found.message()?).await,
    }
}

impl Report for Retried {
    fn print(&self, page: &mut Page) {
        let Self { payment_id, effect, before, then, .. } = self;
        page.line(match (self.source, self.acted) {
            (Some(source), true) => {
                format!("The event of {effect} of {payment_id} (before: {before}) is delivered again, {source}. {then}")
            }
            (Some(source), false) => format!(
                "A dry run: the event of {effect} of {payment_id} (now: {before}) would be delivered again, {source}. \
                 {then} With --yes it is."
            ),
            (None, true) => format!(
                "{effect} of {payment_id} (before: {before}) is closed: its message is no longer in the dead-letter queue, \
                 and no event of Stripe's holds the request. {}",
                ask_again(payment_id)
            ),
            (None, false) => format!(
                "A dry run: {effect} of {payment_id} (now: {before}) cannot be delivered again: its message is no longer \
                 in the dead-letter queue, and no event of Stripe's holds the request. With --yes it is closed. {}",
                ask_again(payment_id)
            ),
        });
    }

    /// An effect that could only be closed needs a decision.
    fn verdict(&self) -> Verdict {
        Verdict::needs_you_if(self.source.is_none())
    }
}

/// How the operator's request is made again.
pub(crate) fn ask_again(payment_id: &str) -> String {
    format!(
        "Use resend again: `afterlink resend {payment_id} --template thank-you --because …` sends another mail."
    )
}

#[cfg(test)]
mod tests;
