mod then;

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Error, Result, bail};
use catalogue::Task;
use clap::Args;
use effect_ledger::{Change, Effect, EffectKey, EffectRow, EffectState, Verb};
use fulfilment::{ExpectedEffects, PaymentId, Policy};
use serde::Serialize;
use stripe_events::{CorrectedContract, Delivered, shown_id};

pub(crate) use self::then::then;
use crate::contract::remembered_contract;
use crate::course::{Asked, Course, course};
use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Page, Report, Verdict};
use crate::payments::{self, PAYMENT};
use crate::progress::Progress;
use crate::queues::{self, DeadLetter, move_back, release, take};
use crate::stripe::{self, Found};

/// Delivers the event of one effect once more, to the one task it belongs to.
///
/// The event is looked for in the task's dead-letter queue, then among Stripe's events (30 days), then made again from
/// the session, or the invoice of a renewal, as Stripe has it now. A record (`contribution#…`) is folded again also
/// when it is done, so that it can be repaired from Stripe's events; everything else that is done or skipped stays so.
/// What is unknown is for `resolve`. A mail that an operator asked for (`#resend#`) is delivered again from the
/// dead-letter queue only: when its message is gone, the effect is closed, and `resend` asks for another. An effect that
/// was closed (`close`, `discard`) is opened again.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live retry pi_3Q9… contribution#paid --because 'the table is back' --yes"
)]
pub(crate) struct Arguments {
    #[arg(help = PAYMENT)]
    payment: String,
    /// The effect's name in the ledger, for example email#thank-you
    effect: String,
    /// Makes the event anew from what Stripe has now, for a session that was corrected since
    #[arg(long)]
    from_session: bool,
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
    /// Made anew, in the place of a message of the dead-letter queue.
    MadeInstead(Found, Box<DeadLetter>),
}

impl Event {
    pub(crate) const fn source(&self) -> Source {
        match self {
            Self::DeadLetter(_) => Source::DeadLetterQueue,
            Self::OfStripe(_) => Source::StripeEvent,
            Self::Made(_) | Self::MadeInstead(..) => Source::MadeAgain,
        }
    }

    /// The event itself, if it can be read.
    fn read(&self) -> Option<stripe_events::Event> {
        match self {
            Self::DeadLetter(message) => {
                Delivered::from_json(message.body.as_bytes()).ok().map(|delivered| delivered.event)
            }
            Self::OfStripe(found) | Self::Made(found) | Self::MadeInstead(found, _) => {
                Some(found.event.clone())
            }
        }
    }

    /// Lets go of a message that was only looked at.
    pub(crate) async fn let_go(&self, deployment: &Deployment, task: Task) -> Result<()> {
        if let Self::DeadLetter(message) | Self::MadeInstead(_, message) = self {
            let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
            release(&sqs, deployment.dlq_url(task)?, std::slice::from_ref(&**message)).await;
        }
        Ok(())
    }
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Retried> {
    let operator = arguments.acting.operator(deployment, now).await?;
    let from = if arguments.from_session { From::WhatStripeHasNow } else { From::Nearest };
    retry(deployment, &arguments.payment, &arguments.effect, from, operator.as_ref(), now).await
}

/// Where an event is to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Nearest,
    WhatStripeHasNow,
}

/// Retries it if there is an operator to write it down for; else says what would be done.
async fn retry(
    deployment: &Deployment,
    payment: &str,
    effect: &str,
    from: From,
    operator: Option<&Operator>,
    now: i64,
) -> Result<Retried> {
    let NamedEffect { task, key, rows } = look_up(deployment, payment, effect).await?;
    let seen = rows.iter().find(|row| row.effect == key.effect);
    let course = course(Asked::Retry, &key, seen.map(|row| &row.state), now).map_err(Error::msg)?;
    let event = if course == Course::DeliverRequest {
        dead_letter(deployment, task, &key, seen).await?.map(|message| Event::DeadLetter(Box::new(message)))
    } else if from == From::WhatStripeHasNow {
        Some(made_anew(deployment, task, &key, seen).await?)
    } else {
        Some(find(deployment, task, &key, seen).await?)
    };
    if let (None, Some(event)) = (seen, &event)
        && let Err(refused) = called_for(&key, event, &rows, deployment.livemode()?)
    {
        event.let_go(deployment, task).await?;
        return Err(refused);
    }
    let before = seen.map_or_else(|| "nothing".to_owned(), |row| row.state.to_string());
    if let Some(operator) = operator {
        let (after, change) = match &event {
            Some(event) if course == Course::SetFree => {
                (format!("opened again, {}", event.source()), Change::Free)
            }
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

/// The message of an effect in the dead-letter queue of its task, if it is there.
///
/// One event may have several: that of the first mail, and those of mails that operators asked for.
pub(crate) async fn dead_letter(
    deployment: &Deployment,
    task: Task,
    key: &EffectKey,
    seen: Option<&EffectRow>,
) -> Result<Option<DeadLetter>> {
    let progress = Progress::new();
    progress.say(format_args!("Reading the dead-letter queue of {}", task.name()));
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

/// The event of an effect as Stripe has its object now, with the message of the dead-letter queue that it stands for.
async fn made_anew(
    deployment: &Deployment,
    task: Task,
    key: &EffectKey,
    seen: Option<&EffectRow>,
) -> Result<Event> {
    let client = stripe::client(deployment, stripe::BUDGET).await?;
    let found = stripe::event_again(&client, key, deployment.livemode()?).await?;
    let found = found.corrected(contract(deployment, key).await?);
    Ok(match dead_letter(deployment, task, key, seen).await? {
        Some(message) => Event::MadeInstead(found, Box::new(message)),
        None => Event::Made(found),
    })
}

async fn contract(deployment: &Deployment, key: &EffectKey) -> Result<Option<CorrectedContract>> {
    Ok(remembered_contract(&deployment.ledger()?.history(&key.subject).await?))
}

/// Refuses an effect that the ledger has no row of and the event does not call for: a name that was mistyped would be
/// delivered, and change nothing.
fn called_for(key: &EffectKey, event: &Event, rows: &[EffectRow], livemode: bool) -> Result<()> {
    let expected = event.read().zip(Policy::compiled_in().ok());
    let expected =
        expected.and_then(|(event, policy)| ExpectedEffects::from_event(&event, livemode, &policy));
    let Some(expected) = expected.map(|expected| expected.effects) else { return Ok(()) };
    if expected.contains(&key.effect) {
        return Ok(());
    }
    let known: BTreeSet<_> = expected
        .iter()
        .chain(rows.iter().map(|row| &row.effect))
        .filter(|effect| Task::of_effect(effect).is_some())
        .collect();
    let known: Vec<_> = known.into_iter().map(Effect::as_str).collect();
    bail!("{} has no effect {}; it has {}", shown_id(key.subject.as_str()), key.effect, known.join(", "))
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
    let contract = contract(deployment, key).await?;
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
        Event::MadeInstead(found, message) => {
            queues::send(&sqs, queue_url, &found.message()?).await?;
            queues::delete(&sqs, message, deployment.dlq_url(task)?).await
        }
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
