//! What CI checks, in the order in which it fails fastest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::checkout::{Checkout, files_below};
use crate::dependencies::{Requirements, install_node, install_python};
use crate::functions::cargo;
use crate::guide::{Written, commands};
use crate::new_task;
use crate::process::{output_of, run_logged, run_shown};
use crate::templates::synthesize;
use crate::terminal::{BAD, Step, heading, say};
use crate::test;
use crate::tools::Tools;

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
    let advisories = advisories(checkout)?;

    heading("Templates and commands");
    let venv = install_tools(checkout)?;
    templates(checkout, &venv)?;
    aws_commands(checkout, &venv)?;

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

    test::run(checkout, &test::Selection::all())?;

    test::drills(checkout, Vec::new())?;

    heading("A new task, in a copy");
    new_task::trial(checkout)?;
    if advisories == Advisories::NotChecked {
        // Last, so that it is not overlooked above all that passed.
        say(format_args!(
            "\n{BAD}Advisories were not checked{BAD:#}: their database is out of reach. Run this where it is within \
             reach; {REQUIRED}=required makes it an error."
        ));
    }
    Ok(())
}

/// The variable that says whether a CI may pass without the advisories.
const REQUIRED: &str = "AFTERLINK_ADVISORIES";

/// Whether known vulnerabilities were looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Advisories {
    Checked,
    NotChecked,
}

/// What becomes of a run that cannot reach the database.
fn without_database(setting: Option<&str>) -> Result<Advisories> {
    match setting.map(str::trim) {
        None | Some("" | "optional") => Ok(Advisories::NotChecked),
        Some("required") => {
            bail!("the advisory database is out of reach, and {REQUIRED}=required asks for it")
        }
        Some(other) => bail!("{REQUIRED} is \"{other}\": say required or optional"),
    }
}

/// Installs cfn-lint and the AWS command line, and hands back where they are.
fn install_tools(checkout: &Checkout) -> Result<PathBuf> {
    let tools = Tools::find()?;
    let step = Step::start("dependencies", "cfn-lint and the AWS command line");
    let installed = install_python(checkout, &tools, Requirements::Ci, &step)?;
    let node = install_node(checkout, &checkout.cdk(), &step)?;
    step.done(if installed || node { "in .venv and cdk/node_modules, as locked" } else { "unchanged" });
    Ok(checkout.venv_bin(""))
}

/// Holds the templates of every stage against AWS's own schemas.
fn templates(checkout: &Checkout, venv: &Path) -> Result<()> {
    let files = synthesize(checkout, &checkout.log("templates")?.with_extension("d"))?;
    let mut lint = Command::new(venv.join("cfn-lint"));
    // W3005: a dependency that follows from a reference as well, as the CDK writes it.
    lint.args(["--non-zero-exit-code", "warning", "--ignore-checks", "W3005", "--"]);
    lint.args(&files);
    run_shown(&mut lint)?;
    say(format_args!("{} templates are as CloudFormation wants them", files.len()));
    Ok(())
}

/// Runs the documentation's `aws` commands without an AWS: a command that gets as far as the network is written right.
fn aws_commands(checkout: &Checkout, venv: &Path) -> Result<()> {
    let folder = checkout.log("aws-commands")?.with_extension("d");
    fs::create_dir_all(&folder)?;
    // Files that the commands read.
    fs::write(folder.join("versions.json"), r#"{"Objects": [{"Key": "x", "VersionId": "x"}]}"#)?;
    fs::write(folder.join("guide.pdf"), "")?;
    let written = commands(checkout.root(), "aws")?;
    let mut wrong = Vec::new();
    for Written { page, words } in &written {
        if words.get(1..3) == Some(&["logs".to_owned(), "tail".to_owned()]) {
            // Only version 2 has it, which is on no package index.
            // https://docs.aws.amazon.com/cli/latest/reference/logs/tail.html
            let known = ["--since", "--follow", "--format", "--filter-pattern", "--log-stream-names"];
            if words.iter().any(|word| word.starts_with("--") && !known.contains(&word.as_str())) {
                wrong.push(format!("- {page}: {}", words.join(" ")));
            }
            continue;
        }
        let output = Command::new(venv.join("aws"))
            .args(words.iter().skip(1))
            .args(["--endpoint-url", "http://127.0.0.1:9", "--region", "eu-west-1"])
            .current_dir(&folder)
            .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "example")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env_remove("AWS_PROFILE")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !said.contains("Could not connect to the endpoint URL") && !output.status.success() {
            wrong.push(format!("- {page}: {}\n  {}", words.join(" "), said.trim().replace('\n', "\n  ")));
        }
    }
    if !wrong.is_empty() {
        bail!("commands that the AWS command line does not understand:\n{}", wrong.join("\n"));
    }
    say(format_args!("{} aws commands of the documentation are understood", written.len()));
    Ok(())
}

fn check(checkout: &Checkout, arguments: &[&str]) -> Result<()> {
    run_shown(cargo(checkout).args(arguments))
}

/// Checks for known vulnerabilities where their database can be had. Where it cannot, that is said in the last lines
/// and is no failure, unless the environment asks for it: a laptop on a train has done nothing wrong.
fn advisories(checkout: &Checkout) -> Result<Advisories> {
    let step = Step::start("advisories", "fetching the advisory database");
    let log = checkout.log("advisory-database")?;
    let mut fetch = cargo(checkout);
    fetch.args(["deny", "fetch", "db"]);
    // Git would wait for long on a network that swallows packets.
    fetch.env("GIT_HTTP_LOW_SPEED_LIMIT", "1000").env("GIT_HTTP_LOW_SPEED_TIME", "20");
    if run_logged(&mut fetch, &log, &step, "").is_err() {
        step.done("not checked: the advisory database is out of reach");
        return without_database(std::env::var(REQUIRED).ok().as_deref());
    }
    step.done("database is up to date");
    check(checkout, &["deny", "--log-level", "error", "check", "advisories"])?;
    Ok(Advisories::Checked)
}

/// Names dependencies that a package declares and nowhere mentions.
///
/// A search for the word in its sources. The compiler cannot know, because it sees one target of a package at a
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
    let files = files_below(folder)?.into_iter();
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| Ok(fs::read_to_string(path)?)).collect()
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
    fn a_ci_without_the_advisories_passes_unless_it_requires_them() {
        assert_eq!(without_database(None).unwrap(), Advisories::NotChecked);
        assert_eq!(without_database(Some("optional")).unwrap(), Advisories::NotChecked);
        let required = without_database(Some("required")).unwrap_err().to_string();
        assert!(required.contains("out of reach"), "{required}");
        assert!(
            without_database(Some("requird")).unwrap_err().to_string().contains("say required or optional")
        );
    }

    #[test]
    fn a_dependency_is_used_when_its_name_is_a_word_of_the_sources() {
        assert!(mentions("use serde_json::Value;", "serde_json"));
        assert!(!mentions("use serde_json::Value;", "serde"));
        assert!(!mentions("let conserde = 1;", "serde"));
        assert!(mentions("#[derive(serde::Serialize)]", "serde"));
    }
}
