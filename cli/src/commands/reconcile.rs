use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aws::{Clock as _, EventBridgeBus, SystemClock};
use clap::Args;
use effect_ledger::{DynamoDbEffects, StoreError, Verb};
use fulfilment::Policy;
use reconciliation::{
    DynamoDbJournal, Journal, Missing, Overtaken, Pending, Position, Reconciliation, Settings, Tally,
};
use serde::Serialize;

use crate::deployment::Deployment;
use crate::interrupt::Interrupt;
use crate::operator::{Acting, Operator};
use crate::page::{Cell, Page, Report, Time, Verdict, count};
use crate::progress::Progress;
use crate::stripe;

/// Stripe is asked for so many pages at most in one run.
const BUDGET: u32 = 5_000;

const LONGEST: Duration = Duration::from_secs(3600);

const LAG_SECONDS: i64 = 120;

/// Compares Stripe's payments with the ledger, as the scheduled function does, and puts missing events back on
/// the bus.
///
/// The ledger drops effects that are done, so this is safe to repeat, and beside live traffic. What happened within the
/// last two minutes is left to live traffic.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live reconcile --since 7d --because 'the destination was off' --yes"
)]
pub(crate) struct Arguments {
    /// From when: 90m, 24h, 7d, a day (2026-11-18) or a time (2026-11-18T11:00:00Z)
    #[arg(long, default_value = "24h", value_parser = since)]
    since: Since,
    /// How many events are put back at most: live traffic comes first
    #[arg(long, default_value_t = 10_000)]
    at_most: u64,
    /// Also what was put back within the hour and is not done yet
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    acting: Acting,
}

/// From when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    SecondsAgo(i64),
    UnixSeconds(i64),
}

impl Since {
    /// In Unix seconds. `now` is in Unix milliseconds.
    pub(crate) const fn at(self, now: i64) -> i64 {
        match self {
            Self::SecondsAgo(seconds) => now.div_euclid(1000).saturating_sub(seconds),
            Self::UnixSeconds(at) => at,
        }
    }
}

/// Reads `90m`, `24h`, `7d`, a day or a time in RFC 3339 (UTC).
pub(crate) fn since(text: &str) -> Result<Since, String> {
    use aws_smithy_types::DateTime;
    use aws_smithy_types::date_time::Format;
    let unit = match text.chars().last() {
        Some('m') => Some(60),
        Some('h') => Some(3_600),
        Some('d') => Some(86_400),
        Some(_) | None => None,
    };
    let number = text.get(..text.len().saturating_sub(1)).and_then(|number| number.parse::<u32>().ok());
    if let (Some(unit), Some(number)) = (unit, number) {
        return Ok(Since::SecondsAgo(i64::from(number) * unit));
    }
    let midnight = if text.len() == "2026-11-18".len() { "T00:00:00Z" } else { "" };
    let time = DateTime::from_str(&format!("{text}{midnight}"), Format::DateTime);
    time.map(|time| Since::UnixSeconds(time.secs()))
        .map_err(|_| "none of 90m, 24h, 7d, 2026-11-18 and 2026-11-18T11:00:00Z".to_owned())
}

#[derive(Serialize)]
pub(crate) struct Reconciled {
    acted: bool,
    from: Time,
    to: Time,
    examined: u64,
    unreadable: u64,
    /// Payments over links whose key `fulfilment` is misspelt, and the links.
    misspelt: u64,
    misspelt_links: BTreeSet<String>,
    paid: u64,
    fulfilled: u64,
    open: u64,
    unexplained: u64,
    missing: Vec<Gap>,
    put_back: u64,
    complete: bool,
    /// Whether it was interrupted before its end.
    interrupted: bool,
}

/// An event of which something is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) payment_id: String,
    pub(crate) effects: Vec<String>,
    pub(crate) happened_at: Time,
    /// When it was last put back.
    pub(crate) put_back_at: Option<Time>,
    /// From when on it is put back again by itself; none where it is put back now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) again_from: Option<Time>,
}

impl From<Missing> for Gap {
    fn from(missing: Missing) -> Self {
        Self {
            event_id: missing.event_id,
            event_type: missing.event_type,
            payment_id: missing.payment_id.to_string(),
            effects: missing.effects.iter().map(ToString::to_string).collect(),
            happened_at: Time::of_seconds(missing.happened_at),
            put_back_at: missing.put_back_at.map(Time::of_seconds),
            again_from: None,
        }
    }
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Reconciled> {
    let from = arguments.since.at(now);
    let operator = arguments.acting.operator(deployment, now).await?;
    let act = operator.is_some();
    let journal = RecordedJournal { journal: journal(deployment)?, ledger: deployment.ledger()?, operator };
    // What was put back earlier and is not done yet.
    let put_back_at: BTreeMap<_, _> = journal
        .missing()
        .await?
        .into_iter()
        .filter_map(|missing| Some((missing.event_id, Time::of_seconds(missing.put_back_at?))))
        .collect();
    let interrupt = Interrupt::listen();
    let window = Window { from, put_back: act, at_most: arguments.at_most, again: arguments.again };
    let report = look_back(deployment, &journal, &window, now, &interrupt).await?;
    let again_after = |missing: &Missing| missing.put_back_again_after() * 1000;
    let missing = report.missing.into_iter().map(|missing| {
        let put_back_at = put_back_at.get(&missing.event_id).copied();
        let again = put_back_at.map(|at| Time(at.0 + again_after(&missing))).filter(|again| again.0 > now);
        Gap { put_back_at, again_from: again.filter(|_| !arguments.again), ..Gap::from(missing) }
    });
    let Tally { paid, fulfilled, open, unexplained } = report.tally;
    Ok(Reconciled {
        acted: act,
        from: Time::of_seconds(from),
        to: Time(now - LAG_SECONDS * 1000),
        examined: report.examined,
        unreadable: report.unreadable,
        misspelt: u64::try_from(report.misspelt.len()).unwrap_or(u64::MAX),
        misspelt_links: report.misspelt.into_iter().filter_map(|payment| payment.payment_link_id).collect(),
        paid,
        fulfilled,
        open,
        unexplained,
        missing: missing.collect(),
        put_back: report.put_back,
        complete: report.complete,
        interrupted: interrupt.came(),
    })
}

/// What is looked at, and what is done about it.
pub(crate) struct Window {
    /// From when on, in Unix seconds.
    pub(crate) from: i64,
    /// Whether what is missing is put back.
    pub(crate) put_back: bool,
    /// So many events at most.
    pub(crate) at_most: u64,
    /// Also what was put back within the hour.
    pub(crate) again: bool,
}

/// Looks at what happened in a window.
pub(crate) async fn look_back(
    deployment: &Deployment,
    journal: &impl Journal,
    window: &Window,
    now: i64,
    interrupt: &Interrupt,
) -> Result<reconciliation::RunReport> {
    let stripe = stripe::client(deployment, BUDGET).await?;
    let bus = EventBridgeBus::new(&deployment.sdk, deployment.output("FulfilmentBusName")?);
    let reconciliation = Reconciliation {
        stripe: &stripe,
        ledger: &deployment.ledger()?,
        journal,
        bus: &bus,
        clock: &SystemClock,
        livemode: deployment.livemode()?,
        policy: &Policy::compiled_in()?,
        settings: Settings {
            lag_seconds: LAG_SECONDS,
            overlap_seconds: 0,
            deadline_ms: SystemClock.now_ms() + i64::try_from(LONGEST.as_millis()).unwrap_or(i64::MAX),
            put_back_at_most: window.at_most,
            again: window.again,
        },
    };
    let progress = Progress::new();
    let report = reconciliation.look_back(window.from, now / 1000, window.put_back, |report| {
        let missing = report.missing.len();
        progress.say(format_args!("{} events compared, {missing} missing something", report.examined));
        if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    report
        .await
        .context("reconciliation broke off; what it had put back is recorded, and running it again is safe")
}

/// # Errors
///
/// When the deployed stacks are of a version without it.
pub(crate) fn journal(deployment: &Deployment) -> Result<DynamoDbJournal> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&deployment.sdk);
    Ok(DynamoDbJournal::new(dynamodb, deployment.output("ReconciliationTableName")?))
}

/// The journal, with a note in each payment's ledger of who put its event back.
struct RecordedJournal {
    journal: DynamoDbJournal,
    ledger: DynamoDbEffects,
    operator: Option<Operator>,
}

impl Journal for RecordedJournal {
    async fn position(&self) -> Result<Option<Position>, StoreError> {
        self.journal.position().await
    }

    async fn save(&self, position: &Position) -> Result<Result<(), Overtaken>, StoreError> {
        self.journal.save(position).await
    }

    async fn missing(&self) -> Result<Vec<Missing>, StoreError> {
        self.journal.missing().await
    }

    async fn record(&self, missing: &Missing, not_after: i64, now: i64) -> Result<bool, StoreError> {
        self.journal.record(missing, not_after, now).await
    }

    async fn put_back(&self, missing: &Missing, now: i64) -> Result<(), StoreError> {
        self.journal.put_back(missing, now).await?;
        if let Some(operator) = &self.operator {
            let effects: Vec<_> = missing.effects.iter().map(ToString::to_string).collect();
            let before = format!("of {} the ledger lacked {}", missing.event_id, effects.join(", "));
            let action = operator.action(Verb::Reconcile, None, before, "put back on the bus");
            let recorded = self.ledger.record_alone(&missing.payment_id, &action).await;
            recorded.map_err(|error| StoreError { operation: "record", source: error.into() })?;
        }
        Ok(())
    }

    async fn explained(&self, event_id: &str) -> Result<(), StoreError> {
        self.journal.explained(event_id).await
    }

    async fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        self.journal.pending().await
    }

    async fn remember(&self, pending: &Pending) -> Result<(), StoreError> {
        self.journal.remember(pending).await
    }

    async fn postpone(&self, pending: &Pending) -> Result<(), StoreError> {
        self.journal.postpone(pending).await
    }

    async fn decided(&self, session_id: &str) -> Result<(), StoreError> {
        self.journal.decided(session_id).await
    }
}

/// What nothing explains, as a table.
pub(crate) fn print_gaps(page: &mut Page, gaps: &[Gap]) {
    let rows: Vec<_> = gaps
        .iter()
        .map(|gap| {
            vec![
                Cell::new(&gap.payment_id),
                Cell::new(&gap.event_id),
                Cell::new(page.ago(gap.happened_at)),
                Cell::new(gap.effects.join(", ")),
            ]
        })
        .collect();
    page.table(&["payment", "event", "age", "missing"], &rows);
}

impl Report for Reconciled {
    fn print(&self, page: &mut Page) {
        page.line(format_args!(
            "From {} to {}: {} compared with the ledger.",
            self.from,
            self.to,
            count(usize::try_from(self.examined).unwrap_or(usize::MAX), "event")
        ));
        page.line(format_args!(
            "Payments paid {}: fulfilled {}, open {}, unexplained {}.",
            self.paid, self.fulfilled, self.open, self.unexplained
        ));
        if self.unreadable > 0 {
            page.line(format_args!("{} events cannot be read: see the dead-letter queues.", self.unreadable));
        }
        if self.misspelt > 0 {
            let payments = count(usize::try_from(self.misspelt).unwrap_or(usize::MAX), "payment");
            let links: Vec<_> = self.misspelt_links.iter().map(String::as_str).collect();
            page.line(format_args!(
                "{payments} over links whose key `fulfilment` is misspelt: nothing was done for them. Correct the key of \
                 {} in Stripe, then `afterlink complete --link plink_…`.",
                links.join(", ")
            ));
        }
        if !self.missing.is_empty() {
            page.line("");
            print_gaps(page, &self.missing);
        }
        let (early, due): (Vec<_>, Vec<_>) = self.missing.iter().partition(|gap| gap.again_from.is_some());
        if self.missing.is_empty() {
            page.line("\nNothing is missing.");
        } else if self.acted {
            page.line(format_args!(
                "\n{} put back on the bus. `afterlink status` says what became of them.",
                count(usize::try_from(self.put_back).unwrap_or(usize::MAX), "event")
            ));
        } else if !due.is_empty() {
            page.line(format_args!(
                "\nA dry run: {} would be put back on the bus. With --yes and --because they are.",
                count(due.len(), "event")
            ));
        }
        if let Some(again_from) = early.iter().filter_map(|gap| gap.again_from).max() {
            page.line(format_args!(
                "{} put back already, last at {}, and not done yet: they are put back again by themselves after {again_from}, or now with \
                 --again. `afterlink explain` says what stands in the way.",
                count(early.len(), "event"),
                early.iter().filter_map(|gap| gap.put_back_at).max().map_or_else(String::new, |at| at.to_string()),
            ));
        }
        if self.interrupted {
            page.line("Interrupted: what is said above is done, the rest was not looked at.");
        } else if !self.complete {
            page.line(
                "Not everything was looked at (--at-most, or too many requests): run it again to go on.",
            );
        }
    }

    fn verdict(&self) -> Verdict {
        let put_back = usize::try_from(self.put_back).unwrap_or(usize::MAX);
        let waits = self.missing.len() > put_back;
        Verdict::needs_you_if(!self.complete || waits || self.misspelt > 0)
    }
}

#[cfg(test)]
mod tests;
