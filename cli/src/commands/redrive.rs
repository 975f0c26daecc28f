use std::collections::BTreeMap;

use anyhow::Result;
use catalogue::Task;
use clap::Args;
use effect_ledger::{DynamoDbEffects, EffectRow, EffectState, Verb};
use fulfilment::{PaymentId, effects};
use serde::Serialize;

use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Cell, DIM, Page, Report, Time, Verdict, count};
use crate::queues::{DeadLetter, move_back, release, take};
use crate::task::task_parser;

/// The subject under which the ledger keeps actions on messages that name no payment.
const NO_PAYMENT: &str = "operator";

/// Sends messages from a task's dead-letter queue back to its queue, once their cause is fixed.
///
/// Safe to interrupt and to repeat: the ledger drops effects that are done, and no customer is thanked twice.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live redrive --task thank-you-email --reason mail_rejected --yes"
)]
pub(crate) struct Arguments {
    /// Whose dead-letter queue
    #[arg(long, value_parser = task_parser())]
    task: Task,
    /// Only messages with this reason
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Serialize)]
pub(crate) struct Redriven {
    task: Task,
    /// Whether the messages were sent back, or would have been.
    acted: bool,
    messages: usize,
    /// How many ask for nothing but effects that are done, skipped or unknown: the ledger drops those.
    settled: usize,
    reasons: BTreeMap<String, Reason>,
}

#[derive(Serialize)]
struct Reason {
    messages: usize,
    /// When the oldest was first sent.
    oldest: Option<Time>,
    /// The cause of one of them, in sentences.
    example: Option<String>,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Redriven> {
    let task = arguments.task;
    let dlq_url = deployment.dlq_url(task)?;
    let queue_url = deployment.queue_url(task)?;
    let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
    let wanted =
        |message: &DeadLetter| arguments.reason.as_deref().is_none_or(|reason| message.reason() == reason);
    let messages = take(&sqs, dlq_url, wanted).await?;
    let ledger = deployment.ledger()?;
    let redriven = Redriven {
        task,
        settled: settled(deployment, &ledger, task, &messages).await?,
        acted: arguments.acting.yes,
        messages: messages.len(),
        reasons: by_reason(&messages),
    };
    if !arguments.acting.yes {
        release(&sqs, dlq_url, &messages).await;
        return Ok(redriven);
    }
    let operator = Operator::identify(deployment, &arguments.acting, now).await?;
    for message in &messages {
        record(&ledger, &operator, task, message).await?;
        move_back(&sqs, message, dlq_url, queue_url).await?;
    }
    Ok(redriven)
}

/// Writes it down before it is done: an action that is written and not done is harmless, the reverse is a secret.
pub(crate) async fn record(
    ledger: &DynamoDbEffects,
    operator: &Operator,
    task: Task,
    message: &DeadLetter,
) -> Result<()> {
    let event = message.event_id.as_deref().unwrap_or("an unreadable event");
    let request = message.resend_id.as_ref().map(|id| format!(", resend {id}")).unwrap_or_default();
    let before = format!("{event}{request} in the DLQ ({}), message {}", message.reason(), message.id);
    let action =
        operator.action(Verb::Redrive, None, before, format!("back in the queue of {}", task.name()));
    let payment_id = message.payment_id.clone().unwrap_or_else(|| PaymentId::new(NO_PAYMENT));
    Ok(ledger.record_alone(&payment_id, &action).await?)
}

/// How many messages the ledger will drop: nothing that they ask of the task is open.
async fn settled(
    deployment: &Deployment,
    ledger: &DynamoDbEffects,
    task: Task,
    messages: &[DeadLetter],
) -> Result<usize> {
    let livemode = deployment.livemode()?;
    let mut histories: BTreeMap<&PaymentId, Vec<EffectRow>> = BTreeMap::new();
    let mut settled = 0;
    for message in messages {
        let Some(payment_id) = &message.payment_id else { continue };
        if !histories.contains_key(payment_id) {
            histories.insert(payment_id, ledger.history(payment_id).await?.effects);
        }
        let rows = histories.get(payment_id).map(Vec::as_slice).unwrap_or_default();
        settled += usize::from(is_settled(task, message, rows, livemode));
    }
    Ok(settled)
}

/// Whether nothing that a message asks of a task is open. The second mail of a purchase of files is asked for by the
/// same message as the first.
fn is_settled(task: Task, message: &DeadLetter, rows: &[EffectRow], livemode: bool) -> bool {
    let is_over = |row: &EffectRow| {
        matches!(row.state, EffectState::Done | EffectState::Skipped { .. } | EffectState::Unknown { .. })
    };
    let mut asked: Vec<_> = message
        .calls_for(livemode)
        .into_iter()
        .filter(|effect| Task::of_effect(effect) == Some(task))
        .collect();
    if asked.is_empty() {
        return false;
    }
    let second = effects::email("files-ready");
    asked.extend(rows.iter().any(|row| row.effect == second).then_some(second));
    asked.iter().all(|effect| rows.iter().any(|row| row.effect == *effect && is_over(row)))
}

fn by_reason(messages: &[DeadLetter]) -> BTreeMap<String, Reason> {
    let mut reasons = BTreeMap::new();
    for message in messages {
        let reason = reasons.entry(message.reason().to_owned()).or_insert_with(|| Reason {
            messages: 0,
            oldest: message.sent_at,
            example: message.cause.clone(),
        });
        reason.messages += 1;
        reason.oldest = reason.oldest.min(message.sent_at);
    }
    reasons
}

impl Report for Redriven {
    fn print(&self, page: &mut Page) {
        if self.messages == 0 {
            page.line(format_args!("No such message is in the dead-letter queue of {}.", self.task.name()));
            return;
        }
        let rows: Vec<_> = self
            .reasons
            .iter()
            .map(|(name, reason)| {
                let oldest = reason.oldest.map_or_else(String::new, |at| page.ago(at));
                let example = reason.example.as_deref().unwrap_or_default();
                vec![
                    Cell::new(name),
                    Cell::new(reason.messages),
                    Cell::new(oldest),
                    Cell::styled(DIM, example),
                ]
            })
            .collect();
        page.table(&["reason", "messages", "oldest", "one cause"], &rows);
        let messages = count(self.messages, "message");
        if self.settled > 0 {
            page.line(format_args!(
                "\n{} of them for effects that are done, left out or unknown: the task drops them. `afterlink explain` \
                 shows each; what is unknown is for `afterlink resolve`.",
                self.settled
            ));
        }
        page.line(if self.acted {
            format!("\n{messages} sent back to {}.", self.task.name())
        } else {
            format!("\nA dry run: {messages} would go back to {}. With --yes they do.", self.task.name())
        });
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use effect_ledger::Effect;
    use fulfilment::effects;
    use stripe_events::{Delivered, Resend};
    use testkit::stripe::SessionEvent;

    use super::*;
    use crate::page::plain;

    #[test]
    fn a_message_is_settled_when_nothing_it_asks_for_is_open() {
        let sent = |body: String| {
            let message =
                aws_sdk_sqs::types::Message::builder().body(body).message_id("m").receipt_handle("r");
            DeadLetter::of(message.build()).unwrap()
        };
        let event = SessionEvent::paid().to_json();
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        let resend = Resend { id: "r-1".to_owned(), to: None };
        let first = sent(Delivered::replay_json(&raw, "checkout.session.completed").unwrap());
        let second = sent(Delivered::resend_json(&raw, &resend, None).unwrap());
        let mail = effects::email("thank-you");
        let unknown = EffectState::Unknown { reason: "x".to_owned() };
        let parked = |reason: &str| EffectState::Parked { reason: reason.to_owned() };
        let rows = |states: &[(&Effect, EffectState)]| -> Vec<EffectRow> {
            states.iter().map(|(effect, state)| EffectRow::new((*effect).clone(), state.clone())).collect()
        };
        let files = effects::email("files-ready");
        let again = effects::resent(&mail, "r-1");
        for (message, rows, expected) in [
            (&first, rows(&[]), false),
            (&first, rows(&[(&mail, EffectState::Done)]), true),
            (&first, rows(&[(&mail, unknown.clone())]), true),
            (&first, rows(&[(&mail, parked("no_recipient"))]), false),
            (&first, rows(&[(&mail, EffectState::Done), (&files, parked("file_missing"))]), false),
            (&second, rows(&[(&mail, EffectState::Done)]), false),
            (&second, rows(&[(&mail, EffectState::Done), (&again, unknown)]), true),
        ] {
            assert_eq!(is_settled(Task::ThankYouEmail, message, &rows, false), expected, "{rows:?}");
        }
    }

    fn report(acted: bool) -> Redriven {
        let reason = |messages, oldest, example: Option<&str>| Reason {
            messages,
            oldest: Some(Time(oldest)),
            example: example.map(str::to_owned),
        };
        let reasons = BTreeMap::from([
            ("no_recipient".to_owned(), reason(2, 0, Some("the customer has no usable email address"))),
            ("tries used up".to_owned(), reason(1, 500_000, None)),
        ]);
        Redriven { task: Task::ThankYouEmail, acted, messages: 3, settled: 0, reasons }
    }

    #[test]
    fn reports_the_plan_and_the_result() {
        insta::assert_snapshot!(plain(&report(false), 1_000_000), @r#"
          reason         messages  oldest  one cause
          no_recipient   2         16 min  the customer has no usable email address
          tries used up  1         8 min

        A dry run: 3 messages would go back to thank-you-email. With --yes they do.
        "#);
        insta::assert_snapshot!(plain(&report(true), 1_000_000).lines().last().unwrap(), @"3 messages sent back to thank-you-email.");
        let settled = plain(&Redriven { settled: 2, ..report(true) }, 1_000_000);
        assert!(settled.contains("2 of them for effects that are done, left out or unknown"), "{settled}");
    }
}
