#![doc = include_str!("../README.md")]

mod commands;
mod contract;
mod course;
mod deployment;
mod operator;
mod page;
mod payments;
mod privacy;
mod purchase;
mod query_api;
mod queues;
mod stripe;
mod task;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use aws::Clock as _;
use aws::SystemClock;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::{
    complete, doctor, explain, publish, reconcile, redrive, renew_link, resend, reset_fetches, resolve,
    retry, status, tasks,
};
use crate::deployment::{Deployment, Where};
use crate::page::{BAD, Page, Report, Verdict};
use crate::privacy::Privacy;

const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  it could not be done, or not be found out
  2  the command line is wrong
  3  something needs you: parked or unknown effects, messages in a DLQ, payments that nothing
     explains, a check that failed

Examples:
  afterlink --stage live status
  afterlink --stage live explain pi_3Q9…
  afterlink --stage live explain ada@example.org --show-personal-data
  afterlink --stage live tasks --state parked
  afterlink --stage live redrive --task thank-you-email --reason mail_rejected --yes
  afterlink --stage live complete --link plink_1Q9… --as contribution --because 'typed donation' --yes
  afterlink --stage live publish guide.toml --dry-run
  afterlink --local status

What changes something does a dry run unless it is told --yes; `publish` does what it is for, unless
it is told --dry-run. Nothing here can send a customer a second mail, except `resolve --not-sent` and
`resend`, which say so.";

/// What Afterlink did for each payment, what it did not do, and how to fix it.
#[derive(Parser)]
#[command(name = "afterlink", version, after_long_help = EXIT_CODES, after_help = "More with --help.")]
struct Cli {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Look {
    /// Writes JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// Writes addresses and names as they are; they are masked otherwise
    #[arg(long, global = true)]
    show_personal_data: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Reports the whole history of a payment, or of every payment of a supporter
    Explain(explain::Arguments),
    /// Lists the open effects: those that wait for a retry, a fix or a decision
    Tasks(tasks::Arguments),
    /// Reports queues, open effects, and payments that nothing explains
    Status(status::Arguments),
    /// Sends messages from a task's dead-letter queue back to its queue
    Redrive(redrive::Arguments),
    /// Delivers the event of one effect once more
    Retry(retry::Arguments),
    /// Completes payments over a link whose contract was mistyped
    Complete(complete::Arguments),
    /// Records whether an unknown effect was done
    Resolve(resolve::Arguments),
    /// Sends a customer a mail once more, on purpose
    Resend(resend::Arguments),
    /// Lets a customer fetch files again who has fetched them too often
    ResetFetches(reset_fetches::Arguments),
    /// Replaces a customer's download link: those in mails that are out stop working
    RenewLink(renew_link::Arguments),
    /// Compares Stripe's payments with the ledger, and puts missing events back on the bus
    Reconcile(reconcile::Arguments),
    /// Sells what a product file describes: uploads its files, and makes or updates its Payment Link
    Publish(publish::Arguments),
    /// Checks Stripe's side and AWS's side, and says how to fix what is wrong
    Doctor,
    /// Writes a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Runs the program: reads the command line, does what it says, prints what came of it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "afterlink", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    match run(&cli) {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::NeedsYou) => ExitCode::from(3),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(cli: &Cli) -> Result<Verdict> {
    let here = Deployment::find(&cli.place).await?;
    let privacy = if cli.look.show_personal_data { Privacy::Shown } else { Privacy::Masked };
    let now = SystemClock.now_ms();
    let show = Show { json: cli.look.json, now };
    match &cli.command {
        Command::Explain(arguments) => show.report(&explain::find_out(&here, arguments, privacy).await?),
        Command::Tasks(arguments) => show.report(&tasks::find_out(&here, arguments).await?),
        Command::Status(arguments) => show.report(&status::find_out(&here, arguments, now).await?),
        Command::Redrive(arguments) => show.report(&redrive::run(&here, arguments, now).await?),
        Command::Retry(arguments) => show.report(&retry::run(&here, arguments, now).await?),
        Command::Complete(arguments) => show.report(&complete::run(&here, arguments, now).await?),
        Command::Resolve(arguments) => show.report(&resolve::run(&here, arguments, now).await?),
        Command::Resend(arguments) => show.report(&resend::run(&here, arguments, privacy, now).await?),
        Command::RenewLink(arguments) => show.report(&renew_link::run(&here, arguments, now).await?),
        Command::ResetFetches(arguments) => show.report(&reset_fetches::run(&here, arguments, now).await?),
        Command::Reconcile(arguments) => show.report(&reconcile::run(&here, arguments, now).await?),
        Command::Publish(arguments) => show.report(&publish::run(&here, arguments).await?),
        Command::Doctor => show.report(&doctor::find_out(&here).await?),
        Command::Completions { .. } => Ok(Verdict::Fine),
    }
}

/// How reports are shown.
struct Show {
    json: bool,
    now: i64,
}

impl Show {
    #[expect(clippy::print_stdout, reason = "printing is what a command line is for")]
    fn report(&self, report: &impl Report) -> Result<Verdict> {
        if self.json {
            let json = serde_json::to_string_pretty(report).context("the report is not JSON")?;
            println!("{}", page::escaped(&json));
        } else {
            let mut page = Page::new(self.now);
            report.print(&mut page);
            anstream::print!("{}", page.text());
        }
        Ok(report.verdict())
    }
}

fn complain(error: &anyhow::Error) {
    let error = page::printable_lines(&format!("{error:#}"));
    anstream::eprintln!("{BAD}error:{BAD:#} {error}");
}

#[cfg(test)]
mod guide_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_in_one_line() {
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!((20..100).contains(&about.len()), "{}: {about}", command.get_name());
        }
    }
}
