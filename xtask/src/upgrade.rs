//! A second deployment over a local cloud that runs, as an upgrade makes one.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use crate::checkout::Checkout;
use crate::deploy::{App, read_outputs};
use crate::functions::repack;
use crate::stack::Stack;
use crate::terminal::Step;

/// The template of a running stack, with the code of every function packed as another version's.
#[derive(Debug)]
pub struct Upgrade<'a> {
    checkout: &'a Checkout,
    stack: &'a Stack,
    folder: PathBuf,
    assembly: PathBuf,
}

impl<'a> Upgrade<'a> {
    /// Packs the functions and synthesizes the app. Nothing that runs is touched.
    ///
    /// The binaries are those that run. Their packages are not, so CloudFormation updates every function, and Lambda
    /// starts new processes, as for a new version.
    ///
    /// # Errors
    ///
    /// When the packages cannot be written or the app does not synthesize.
    pub fn prepare(checkout: &'a Checkout, stack: &'a Stack) -> Result<Self> {
        let folder = stack.file.parent().context("the stack's file has no folder")?.to_owned();
        let assembly = folder.join("cdk-upgrade.out");
        let functions = folder.join("functions-upgrade");
        for name in checkout.functions()? {
            let running = folder.join("functions").join(&name);
            repack(&running, &functions.join(&name))?;
        }
        let upgrade = Self { checkout, stack, folder, assembly };
        upgrade.logged(|step| upgrade.app().synthesize(&functions, stack.output("stripe_api")?, step))?;
        Ok(upgrade)
    }

    /// Deploys it over what runs, by the command of the first deployment. Returns the stacks' outputs by name.
    ///
    /// # Errors
    ///
    /// When the deployment fails.
    pub fn deploy(&self) -> Result<Map<String, Value>> {
        let outputs = self.folder.join("outputs-upgrade.json");
        self.logged(|step| self.app().deploy(&outputs, "", step))?;
        read_outputs(&outputs, &self.stack.aws)
    }

    fn app(&self) -> App<'_> {
        App { checkout: self.checkout, aws: &self.stack.aws, folder: &self.folder, assembly: &self.assembly }
    }

    /// Does something that reports to a step, and shows none: a test prints what failed.
    fn logged(&self, run: impl FnOnce(&Step) -> Result<()>) -> Result<()> {
        let step = Step::silent("upgrade", "");
        let ended = run(&step);
        step.forget();
        ended
    }
}
