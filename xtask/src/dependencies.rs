//! What the project installs into the clone: `.venv` and each `node_modules`, as their lock files say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::aws::hex;
use crate::checkout::Checkout;
use crate::process::run_logged;
use crate::terminal::Step;
use crate::tools::Tools;

/// Packages for the virtual environment, pinned by hash.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Requirements {
    LocalCloud,
    CargoLambda,
    Ci,
    Moto,
    Analysts,
}

impl Requirements {
    fn name(self) -> &'static str {
        match self {
            Self::LocalCloud => "ministack",
            Self::CargoLambda => "cargo-lambda",
            Self::Ci => "ci",
            Self::Moto => "moto",
            Self::Analysts => "analysts",
        }
    }

    fn file(self, checkout: &Checkout) -> PathBuf {
        checkout.xtask().join(format!("{}.requirements.txt", self.name()))
    }
}

/// Brings the virtual environment up to date. Does nothing, at once, when it is.
pub(crate) fn install_python(
    checkout: &Checkout,
    tools: &Tools,
    wanted: Requirements,
    step: &Step,
) -> Result<bool> {
    let file = wanted.file(checkout);
    let lock = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let digest = hex(&Sha256::digest(&lock));
    let python = checkout.venv_bin("python");
    // The stamp lives in the environment, so it cannot outlive it.
    let stamp = checkout.venv().join(format!("{}.sha256", wanted.name()));
    let works = python.is_file() && crate::process::output_of(&python, &["-c", "import pip"]).is_some();
    if works && fs::read_to_string(&stamp).is_ok_and(|installed| installed == digest) {
        return Ok(false);
    }

    let log = checkout.log(&format!("pip-{}", wanted.name()))?;
    if !works {
        step.note("making .venv");
        let mut command = Command::new(tools.python);
        command.args(["-m", "venv", "--clear"]).arg(checkout.venv());
        run_logged(
            &mut command,
            &log,
            step,
            "Does this Python have its venv module (Debian: python3-venv)?",
        )?;
    }
    step.note(format!("installing {} into .venv", wanted.name()));
    let mut command = Command::new(python);
    command
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .arg("--requirement")
        .arg(file);
    run_logged(&mut command, &log, step, "Is the Python package index within reach?")?;
    fs::write(stamp, digest)?;
    Ok(true)
}

/// Brings the `node_modules` of a folder up to date. Does nothing, at once, when they are.
pub(crate) fn install_node(checkout: &Checkout, folder: &Path, step: &Step) -> Result<bool> {
    let lock = folder.join("package-lock.json");
    if is_as_locked(&lock, &folder.join("node_modules/.package-lock.json")).unwrap_or(false) {
        return Ok(false);
    }
    step.note(format!("installing {}", checkout.display(&folder.join("node_modules"))));
    let mut command = Command::new("npm");
    command.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
    run_logged(&mut command, &checkout.log("npm-ci")?, step, "Is the npm registry within reach?")?;
    Ok(true)
}

/// Whether npm's own record of what it installed agrees with the lock file.
fn is_as_locked(lock: &Path, installed: &Path) -> Result<bool> {
    let lock: Value = serde_json::from_slice(&fs::read(lock)?)?;
    let installed: Value = serde_json::from_slice(&fs::read(installed)?)?;
    Ok(agree(&lock, &installed))
}

fn agree(lock: &Value, installed: &Value) -> bool {
    let Some(wanted) = lock["packages"].as_object() else {
        return false;
    };
    wanted.iter().all(|(path, package)| {
        let found = &installed["packages"][path];
        // The root is not an installed package; optional ones are for other machines.
        let absent_is_fine = path.is_empty() || (package["optional"] == true && found.is_null());
        absent_is_fine
            || (found["version"] == package["version"] && found["integrity"] == package["integrity"])
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lock() -> Value {
        json!({"packages": {
            "": {"name": "cdk"},
            "node_modules/a": {"version": "1.0.0", "integrity": "sha512-a"},
            "node_modules/for-another-machine": {"version": "2.0.0", "integrity": "sha512-b", "optional": true},
        }})
    }

    #[test]
    fn an_install_of_every_needed_package_is_up_to_date() {
        let installed =
            json!({"packages": {"node_modules/a": {"version": "1.0.0", "integrity": "sha512-a"}}});
        assert!(agree(&lock(), &installed));
    }

    #[test]
    fn another_version_is_not_up_to_date() {
        let installed =
            json!({"packages": {"node_modules/a": {"version": "1.0.1", "integrity": "sha512-c"}}});
        assert!(!agree(&lock(), &installed));
    }

    #[test]
    fn a_missing_package_is_not_up_to_date() {
        assert!(!agree(&lock(), &json!({"packages": {}})));
    }
}
