//! The CloudFormation templates of every stage, as the CDK app synthesizes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::checkout::Checkout;
use crate::dependencies::install_node;
use crate::process::run_shown;
use crate::terminal::Step;

/// Whether a file of [`synthesize`] is a template of this stage.
pub fn is_of_stage(file: &Path, stage: &str) -> bool {
    let start = format!("afterlink-{stage}-");
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start))
}

/// Synthesizes all stages into an empty folder. Returns the templates' files, in the order of their names: one a stack,
/// `afterlink-<stage>-<stack>.template.json`.
///
/// # Errors
///
/// When the CDK app does not synthesize.
pub fn synthesize(checkout: &Checkout, folder: &Path) -> Result<Vec<PathBuf>> {
    let step = Step::start("dependencies", "the CDK app's");
    let installed = install_node(checkout, &checkout.cdk(), &step)?;
    step.done(if installed { "in cdk/node_modules, as locked" } else { "unchanged" });
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let mut write = Command::new("npm");
    write.args(["run", "--silent", "templates", "--", "--out"]).arg(folder).current_dir(checkout.cdk());
    run_shown(&mut write)?;
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}
