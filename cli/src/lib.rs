#![doc = include_str!("../README.md")]

mod commands;
mod contract;
mod course;
mod deployment;
mod interrupt;
mod metric;
mod operator;
mod page;
mod payments;
mod privacy;
mod progress;
mod purchase;
mod query_api;
mod queues;
mod reason;
mod stripe;
mod task;
#[cfg(test)]
mod test_stage;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use aws::Clock as _;
use aws::SystemClock;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::json;

use crate::commands::{
    acquisitions, close, complete, discard, doctor, explain, links, log, mail, publish, reconcile, redrive,
    renew_link, resend, reset_fetches, resolve, retry, status, tasks,
};
use crate::deployment::{Deployment, Where};
use crate::page::{BAD, Page, Report, Verdict};
use crate::payments::NotFound;
use crate::privacy::Privacy;

const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  it could not be done, or not everything could be found out
  2  the command line is wrong
  3  something needs you: parked or unknown effects, messages in a DLQ, payments that nothing
     explains, a check that failed

Examples:
  afterlink --stage live status
  afterlink --stage live explain pi_3Q9…
  afterlink --stage live explain ada@example.org --show-personal-data
  afterlink --stage live tasks --state parked
  afterlink --stage live acquisitions --since 2026-11-01 --csv november.csv
  afterlink --stage live redrive --task thank-you-email --reason sender_refused --because 'verified again' --yes
  afterlink --stage live complete --link plink_1Q9… --as contribution --because 'typed donation' --yes
  afterlink publish guide.toml --check
  afterlink mail check templates
  afterlink --stage live publish guide.toml --dry-run
  afterlink --local status

What changes something does a dry run unless it is told --yes and why (--because); `publish` does what it is for, unless
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
    /// Closes an effect that will not be done
    Close(close::Arguments),
    /// Deletes messages of a dead-letter queue that will never be acted on
    Discard(discard::Arguments),
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
    /// Shows what was paid, by campaign, or writes it to a file for a spreadsheet
    Acquisitions(acquisitions::Arguments),
    /// Lists our Payment Links: what each sells, for how much, for which campaign
    Links(links::Arguments),
    /// Lists what operators did: who, why, to what
    Log(log::Arguments),
    /// Checks, shows and tries the mails that customers get
    Mail(mail::Arguments),
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
    let matches = Cli::command().get_matches();
    let cli = read(&matches).unwrap_or_else(|error| error.exit());
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "afterlink", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    match run(&cli) {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Unclear) => ExitCode::FAILURE,
        Ok(Verdict::NeedsYou) => ExitCode::from(3),
        Err(error) => {
            complain(&error, cli.look.json);
            ExitCode::FAILURE
        }
    }
}

/// The command line. AWS's variables and `AFTERLINK_STAGE` say nothing against `--local`; flags that say where do.
fn read(matches: &ArgMatches) -> Result<Cli, clap::Error> {
    let cli = Cli::from_arg_matches(matches)?;
    let typed = |flag: &str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    if cli.place.local
        && let Some(flag) = ["stage", "profile", "region"].into_iter().find(|flag| typed(flag))
    {
        let message = format!("--local is the local cloud, --{flag} a place in AWS: give one of them");
        return Err(Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message));
    }
    Ok(cli)
}

#[tokio::main(flavor = "current_thread")]
async fn run(cli: &Cli) -> Result<Verdict> {
    let now = SystemClock.now_ms();
    // A product file is read before a stage is looked for: a marketer may have neither a stage nor a key.
    let mut product = None;
    if let Command::Publish(arguments) = &cli.command {
        if arguments.check {
            let show = Show { json: cli.look.json, now, stage: None };
            return show.report(&publish::check(arguments)?);
        }
        product = Some(publish::read_sound(arguments)?);
    }
    if let Command::Mail(arguments) = &cli.command {
        let show = Show { json: cli.look.json, now, stage: None };
        match &arguments.command {
            mail::MailCommand::Check(arguments) => return show.report(&mail::check(arguments)?),
            mail::MailCommand::Preview(arguments) => return show.report(&mail::preview(arguments)?),
            mail::MailCommand::Test(_) => {}
        }
    }
    let here = Deployment::find(&cli.place).await?;
    let privacy = if cli.look.show_personal_data { Privacy::Shown } else { Privacy::Masked };
    let show = Show { json: cli.look.json, now, stage: Some(&here.stage) };
    match &cli.command {
        Command::Explain(arguments) => show.report(&explain::find_out(&here, arguments, privacy, now).await?),
        Command::Tasks(arguments) => show.report(&tasks::find_out(&here, arguments, now).await?),
        Command::Status(arguments) => show.report(&status::find_out(&here, arguments, now).await?),
        Command::Redrive(arguments) => show.report(&redrive::run(&here, arguments, now).await?),
        Command::Retry(arguments) => show.report(&retry::run(&here, arguments, now).await?),
        Command::Close(arguments) => show.report(&close::run(&here, arguments, now).await?),
        Command::Discard(arguments) => show.report(&discard::run(&here, arguments, now).await?),
        Command::Acquisitions(arguments) => {
            show.report(&acquisitions::find_out(&here, arguments, now).await?)
        }
        Command::Links(_) => show.report(&links::find_out(&here).await?),
        Command::Log(arguments) => show.report(&log::find_out(&here, arguments, now).await?),
        Command::Complete(arguments) => show.report(&complete::run(&here, arguments, now).await?),
        Command::Resolve(arguments) => show.report(&resolve::run(&here, arguments, now).await?),
        Command::Resend(arguments) => show.report(&resend::run(&here, arguments, privacy, now).await?),
        Command::RenewLink(arguments) => show.report(&renew_link::run(&here, arguments, now).await?),
        Command::ResetFetches(arguments) => show.report(&reset_fetches::run(&here, arguments, now).await?),
        Command::Reconcile(arguments) => show.report(&reconcile::run(&here, arguments, now).await?),
        Command::Publish(arguments) => {
            let product = product.context("the product file was not read")?;
            show.report(&publish::run(&here, arguments, product).await?)
        }
        Command::Mail(arguments) => match &arguments.command {
            mail::MailCommand::Test(arguments) => show.report(&mail::test(&here, arguments).await?),
            // Answered above: neither needs a stage.
            mail::MailCommand::Check(_) | mail::MailCommand::Preview(_) => Ok(Verdict::Fine),
        },
        Command::Doctor => show.report(&doctor::find_out(&here, now).await?),
        Command::Completions { .. } => Ok(Verdict::Fine),
    }
}

/// How reports are shown.
struct Show<'a> {
    json: bool,
    now: i64,
    /// What it is about: every answer says so first, if it is about a stage.
    stage: Option<&'a str>,
}

impl Show<'_> {
    fn report(&self, report: &impl Report) -> Result<Verdict> {
        if self.json {
            let mut json = serde_json::to_value(report).context("the report is not JSON")?;
            if let (Some(object), Some(stage)) = (json.as_object_mut(), self.stage) {
                object.insert("stage".to_owned(), stage.into());
            }
            let json = format!("{json:#}");
            write_out(&format!("{}\n", page::escaped(&json)))?;
        } else {
            let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
            let mut page = Page::new(self.now, width);
            if let Some(stage) = self.stage {
                page.heading(format_args!("Stage {stage}"));
            }
            report.print(&mut page);
            write_out(page.text())?;
        }
        Ok(report.verdict())
    }
}

/// Writes to standard output. Whoever has read enough closes it (`| head -1`), which is no error.
fn write_out(text: &str) -> Result<()> {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// An error in a sentence for people, and for programs as JSON in the place of the report.
fn complain(error: &anyhow::Error, as_json: bool) {
    let sentence = page::printable_lines(&format!("{error:#}"));
    if as_json {
        let json = json!({ "error": { "kind": kind_of(error), "message": sentence } });
        // What cannot be written either is in the exit code.
        let _gone = write_out(&format!("{}\n", page::escaped(&format!("{json:#}"))));
    }
    let _gone = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {sentence}");
}

/// The kind of an error, for programs: nothing is known by the name that was given (`not_found`), what was asked for
/// is refused as things stand (`refused`), or something that was needed did not answer as it should (`failed`).
fn kind_of(error: &anyhow::Error) -> &'static str {
    if error.chain().any(|cause| cause.is::<NotFound>()) {
        "not_found"
    } else if error.chain().nth(1).is_none() {
        "refused"
    } else {
        "failed"
    }
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

    /// `AWS_PROFILE` and `AWS_REGION` are read as the flags' values too, and are set in many shells.
    #[test]
    fn only_flags_that_say_where_contradict_the_local_cloud() {
        let reads = |arguments: &[&str]| {
            let command = Cli::command().mut_args(|argument| match argument.get_id().as_str() {
                "region" | "stage" => argument.env(None::<&str>).default_value("set-in-the-shell"),
                _ => argument.env(None::<&str>),
            });
            let matches = command.try_get_matches_from([&["afterlink"], arguments].concat());
            matches.and_then(|matches| read(&matches)).map_err(|error| error.to_string())
        };
        assert!(reads(&["--local", "status"]).unwrap().place.local);
        assert!(reads(&["status", "--local"]).unwrap().place.local);
        for flag in ["--stage", "--profile", "--region"] {
            for arguments in [["--local", flag, "x", "status"], ["status", flag, "x", "--local"]] {
                let Err(refused) = reads(&arguments) else { panic!("{arguments:?}") };
                assert!(refused.contains(&format!("{flag} a place in AWS")), "{refused}");
            }
        }
    }

    /// A marketer has neither a stage nor a key: what is wrong with a product file is said before either is looked for.
    #[test]
    fn a_product_file_is_read_before_a_stage_is_looked_for() {
        let folder = std::env::temp_dir().join(format!("afterlink-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let card = "id = 'card'\nname = 'A card'\nfulfilment = 'membership'\n[price]\namount = 1250\ncurrency = 'gbp'\n";
        std::fs::write(path("good.toml"), card).unwrap();
        std::fs::write(path("bad.toml"), card.replace("1250", "12.50")).unwrap();
        let runs = |arguments: &[&str]| {
            let matches = Cli::command().get_matches_from([&["afterlink"], arguments].concat());
            run(&read(&matches).unwrap()).map_err(|error| format!("{error:#}"))
        };
        let [good, bad] = ["good.toml", "bad.toml"].map(path);
        assert!(matches!(runs(&["publish", &good, "--check"]), Ok(Verdict::Fine)));
        assert!(matches!(runs(&["publish", &bad, "--check", "--json"]), Ok(Verdict::NeedsYou)));
        for arguments in [&["publish", &bad, "--local"][..], &["publish", &bad, "--local", "--dry-run"]] {
            let refused = runs(arguments).err().unwrap();
            assert!(refused.contains("line 5: `amount`: write it without a point"), "{refused}");
        }
        // What is left behind in the temporary folder does no harm.
        let _left = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn the_kinds_of_errors_are_distinguished() {
        let unknown = anyhow::Error::new(NotFound("nothing is known of it".to_owned()));
        let silent = Err::<(), _>(std::io::Error::other("closed")).context("the queue does not answer");
        assert_eq!(kind_of(&unknown), "not_found");
        assert_eq!(kind_of(&unknown.context("explaining")), "not_found");
        assert_eq!(kind_of(&anyhow::anyhow!("{} is done", 1)), "refused");
        assert_eq!(kind_of(&silent.unwrap_err()), "failed");
    }

    #[test]
    fn every_command_says_what_it_does_in_one_line() {
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!((20..100).contains(&about.len()), "{}: {about}", command.get_name());
        }
    }
}
