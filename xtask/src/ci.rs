//! What CI checks, in the order in which it fails fastest.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::checkout::Checkout;
use crate::functions::cargo;
use crate::process::{output_of, run_logged, run_shown};
use crate::terminal::{Step, heading, say};
use crate::test;

pub(crate) fn run(checkout: &Checkout) -> Result<()> {
    if output_of("cargo-deny", &["--version"]).is_none() {
        bail!(
            "cargo-deny is missing, which checks licences and sources: `cargo install --locked cargo-deny`"
        );
    }

    heading("Formatting");
    check(checkout, &["fmt", "--all", "--check"])?;

    heading("Dependencies");
    unused_dependencies(checkout)?;
    check(checkout, &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"])?;
    advisories(checkout)?;

    heading("Lints");
    check(
        checkout,
        &["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"],
    )?;

    heading("Documentation");
    let mut command = cargo(checkout);
    command.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    command.env("RUSTDOCFLAGS", "--deny warnings");
    run_shown(&mut command)?;

    heading("Budget");
    // On the builds that the end-to-end tests take as well: calls and log lines are the same in every profile.
    check(checkout, &["run", "--quiet", "--package", "bench", "--", "--guard"])?;

    test::run(checkout, &test::Selection::all())
}

fn check(checkout: &Checkout, arguments: &[&str]) -> Result<()> {
    run_shown(cargo(checkout).args(arguments))
}

/// Checks for known vulnerabilities where their database can be had. Where it cannot, that is said and is no
/// failure: a laptop on a train has done nothing wrong.
fn advisories(checkout: &Checkout) -> Result<()> {
    let step = Step::start("advisories", "fetching the advisory database");
    let log = checkout.log("advisory-database")?;
    let mut fetch = cargo(checkout);
    fetch.args(["deny", "fetch", "db"]);
    // Git would wait for long on a network that swallows packets.
    fetch.env("GIT_HTTP_LOW_SPEED_LIMIT", "1000").env("GIT_HTTP_LOW_SPEED_TIME", "20");
    if run_logged(&mut fetch, &log, &step, "").is_err() {
        step.done("not checked: the advisory database is out of reach");
        return Ok(());
    }
    step.done("database is up to date");
    check(checkout, &["deny", "--log-level", "error", "check", "advisories"])
}

/// Names dependencies that a package declares and nowhere mentions.
///
/// A search for the word in its sources. The compiler cannot tell, because it sees one target of a package at a
/// time, and a tool that does the same search takes longer to build than all of this takes to run.
fn unused_dependencies(checkout: &Checkout) -> Result<()> {
    let output = cargo(checkout).args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata did not answer in JSON")?;
    let mut unused = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let sources = rust_sources(manifest.parent().context("a package has no folder")?)?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let name = dependency["rename"].as_str().or(dependency["name"].as_str()).unwrap_or_default();
            if !mentions(&sources, &name.replace('-', "_")) {
                unused.push(format!("- {name}, in {}", checkout.display(manifest)));
            }
        }
    }
    if !unused.is_empty() {
        bail!("declared but unused dependencies:\n{}", unused.join("\n"));
    }
    say("every declared dependency is used");
    Ok(())
}

/// All Rust text of a package.
fn rust_sources(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            text.push_str(&rust_sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(text)
}

/// Whether a name occurs as a word of its own.
fn mentions(sources: &str, name: &str) -> bool {
    let is_part_of_a_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    sources.match_indices(name).any(|(start, _)| {
        let before = sources.get(..start).and_then(|text| text.chars().next_back());
        let after = sources.get(start + name.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part_of_a_word) && !after.is_some_and(is_part_of_a_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_used_when_its_name_is_a_word_of_the_sources() {
        assert!(mentions("use serde_json::Value;", "serde_json"));
        assert!(!mentions("use serde_json::Value;", "serde"));
        assert!(!mentions("let conserde = 1;", "serde"));
        assert!(mentions("#[derive(serde::Serialize)]", "serde"));
    }
}
