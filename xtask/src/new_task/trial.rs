//! Tries a new task in a copy of the checkout: it builds, passes its tests, has its alarms, is simulated, and handles a
//! payment on a local cloud.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::checkout::Checkout;
use crate::dependencies::{Requirements, install_node, install_python};
use crate::functions::cargo;
use crate::process::{run_logged, run_read};
use crate::sources::{Sources, link_installed};
use crate::terminal::{Step, say};
use crate::tools::Tools;

/// The task that is made.
const NAME: &str = "payment-notes";

/// The copy, with builds of its own.
struct Trial<'a> {
    checkout: &'a Checkout,
    tree: PathBuf,
    build: PathBuf,
    log: PathBuf,
}

pub(super) fn run(checkout: &Checkout) -> Result<()> {
    let folder = checkout.root().join("target/new-task");
    let build = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| folder.join("build"), |shared| PathBuf::from(shared).join("new-task"));
    let trial = Trial { checkout, tree: folder.join("tree"), build, log: checkout.log("new-task-trial")? };
    trial.lay_out()?;
    trial.cargo_step("new-task", "making it", &["run", "--package", "xtask", "--", "new-task", NAME])?;
    let tests = ["test", "--package", NAME, "--package", "catalogue"];
    trial.cargo_step("tests", "of the task and of the catalogue", &tests)?;
    trial.cdk_tests()?;
    let simulate =
        ["run", "--package", "simulation", "--", "--histories-only", "--seeds", "4", "--events", "200"];
    trial.cargo_step("simulation", "histories with faults", &simulate)?;
    trial.local_cloud()?;
    say("a new task builds, passes its tests, is simulated, and handles a payment");
    Ok(())
}

impl Trial<'_> {
    /// The sources as they are, beside what is installed for them.
    fn lay_out(&self) -> Result<()> {
        let step = Step::start("copy", "the sources, with what is installed for them");
        Sources::of(self.checkout)?.lay_out(&self.tree, &[])?;
        let tools = Tools::find()?;
        install_python(self.checkout, &tools, Requirements::LocalCloud, &step)?;
        install_node(self.checkout, &self.checkout.cdk(), &step)?;
        for installed in [".venv", "cdk/node_modules"] {
            link_installed(self.checkout, &self.tree, installed)?;
        }
        step.done("in target/new-task");
        Ok(())
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(self.checkout);
        command.args(arguments).current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        // Built once and thrown away: a third of the disk, and quicker.
        command.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "false");
        command
    }

    fn cargo_step(&self, name: &'static str, what: &str, arguments: &[&str]) -> Result<()> {
        let step = Step::start(name, what);
        run_logged(&mut self.cargo(arguments), &self.log, &step, "")?;
        step.done(what);
        Ok(())
    }

    /// The rules, grants and alarms of every task hold for it too.
    fn cdk_tests(&self) -> Result<()> {
        let step = Step::start("templates", "their tests");
        let mut command = Command::new("npm");
        command.args(["test", "--silent"]).current_dir(self.tree.join("cdk"));
        run_logged(&mut command, &self.log, &step, "")?;
        step.done("their tests pass with one task more");
        Ok(())
    }

    fn local_cloud(&self) -> Result<()> {
        let xtask = |arguments: &[&str]| {
            self.cargo(&[&["run", "--quiet", "--package", "xtask", "--", "local"][..], arguments].concat())
        };
        let event = "verification/testkit/fixtures/session_completed_paid.json";
        let step = Step::start("local cloud", "one payment");
        let paid = run_logged(&mut xtask(&["up"]), &self.log, &step, "")
            .and_then(|()| run_read(&mut xtask(&["send", event])));
        // Whatever came of it.
        let down = run_logged(&mut xtask(&["down"]), &self.log, &step, "");
        let (status, printed) = paid?;
        down?;
        ensure!(status.success(), "the payment was not sent");
        let Some(line) = printed.lines().find(|line| line.starts_with(NAME)) else {
            bail!("{NAME} is not among the tasks of the local cloud")
        };
        ensure!(line.contains("done"), "the new task did not do its work: {line}");
        step.done(line.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(())
    }
}
