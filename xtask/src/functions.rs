//! Builds the functions, and the operator's command line, as this machine runs them: for the local cloud, and to be
//! measured.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::checkout::Checkout;
use crate::process::Group;
use crate::tools::Tools;

/// The package of the operator's command line, and its binary.
const OPERATOR_PACKAGE: &str = "cli";
const OPERATOR_BINARY: &str = "afterlink";

/// What a first build of the functions and the command line takes, in seconds of one core. Measured on `x86_64`.
const FIRST_BUILD_CORE_SECONDS: usize = 330;

/// Packs one file. The CDK would compress a folder, for seconds, each time a function changes.
const PACK: &str = "import sys, zipfile
with zipfile.ZipFile(sys.argv[2], 'w', getattr(zipfile, sys.argv[3])) as package:
    package.write(sys.argv[1], 'bootstrap')";

/// Copies a package and adds a file to it that nothing reads.
const REPACK: &str = "import shutil, sys, zipfile
shutil.copyfile(sys.argv[1], sys.argv[2])
with zipfile.ZipFile(sys.argv[2], 'a') as package:
    package.writestr('version', 'next')";

/// How functions are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build; packed as it is.
    Everyday,
    /// As it ships; packed small.
    Release,
}

/// Builds packages that have a binary of their own name, and hands those back by it.
///
/// # Errors
///
/// When they do not build.
pub fn build(checkout: &Checkout, profile: Profile, names: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    binaries(&mut build_command(checkout, profile, names))
}

/// Builds the release profile of a workspace of its own into `target`, and returns its executables by name.
///
/// # Errors
///
/// When it does not build.
pub fn build_apart(checkout: &Checkout, manifest: &Path, target: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = cargo(checkout);
    command.args(["build", "--release", "--locked", "--message-format=json-render-diagnostics"]);
    command.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(target);
    binaries(&mut command)
}

/// The functions' binaries, and that of the operator's command line, built as for the local cloud.
///
/// # Errors
///
/// When they do not build.
pub fn everyday(checkout: &Checkout) -> Result<(BTreeMap<String, PathBuf>, Option<PathBuf>)> {
    build_with_operator(checkout, &checkout.functions()?, false)
}

/// The operator's command line, built with the functions.
///
/// # Errors
///
/// When they do not build.
pub(crate) fn operator(checkout: &Checkout) -> Result<PathBuf> {
    // Without cargo's own lines before each answer, unless there are minutes to wait for.
    let quiet = first_build(checkout, Profile::Everyday).is_none();
    let (_, operator) = build_with_operator(checkout, &checkout.functions()?, quiet)?;
    operator.with_context(|| format!("the package {OPERATOR_PACKAGE} has no binary {OPERATOR_BINARY}"))
}

fn build_with_operator(
    checkout: &Checkout,
    functions: &[String],
    quiet: bool,
) -> Result<(BTreeMap<String, PathBuf>, Option<PathBuf>)> {
    let packages = [functions, &[OPERATOR_PACKAGE.to_owned()]].concat();
    let mut command = build_command(checkout, Profile::Everyday, &packages);
    if quiet {
        command.arg("--quiet");
    }
    let mut binaries = binaries(&mut command)?;
    let operator = binaries.remove(OPERATOR_BINARY);
    Ok((binaries, operator))
}

fn build_command(checkout: &Checkout, profile: Profile, names: &[String]) -> Command {
    let mut command = cargo(checkout);
    command.args(["build", "--message-format=json-render-diagnostics"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    for name in names {
        command.args(["--package", name]);
    }
    command
}

/// What [`package`] built.
#[derive(Debug)]
pub struct Packaged {
    /// How many functions.
    pub functions: usize,
    /// The operator's command line; not part of a release build.
    pub operator: Option<PathBuf>,
}

/// Builds every function and lays out `<folder>/<name>/bootstrap.zip`, as the CDK app expects it.
///
/// The everyday build includes the operator's command line. Cargo resolves features for all packages of one
/// invocation together, so a second invocation for the command line alone would compile the AWS SDK once more.
///
/// # Errors
///
/// When they do not build, or the packages cannot be written.
pub fn package(checkout: &Checkout, profile: Profile, folder: &Path) -> Result<Packaged> {
    let names = checkout.functions()?;
    let (binaries, operator) = match profile {
        Profile::Everyday => build_with_operator(checkout, &names, false)?,
        Profile::Release => (build(checkout, profile, &names)?, None),
    };

    // A function that is gone must not be found either.
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !names.iter().any(|name| entry.file_name() == name.as_str()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
    }
    for name in &names {
        let binary =
            binaries.get(name).with_context(|| format!("the package {name} has no binary of its name"))?;
        pack(profile, binary, &folder.join(name))?;
    }
    Ok(Packaged { functions: names.len(), operator })
}

/// How long a first build takes on this machine, about; `None` when the dependencies are compiled already.
pub(crate) fn first_build(checkout: &Checkout, profile: Profile) -> Option<String> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout.root().join("target"), PathBuf::from);
    let folder = match profile {
        Profile::Everyday => "debug",
        Profile::Release => "release",
    };
    let compiled = fs::read_dir(target.join(folder).join(".fingerprint"));
    let is_sdk = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("aws-sdk-dynamodb-");
    if compiled.is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|it| is_sdk(&it.file_name())))) {
        return None;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let minutes = FIRST_BUILD_CORE_SECONDS.div_ceil(cores * 60);
    let s = |count: usize| if count == 1 { "" } else { "s" };
    Some(format!(
        "compiling for the first time: about {minutes} minute{} on {cores} core{}, seconds from then on",
        s(minutes),
        s(cores)
    ))
}

/// Packs a binary as `<folder>/bootstrap.zip`, unless that is newer. Hands back its path.
///
/// # Errors
///
/// When Python is missing, or the package cannot be written.
pub fn pack(profile: Profile, binary: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let package = folder.join("bootstrap.zip");
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if modified(&package).is_some_and(|packed| modified(binary).is_some_and(|built| built < packed)) {
        return Ok(package);
    }
    let mut command = Command::new(Tools::find()?.python);
    command.args(["-c", PACK]).arg(binary).arg(&package).arg(match profile {
        Profile::Everyday => "ZIP_STORED",
        Profile::Release => "ZIP_DEFLATED",
    });
    let packed = command.output().context("cannot start Python")?;
    if !packed.status.success() {
        bail!("cannot write {}: {}", package.display(), String::from_utf8_lossy(&packed.stderr).trim());
    }
    Ok(package)
}

/// Writes a package of a function again, into another folder: the same binary in a file of another digest.
pub(crate) fn repack(package: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut command = Command::new(Tools::find()?.python);
    command.args(["-c", REPACK]).arg(package.join("bootstrap.zip")).arg(folder.join("bootstrap.zip"));
    let packed = command.output().context("cannot start Python")?;
    if !packed.status.success() {
        bail!("cannot write {}: {}", folder.display(), String::from_utf8_lossy(&packed.stderr).trim());
    }
    Ok(())
}

/// Runs a cargo build, whose progress goes to the terminal, and hands back the executables by name.
pub(crate) fn binaries(command: &mut Command) -> Result<BTreeMap<String, PathBuf>> {
    let mut group = Group::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdout = group.child().stdout.take().context("cargo has no output to read")?;
    let mut binaries = BTreeMap::new();
    for message in serde_json::Deserializer::from_reader(BufReader::new(stdout)).into_iter::<Value>() {
        let message = message.context("cannot understand cargo")?;
        if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            binaries.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    if !group.child().wait()?.success() {
        bail!("the functions do not build: cargo says why above");
    }
    Ok(binaries)
}

/// The cargo that runs us, in the clone.
pub(crate) fn cargo(checkout: &Checkout) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(checkout.root());
    // Cargo describes our own package in the environment. Some build scripts watch these variables and would
    // build anew each time they are run from here and from a shell in turn.
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];
        if name.to_str().is_some_and(|name| own.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}
