//! The catalogue of functions, written for programs that are not Rust.

use std::fs;

use anyhow::{Context as _, Result};
use catalogue::Golden;

use crate::checkout::Checkout;
use crate::terminal::say;

/// Writes `cdk/lib/catalogue.json`, which the CDK app reads.
pub(crate) fn write(checkout: &Checkout) -> Result<()> {
    let file = checkout.cdk().join("lib/catalogue.json");
    let text = serde_json::to_string_pretty(&Golden::current())?;
    fs::write(&file, format!("{text}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    say(format_args!("wrote {}", checkout.display(&file)));
    Ok(())
}
