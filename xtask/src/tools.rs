//! Finds the tools that the project does not install itself, and says plainly which are missing.

use anyhow::{Result, bail};

use crate::process::output_of;

const NODE_AT_LEAST: u32 = 20;
const PYTHON_AT_LEAST: (u32, u32) = (3, 10);

/// The tools of this machine.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The Python that makes the virtual environment.
    pub(crate) python: &'static str,
    /// For people: the versions found.
    pub(crate) summary: String,
}

impl Tools {
    /// Finds all of them, or names every one that is missing at once.
    pub(crate) fn find() -> Result<Self> {
        let rust = output_of("rustc", &["--version"]).map(|text| second_word(&text));
        let node = node();
        let python = python();
        match (rust, node, python) {
            (Some(rust), Ok(node), Ok((python, version))) => {
                Ok(Self { python, summary: format!("Rust {rust}, Node {node}, Python {version}") })
            }
            (rust, node, python) => {
                let rust =
                    rust.is_none().then(|| "Rust is missing: install it from https://rustup.rs.".to_owned());
                let missing: Vec<String> = [rust, node.err(), python.err()]
                    .into_iter()
                    .flatten()
                    .map(|line| format!("- {line}"))
                    .collect();
                bail!("this machine lacks something:\n{}", missing.join("\n"));
            }
        }
    }
}

fn node() -> Result<String, String> {
    let advice = "install it from https://nodejs.org or with your package manager";
    let Some(version) = output_of("node", &["--version"]) else {
        return Err(format!("Node {NODE_AT_LEAST} or newer is missing: {advice}. The CDK runs on it."));
    };
    let version = version.trim_start_matches('v').to_owned();
    if major_minor(&version).0 < NODE_AT_LEAST {
        return Err(format!("Node {version} is too old: {advice}, version {NODE_AT_LEAST} or newer."));
    }
    if output_of("npm", &["--version"]).is_none() {
        return Err(
            "npm is missing: it usually comes with Node (Debian has it as a package of its own, npm).".into(),
        );
    }
    Ok(version)
}

/// The first Python on the path that is new enough and can make virtual environments.
fn python() -> Result<(&'static str, String), String> {
    let (major, minor) = PYTHON_AT_LEAST;
    let mut nearest = None;
    for name in ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"] {
        let Some(version) = output_of(name, &["--version"]).map(|text| second_word(&text)) else {
            continue;
        };
        if major_minor(&version) < PYTHON_AT_LEAST {
            nearest.get_or_insert(format!("{name} is {version}, which is too old."));
        } else if output_of(name, &["-c", "import venv, ensurepip"]).is_none() {
            nearest.get_or_insert(format!("{name} {version} lacks its venv module (Debian: python3-venv)."));
        } else {
            return Ok((name, version));
        }
    }
    let nearest = nearest.unwrap_or_default();
    Err(format!("Python {major}.{minor} or newer is missing: install it from https://python.org or with your package manager. The local cloud runs on it. {nearest}").trim_end().to_owned())
}

fn second_word(text: &str) -> String {
    text.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

fn major_minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_versions_tools_print() {
        assert_eq!(major_minor("20.20.2"), (20, 20));
        assert_eq!(major_minor("3.13.0rc1"), (3, 13));
        assert_eq!(second_word("Python 3.11.7"), "3.11.7");
        assert_eq!(second_word("rustc 1.95.0 (59807616e 2026-04-14)"), "1.95.0");
    }

    #[test]
    fn an_older_python_is_older() {
        assert!(major_minor("3.9.18") < PYTHON_AT_LEAST);
        assert!(major_minor("3.10.0") >= PYTHON_AT_LEAST);
    }
}
