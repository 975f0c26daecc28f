//! Shows a mail before a customer gets it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::checkout::Checkout;

/// Runs the preview of the mail's own function, which has its own `--help`, and hands on its exit code.
pub(crate) fn preview(checkout: &Checkout, arguments: &[OsString]) -> Result<ExitCode> {
    // In the caller's folder: paths among the arguments are relative to it.
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--package", "thank-you-email", "--example", "mail-preview"])
        .arg("--manifest-path")
        .arg(checkout.root().join("Cargo.toml"))
        .arg("--")
        .args(arguments)
        .status()
        .context("cannot start cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
