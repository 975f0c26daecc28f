//! What was paid, for who has no warehouse: the analysts' events, made again from what Stripe has.

mod csv;
mod summary;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use acquisition_history::{AcquisitionHistory, Settings, Window, write_parquet};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use fulfilment::{AcquisitionEvent, Policy};
use serde::Serialize;

use crate::commands::reconcile::{Since, since};
use crate::deployment::Deployment;
use crate::page::{Cell, Page, Report, Time, Verdict, WARN, count};
use crate::progress::Progress;
use crate::stripe;

use self::summary::CampaignSum;

/// Stripe is asked for so many pages at most in one run.
const BUDGET: u32 = 5_000;

/// Shows what was paid, by campaign, or writes every payment, refund and dispute to a file.
///
/// All of it comes from Stripe's lists; nothing is written but the file. The ids are those of the published events
/// (docs/ACQUISITION-EVENTS.md), so a file can be added to a table that has some of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  afterlink --stage live acquisitions --since 2026-11-01
  afterlink --stage live acquisitions --since 2026-11-01 --until 2026-12-01 --csv november.csv
  afterlink --stage live acquisitions --since 2025-01-01 --until 2026-01-01 --parquet 2025.parquet
  afterlink --stage live acquisitions --since 30d --json")]
pub(crate) struct Arguments {
    /// From when: 90m, 24h, 7d, a day (2026-11-18) or a time (2026-11-18T11:00:00Z)
    #[arg(long, value_parser = since)]
    since: Since,
    /// Until when, not included; now, if it is left out
    #[arg(long, value_parser = since)]
    until: Option<Since>,
    /// Writes every event to this file, for a spreadsheet
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Writes every event to this file, for a warehouse or pandas
    #[arg(long, value_name = "FILE", conflicts_with = "csv")]
    parquet: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Acquisitions {
    from: Time,
    until: Time,
    campaigns: Vec<CampaignSum>,
    /// Payments that nothing can be made of, by their keys.
    broken: Vec<String>,
    /// Where the events were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    events: Vec<AcquisitionEvent>,
}

pub(crate) async fn find_out(
    deployment: &Deployment,
    arguments: &Arguments,
    now: i64,
) -> Result<Acquisitions> {
    let from = arguments.since.at(now);
    let until = arguments.until.map_or(now.div_euclid(1000) + 1, |until| until.at(now));
    ensure!(from < until, "--since is not before --until: nothing can have happened in between");
    let window = Window { from, to: until - 1 };
    let progress = Progress::new();
    let settings = Settings {
        stripe: &stripe::client(deployment, BUDGET).await?,
        policy: &Policy::compiled_in()?,
        supporter_namespace: deployment.supporter_namespace()?,
        livemode: deployment.livemode()?,
        now: now.div_euclid(1000),
    };
    let read = acquisition_history::read(&settings, window, |read| {
        progress.say(format_args!("{} of Stripe's read", count(read, "object")));
    });
    let history = read.await.context(
        "the payments could not all be read, and nothing was written; a shorter time (--since, --until) takes fewer \
         requests",
    )?;
    drop(progress);
    report(history, window, arguments)
}

fn report(history: AcquisitionHistory, window: Window, arguments: &Arguments) -> Result<Acquisitions> {
    let AcquisitionHistory { events, broken } = history;
    let unwritable = |file: &Path| format!("{} cannot be written", file.display());
    if let Some(file) = &arguments.csv {
        fs::write(file, csv::written(&events)?).with_context(|| unwritable(file))?;
    }
    if let Some(file) = &arguments.parquet {
        let opened = File::create(file).with_context(|| unwritable(file))?;
        write_parquet(&events, opened).with_context(|| unwritable(file))?;
    }
    let file = arguments.csv.as_deref().or(arguments.parquet.as_deref());
    Ok(Acquisitions {
        from: Time::of_seconds(window.from),
        until: Time::of_seconds(window.to + 1),
        campaigns: summary::by_campaign(&events),
        broken: broken.iter().map(ToString::to_string).collect(),
        file: file.map(|file| file.display().to_string()),
        events,
    })
}

impl Report for Acquisitions {
    fn print(&self, page: &mut Page) {
        let events = count(self.events.len(), "event");
        page.line(format_args!("From {} until {}: {events}.", self.from, self.until));
        if self.campaigns.is_empty() {
            page.line("\nNothing was paid over our Payment Links, and nothing went back.");
        } else {
            let rows: Vec<_> = self.campaigns.iter().map(CampaignSum::row).collect();
            page.line("");
            page.table(&["campaign", "currency", "payments", "gross", "refunded", "disputed", "net"], &rows);
            page.line(
                "\nA payment counts on the day its page was opened, money that went back for the payment's campaign. \
                 Without Stripe's fees. Amounts of two currencies do not add up.",
            );
        }
        if let Some(file) = &self.file {
            page.line(format_args!("\nWritten to {file}, a line each event."));
        }
        if !self.broken.is_empty() {
            let payments = count(self.broken.len(), "payment");
            page.line(format_args!(
                "\n{WARN}{payments} left out:{WARN:#} the metadata of their link cannot be read. `afterlink doctor` says \
                 what is wrong with the link: {}",
                self.broken.join(", ")
            ));
        }
    }

    fn verdict(&self) -> Verdict {
        Verdict::needs_you_if(!self.broken.is_empty())
    }
}

impl CampaignSum {
    fn row(&self) -> Vec<Cell> {
        let Self { campaign, currency, payments, gross, refunded, disputed, net } = self;
        let cells = [campaign, currency, &payments.to_string(), gross, refunded, disputed, net];
        cells.into_iter().map(Cell::new).collect()
    }
}

#[cfg(test)]
mod tests;
