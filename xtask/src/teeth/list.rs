use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::tree::Sources;
use crate::checkout::Checkout;

/// A deliberate bug.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tooth {
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

impl Tooth {
    /// The files it changes, as they are with it.
    pub(crate) fn bitten(&self, sources: &Sources) -> Result<Vec<(PathBuf, String)>> {
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

/// The list, `xtask/teeth.toml`.
pub(crate) fn read(checkout: &Checkout) -> Result<Vec<Tooth>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        tooth: Vec<Tooth>,
    }
    let path = checkout.xtask().join("teeth.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: File = toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(file.tooth)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A change of a line that a mutant replaces has to move the mutant.
    #[test]
    fn every_tooth_still_bites() {
        let checkout = Checkout::find().unwrap();
        let sources = Sources::of(&checkout).unwrap();
        let teeth = read(&checkout).unwrap();
        for tooth in &teeth {
            assert!(tooth.why.ends_with('.'), "{}", tooth.name);
            assert!(!tooth.caught_by.is_empty(), "{}", tooth.name);
            if let Err(error) = tooth.bitten(&sources) {
                panic!("{}: {error}", tooth.name);
            }
        }
        let names: BTreeSet<_> = teeth.iter().map(|tooth| &tooth.name).collect();
        assert_eq!(names.len(), teeth.len(), "two teeth have one name");
        assert!(teeth.len() >= 20, "{}", teeth.len());
    }
}
