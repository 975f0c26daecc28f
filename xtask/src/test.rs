//! All tests, whatever runs them, and one closing line.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::checkout::Checkout;
use crate::cloud::{Lifetime, Site};
use crate::dependencies::{Requirements, install_node, install_python};
use crate::functions::{binaries, cargo};
use crate::local::bring_up;
use crate::moto::Moto;
use crate::process::{output_of, run_read};
use crate::terminal::{BAD, GOOD, Step, heading, say};
use crate::tools::Tools;

/// The package of the end-to-end tests, and the features without which they are not compiled.
const END_TO_END: &str = "end-to-end";
const LOCAL_CLOUD: &str = "local-cloud";
const MOTO: &str = "moto";
const DRILLS: &str = "drills";

#[derive(Args)]
pub(crate) struct Selection {
    /// Only one kind of test [default: all]
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// Names of Rust tests, or other arguments for the test runner
    #[arg(last = true)]
    filters: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The crates, without a cloud
    Unit,
    /// The CDK app
    Cdk,
    /// What Stripe publishes, against the copy that the Rust tests read
    Stripe,
    /// The analysts' SQL, over events that the function published
    Sql,
    /// The functions before a second AWS emulator, moto
    Moto,
    /// The functions on a local cloud
    E2e,
}

impl Selection {
    pub(crate) fn all() -> Self {
        Self { only: None, filters: Vec::new() }
    }

    fn wants(&self, kind: Kind) -> bool {
        // A filter names Rust tests, so it does not ask for the others.
        let rust = matches!(kind, Kind::Unit | Kind::Moto | Kind::E2e);
        self.only.map_or(rust || self.filters.is_empty(), |only| only == kind)
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Results {
    passed: u64,
    failed: u64,
}

impl Results {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

pub(crate) fn run(checkout: &Checkout, selection: &Selection) -> Result<()> {
    let mut total = Results::default();
    if selection.wants(Kind::Unit) {
        heading("The crates");
        total.add(rust_tests(checkout, &["--workspace"], selection, None)?);
        if selection.filters.is_empty() {
            let mut command = cargo(checkout);
            command.args(["test", "--workspace", "--doc", "--quiet"]);
            total.add(run_tests(&mut command)?);
        }
    }
    if selection.wants(Kind::Cdk) {
        heading("The CDK app");
        total.add(cdk_tests(checkout)?);
    }
    if selection.wants(Kind::Stripe) {
        heading("What Stripe publishes");
        total.add(stripe_tests(checkout)?);
    }
    if selection.wants(Kind::Sql) {
        heading("What analysts ask");
        total.add(sql_tests(checkout)?);
    }
    if selection.wants(Kind::Moto) {
        heading("The functions before a second AWS emulator");
        let moto = Moto::start(checkout)?;
        let arguments = ["--package", END_TO_END, "--features", MOTO];
        total.add(rust_tests(checkout, &arguments, selection, Some(("AFTERLINK_MOTO", &moto.file)))?);
    }
    if selection.wants(Kind::E2e) {
        heading("End to end, on a local cloud with IAM enforced");
        let (cloud, stack) = bring_up(checkout, &Site::test(checkout), None, Lifetime::Ours)?;
        let arguments = ["--package", END_TO_END, "--features", LOCAL_CLOUD];
        total.add(rust_tests(checkout, &arguments, selection, Some(("AFTERLINK_STACK", &stack.file)))?);
        drop(cloud);
    }

    let Results { passed, failed } = total;
    let (style, verdict) =
        if failed == 0 { (GOOD, "All tests passed.") } else { (BAD, "Some tests failed.") };
    say(format_args!("\n{style}{verdict}{style:#}"));
    // Alone on its line and without colours: other programs read it.
    say(format_args!("{passed} passed, {failed} failed"));
    if failed > 0 {
        bail!("{failed} tests failed; their output is above");
    }
    if passed == 0 {
        bail!("no test has this name");
    }
    Ok(())
}

/// Bad days, one after the other, on a local cloud on which calls can be made to fail.
pub(crate) fn drills(checkout: &Checkout, filters: Vec<String>) -> Result<()> {
    heading("Bad days, on a local cloud with IAM enforced");
    let (cloud, stack) = bring_up(checkout, &Site::drills(checkout), None, Lifetime::Ours)?;
    let arguments = ["--package", END_TO_END, "--features", DRILLS, "--test-threads", "1"];
    let selection = Selection { only: None, filters };
    let results = rust_tests(checkout, &arguments, &selection, Some(("AFTERLINK_STACK", &stack.file)))?;
    drop(cloud);
    let Results { passed, failed } = results;
    say(format_args!("{passed} passed, {failed} failed"));
    if failed > 0 || passed == 0 {
        bail!("{failed} drills failed; their output is above");
    }
    Ok(())
}

/// Rust tests with nextest where it is installed, else with cargo's own runner.
fn rust_tests(
    checkout: &Checkout,
    arguments: &[&str],
    selection: &Selection,
    cloud: Option<(&str, &Path)>,
) -> Result<Results> {
    let mut command = cargo(checkout);
    if output_of("cargo-nextest", &["--version"]).is_some() {
        command
            .args(["nextest", "run", "--no-fail-fast", "--no-tests=pass"])
            .args(arguments)
            .args(&selection.filters);
    } else {
        // `--no-fail-fast` so that all failures are seen; documentation tests run apart.
        command
            .args(["test", "--no-fail-fast", "--all-targets"])
            .args(arguments)
            .arg("--")
            .args(&selection.filters);
    }
    command.envs(cloud);
    run_tests(&mut command)
}

/// Compares the copy of Stripe's types with the npm package they are from. That what is read, sent and answered fits
/// them, Rust tests of `stripe-api-fake` see.
fn stripe_tests(checkout: &Checkout) -> Result<Results> {
    let folder = checkout.stripe_types();
    install(checkout, &folder)?;
    let mut command = Command::new("npm");
    command.args(["test", "--silent"]).current_dir(folder);
    run_tests(&mut command)
}

/// Publishes payments by the function's own code, and asks them the queries of the analysts' page.
fn sql_tests(checkout: &Checkout) -> Result<Results> {
    let step = Step::start("dependencies", "DuckDB");
    let installed = install_python(checkout, &Tools::find()?, Requirements::Analysts, &step)?;
    step.done(if installed { "DuckDB in .venv, as locked" } else { "unchanged" });
    let folder = checkout.root().join("target/analysts");
    let mut command = cargo(checkout);
    // With the features of the whole workspace: what its tests are made of is not compiled once more.
    command.args(["build", "--workspace", "--bin", "analysts", "--message-format=json-render-diagnostics"]);
    let program = binaries(&mut command)?.remove("analysts").context("`analysts` was not built")?;
    let (status, _) = run_read(Command::new(program).arg(&folder))?;
    if !status.success() {
        bail!("the payments were not published: `analysts` says why above");
    }
    let mut command = Command::new(checkout.venv_bin("python"));
    command.arg(checkout.root().join("verification/analysts/queries.py")).arg(folder);
    command.arg(checkout.root().join("docs/ACQUISITION-EVENTS.md"));
    run_tests(&mut command)
}

/// Installs the npm packages of a folder, and says so.
fn install(checkout: &Checkout, folder: &Path) -> Result<()> {
    let modules = folder.join("node_modules");
    let step = Step::start("dependencies", checkout.display(&modules).to_string());
    let _tools = Tools::find()?;
    let installed = install_node(checkout, folder, &step)?;
    step.done(if installed { "installed, as locked" } else { "unchanged" });
    Ok(())
}

fn cdk_tests(checkout: &Checkout) -> Result<Results> {
    install(checkout, &checkout.cdk())?;
    let mut check = Command::new("npm");
    check.args(["run", "--silent", "check"]).current_dir(checkout.cdk());
    let (status, _) = run_read(&mut check)?;
    if !status.success() {
        bail!("the CDK app does not type-check: tsc says why above");
    }
    let mut command = Command::new("npm");
    command.args(["test", "--silent"]).current_dir(checkout.cdk());
    run_tests(&mut command)
}

/// Runs a test runner, shows what it prints, and counts. A runner that fails without a failed test, for example
/// because the tests do not compile, is an error.
fn run_tests(command: &mut Command) -> Result<Results> {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        command.env("CARGO_TERM_COLOR", "always").env("FORCE_COLOR", "1");
    }
    let name = command.get_args().map(OsStr::to_string_lossy).take(2).collect::<Vec<_>>().join(" ");
    let (status, text) = run_read(command)?;
    let results = count(&text);
    if !status.success() && results.failed == 0 {
        bail!("`{name}` failed ({status})");
    }
    results_of(results, status.success()).with_context(|| format!("`{name}`"))
}

/// A runner that is content must not have counted failures: then its closing line is not understood.
fn results_of(results: Results, content: bool) -> Result<Results> {
    if content && results.failed > 0 {
        bail!(
            "its closing line is not understood: it exits well, but {} failures were counted",
            results.failed
        );
    }
    Ok(results)
}

/// Adds up the closing lines of nextest, cargo's own runner and Node's.
fn count(text: &str) -> Results {
    let mut results = Results::default();
    for line in text.lines() {
        let line = without_colours(line);
        // nextest shows the output of a failed test indented, and in it that test's own closing line.
        let is_closing_line = line.starts_with("test result:") || line.trim_start().starts_with("Summary [");
        let line = line.trim();
        if is_closing_line {
            results.passed += number_before(line, "passed");
            results.failed += number_before(line, "failed") + number_before(line, "timed out");
        } else if let Some(number) =
            ["ℹ pass ", "# pass "].iter().find_map(|prefix| line.strip_prefix(prefix))
        {
            results.passed += number.parse::<u64>().unwrap_or(0);
        } else if let Some(number) =
            ["ℹ fail ", "# fail "].iter().find_map(|prefix| line.strip_prefix(prefix))
        {
            results.failed += number.parse::<u64>().unwrap_or(0);
        }
    }
    results
}

/// The number in front of a word: 3 of `3 passed`.
fn number_before(line: &str, word: &str) -> u64 {
    line.split([',', ';', ':', '.'])
        .filter_map(|part| part.trim().split_once(' '))
        .find_map(|(number, rest)| rest.starts_with(word).then(|| number.parse().ok())?)
        .unwrap_or(0)
}

fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once(|letter: char| letter.is_ascii_alphabetic()).map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, passed: u64, failed: u64) {
        assert_eq!(count(text), Results { passed, failed }, "{text}");
    }

    #[test]
    fn reads_the_closing_line_of_nextest() {
        check("     Summary [   0.012s] 12 tests run: 12 passed, 0 skipped", 12, 0);
        check(
            "     Summary [   1.300s] 7 tests run: 5 passed (1 slow), 1 failed, 1 timed out, 2 skipped",
            5,
            2,
        );
        check(
            "\x1b[32;1m     Summary\x1b[0m [   0.012s] \x1b[1m3\x1b[0m tests run: \x1b[1m3\x1b[0m passed, 0 skipped",
            3,
            0,
        );
    }

    #[test]
    fn adds_up_the_closing_lines_of_cargo_test() {
        let line =
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let other = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        check(&format!("{line}\n{other}"), 5, 2);
    }

    #[test]
    fn reads_the_closing_lines_of_node() {
        check("ℹ tests 3\nℹ pass 2\nℹ fail 1\nℹ cancelled 0", 2, 1);
        check("# tests 2\n# pass 2\n# fail 0", 2, 0);
    }
}
