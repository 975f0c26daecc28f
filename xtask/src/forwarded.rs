//! Commands that are programs of other packages. They have their own `--help`, and need not be built with `xtask`.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::checkout::Checkout;

/// Runs the tasks over a simulated AWS, where everything goes wrong that can.
pub(crate) fn simulate(checkout: &Checkout, arguments: &[OsString]) -> Result<ExitCode> {
    run(checkout, &["--package", "simulation"], arguments)
}

/// Measures what the functions cost, beside a function that does nothing.
pub(crate) fn bench(checkout: &Checkout, arguments: &[OsString]) -> Result<ExitCode> {
    run(checkout, &["--package", "bench"], arguments)
}

/// Builds and runs a program with these arguments, and hands on its exit code.
fn run(checkout: &Checkout, program: &[&str], arguments: &[OsString]) -> Result<ExitCode> {
    // In the caller's folder: paths among the arguments are relative to it.
    let status = Command::new("cargo")
        .args(["run", "--quiet"])
        .args(program)
        .arg("--manifest-path")
        .arg(checkout.root().join("Cargo.toml"))
        .arg("--")
        .args(arguments)
        .status()
        .context("cannot start cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
