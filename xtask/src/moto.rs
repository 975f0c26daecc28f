//! moto: an AWS emulator that shares no code with the local cloud, for a second opinion. It keeps its state in
//! memory, and apart for each account that it is asked in the name of.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::checkout::Checkout;
use crate::dependencies::{Requirements, install_python};
use crate::functions::{self, Profile};
use crate::local::compile;
use crate::process::{self, Group};
use crate::templates::{is_of_stage, synthesize};
use crate::terminal::Step;
use crate::tools::Tools;

/// A moto that is up, with the functions built. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Moto {
    _group: Group,
    /// Gives the tests its address, the functions' binaries and the templates of the stage `local`.
    pub(crate) file: PathBuf,
}

impl Moto {
    pub(crate) fn start(checkout: &Checkout) -> Result<Self> {
        let folder = checkout.root().join("target/moto");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let step = Step::start("dependencies", "moto");
        let installed = install_python(checkout, &Tools::find()?, Requirements::Moto, &step)?;
        step.done(if installed { "moto in .venv, as locked" } else { "unchanged" });
        let build = || functions::everyday(checkout);
        let (functions, operator) = compile(checkout, Profile::Everyday, build, |(built, _)| built.len())?;

        let mut templates = synthesize(checkout, &folder.join("templates"))?;
        templates.retain(|file| is_of_stage(file, "local"));

        let step = Step::start("moto", "starting");
        let log = folder.join("moto.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(checkout.venv_bin("python"));
        command.arg(checkout.xtask().join("moto_server.py"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
        command.env_clear();
        command
            .envs(["PATH", "HOME", "LANG"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let mut group = Group::spawn(&mut command)?;
        let stdout = group.child().stdout.take().context("moto has no output to read")?;
        let mut endpoint = String::new();
        BufReader::new(stdout).read_line(&mut endpoint).context("moto says nothing")?;
        ensure!(endpoint.starts_with("http://"), "moto did not start\n\n{}", process::tail(&log));
        let file = folder.join("moto.json");
        let given = json!({
            "endpoint": endpoint.trim(), "functions": functions, "operator": operator, "templates": templates
        });
        fs::write(&file, serde_json::to_vec_pretty(&given)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        step.done(format_args!("on {}", endpoint.trim()));
        Ok(Self { _group: group, file })
    }
}
