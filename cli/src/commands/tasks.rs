use std::collections::BTreeSet;

use anyhow::Result;
use catalogue::Task;
use clap::{Args, ValueEnum};
use effect_ledger::{EffectKey, EffectRow, EffectState};
use serde::Serialize;

use crate::deployment::Deployment;
use crate::page::{Cell, DIM, Page, Report, Time, Verdict, count};
use crate::reason::{self, Advice};
use crate::task::task_parser;

/// Lists open effects, oldest first.
///
/// Asks a sparse index, so the answer takes as long with a hundred thousand payments as with a hundred. `claimed`
/// shows claims that followed a failure or stood in another delivery's way; a first claim lives for milliseconds and
/// is not indexed.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink --stage live tasks --state parked --reason no_recipient")]
pub(crate) struct Arguments {
    /// Only effects in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only effects with this reason
    #[arg(long)]
    reason: Option<String>,
    /// Only effects of this task
    #[arg(long, value_parser = task_parser())]
    task: Option<Task>,
    /// How many rows the table shows; JSON has all
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Parked,
    Unknown,
    Retry,
    Claimed,
}

impl State {
    fn is(self, state: &EffectState) -> bool {
        match state {
            EffectState::Parked { .. } => self == Self::Parked,
            EffectState::Unknown { .. } => self == Self::Unknown,
            EffectState::Retry { .. } => self == Self::Retry,
            EffectState::Claimed(_) => self == Self::Claimed,
            EffectState::Done | EffectState::Skipped { .. } => false,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct OpenTasks {
    tasks: Vec<OpenEffect>,
    /// What it took to find out: pages of the index, and rows read for them.
    pages: usize,
    scanned: usize,
    #[serde(skip)]
    limit: usize,
}

/// An effect that is open.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OpenEffect {
    pub(crate) payment_id: String,
    pub(crate) effect: String,
    pub(crate) task: Option<Task>,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
    /// What happened, whose it is to fix, and the next command.
    pub(crate) advice: Option<Advice>,
    /// Whether it is still retried and should have been done by now.
    pub(crate) waits_too_long: bool,
    pub(crate) event_id: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) first_at: Option<Time>,
    pub(crate) updated_at: Option<Time>,
}

impl OpenEffect {
    /// `now` is in Unix milliseconds.
    pub(crate) fn of((key, row): (EffectKey, EffectRow), now: i64) -> Self {
        Self {
            advice: Advice::on(&key.subject, &row, now),
            waits_too_long: reason::waits_too_long(&row, now),
            payment_id: key.subject.to_string(),
            task: Task::of_effect(&key.effect),
            effect: key.effect.to_string(),
            state: row.state.name(),
            reason: row.state.reason().map(str::to_owned),
            event_id: row.event_id,
            attempt: row.last_claim.map(|(_, attempt)| attempt),
            first_at: row.first_at.map(Time),
            updated_at: row.updated_at.map(Time),
        }
    }

    /// Whether nothing will happen by itself, or too little for too long.
    pub(crate) fn needs_operator(&self) -> bool {
        matches!(self.state, "parked" | "unknown") || self.waits_too_long
    }
}

pub(crate) async fn find_out(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<OpenTasks> {
    if let Some(reason) = &arguments.reason {
        reason::check(reason)?;
    }
    let prefix = arguments.task.map_or("", Task::effects);
    let open = deployment.ledger()?.open_effects(prefix).await?;
    let wanted = |row: &EffectRow| {
        arguments.state.is_none_or(|state| state.is(&row.state))
            && arguments.reason.as_deref().is_none_or(|wanted| row.state.reason() == Some(wanted))
    };
    let rows = open.rows.into_iter().filter(|(_, row)| wanted(row));
    let mut tasks: Vec<_> = rows.map(|row| OpenEffect::of(row, now)).collect();
    tasks.sort_by(|a, b| (a.updated_at, &a.payment_id).cmp(&(b.updated_at, &b.payment_id)));
    Ok(OpenTasks { tasks, pages: open.pages, scanned: open.scanned, limit: arguments.limit })
}

impl Report for OpenTasks {
    fn print(&self, page: &mut Page) {
        if self.tasks.is_empty() {
            page.line(if self.scanned == 0 {
                "Nothing is open.".to_owned()
            } else {
                format!(
                    "Nothing that is open is so: {} without these filters.",
                    count(self.scanned, "open effect")
                )
            });
            return;
        }
        let rows: Vec<_> = self
            .tasks
            .iter()
            .take(self.limit)
            .map(|task| {
                let since = task.updated_at.map_or_else(String::new, |at| page.ago(at));
                let attempt = task.attempt.map_or_else(String::new, |attempt| attempt.to_string());
                vec![
                    Cell::new(&task.payment_id),
                    Cell::new(&task.effect),
                    Cell::state(task.state),
                    Cell::new(since),
                    Cell::new(attempt),
                    Cell::new(task.reason.as_deref().unwrap_or_default()),
                ]
            })
            .collect();
        page.table(&["payment", "effect", "state", "for", "tries", "reason"], &rows);
        let more = self.tasks.len().saturating_sub(self.limit);
        let more =
            if more > 0 { format!(", of which {more} are not shown (--limit)") } else { String::new() };
        page.line(format_args!("\n{}{more}.", count(self.tasks.len(), "open effect")));
        let reasons: BTreeSet<_> = self.tasks.iter().filter_map(|task| task.reason.as_deref()).collect();
        for reason in reasons {
            if let Some(meaning) = reason::in_short(reason) {
                page.line(format_args!("  {DIM}{reason}:{DIM:#} {meaning}"));
            }
        }
        page.line("`afterlink explain <payment>` says of each what to do next.");
    }

    fn verdict(&self) -> Verdict {
        Verdict::needs_you_if(self.tasks.iter().any(OpenEffect::needs_operator))
    }
}

#[cfg(test)]
mod tests {
    use effect_ledger::{Claim, Effect};
    use fulfilment::effects;

    use super::*;
    use crate::page::plain;

    fn open(payment: &str, effect: Effect, state: EffectState, updated_at: i64) -> OpenEffect {
        let last_claim = match &state {
            EffectState::Claimed(claim) => Some((claim.owner.clone(), claim.attempt)),
            EffectState::Done
            | EffectState::Skipped { .. }
            | EffectState::Retry { .. }
            | EffectState::Parked { .. }
            | EffectState::Unknown { .. } => None,
        };
        let row =
            EffectRow { updated_at: Some(updated_at), last_claim, ..EffectRow::new(effect.clone(), state) };
        OpenEffect::of((EffectKey::new(payment, effect), row), updated_at)
    }

    fn report() -> OpenTasks {
        let claim = Claim { owner: "req/m1".to_owned(), attempt: 3, lease_until: 9 };
        OpenTasks {
            tasks: vec![
                open(
                    "pi_3A",
                    effects::email("thank-you"),
                    EffectState::Parked { reason: "no_recipient".to_owned() },
                    0,
                ),
                open("cs_test_b1", effects::acquisition(), EffectState::Claimed(claim), 3_500_000),
                open(
                    "pi_3C",
                    effects::consents(),
                    EffectState::Retry { reason: "throttled".to_owned() },
                    3_590_000,
                ),
            ],
            pages: 16,
            scanned: 3,
            limit: 2,
        }
    }

    #[test]
    fn reports_open_effects() {
        insta::assert_snapshot!(plain(&report(), 3_600_000), @r#"
          payment     effect           state    for     tries  reason
          pi_3A       email#thank-you  parked   60 min         no_recipient
          cs_test_b1  acquisition      claimed  100 s   3

        3 open effects, of which 1 are not shown (--limit).
          no_recipient: the customer gave no address, or not one (the customer's to fix)
        `afterlink explain <payment>` says of each what to do next.
        "#);
        let nothing = OpenTasks { tasks: Vec::new(), pages: 16, scanned: 0, limit: 50 };
        insta::assert_snapshot!(plain(&nothing, 0), @"Nothing is open.");
    }

    #[test]
    fn programs_get_every_row() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["tasks"].as_array().unwrap().len(), 3);
        assert_eq!(json["tasks"][0]["updated_at"], "1970-01-01T00:00:00Z");
        assert_eq!(json["tasks"][1]["task"], "acquisition-events");
    }

    #[test]
    fn only_what_waits_for_an_operator_needs_you() {
        let mut report = report();
        assert_eq!(report.verdict(), Verdict::NeedsYou);
        report.tasks.remove(0);
        assert_eq!(report.verdict(), Verdict::Fine);
    }
}
