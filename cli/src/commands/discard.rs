//! Ends what waits in a dead-letter queue and will never be done.
//!
//! The order of a message: its effects are closed and written down, then it is deleted. If it ends in between, running
//! it again does the rest.

use std::collections::BTreeMap;

use anyhow::Result;
use catalogue::{Function, Task, queued};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use effect_ledger::{Change, DynamoDbEffects, EffectKey, EffectRow, EffectState, NotRecorded, Verb};
use fulfilment::PaymentId;
use serde::Serialize;

use crate::commands::redrive::{NO_PAYMENT, print_in_other_hands, print_nothing};
use crate::course::DISCARDED;
use crate::deployment::Deployment;
use crate::interrupt::Interrupt;
use crate::operator::{Acting, Operator};
use crate::page::{Cell, Page, Report, Verdict, count};
use crate::progress::Progress;
use crate::queues::{DeadLetter, delete, depth, read_through};
use crate::reason;

/// Deletes messages of a dead-letter queue that will never be acted on, and closes the effects that they ask for.
///
/// The ledger keeps who did it and why, each message's event and fingerprint, and each closed effect; `retry` opens an
/// effect again. `forward` is the queue of events that reached no task.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live discard --task thank-you-email --reason undecodable_event --because 'a test of ours' --yes"
)]
pub(crate) struct Arguments {
    /// Whose dead-letter queue
    #[arg(long, value_parser = source_parser())]
    task: Source,
    /// Only messages with this reason
    #[arg(long, required_unless_present = "message")]
    reason: Option<String>,
    /// Only the message with this id, which `redrive --list --json` has
    #[arg(long)]
    message: Option<String>,
    #[command(flatten)]
    acting: Acting,
}

/// Where the messages were meant to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Function(Function),
    /// From Stripe's bus to ours.
    Forward,
}

const FORWARD: &str = "forward";

fn source_parser() -> impl TypedValueParser<Value = Source> {
    let names = queued().map(|function| function.name).chain([FORWARD]);
    PossibleValuesParser::new(names.collect::<Vec<_>>())
        .map(|name| Function::from_name(&name).map_or(Source::Forward, Source::Function))
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Function(function) => function.name,
            Self::Forward => FORWARD,
        }
    }

    /// The task, where it is one: its messages ask for effects.
    const fn task(self) -> Option<Task> {
        match self {
            Self::Function(function) => function.task(),
            Self::Forward => None,
        }
    }

    fn dlq_url(self, deployment: &Deployment) -> Result<&str> {
        match self {
            Self::Function(function) => deployment.dlq_url(function),
            Self::Forward => deployment.output("ForwardDlqUrl"),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Discarded {
    task: &'static str,
    /// Whether they were deleted, or would have been.
    acted: bool,
    messages: Vec<Message>,
    /// The reasons of messages that were passed over.
    other_reasons: BTreeMap<String, usize>,
    in_other_hands: u64,
    interrupted: bool,
}

#[derive(Serialize)]
struct Message {
    message_id: String,
    payment_id: Option<String>,
    event_id: Option<String>,
    reason: String,
    /// The effects that are closed with it.
    closes: Vec<String>,
    /// Why it stays, if it does.
    stays: Option<String>,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Discarded> {
    let operator = arguments.acting.operator(deployment, now).await?;
    if let Some(reason) = &arguments.reason {
        reason::check(reason)?;
    }
    discard(deployment, arguments, operator.as_ref(), now, &Interrupt::listen()).await
}

/// Discards them if there is an operator to write it down for; else says what would be done.
async fn discard(
    deployment: &Deployment,
    arguments: &Arguments,
    operator: Option<&Operator>,
    now: i64,
    interrupt: &Interrupt,
) -> Result<Discarded> {
    let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
    let dlq_url = arguments.task.dlq_url(deployment)?;
    let ledger = deployment.ledger()?;
    let livemode = deployment.livemode()?;
    let mut report = Discarded {
        task: arguments.task.name(),
        acted: operator.is_some(),
        messages: Vec::new(),
        other_reasons: BTreeMap::new(),
        in_other_hands: depth(&sqs, dlq_url).await?.in_flight,
        interrupted: false,
    };
    let is_wanted = |message: &DeadLetter| {
        arguments.reason.as_deref().is_none_or(|reason| message.reason() == reason)
            && arguments.message.as_deref().is_none_or(|id| message.id == id)
    };
    let progress = Progress::new();
    read_through(&sqs, dlq_url, async |reader| {
        loop {
            report.interrupted = interrupt.came();
            if report.interrupted {
                break;
            }
            let Some(wanted) = reader.next_wanted(is_wanted, &mut report.other_reasons).await? else { break };
            for message in wanted {
                let open = match (arguments.task.task(), &message.payment_id) {
                    (Some(task), Some(payment_id)) => {
                        let rows = ledger.history(payment_id).await?.effects;
                        open_effects(task, &message, rows, livemode, now)
                    }
                    _ => Ok(Vec::new()),
                };
                let mut stays = open.as_ref().err().cloned();
                let open = open.unwrap_or_default();
                if let (None, Some(operator)) = (&stays, operator) {
                    match record(&ledger, operator, arguments.task, &message, &open).await {
                        Ok(()) => {
                            delete(&sqs, &message, dlq_url).await?;
                            reader.forget(&message);
                        }
                        Err(NotRecorded::Changed) => stays = Some(NotRecorded::Changed.to_string()),
                        Err(NotRecorded::Store(error)) => return Err(error.into()),
                    }
                }
                report.messages.push(Message {
                    message_id: message.id.clone(),
                    payment_id: message.reference(),
                    event_id: message.event_id.clone(),
                    reason: message.reason().to_owned(),
                    closes: open.iter().map(|row| row.effect.to_string()).collect(),
                    stays,
                });
            }
            progress.say(format_args!(
                "{} looked at, {} of them wanted",
                reader.seen(),
                report.messages.len()
            ));
        }
        Ok(())
    })
    .await?;
    Ok(report)
}

/// The effects that a message asks for and that are proven not to be done.
///
/// # Errors
///
/// Why it has to stay: one of them is being done.
fn open_effects(
    task: Task,
    message: &DeadLetter,
    rows: Vec<EffectRow>,
    livemode: bool,
    now: i64,
) -> Result<Vec<EffectRow>, String> {
    let mut open = Vec::new();
    for effect in message.asks_of(task, &rows, livemode) {
        // Without a row, reconciliation would put the event back on the bus.
        let none = EffectRow::new(effect.clone(), EffectState::Retry { reason: String::new() });
        let row = rows.iter().find(|row| row.effect == effect).cloned().unwrap_or(none);
        match &row.state {
            EffectState::Done | EffectState::Skipped { .. } | EffectState::Unknown { .. } => {}
            EffectState::Claimed(claim) if claim.lease_until >= now => {
                return Err(format!("{effect} is being done right now"));
            }
            EffectState::Claimed(_) if task == Task::ThankYouEmail => {
                return Err(format!(
                    "{effect} was begun and never settled: find out, then `afterlink resolve`"
                ));
            }
            EffectState::Claimed(_) | EffectState::Retry { .. } | EffectState::Parked { .. } => {
                open.push(row)
            }
        }
    }
    Ok(open)
}

/// Closes the effects, each with a row of its own of who did it and why; a message that closes none has one as well.
async fn record(
    ledger: &DynamoDbEffects,
    operator: &Operator,
    task: Source,
    message: &DeadLetter,
    open: &[EffectRow],
) -> Result<(), NotRecorded> {
    let after = format!("deleted from the DLQ of {}", task.name());
    let payment_id = message.payment_id.clone().unwrap_or_else(|| PaymentId::new(NO_PAYMENT));
    for row in open {
        let key = EffectKey::new(&payment_id, row.effect.clone());
        let action =
            operator.action(Verb::Discard, Some(row.effect.clone()), message.described(), after.clone());
        let seen = row.updated_at.map(|_| row);
        ledger.record(&key, seen, &action, Change::Closed { reason: DISCARDED }).await?;
    }
    if open.is_empty() {
        let action = operator.action(Verb::Discard, None, message.described(), after);
        ledger.record_alone(&payment_id, &action).await?;
    }
    Ok(())
}

impl Report for Discarded {
    fn print(&self, page: &mut Page) {
        if self.messages.is_empty() && !self.interrupted {
            print_nothing(page, self.task, &self.other_reasons, self.in_other_hands);
            return;
        }
        let rows: Vec<_> = self
            .messages
            .iter()
            .map(|message| {
                vec![
                    Cell::new(&message.message_id),
                    Cell::new(message.payment_id.as_deref().unwrap_or("no payment")),
                    Cell::new(&message.reason),
                    Cell::new(message.closes.join(", ")),
                    Cell::new(message.stays.as_deref().unwrap_or_default()),
                ]
            })
            .collect();
        page.table(&["message", "payment", "reason", "closes", "stays, because"], &rows);
        let gone = self.messages.iter().filter(|message| message.stays.is_none());
        let gone = count(gone.count(), "message");
        let interrupted = if self.interrupted { "Interrupted: " } else { "" };
        page.line(if self.acted {
            format!("\n{interrupted}{gone} of {} deleted, and what they asked for closed. The ledger has who and why.", self.task)
        } else {
            format!("\n{interrupted}A dry run: {gone} of {} would be deleted. With --yes and --because they are.", self.task)
        });
        print_in_other_hands(page, self.in_other_hands);
    }

    fn verdict(&self) -> Verdict {
        let stays = self.messages.iter().any(|message| !self.acted || message.stays.is_some());
        let passed_over = self.messages.is_empty() && !self.other_reasons.is_empty();
        Verdict::needs_you_if(stays || passed_over || self.interrupted || self.in_other_hands > 0)
    }
}

#[cfg(test)]
mod tests;
