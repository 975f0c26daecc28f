//! The developer's entry to the project: `cargo xtask --help`.
//!
//! A library beside the program, because the end-to-end tests look into the local cloud with the same eyes as
//! the demo: [`stack::Stack`].

#![allow(
    clippy::disallowed_methods,
    reason = "a tool on a laptop reads its environment and its clock where it needs them"
)]

pub mod aws;
mod catalogue;
pub mod checkout;
mod ci;
pub mod cloud;
mod demo;
mod dependencies;
mod deploy;
mod forwarded;
pub mod functions;
pub mod guide;
mod language;
pub mod local;
mod moto;
mod mutants;
mod new_task;
mod package;
pub mod pages;
pub mod process;
mod sources;
pub mod stack;
pub mod stripe;
pub mod templates;
mod terminal;
mod test;
mod tools;
pub mod upgrade;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::checkout::Checkout;
use crate::terminal::BAD;

/// Everything a developer does with Afterlink.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the main job from end to end on a local cloud
    Demo {
        /// Ends with the story; fails if anything in it is missing
        #[arg(long)]
        once: bool,
        #[command(flatten)]
        port: Port,
    },
    /// Runs all tests: of the crates, of the CDK app, before a second AWS, and end to end on a local cloud of its own
    Test(test::Selection),
    /// Stages bad days on a local cloud, and follows the runbooks through each of them
    Drills {
        /// Names of drills, or other arguments for the test runner
        #[arg(last = true)]
        filters: Vec<String>,
    },
    /// Runs what CI runs: formatting, lints, dependency checks, documentation, then all tests
    Ci,
    /// Breaks a copy of the code on purpose, one bug at a time, and reports which the tests notice
    Mutants(mutants::Selection),
    /// A local cloud that stays
    #[command(subcommand)]
    Local(Local),
    /// The operator's command line, built with the functions; `cargo afterlink` is short for it
    #[command(disable_help_flag = true)]
    Afterlink {
        /// Its own arguments; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Runs the tasks over a simulated AWS, where everything goes wrong that can, as long as asked
    #[command(disable_help_flag = true)]
    Simulate {
        /// How long; `--help` says more
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measures what the functions cost, beside a function that does nothing and an ordinary one
    #[command(disable_help_flag = true)]
    Bench {
        /// What to measure; `--help` says more
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Lists what is missing of a language of the mails and pages
    Language {
        /// Its two or three letters: es
        tag: String,
    },
    /// Makes a task that builds, deploys and is simulated, for its author to fill in
    NewTask(new_task::Arguments),
    /// Writes the catalogue of functions for the CDK app, after shared/domain/catalogue has changed
    Catalogue,
    /// Builds the release zips that are deployed to AWS
    Package {
        /// The processor of the functions, as the stages in cdk/lib/stages.ts have it
        #[arg(long, value_enum, default_value_t)]
        arch: package::Arch,
    },
}

#[derive(Subcommand)]
enum Local {
    /// Starts it and deploys the project; how to reach it is written to target/local/stack.json
    Up {
        #[command(flatten)]
        port: Port,
    },
    /// Ends it
    Down,
    /// Lists its queues, ledger and mailbox
    Status,
    /// Signs an event as Stripe does, posts it to the webhook and reports the effects
    Send {
        /// A Stripe event as JSON, or - for standard input
        event: PathBuf,
    },
}

#[derive(Args)]
struct Port {
    /// The local cloud's port [default: the first free one from 4566]
    #[arg(long, env = "AFTERLINK_PORT")]
    port: Option<u16>,
}

/// Runs the program.
pub fn main() -> ExitCode {
    stripe::play_api_if_asked();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(_) if process::ending() => loop {
            // Ctrl-C made it fail; its handler is about to end the program.
            std::thread::park();
        },
        Err(error) => {
            anstream::eprintln!("\n{BAD}error:{BAD:#} {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    process::end_children_with_us()?;
    match cli.command {
        Command::Demo { once, port } => demo::run(&checkout, port.port, once),
        Command::Test(selection) => test::run(&checkout, &selection),
        Command::Drills { filters } => test::drills(&checkout, filters),
        Command::Ci => ci::run(&checkout),
        Command::Mutants(selection) => mutants::run(&checkout, &selection),
        Command::Local(Local::Up { port }) => local::up(&checkout, port.port),
        Command::Local(Local::Down) => local::down(&checkout),
        Command::Local(Local::Status) => local::status(&checkout),
        Command::Local(Local::Send { event }) => local::send(&checkout, &event),
        Command::Afterlink { arguments } => local::operator(&checkout, &arguments),
        Command::Simulate { arguments } => return forwarded::simulate(&checkout, &arguments),
        Command::Bench { arguments } => return forwarded::bench(&checkout, &arguments),
        Command::Language { tag } => language::run(&checkout, &tag),
        Command::NewTask(arguments) => new_task::run(&checkout, &arguments),
        Command::Catalogue => catalogue::write(&checkout),
        Command::Package { arch } => package::run(&checkout, arch),
    }?;
    Ok(ExitCode::SUCCESS)
}
