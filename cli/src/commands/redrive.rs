use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use effect_ledger::{DynamoDbEffects, Verb};
use fulfilment::PaymentId;
use serde::Serialize;

use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Cell, DIM, Page, Report, Time, Verdict, count};
use crate::queues::{DeadLetter, move_back, release, take};
use crate::task::Task;

/// Under which payment the ledger keeps what was done about messages that tell of none.
const NO_PAYMENT: &str = "operator";

/// Sends messages from a task's dead-letter queue back to its queue, once their cause is mended.
///
/// Safe to interrupt and to repeat: the ledger drops what was done, and nobody is thanked twice.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live redrive --task thank-you-email --reason mail_rejected --yes"
)]
pub(crate) struct Arguments {
    /// Whose dead-letter queue
    #[arg(long, value_enum)]
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

pub(crate) async fn run(here: &Deployment, arguments: &Arguments, now: i64) -> Result<Redriven> {
    let task = arguments.task;
    let (dlq_url, queue_url) = (here.dlq_url(task)?, here.queue_url(task)?);
    let sqs = aws_sdk_sqs::Client::new(&here.sdk);
    let wanted =
        |message: &DeadLetter| arguments.reason.as_deref().is_none_or(|reason| message.reason() == reason);
    let messages = take(&sqs, dlq_url, wanted).await?;
    let redriven = Redriven {
        task,
        acted: arguments.acting.yes,
        messages: messages.len(),
        reasons: by_reason(&messages),
    };
    if !arguments.acting.yes {
        release(&sqs, dlq_url, &messages).await;
        return Ok(redriven);
    }
    let (ledger, operator) = (here.ledger()?, Operator::identify(here, &arguments.acting, now).await?);
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
    let before =
        format!("{} in the DLQ ({})", message.event_id.as_deref().unwrap_or("a message"), message.reason());
    let action =
        operator.action(Verb::Redrive, None, before, format!("back in the queue of {}", task.name()));
    let payment_id = message.payment_id.clone().unwrap_or_else(|| PaymentId::new(NO_PAYMENT));
    Ok(ledger.record_alone(&payment_id, &action).await?)
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
    use super::*;
    use crate::page::plain;

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
        Redriven { task: Task::ThankYouEmail, acted, messages: 3, reasons }
    }

    #[test]
    fn tells_what_would_happen_and_what_did() {
        insta::assert_snapshot!(plain(&report(false), 1_000_000), @r#"
          reason         messages  oldest  one cause
          no_recipient   2         16 min  the customer has no usable email address
          tries used up  1         8 min

        A dry run: 3 messages would go back to thank-you-email. With --yes they do.
        "#);
        insta::assert_snapshot!(plain(&report(true), 1_000_000).lines().last().unwrap(), @"3 messages sent back to thank-you-email.");
    }
}
