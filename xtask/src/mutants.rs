//! Deliberate bugs, one at a time, and the tests that must notice them.

mod list;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;

use self::list::{Catcher, Mutant};
use crate::checkout::Checkout;
use crate::dependencies::install_node;
use crate::functions::cargo;
use crate::process::{Group, tail};
use crate::sources::{Sources, link_installed};
use crate::terminal::{BAD, GOOD, Step, duration, say};

/// How long one mutant's tests may run. What takes longer has found an endless loop, and a better catcher is due.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Args)]
pub(crate) struct Selection {
    /// Only the mutants whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// Lists the bugs, and runs nothing
    #[arg(long)]
    list: bool,
    /// Prints the results as JSON instead
    #[arg(long)]
    json: bool,
}

/// The result of a mutant.
enum Verdict {
    /// The first test that failed.
    Caught(String),
    Missed,
}

pub(crate) fn run(checkout: &Checkout, selection: &Selection) -> Result<()> {
    let mut mutants = list::read(checkout)?;
    mutants.retain(|mutant| selection.only.as_ref().is_none_or(|part| mutant.name.contains(part.as_str())));
    if mutants.is_empty() {
        bail!("no mutant has this in its name; `cargo xtask mutants --list` names them all");
    }
    if selection.list {
        for mutant in &mutants {
            say(format_args!("{:<36} {}", mutant.name, mutant.why));
        }
        return Ok(());
    }
    let started = Instant::now();
    let bench = Bench::set_up(checkout, &mutants, selection.json)?;
    bench.unharmed(&mutants)?;
    let mut results = Vec::new();
    let mut caught = 0;
    for mutant in &mutants {
        let step = bench.step("mutant", &mutant.name);
        let begun = Instant::now();
        let verdict = bench.run(mutant, &step).with_context(|| format!("mutant {}", mutant.name))?;
        let seconds = begun.elapsed().as_secs();
        let by = match &verdict {
            Verdict::Caught(by) => {
                caught += 1;
                bench.end(step, &format!("{:<36} caught by {by}", mutant.name));
                Some(by)
            }
            Verdict::Missed => {
                if selection.json {
                    step.forget();
                } else {
                    step.ended_badly(format_args!("{:<36} {BAD}MISSED{BAD:#}: {}", mutant.name, mutant.why));
                }
                None
            }
        };
        results.push(json!({ "name": mutant.name, "why": mutant.why, "caught_by": by, "seconds": seconds }));
    }
    let total = mutants.len();
    let elapsed = started.elapsed();
    if selection.json {
        let report =
            json!({ "caught": caught, "total": total, "seconds": elapsed.as_secs(), "mutants": results });
        say(serde_json::to_string_pretty(&report)?);
    } else {
        let style = if caught == total { GOOD } else { BAD };
        say(format_args!("\n{style}caught {caught}/{total}{style:#}, in {}", duration(elapsed)));
    }
    if caught < total {
        bail!("{} of {total} deliberate bugs went unnoticed: each needs a test", total - caught);
    }
    Ok(())
}

/// A copy of the checkout to break, with builds of its own. Nothing in the checkout itself is ever changed.
struct Bench<'a> {
    checkout: &'a Checkout,
    sources: Sources,
    tree: PathBuf,
    build: PathBuf,
    log: PathBuf,
    silent: bool,
}

impl<'a> Bench<'a> {
    fn set_up(checkout: &'a Checkout, mutants: &[Mutant], silent: bool) -> Result<Self> {
        let folder = checkout.root().join("target/mutants");
        let bench = Self {
            checkout,
            sources: Sources::of(checkout)?,
            tree: folder.join("tree"),
            build: folder.join("build"),
            log: checkout.log("mutants")?,
            silent,
        };
        bench.sources.lay_out(&bench.tree, &[])?;
        let catchers = mutants.iter().flat_map(|mutant| &mutant.caught_by);
        if catchers.into_iter().any(|catcher| matches!(catcher, Catcher::Cdk { .. })) {
            let step = bench.step("dependencies", "cdk/node_modules");
            install_node(checkout, &checkout.cdk(), &step)?;
            link_installed(checkout, &bench.tree, "cdk/node_modules")?;
            bench.end(step, "as locked");
        }
        Ok(bench)
    }

    /// Without a bug all these tests pass. Otherwise a catch would mean nothing.
    fn unharmed(&self, mutants: &[Mutant]) -> Result<()> {
        let step = self.step("unharmed", "the tests involved, before anything is broken");
        let mut all: Vec<Catcher> = Vec::new();
        for catcher in mutants.iter().flat_map(|mutant| &mutant.caught_by) {
            match all.iter_mut().find(|known| known.same_program(catcher)) {
                Some(known) => known.add_tests_of(catcher),
                None => all.push(catcher.clone()),
            }
        }
        for catcher in &all {
            step.note(catcher.to_string());
            if let Some(by) = self.caught(catcher, &step)? {
                bail!("{by} fails without any bug. {}", tail(&self.log));
            }
        }
        self.end(step, &format!("the tests involved pass, in {} programs", all.len()));
        Ok(())
    }

    fn run(&self, mutant: &Mutant, step: &Step) -> Result<Verdict> {
        self.sources.lay_out(&self.tree, &mutant.applied_to(&self.sources)?)?;
        let mut verdict = Verdict::Missed;
        for catcher in &mutant.caught_by {
            if let Some(by) = self.caught(catcher, step)? {
                verdict = Verdict::Caught(by);
                break;
            }
        }
        self.sources.lay_out(&self.tree, &[])?;
        Ok(verdict)
    }

    /// The first test of a catcher that fails.
    fn caught(&self, catcher: &Catcher, step: &Step) -> Result<Option<String>> {
        let (mut build, mut test) = self.commands(catcher);
        if !self.logged(&mut build, step)?.success() {
            bail!("it does not compile, which proves nothing. {}", tail(&self.log));
        }
        let passed = self.logged(&mut test, step)?.success();
        let text = fs::read_to_string(&self.log)?;
        if ran(&text) == 0 {
            bail!("no test of {catcher} has one of these names. {}", tail(&self.log));
        }
        match (passed, first_failure(&text)) {
            (true, _) => Ok(None),
            (false, Some(name)) => Ok(Some(name)),
            (false, None) => bail!("{catcher} ended without naming a test. {}", tail(&self.log)),
        }
    }

    fn commands(&self, catcher: &Catcher) -> (Command, Command) {
        match catcher {
            Catcher::Cargo { package, target, tests } => {
                let command = || {
                    let mut command = cargo(self.checkout);
                    command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
                    command.env("INSTA_UPDATE", "no").env("INSTA_WORKSPACE_ROOT", &self.tree);
                    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
                    command.args(["test", "--package", package]).args(target.split_whitespace());
                    command
                };
                let mut build = command();
                let mut test = command();
                build.args(["--no-run", "--quiet"]);
                test.arg("--").args(tests);
                (build, test)
            }
            Catcher::Cdk { cdk } => {
                let mut build = Command::new("npm");
                let mut test = Command::new("node");
                build.args(["run", "--silent", "check"]).current_dir(self.tree.join("cdk"));
                test.args(["--import", "tsx", "--test", "--test-reporter", "tap"]);
                test.arg(format!("test/{cdk}")).current_dir(self.tree.join("cdk"));
                (build, test)
            }
        }
    }

    fn logged(&self, command: &mut Command, step: &Step) -> Result<ExitStatus> {
        let file = File::create(&self.log).with_context(|| format!("cannot write {}", self.log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut group = Group::spawn(command)?;
        let started = Instant::now();
        loop {
            if let Some(status) = group.exited()? {
                return Ok(status);
            }
            // A build may take long on a cold start; tests may not.
            if started.elapsed() > PATIENCE && is_testing(&self.log) {
                bail!("its tests never end. {}", tail(&self.log));
            }
            step.note(self.doing());
            std::thread::sleep(Duration::from_millis(60));
        }
    }

    fn doing(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    fn step(&self, name: &'static str, doing: &str) -> Step {
        if self.silent { Step::silent(name, doing) } else { Step::start(name, doing) }
    }

    fn end(&self, step: Step, result: &str) {
        if self.silent { step.forget() } else { step.done(result) }
    }
}

fn is_testing(log: &Path) -> bool {
    fs::read_to_string(log).is_ok_and(|text| text.lines().any(|line| line.starts_with("running ")))
}

/// How many tests ran, in the words of libtest and of Node's TAP.
fn ran(text: &str) -> usize {
    let is_result = |line: &str| {
        (line.starts_with("test ") && line.contains(" ... "))
            || line.starts_with("ok ")
            || line.starts_with("not ok ")
    };
    text.lines().filter(|line| is_result(line.trim_start())).count()
}

/// The first test that failed. A suite of Node's fails after the test in it did.
fn first_failure(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim();
        let rust = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"));
        let node = line.strip_prefix("not ok ").and_then(|rest| rest.split_once(" - ")).map(|(_, name)| name);
        rust.or(node).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, tests: usize, failure: Option<&str>) {
        assert_eq!((ran(text), first_failure(text).as_deref()), (tests, failure), "{text}");
    }

    #[test]
    fn reads_the_output_of_libtest() {
        check("running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\n\nfailures:\n", 2, Some("a::c"));
        check("running 1 test\ntest a::b ... ok\n\ntest result: ok. 1 passed; 0 failed", 1, None);
        check("running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 9 filtered out", 0, None);
    }

    #[test]
    fn reads_the_output_of_node() {
        check("    ok 1 - a\n    not ok 2 - b, too\n      ---\nnot ok 1 - suite\n", 3, Some("b, too"));
    }
}
