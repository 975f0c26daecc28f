mod report;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use catalogue::Function;
use clap::Args;
use effect_ledger::{DynamoDbEffects, EffectRow, Verb};
use fulfilment::PaymentId;
use futures_util::future::join_all;
use serde::Serialize;
use stripe_client::StripeClient;

pub(crate) use self::report::{print_in_other_hands, print_nothing};
use crate::contract::remembered_contract;
use crate::deployment::Deployment;
use crate::interrupt::Interrupt;
use crate::operator::{Acting, Operator};
use crate::page::{Time, count};
use crate::progress::Progress;
use crate::queues::{self, DeadLetter, delete, depth, move_back, read_through};
use crate::reason;
use crate::stripe::{self, Found};
use crate::task::queue_parser;

/// The subject under which the ledger keeps actions on messages that name no payment.
pub(crate) const NO_PAYMENT: &str = "operator";

/// Sends messages from a task's dead-letter queue back to its queue, once their cause is fixed.
///
/// Safe to interrupt and to repeat: the ledger drops effects that are done, and no customer is thanked twice. With
/// --from-session the events are made anew from what Stripe has now, for sessions that were corrected since.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  afterlink --stage live redrive --task thank-you-email --list\n  \
                  afterlink --stage live redrive --task thank-you-email --reason sender_refused --because 'verified again' --yes")]
pub(crate) struct Arguments {
    /// Whose dead-letter queue
    #[arg(long, value_parser = queue_parser())]
    task: Function,
    /// Only messages with this reason
    #[arg(long)]
    reason: Option<String>,
    /// Makes each event anew from the session, invoice, refund or dispute as Stripe has it now
    #[arg(long)]
    from_session: bool,
    /// Lists every message: its payment, event, reason and cause
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Serialize)]
pub(crate) struct Redriven {
    task: &'static str,
    /// Whether the messages were sent back, or would have been.
    acted: bool,
    messages: usize,
    /// How many ask for nothing but effects that are done, skipped or unknown: the ledger drops those.
    settled: usize,
    reasons: BTreeMap<String, Reason>,
    /// Each message, with --list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    list: Vec<Listed>,
    /// Messages that stay, because their event cannot be made anew.
    problems: Vec<Problem>,
    /// The reasons of messages that were passed over.
    other_reasons: BTreeMap<String, usize>,
    /// How many stay because the same was sent back before: they came into the queue again, or were there twice.
    came_back: usize,
    /// Messages that another operator is looking at: they are hidden for two minutes at most.
    in_other_hands: u64,
    /// Whether it was interrupted before its end.
    interrupted: bool,
}

#[derive(Serialize)]
struct Reason {
    messages: usize,
    /// When the oldest was first sent.
    oldest: Option<Time>,
    /// The cause of one of them, in sentences.
    example: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    payment_id: Option<String>,
    event_id: Option<String>,
    message_id: String,
    reason: String,
    cause: Option<String>,
    sent_at: Option<Time>,
}

#[derive(Serialize)]
struct Problem {
    payment_id: Option<String>,
    message_id: String,
    problem: String,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Redriven> {
    let operator = arguments.acting.operator(deployment, now).await?;
    if let Some(reason) = &arguments.reason {
        reason::check(reason)?;
    }
    let stripe = if arguments.from_session {
        Some(stripe::client(deployment, stripe::LONG_BUDGET).await?)
    } else {
        None
    };
    let run = Run {
        deployment,
        sqs: aws_sdk_sqs::Client::new(&deployment.sdk),
        ledger: deployment.ledger()?,
        livemode: deployment.livemode()?,
        task: arguments.task,
        stripe,
        operator,
    };
    run.through(arguments, &Interrupt::listen()).await
}

/// One run of the command.
struct Run<'a> {
    deployment: &'a Deployment,
    sqs: aws_sdk_sqs::Client,
    ledger: DynamoDbEffects,
    livemode: bool,
    task: Function,
    /// Where events are made anew.
    stripe: Option<StripeClient>,
    /// None for a dry run.
    operator: Option<Operator>,
}

impl Run<'_> {
    /// Reads the queue from end to end, a batch after the other.
    async fn through(&self, arguments: &Arguments, interrupt: &Interrupt) -> Result<Redriven> {
        let dlq_url = self.deployment.dlq_url(self.task)?;
        let mut report = Redriven {
            task: self.task.name,
            acted: self.operator.is_some(),
            messages: 0,
            settled: 0,
            reasons: BTreeMap::new(),
            list: Vec::new(),
            problems: Vec::new(),
            other_reasons: BTreeMap::new(),
            came_back: 0,
            in_other_hands: depth(&self.sqs, dlq_url).await?.in_flight,
            interrupted: false,
        };
        let is_wanted = |message: &DeadLetter| {
            arguments.reason.as_deref().is_none_or(|wanted| message.reason() == wanted)
        };
        let progress = Progress::new();
        let mut histories = BTreeMap::new();
        let mut sent_back = BTreeSet::new();
        read_through(&self.sqs, dlq_url, async |reader| {
            loop {
                if interrupt.came() {
                    report.interrupted = true;
                    break;
                }
                let wanted = reader.next_wanted(is_wanted, &mut report.other_reasons);
                let wanted = wanted.await.map_err(|error| report.broken_off(error))?;
                let Some(wanted) = wanted else { break };
                // The task may park one again before the end of the queue is reached.
                let (again, wanted): (Vec<_>, Vec<_>) =
                    wanted.into_iter().partition(|message| sent_back.contains(&message.request()));
                report.came_back += again.len();
                if self.operator.is_some() {
                    sent_back.extend(wanted.iter().map(DeadLetter::request));
                }
                let done = self.batch(&wanted, &mut report, &mut histories, arguments.list).await;
                done.map_err(|error| report.broken_off(error))?;
                let stay: BTreeSet<_> = report.problems.iter().map(|problem| &problem.message_id).collect();
                let went = |message: &&DeadLetter| self.operator.is_some() && !stay.contains(&message.id);
                wanted.iter().filter(went).for_each(|message| reader.forget(message));
                progress.say(format_args!("{} looked at, {} of them wanted", reader.seen(), report.messages));
            }
            Ok(())
        })
        .await?;
        Ok(report)
    }

    async fn batch(
        &self,
        messages: &[DeadLetter],
        report: &mut Redriven,
        histories: &mut BTreeMap<PaymentId, Vec<EffectRow>>,
        list: bool,
    ) -> Result<()> {
        for message in messages {
            if let Some(payment_id) = &message.payment_id
                && !histories.contains_key(payment_id)
            {
                histories.insert(payment_id.clone(), self.ledger.history(payment_id).await?.effects);
            }
        }
        let handled = join_all(messages.iter().map(async |message| self.handle(message).await)).await;
        for (message, handled) in messages.iter().zip(handled) {
            match handled? {
                Ok(()) => {
                    let rows = message.payment_id.as_ref().and_then(|payment_id| histories.get(payment_id));
                    let rows = rows.map(Vec::as_slice).unwrap_or_default();
                    report.settled += usize::from(self.is_settled(message, rows));
                    report.counted(message, list);
                }
                Err(problem) => report.problems.push(Problem {
                    payment_id: message.reference(),
                    message_id: message.id.clone(),
                    problem,
                }),
            }
        }
        Ok(())
    }

    /// What is no task's has no effects in the ledger, so nothing of it is settled there.
    fn is_settled(&self, message: &DeadLetter, rows: &[EffectRow]) -> bool {
        self.task.task().is_some_and(|task| message.is_settled(task, rows, self.livemode))
    }

    /// Sends one back if there is an operator to write it down for. The inner error says why it stays.
    async fn handle(&self, message: &DeadLetter) -> Result<Result<(), String>> {
        let anew = match &self.stripe {
            // An operator's request is in its message only.
            Some(stripe) if message.resend_id.is_none() => match self.anew(stripe, message).await {
                Ok(found) => Some(found.message()?),
                Err(error) => return Ok(Err(format!("{error:#}"))),
            },
            Some(_) | None => None,
        };
        let Some(operator) = &self.operator else { return Ok(Ok(())) };
        record(&self.ledger, operator, self.task, message, anew.is_some()).await?;
        let (queue_url, dlq_url) =
            (self.deployment.queue_url(self.task)?, self.deployment.dlq_url(self.task)?);
        match anew {
            Some(body) => {
                queues::send(&self.sqs, queue_url, &body).await?;
                delete(&self.sqs, message, dlq_url).await?;
            }
            None => move_back(&self.sqs, message, dlq_url, queue_url).await?,
        }
        Ok(Ok(()))
    }

    /// The event of a message as it would be now. What an operator completed stays as they decided.
    async fn anew(&self, stripe: &StripeClient, message: &DeadLetter) -> Result<Found> {
        let event = Found::of_message(&message.body).context("the message holds no event")?.event;
        let found = stripe::object_again(stripe, &event, self.livemode).await?;
        let contract = match &message.payment_id {
            Some(payment_id) => remembered_contract(&self.ledger.history(payment_id).await?),
            None => None,
        };
        Ok(found.corrected(contract))
    }
}

/// Writes it down before it is done: an action that is written and not done is harmless, the reverse is a secret.
pub(crate) async fn record(
    ledger: &DynamoDbEffects,
    operator: &Operator,
    task: Function,
    message: &DeadLetter,
    anew: bool,
) -> Result<()> {
    let made = if anew { ", its event made anew from Stripe" } else { "" };
    let after = format!("back in the queue of {}{made}", task.name);
    let action = operator.action(Verb::Redrive, None, message.described(), after);
    let payment_id = message.payment_id.clone().unwrap_or_else(|| PaymentId::new(NO_PAYMENT));
    Ok(ledger.record_alone(&payment_id, &action).await?)
}

impl Redriven {
    fn broken_off(&self, error: anyhow::Error) -> anyhow::Error {
        let sent = count(if self.acted { self.messages } else { 0 }, "message");
        error.context(format!("broken off: {sent} sent back before, the rest is in the DLQ"))
    }

    fn counted(&mut self, message: &DeadLetter, list: bool) {
        self.messages += 1;
        let reason = self.reasons.entry(message.reason().to_owned()).or_insert_with(|| Reason {
            messages: 0,
            oldest: message.sent_at,
            example: message.cause.clone(),
        });
        reason.messages += 1;
        reason.oldest = reason.oldest.min(message.sent_at);
        if list {
            self.list.push(Listed {
                payment_id: message.reference(),
                event_id: message.event_id.clone(),
                message_id: message.id.clone(),
                reason: message.reason().to_owned(),
                cause: message.cause.clone(),
                sent_at: message.sent_at,
            });
        }
    }
}

#[cfg(test)]
mod tests;
