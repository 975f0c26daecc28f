use anyhow::{Error, Result};
use clap::Args;
use effect_ledger::{Change, EffectRow, EffectState, Verb};
use serde::Serialize;

use crate::commands::retry::{NamedEffect, dead_letter, look_up};
use crate::course::{Asked, CLOSED, course};
use crate::deployment::Deployment;
use crate::operator::Acting;
use crate::page::{Page, Report, Verdict};
use crate::payments::PAYMENT;
use crate::queues::{delete, release};

/// Closes an effect that will not be done: a customer without an address, a mail that was written by hand.
///
/// The ledger keeps who closed it and why, and its message leaves the dead-letter queue. `retry` opens it again. What may
/// have been done is for `resolve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live close pi_3Q9… email#thank-you --because 'wrote by hand' --yes"
)]
pub(crate) struct Arguments {
    #[arg(help = PAYMENT)]
    payment: String,
    /// The effect's name in the ledger, for example email#thank-you
    effect: String,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Serialize)]
pub(crate) struct Closed {
    payment_id: String,
    effect: String,
    acted: bool,
    before: String,
    /// Whether its message leaves the dead-letter queue.
    message: bool,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Closed> {
    let operator = arguments.acting.operator(deployment, now).await?;
    let NamedEffect { task, key, rows } = look_up(deployment, &arguments.payment, &arguments.effect).await?;
    let seen = rows.iter().find(|row| row.effect == key.effect);
    course(Asked::Close, &key, seen.map(|row| &row.state), now).map_err(Error::msg)?;
    let before = seen.map_or_else(String::new, |row| row.state.to_string());
    let message = dead_letter(deployment, task, &key, seen).await?;
    // Other effects may still wait for the same message.
    let livemode = deployment.livemode()?;
    let closed = EffectState::Skipped { reason: CLOSED.to_owned() };
    let after = rows.iter().map(|row| {
        let state = if row.effect == key.effect { closed.clone() } else { row.state.clone() };
        EffectRow { state, ..row.clone() }
    });
    let after: Vec<_> = after.collect();
    let is_done_with = message.as_ref().is_some_and(|message| message.is_settled(task, &after, livemode));
    if let Some(operator) = &operator {
        let action =
            operator.action(Verb::Close, Some(key.effect.clone()), before.clone(), closed.to_string());
        deployment.ledger()?.record(&key, seen, &action, Change::Closed { reason: CLOSED }).await?;
    }
    if let Some(message) = &message {
        let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
        let dlq_url = deployment.dlq_url(task)?;
        if is_done_with && operator.is_some() {
            delete(&sqs, message, dlq_url).await?;
        } else {
            release(&sqs, dlq_url, std::slice::from_ref(message)).await;
        }
    }
    Ok(Closed {
        payment_id: key.subject.to_string(),
        effect: key.effect.to_string(),
        acted: operator.is_some(),
        before,
        message: is_done_with,
    })
}

impl Report for Closed {
    fn print(&self, page: &mut Page) {
        let Self { payment_id, effect, before, .. } = self;
        let message = if self.message { ", and its message leaves the dead-letter queue" } else { "" };
        page.line(if self.acted {
            format!(
                "{effect} of {payment_id} (before: {before}) is closed{message}. It is not done any more; `afterlink retry \
                 {payment_id} {effect}` opens it again."
            )
        } else {
            format!(
                "A dry run: {effect} of {payment_id} (now: {before}) would be closed{message}. With --yes and --because it is."
            )
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

    #[test]
    fn says_what_is_closed_and_how_it_is_opened_again() {
        let report = |acted, message| Closed {
            payment_id: "pi_1".to_owned(),
            effect: "email#thank-you".to_owned(),
            acted,
            before: "parked (no_recipient)".to_owned(),
            message,
        };
        insta::assert_snapshot!(plain(&report(true, true), 0), @"email#thank-you of pi_1 (before: parked (no_recipient)) is closed, and its message leaves the dead-letter queue. It is not done any more; `afterlink retry pi_1 email#thank-you` opens it again.");
        insta::assert_snapshot!(plain(&report(false, false), 0), @"A dry run: email#thank-you of pi_1 (now: parked (no_recipient)) would be closed. With --yes and --because it is.");
    }
}
