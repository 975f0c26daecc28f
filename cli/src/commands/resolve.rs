use anyhow::{Context as _, Result, bail};
use clap::Args;
use effect_ledger::{Change, EffectState, Verb};
use serde::Serialize;

use crate::commands::retry::{Event, Source, deliver, find, look_up};
use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Page, Report, Verdict};

/// Says what became of an effect that is unknown: a person looked, in SES's logs or with the customer.
///
/// With --not-sent the event is delivered again, and the mail goes out. If it had been sent after all, the customer
/// gets two.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live resolve pi_3Q9… email#thank-you --sent --because 'she has it' --yes"
)]
#[group(id = "outcome", required = true)]
pub(crate) struct Arguments {
    /// pi_… or, where there is none, cs_…
    payment: String,
    /// The effect's name in the ledger, for example email#thank-you
    effect: String,
    /// It was done: nothing more happens
    #[arg(long, group = "outcome")]
    sent: bool,
    /// It was not done: it is done now
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
}

pub(crate) async fn run(here: &Deployment, arguments: &Arguments, now: i64) -> Result<Resolved> {
    let act = arguments.acting.decided()?;
    let ledger = here.ledger()?;
    let (task, key, seen) = look_up(&ledger, &arguments.payment, &arguments.effect).await?;
    let seen =
        seen.with_context(|| format!("the ledger knows of no {} of {}", key.effect, key.payment_id))?;
    if !matches!(seen.state, EffectState::Unknown { .. }) {
        bail!(
            "{} of {} is not unknown but {}: there is nothing to resolve",
            key.effect,
            key.payment_id,
            seen.state.name()
        );
    }
    // Found before anything is written: what cannot be delivered must not be set free.
    let event = if arguments.sent { None } else { Some(find(here, task, &key, Some(&seen)).await?) };
    let (change, after) = if arguments.sent { (Change::Done, "done") } else { (Change::Free, "retry") };
    if act {
        let operator = Operator::identify(here, &arguments.acting, now).await?;
        let before = seen.state.to_string();
        let action = operator.action(Verb::Resolve, Some(key.effect.clone()), before, after);
        ledger.record(&key, Some(&seen), &action, change).await?;
        if let Some(event) = &event {
            deliver(here, task, event).await?;
        }
    } else if let Some(event) = &event {
        event.let_go(here, task).await?;
    }
    Ok(Resolved {
        payment_id: key.payment_id.to_string(),
        effect: key.effect.to_string(),
        acted: act,
        before: "unknown",
        after,
        delivered: event.as_ref().map(Event::source),
    })
}

impl Report for Resolved {
    fn print(&self, page: &mut Page) {
        let Self { payment_id, effect, before, after, .. } = self;
        page.line(match (self.acted, self.delivered) {
            (true, None) => format!("{effect} of {payment_id}: {before} → {after}."),
            (true, Some(_)) => format!("{effect} of {payment_id}: {before} → {after}, and its event is delivered again."),
            (false, None) => format!("A dry run: {effect} of {payment_id} would go from {before} to {after}. With --yes it does."),
            (false, Some(source)) => format!(
                "A dry run: {effect} of {payment_id} would go from {before} to {after}, and its event ({source}) would be \
                 delivered again. If the mail was sent after all, the customer gets a second one. With --yes it does."
            ),
        });
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}
