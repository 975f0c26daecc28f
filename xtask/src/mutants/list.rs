use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::checkout::Checkout;
use crate::sources::Sources;

/// A deliberate bug.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    pub(crate) name: String,
    /// Whom it would hurt, in a sentence.
    pub(crate) why: String,
    edits: Vec<Edit>,
    /// Tried in this order until one fails.
    pub(crate) caught_by: Vec<Catcher>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: PathBuf,
    /// Occurs in the file once.
    find: String,
    replace: String,
}

/// Tests that must fail.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Catcher {
    /// Of a package: one of its targets, as cargo's option names it, and parts of the tests' names.
    Cargo { package: String, target: String, tests: Vec<String> },
    /// A file in `cdk/test/`.
    Cdk { cdk: String },
}

impl Catcher {
    /// Whether both are tests of one program, which can run them at once.
    pub(crate) fn same_program(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Cargo { package, target, .. },
                Self::Cargo { package: other_package, target: other_target, .. },
            ) => (package, target) == (other_package, other_target),
            (Self::Cdk { cdk }, Self::Cdk { cdk: other }) => cdk == other,
            (Self::Cargo { .. }, Self::Cdk { .. }) | (Self::Cdk { .. }, Self::Cargo { .. }) => false,
        }
    }

    pub(crate) fn add_tests_of(&mut self, other: &Self) {
        if let (Self::Cargo { tests, .. }, Self::Cargo { tests: more, .. }) = (self, other) {
            tests.extend(more.iter().cloned());
        }
    }
}

impl fmt::Display for Catcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cargo { package, target, .. } => write!(f, "{package} {target}"),
            Self::Cdk { cdk } => write!(f, "cdk/test/{cdk}"),
        }
    }
}

impl Mutant {
    /// The files it changes, as they are with it.
    pub(crate) fn applied_to(&self, sources: &Sources) -> Result<Vec<(PathBuf, String)>> {
        let mut files: BTreeMap<&PathBuf, String> = BTreeMap::new();
        for Edit { file, find, replace } in &self.edits {
            let text = match files.remove(file) {
                Some(text) => text,
                None => sources.text(file)?.to_owned(),
            };
            match text.matches(find.as_str()).count() {
                1 => {}
                times => bail!("the text to find is {times} times in {}: {find}", file.display()),
            }
            if find == replace {
                bail!("nothing changes in {}", file.display());
            }
            files.insert(file, text.replacen(find, replace, 1));
        }
        Ok(files.into_iter().map(|(file, text)| (file.clone(), text)).collect())
    }
}

/// The list, `verification/mutants/mutants.toml`.
pub(crate) fn read(checkout: &Checkout) -> Result<Vec<Mutant>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        mutant: Vec<Mutant>,
    }
    let path = checkout.root().join("verification/mutants/mutants.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: File = toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(file.mutant)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A change of a line that a mutant replaces has to move the mutant.
    #[test]
    fn every_mutant_still_applies() {
        let checkout = Checkout::find().unwrap();
        let sources = Sources::of(&checkout).unwrap();
        let mutants = read(&checkout).unwrap();
        for mutant in &mutants {
            assert!(mutant.why.ends_with('.'), "{}", mutant.name);
            assert!(!mutant.caught_by.is_empty(), "{}", mutant.name);
            if let Err(error) = mutant.applied_to(&sources) {
                panic!("{}: {error}", mutant.name);
            }
        }
        let names: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
        assert_eq!(names.len(), mutants.len(), "two mutants have one name");
        assert!(mutants.len() >= 20, "{}", mutants.len());
    }
}
