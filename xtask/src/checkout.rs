//! This clone of the project.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The files of a folder and of those below it, in the order of their paths.
///
/// # Errors
///
/// When one of the folders cannot be read.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

/// This clone of the project: where things are in it.
///
/// Everything that is started, installed or built for a clone lives inside it, so that two clones on one
/// machine never meet.
#[derive(Debug, Clone)]
pub struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// The clone that this program was built in.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn find() -> Result<Self> {
        // Cargo sets it for the program it runs. The value of build time is for a binary started by hand.
        let manifest_dir =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        // The program's package may be `xtask` or any that uses it, at any depth below the clone's folder.
        let is_root = |folder: &&Path| folder.join("xtask/Cargo.toml").is_file();
        let root =
            Path::new(&manifest_dir).ancestors().find(is_root).context("no folder above has xtask/")?;
        Ok(Self { root: root.to_owned() })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn cdk(&self) -> PathBuf {
        self.root.join("cdk")
    }

    /// What Stripe publishes of its API, with an npm package of its own.
    pub(crate) fn stripe_types(&self) -> PathBuf {
        self.root.join("verification/stripe-api-fake/stripe-types")
    }

    pub(crate) fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// A tool of the virtual environment.
    pub(crate) fn venv_bin(&self, tool: &str) -> PathBuf {
        self.venv().join("bin").join(tool)
    }

    pub(crate) fn xtask(&self) -> PathBuf {
        self.root.join("xtask")
    }

    /// Where `package` leaves the release builds, as cargo-lambda lays them out and the CDK app expects them.
    ///
    /// Always inside the clone, even when cargo builds elsewhere (`CARGO_TARGET_DIR`).
    pub(crate) fn packages(&self) -> PathBuf {
        self.root.join("target/lambda")
    }

    /// The logs of installs and other long commands.
    pub(crate) fn log(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join("target/local/logs");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder.join(name).with_extension("log"))
    }

    /// The functions, by the name that is their folder, package, binary and key in the CDK app.
    ///
    /// # Errors
    ///
    /// When their folder cannot be read.
    pub fn functions(&self) -> Result<Vec<String>> {
        let folder = self.root.join("functions");
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            if entry.path().join("Cargo.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// A path as a person in the clone's folder would type it.
    pub(crate) fn display<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
