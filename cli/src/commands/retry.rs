use std::fmt;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use effect_ledger::{Change, DynamoDbEffects, Effect, EffectKey, EffectRow, EffectState, Verb};
use fulfilment::PaymentId;
use serde::Serialize;

use crate::contract::{contract_of, remembered_kind};
use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Page, Report, Verdict};
use crate::queues::{self, DeadLetter, move_back, release, take};
use crate::stripe::{self, Found};
use crate::task::Task;

/// Delivers the event of one effect once more, to the one task it belongs to.
///
/// The event is looked for in the task's dead-letter queue, then among Stripe's events (30 days), then made again
/// from Stripe's session. What is done or skipped stays so, and what is unknown is for `resolve`.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink --stage live retry pi_3Q9… contribution#paid --yes")]
pub(crate) struct Arguments {
    /// pi_… or, where there is none, cs_…
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
    source: Source,
}

/// Where an event was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    DeadLetterQueue,
    StripeEvent,
    StripeSession,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadLetterQueue => "from the dead-letter queue",
            Self::StripeEvent => "from Stripe",
            Self::StripeSession => "made again from Stripe's session",
        })
    }
}

/// An event that can be delivered.
pub(crate) enum Event {
    DeadLetter(Box<DeadLetter>),
    OfStripe(Found),
    OfSession(Found),
}

impl Event {
    pub(crate) const fn source(&self) -> Source {
        match self {
            Self::DeadLetter(_) => Source::DeadLetterQueue,
            Self::OfStripe(_) => Source::StripeEvent,
            Self::OfSession(_) => Source::StripeSession,
        }
    }

    /// Lets go of a message that was only looked at.
    pub(crate) async fn let_go(&self, here: &Deployment, task: Task) -> Result<()> {
        if let Self::DeadLetter(message) = self {
            let sqs = aws_sdk_sqs::Client::new(&here.sdk);
            release(&sqs, here.dlq_url(task)?, std::slice::from_ref(&**message)).await;
        }
        Ok(())
    }
}

pub(crate) async fn run(here: &Deployment, arguments: &Arguments, now: i64) -> Result<Retried> {
    let ledger = here.ledger()?;
    let (task, key, seen) = look_up(&ledger, &arguments.payment, &arguments.effect).await?;
    let seen = seen.as_ref();
    if let Some(row) = seen {
        refuse_what_is_settled(&key, row, now)?;
    }
    let event = find(here, task, &key, seen).await?;
    let before = seen.map_or_else(|| "nothing".to_owned(), |row| row.state.to_string());
    if arguments.acting.yes {
        let operator = Operator::identify(here, &arguments.acting, now).await?;
        let after = format!("delivered again, {}", event.source());
        let action = operator.action(Verb::Retry, Some(key.effect.clone()), before.clone(), after);
        ledger.record(&key, seen, &action, Change::Nothing).await?;
        deliver(here, task, &event).await?;
    } else {
        event.let_go(here, task).await?;
    }
    Ok(Retried {
        payment_id: key.payment_id.to_string(),
        effect: key.effect.to_string(),
        acted: arguments.acting.yes,
        before,
        source: event.source(),
    })
}

/// What an operator names by payment and effect: whose it is, its key, and its row if there is one.
pub(crate) async fn look_up(
    ledger: &DynamoDbEffects,
    payment: &str,
    effect: &str,
) -> Result<(Task, EffectKey, Option<EffectRow>)> {
    let effect = Effect::from(effect);
    let task = Task::of(&effect).with_context(|| format!("{effect} is no effect of any task"))?;
    let key = EffectKey { payment_id: PaymentId::new(payment), effect };
    let history = ledger.history(&key.payment_id).await?;
    let seen = history.effects.into_iter().find(|row| row.effect == key.effect);
    Ok((task, key, seen))
}

/// Another delivery would change nothing about these, and saying that it was made would mislead.
fn refuse_what_is_settled(key: &EffectKey, row: &EffectRow, now: i64) -> Result<()> {
    let EffectKey { payment_id, effect } = key;
    match &row.state {
        EffectState::Done => {
            bail!("{effect} of {payment_id} is done. For a second mail, see `afterlink resend --help`")
        }
        EffectState::Skipped { reason } => {
            bail!("{effect} of {payment_id} was left out on purpose ({reason})")
        }
        EffectState::Unknown { .. } => bail!(
            "nobody can tell whether {effect} of {payment_id} was done: find out, then `afterlink resolve {payment_id} \
             {effect} --sent` or `--not-sent`"
        ),
        EffectState::Claimed(claim) if claim.lease_until >= now => {
            bail!("somebody is at {effect} of {payment_id} right now: look again in a minute")
        }
        EffectState::Claimed(_) | EffectState::Retry { .. } | EffectState::Parked { .. } => Ok(()),
    }
}

/// The event of an effect, from the nearest place that has it.
///
/// # Errors
///
/// When nobody has it, or a place does not answer.
pub(crate) async fn find(
    here: &Deployment,
    task: Task,
    key: &EffectKey,
    seen: Option<&EffectRow>,
) -> Result<Event> {
    let event_id = seen.and_then(|row| row.event_id.as_deref());
    let sqs = aws_sdk_sqs::Client::new(&here.sdk);
    let wanted = |message: &DeadLetter| {
        message.payment_id.as_ref() == Some(&key.payment_id)
            && event_id.is_some()
            && message.event_id.as_deref() == event_id
    };
    let mut waiting = take(&sqs, here.dlq_url(task)?, wanted).await?.into_iter();
    if let Some(message) = waiting.next() {
        release(&sqs, here.dlq_url(task)?, &waiting.collect::<Vec<_>>()).await;
        return Ok(Event::DeadLetter(Box::new(message)));
    }
    let client = stripe::client(here, stripe::BUDGET).await?;
    // What an operator completed is read as they decided, whoever delivers it again.
    let contract = remembered_kind(&here.ledger()?.history(&key.payment_id).await?).map(contract_of);
    if let Some(event_id) = event_id
        && let Some(found) = stripe::event(&client, event_id).await?
    {
        return Ok(Event::OfStripe(found.corrected(contract)));
    }
    let again = stripe::event_again(&client, key, here.livemode()?).await?;
    Ok(Event::OfSession(again.corrected(contract)))
}

/// Puts an event into a task's queue, and into no other.
///
/// # Errors
///
/// When the queue does not answer.
pub(crate) async fn deliver(here: &Deployment, task: Task, event: &Event) -> Result<()> {
    let sqs = aws_sdk_sqs::Client::new(&here.sdk);
    let queue_url = here.queue_url(task)?;
    match event {
        Event::DeadLetter(message) => move_back(&sqs, message, here.dlq_url(task)?, queue_url).await,
        Event::OfStripe(found) | Event::OfSession(found) => {
            queues::send(&sqs, queue_url, &found.message()?).await
        }
    }
}

impl Report for Retried {
    fn print(&self, page: &mut Page) {
        let Self { payment_id, effect, before, source, .. } = self;
        page.line(if self.acted {
            format!("The event of {effect} of {payment_id} (before: {before}) is delivered again, {source}.")
        } else {
            format!(
                "A dry run: the event of {effect} of {payment_id} (now: {before}) would be delivered again, {source}. With \
                 --yes it is."
            )
        });
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use effect_ledger::Claim;

    use super::*;

    #[test]
    fn delivers_nothing_that_is_settled_or_under_way() {
        let key = EffectKey { payment_id: PaymentId::new("pi_1"), effect: Effect::email("thank-you") };
        let reason = || "why".to_owned();
        let claimed =
            |lease_until| EffectState::Claimed(Claim { owner: "req/m1".to_owned(), attempt: 1, lease_until });
        for (state, refused) in [
            (EffectState::Done, true),
            (EffectState::Skipped { reason: reason() }, true),
            (EffectState::Unknown { reason: reason() }, true),
            (claimed(1000), true),
            (claimed(999), false),
            (EffectState::Retry { reason: reason() }, false),
            (EffectState::Parked { reason: reason() }, false),
        ] {
            let row = EffectRow::new(key.effect.clone(), state);
            assert_eq!(refuse_what_is_settled(&key, &row, 1000).is_err(), refused, "{:?}", row.state);
        }
    }
}
