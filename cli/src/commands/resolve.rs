use anyhow::{Error, Result};
use clap::Args;
use effect_ledger::{Change, Verb};
use serde::Serialize;

use crate::commands::retry::{Event, NamedEffect, Source, ask_again, deliver, find, look_up, then};
use crate::course::{Asked, Course, course};
use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Page, Report, Verdict};
use crate::payments::PAYMENT;

/// Records whether an unknown effect was done: a person looked, in SES's logs or with the customer.
///
/// With --not-sent the event is delivered again, and the mail goes out, unless the payment was refunded since. If it
/// had been sent after all, the customer gets two. A mail that `resend` asked for is closed instead: use `resend`
/// again. A mail that was begun and never settled counts as unknown once its time is over.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live resolve pi_3Q9… email#thank-you --sent --because 'she has it' --yes"
)]
#[group(id = "outcome", required = true)]
pub(crate) struct Arguments {
    #[arg(help = PAYMENT)]
    payment: String,
    /// The effect's name in the ledger, for example email#thank-you
    effect: String,
    /// It was done: nothing more happens
    #[arg(long, group = "outcome")]
    sent: bool,
    /// It was not done: it is done now, or closed where `resend` asked for it
    #[arg(long, group = "outcome")]
    not_sent: bool,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Serialize)]
pub(crate) struct Resolved {
    payment_id: String,
    effect: String,
    acted: bool,
    before: &'static str,
    after: &'static str,
    delivered: Option<Source>,
    /// What happens next.
    then: String,
}

/// Under which reason a mail that an operator asked for is closed when it was not sent.
const NOT_SENT: &str = "not_sent";

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Resolved> {
    let operator = arguments.acting.operator(deployment, now).await?;
    let asked = if arguments.sent { Asked::Sent } else { Asked::NotSent };
    resolve(deployment, &arguments.payment, &arguments.effect, asked, operator.as_ref(), now).await
}

/// Resolves it if there is an operator to write it down for; else says what would be done.
pub(crate) async fn resolve(
    deployment: &Deployment,
    payment: &str,
    effect: &str,
    asked: Asked,
    operator: Option<&Operator>,
    now: i64,
) -> Result<Resolved> {
    let NamedEffect { task, key, rows } = look_up(deployment, payment, effect).await?;
    let seen = rows.iter().find(|row| row.effect == key.effect);
    let course = course(asked, &key, seen.map(|row| &row.state), now).map_err(Error::msg)?;
    let (change, after) = match course {
        Course::Settle => (Change::Done, "done"),
        Course::Close => (Change::Closed { reason: NOT_SENT }, "skipped"),
        Course::SetFree
        | Course::Deliver
        | Course::DeliverRequest
        | Course::Another
        | Course::AnotherInstead => (Change::Free, "retry"),
    };
    // Found before anything is written: what cannot be delivered must not be set free.
    let event = if change == Change::Free { Some(find(deployment, task, &key, seen).await?) } else { None };
    let then = match (&event, change) {
        (Some(event), _) => then(&key, event, &rows, deployment.livemode().ok()),
        (None, Change::Closed { .. }) => ask_again(key.subject.as_str()),
        (None, _) => "Nothing more happens.".to_owned(),
    };
    if let Some(operator) = operator {
        let before = seen.map_or_else(String::new, |row| row.state.to_string());
        let action = operator.action(Verb::Resolve, Some(key.effect.clone()), before, after);
        deployment.ledger()?.record(&key, seen, &action, change).await?;
        if let Some(event) = &event {
            deliver(deployment, task, event).await?;
        }
    } else if let Some(event) = &event {
        event.let_go(deployment, task).await?;
    }
    Ok(Resolved {
        payment_id: key.subject.to_string(),
        effect: key.effect.to_string(),
        acted: operator.is_some(),
        before: seen.map_or("nothing", |row| row.state.name()),
        after,
        delivered: event.as_ref().map(Event::source),
        then,
    })
}

impl Report for Resolved {
    fn print(&self, page: &mut Page) {
        let Self { payment_id, effect, before, after, then, .. } = self;
        page.line(match (self.acted, self.delivered) {
            (true, None) => format!("{effect} of {payment_id}: {before} → {after}. {then}"),
            (true, Some(source)) => {
                format!("{effect} of {payment_id}: {before} → {after}, and its event is delivered again, {source}. {then}")
            }
            (false, None) => format!(
                "A dry run: {effect} of {payment_id} would go from {before} to {after}. {then} With --yes it does."
            ),
            (false, Some(source)) => format!(
                "A dry run: {effect} of {payment_id} would go from {before} to {after}, and its event would be delivered \
                 again, {source}. {then} If the mail was sent after all, the customer gets a second one. With --yes it does."
            ),
        });
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}
