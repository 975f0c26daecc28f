//! The local cloud with the project deployed to it: up, down, status, send.

use std::ffi::OsString;
use std::fs;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::checkout::Checkout;
use crate::cloud::{Cloud, Lifetime, Site};
use crate::dependencies::{Requirements, install_node, install_python};
use crate::deploy::deploy;
use crate::functions::{self, Packaged, Profile};
use crate::stack::{Stack, save_mail};
use crate::terminal::{BOLD, DIM, Step, say, table};
use crate::tools::Tools;

/// How long `send` waits for the tasks.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything from a fresh clone to a deployed stack.
pub(crate) fn bring_up(
    checkout: &Checkout,
    site: &Site,
    port: Option<u16>,
    lifetime: Lifetime,
) -> Result<(Cloud, Stack)> {
    if let Some(pid) = site.running() {
        bail!(
            "a local cloud of this clone is running already (process {pid}). \
             `cargo xtask local status` tells more, `cargo xtask local down` ends it."
        );
    }
    let step = Step::start("tools", "looking for Rust, Node and Python");
    let tools = Tools::find()?;
    step.done(&tools.summary);

    prepare(checkout, &tools, site)?;

    let step = Step::start("local cloud", "starting MiniStack");
    let cloud = Cloud::start(checkout, site, port, lifetime, &step)?;
    step.done(format_args!("MiniStack on {}, IAM enforced", cloud.aws.endpoint));

    let step = Step::start("deployment", "cdk bootstrap, cdk deploy");
    let stack = deploy(checkout, &cloud, &step)?;
    step.done("cdk bootstrap and cdk deploy, the template of every stage");
    Ok((cloud, stack))
}

/// Installs and builds at the same time: the one waits for the network, the other for the compiler.
fn prepare(checkout: &Checkout, tools: &Tools, site: &Site) -> Result<()> {
    let dependencies = Step::silent("dependencies", "installing .venv and cdk/node_modules");
    let (built, installed) = std::thread::scope(|scope| {
        let installing = scope.spawn(|| {
            let python = install_python(checkout, tools, Requirements::LocalCloud, &dependencies)?;
            Ok::<_, anyhow::Error>(install_node(checkout, &checkout.cdk(), &dependencies)? || python)
        });
        let built = build_functions(checkout, site);
        let live = dependencies.live();
        let installed = installing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        drop(live);
        (built, installed)
    });
    dependencies.done(if installed? { ".venv and cdk/node_modules, as locked" } else { "unchanged" });
    built
}

fn build_functions(checkout: &Checkout, site: &Site) -> Result<()> {
    let build = || functions::package(checkout, site.profile(), &site.functions());
    let Packaged { operator, .. } = compile(checkout, site.profile(), build, |built| built.functions)?;
    if let Some(operator) = operator {
        replace(&operator, &site.operator())?;
    }
    Ok(())
}

/// Builds functions, and says how long that takes and how many there were.
pub(crate) fn compile<T>(
    checkout: &Checkout,
    profile: Profile,
    build: impl FnOnce() -> Result<T>,
    count: impl FnOnce(&T) -> usize,
) -> Result<T> {
    if let Some(estimate) = functions::first_build(checkout, profile) {
        say(format_args!("  {DIM}{estimate}{DIM:#}"));
    }
    let step = Step::silent("functions", "compiling");
    // Cargo draws its own progress on a terminal. Elsewhere it is silent for as long as a large crate takes.
    let live = (!std::io::stderr().is_terminal()).then(|| step.live());
    let built = build();
    drop(live);
    let built = built?;
    step.done(format_args!("{} built, as native Lambda binaries", count(&built)));
    Ok(built)
}

/// Puts a file beside the cloud that uses it, where later builds leave it alone.
fn replace(file: &Path, place: &Path) -> Result<()> {
    if place.exists() {
        fs::remove_file(place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    let linked = fs::hard_link(file, place).or_else(|_| fs::copy(file, place).map(|_| ()));
    linked.with_context(|| format!("cannot write {}", place.display()))
}

/// Builds the operator's command line together with the functions and becomes it.
///
/// # Errors
///
/// When it does not build or start.
pub(crate) fn operator(checkout: &Checkout, arguments: &[OsString]) -> Result<()> {
    let error = Command::new(functions::operator(checkout)?).args(arguments).exec();
    Err(error).context("cannot start the operator's command line")
}

/// Deploys the release builds to a cloud of its own that ends when the first of the two is dropped.
///
/// # Errors
///
/// When something is missing or does not build or start.
pub fn for_measuring(checkout: &Checkout) -> Result<(Cloud, Stack)> {
    bring_up(checkout, &Site::bench(checkout), None, Lifetime::Ours)
}

pub(crate) fn up(checkout: &Checkout, port: Option<u16>) -> Result<()> {
    let site = Site::local(checkout);
    let (cloud, stack) = bring_up(checkout, &site, port, Lifetime::UntilStopped)?;
    cloud.leave_running();
    say(format_args!("\nThe local cloud is up. How to reach it: {}", checkout.display(&stack.file)));
    say(format_args!(
        "{DIM}Next:{DIM:#} cargo xtask local send verification/testkit/fixtures/session_completed_paid.json"
    ));
    say(format_args!("{DIM}Then:{DIM:#} cargo xtask local status, and cargo xtask local down"));
    Ok(())
}

pub(crate) fn down(checkout: &Checkout) -> Result<()> {
    let stopped = Site::local(checkout).stop()?;
    say(if stopped { "The local cloud is down." } else { "No local cloud of this clone was running." });
    Ok(())
}

pub(crate) fn status(checkout: &Checkout) -> Result<()> {
    let stack = Stack::of_running(&Site::local(checkout))?;
    say(format_args!("{BOLD}Local cloud{BOLD:#} at {}", stack.aws.endpoint));
    say(format_args!("The webhook: {}", stack.output("WebhookUrl")?));
    say(format_args!("All names and keys: {}\n", checkout.display(&stack.file)));
    let counts = stack.counts()?;
    let mut rows: Vec<Vec<String>> =
        counts.iter().map(|(task, counts)| vec![task.clone(), counts.words()]).collect();
    rows.extend(
        stack.queues()?.into_iter().map(|queue| vec![queue.name, format!("{} messages", queue.messages)]),
    );
    rows.push(vec!["ledger".to_owned(), format!("{} rows", stack.rows("EffectsTableName")?.len())]);
    rows.push(vec!["mails".to_owned(), stack.mails()?.len().to_string()]);
    table(&["what", "so far"], &rows);
    Ok(())
}

/// Posts an event as Stripe would and reports the effects.
pub(crate) fn send(checkout: &Checkout, file: &Path) -> Result<()> {
    let site = Site::local(checkout);
    let stack = Stack::of_running(&site)?;
    let mut body = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut body).context("cannot read standard input")?;
    } else {
        body = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    // What is well written, and no more: the functions must cope with half of a surrogate pair, which `Value` refuses.
    serde_json::from_str::<IgnoredAny>(&body).with_context(|| format!("{} is not JSON", file.display()))?;

    // What Stripe sends it knows, and is asked about. What is no event, or has texts that cannot be kept, is not put
    // there.
    if serde_json::from_str::<Value>(&body).is_ok_and(|event| event["object"] == "event") {
        stack.record_event(&body)?;
    }
    let counts_before = stack.counts()?;
    let mails_before = stack.mails()?.len();
    let (status, answer) = stack.post(&body)?;
    say(format_args!("the webhook answered {status} {}", answer.trim()));
    if status != 200 {
        bail!("the event was not accepted");
    }
    if !stack.settle(PATIENCE)? {
        say("the tasks are still busy; cargo xtask local status tells more");
    }
    for (task, counts) in stack.counts()? {
        let before = counts_before.get(&task).cloned().unwrap_or_default();
        say(format_args!("{task:<22} {}", counts.since(&before).words()));
    }
    for (number, mail) in stack.mails()?.iter().enumerate().skip(mails_before) {
        let page = save_mail(&site.folder().join("mails"), number + 1, mail)?;
        say(format_args!("mail to {}: \"{}\"\n  {}", mail.to, mail.subject, checkout.display(&page)));
    }
    Ok(())
}
