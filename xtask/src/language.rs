//! What a language of the mails and pages consists of, and what of it is missing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use customer_locale::BuiltInLanguage;
use toml::{Table, Value};

use crate::checkout::{Checkout, files_below};
use crate::terminal::{GOOD, say};

/// What a file of the language all others fall back to begins with.
const ENGLISH: &str = "en.";

/// Lists what is missing of a language, for the developer who adds it.
pub(crate) fn run(checkout: &Checkout, tag: &str) -> Result<()> {
    let is_tag = (2..=3).contains(&tag.len()) && tag.bytes().all(|letter| letter.is_ascii_lowercase());
    if !is_tag {
        bail!("\"{tag}\" is no language: write the two or three letters of ISO 639, such as pt");
    }
    let missing = missing(checkout.root(), tag)?;
    if missing.is_empty() {
        say(format_args!("{GOOD}{tag} is whole.{GOOD:#} `cargo xtask test` reads every mail and page in it"));
        return Ok(());
    }
    for place in &missing {
        say(format_args!("- {place}"));
    }
    bail!(
        "{tag} is missing in {} places, listed above; docs/WORDING.md says how to add a language",
        missing.len()
    )
}

/// The gaps of a language, a place each: its entry, a file for each of English, its words in `policy.toml`, and
/// its mention for marketers.
pub(crate) fn missing(root: &Path, tag: &str) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    if BuiltInLanguage::from_tag(tag).is_none() {
        missing
            .push(format!("an entry `{tag}` in LANGUAGES of shared/domain/customer-locale/src/language.rs"));
    }
    missing.extend(files(root, tag)?);
    missing.extend(policy(root, tag)?);
    let handbook = root.join("docs/WORDING.md");
    let text =
        fs::read_to_string(&handbook).with_context(|| format!("cannot read {}", handbook.display()))?;
    let shipped = text.lines().find(|line| line.contains("ship with Afterlink"));
    if !shipped.is_some_and(|line| line.contains(&format!("(`{tag}`)"))) {
        missing.push(format!("(`{tag}`) among the languages that ship, in docs/WORDING.md"));
    }
    Ok(missing)
}

/// The templates that there are in English alone.
fn files(root: &Path, tag: &str) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for path in templates(root)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(ending) = name.strip_prefix(ENGLISH) else { continue };
        let translated = path.with_file_name(format!("{tag}.{ending}"));
        if !translated.is_file() {
            missing.push(translated.strip_prefix(root)?.display().to_string());
        }
    }
    Ok(missing)
}

/// The templates of mails and pages.
fn templates(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = files_below(&root.join("functions"))?;
    files.extend(files_below(&root.join("shared"))?);
    files.retain(|path| path.iter().any(|part| part == "templates"));
    Ok(files)
}

/// The tables of `policy.toml` with words in English and not in this language.
fn policy(root: &Path, tag: &str) -> Result<Vec<String>> {
    let path = root.join("policy.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let policy: Table = text.parse().context("policy.toml is no TOML")?;
    let mut missing = Vec::new();
    lacking(&policy, "", tag, &mut missing);
    Ok(missing)
}

fn lacking(table: &Table, name: &str, tag: &str, missing: &mut Vec<String>) {
    if table.contains_key("en") && !table.contains_key(tag) {
        missing.push(format!("`{tag}` in [{name}] of policy.toml"));
    }
    for (key, value) in table {
        if let Value::Table(inner) = value {
            let inner_name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            lacking(inner, &inner_name, tag, missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use customer_locale::LANGUAGES;

    use super::*;

    #[test]
    fn every_language_that_ships_is_whole() {
        let root = Checkout::find().unwrap().root().to_owned();
        for built_in in LANGUAGES {
            // Which languages a business has words in, its own policy decides, and the policy's own check.
            let of_ours: Vec<_> = missing(&root, built_in.tag())
                .unwrap()
                .into_iter()
                .filter(|place| !place.contains("policy.toml"))
                .collect();
            assert!(of_ours.is_empty(), "{}: {of_ours:#?}", built_in.tag());
        }
    }

    /// A language in a scratch copy: everything that is missing is named, and nothing is once it is there.
    #[test]
    fn a_new_language_lacks_what_is_named_and_nothing_else() {
        let root = Checkout::find().unwrap().root().to_owned();
        let copy = std::env::temp_dir().join(format!("afterlink-language-{}", std::process::id()));
        let english = copy_sources(&root, &copy);
        // Portuguese, until it ships.
        let new = ["pt", "eo"].into_iter().find(|tag| BuiltInLanguage::from_tag(tag).is_none()).unwrap();
        let translated = |file: &str| file.replace("/en.", &format!("/{new}."));
        assert!(english.len() > 30, "{english:?}");

        let named = missing(&copy, new).unwrap();
        for file in &english {
            let file = translated(file);
            assert!(named.contains(&file), "{file} is not named in {named:#?}");
        }
        for place in [
            "an entry `NEW` in LANGUAGES of shared/domain/customer-locale/src/language.rs",
            "`NEW` in [contribution.shown_as] of policy.toml",
            "`NEW` in [marketing.yes] of policy.toml",
            "`NEW` in [marketing.no] of policy.toml",
            "(`NEW`) among the languages that ship, in docs/WORDING.md",
        ] {
            let place = place.replace("NEW", new);
            assert!(named.contains(&place), "{place} is not named in {named:#?}");
        }

        for file in &english {
            fs::copy(copy.join(file), copy.join(translated(file))).unwrap();
        }
        let edit = |file: &str, change: &dyn Fn(String) -> String| {
            let path = copy.join(file);
            fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
        };
        edit("policy.toml", &|text| {
            let text = text.replace("\nen = ", &format!("\n{new} = [\"sí\"]\nen = "));
            text.replace("{ en = ", &format!("{{ {new} = \"Donación\", en = "))
        });
        edit("docs/WORDING.md", &|text| {
            text.replace("English (`en`)", &format!("Another (`{new}`), English (`en`)"))
        });
        // Only the entry is compiled in, and is not in this program.
        assert_eq!(missing(&copy, new).unwrap(), [named[0].clone()]);
        fs::remove_dir_all(&copy).unwrap();
    }

    /// Copies what a language consists of; the templates in English, by their paths.
    fn copy_sources(root: &Path, copy: &Path) -> Vec<String> {
        let mut english = Vec::new();
        let mut files = vec!["policy.toml".to_owned(), "docs/WORDING.md".to_owned()];
        let templates = templates(root).unwrap();
        files.extend(templates.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()));
        for file in files {
            fs::create_dir_all(copy.join(&file).parent().unwrap()).unwrap();
            fs::copy(root.join(&file), copy.join(&file)).unwrap();
            if file.contains("/en.") {
                english.push(file);
            }
        }
        english
    }
}
