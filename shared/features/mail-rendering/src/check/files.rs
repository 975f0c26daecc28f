//! The files of a template: which there are, and which cannot be read at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icu_locale_core::LanguageIdentifier;

use super::Finding;
use crate::own_files::{LARGEST_FILE, text_of};
use crate::wording::Unusable;

/// What a file of a template is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    Subject,
    Html,
    Text,
    Markdown,
}

impl Ending {
    /// The longest first, since one is the end of another.
    const ALL: [(&'static str, Self); 4] =
        [("subject.txt", Self::Subject), ("html", Self::Html), ("txt", Self::Text), ("md", Self::Markdown)];
}

/// A file of the template that can be read.
#[derive(Debug, Clone)]
pub(super) struct OwnFile {
    pub(super) path: String,
    pub(super) locale: LanguageIdentifier,
    pub(super) ending: Ending,
    pub(super) text: Arc<str>,
}

/// A template's own files, and the layouts beside it.
#[derive(Debug, Clone)]
pub(super) struct OwnTemplate {
    pub(super) files: Vec<OwnFile>,
    /// Every file that templates may use, by path, as the mail function has it.
    pub(super) all: BTreeMap<String, Result<Arc<str>, Unusable>>,
    /// The names of its files, also of those that cannot be read.
    names: BTreeSet<String>,
    /// The languages that are complete.
    pub(super) locales: Vec<LanguageIdentifier>,
    pub(super) findings: Vec<Finding>,
}

impl OwnTemplate {
    pub(super) fn read(template: &str, files: &[(String, Vec<u8>)]) -> Self {
        let mut own = Self {
            files: Vec::new(),
            names: BTreeSet::new(),
            all: BTreeMap::new(),
            locales: Vec::new(),
            findings: Vec::new(),
        };
        for (path, bytes) in files {
            let Some((folder, name)) = path.split_once('/') else { continue };
            if folder == template {
                own.add(path, name, bytes);
            } else if folder == "layout" {
                own.all.insert(path.clone(), text_of(bytes.clone()));
            }
        }
        own.judge_languages(template);
        own
    }

    fn add(&mut self, path: &str, name: &str, bytes: &[u8]) {
        let Some((locale, ending)) = parts_of(name) else {
            self.findings.extend(misnamed(path, name));
            // It may be included by another.
            self.all.insert(path.to_owned(), text_of(bytes.to_vec()));
            return;
        };
        self.names.insert(name.to_owned());
        if bytes.len() > LARGEST_FILE {
            self.findings.push(Finding::mistake(
                path,
                0,
                "The file is larger than 100 KB, so customers get the standard mail.".to_owned(),
                "Shorten it; pictures and styles of a word processor are often the reason.",
            ));
            self.all.insert(path.to_owned(), Err(Unusable("larger than 100 KB")));
            return;
        }
        let text = text_of(bytes.to_vec());
        self.all.insert(path.to_owned(), text.clone());
        match text {
            Ok(text) if text.trim().is_empty() => self.findings.push(Finding::mistake(
                path,
                0,
                "The file is empty, so customers get the standard mail.".to_owned(),
                "Write the words into it, or delete the language's files.",
            )),
            Ok(text) => self.files.push(OwnFile { path: path.to_owned(), locale, ending, text }),
            Err(_) => self.findings.push(Finding::mistake(
                path,
                0,
                "The file is not plain text in UTF-8, so customers get the standard mail.".to_owned(),
                "Save it as Plain text, UTF-8 (Notepad: Save as → Encoding).",
            )),
        }
    }

    /// A language is there when its three files are, or the one in Markdown.
    fn judge_languages(&mut self, template: &str) {
        let mut endings: BTreeMap<String, (LanguageIdentifier, BTreeSet<Ending>)> = BTreeMap::new();
        for file in &self.files {
            let entry = endings.entry(file.locale.to_string());
            entry.or_insert_with(|| (file.locale.clone(), BTreeSet::new())).1.insert(file.ending);
        }
        for (tag, (locale, endings)) in &endings {
            let three = [Ending::Subject, Ending::Html, Ending::Text];
            let missing: Vec<_> = three.iter().filter(|ending| !endings.contains(ending)).collect();
            let has_markdown = endings.contains(&Ending::Markdown);
            if missing.is_empty() || has_markdown {
                self.locales.push(locale.clone());
            }
            if missing.is_empty() && has_markdown {
                self.findings.push(Finding::warning(
                    &format!("{template}/{tag}.md"),
                    0,
                    format!("There are {tag}.html and {tag}.txt too, and customers get those."),
                    "Delete the one form or the other.",
                ));
            } else if !missing.is_empty() && (!has_markdown || missing.len() < three.len()) {
                for ending in missing {
                    let known = Ending::ALL.iter().find(|(_, known)| known == ending);
                    let name = known.map_or("", |(name, _)| name);
                    // One that cannot be read is reported as such.
                    if !self.names.contains(&format!("{tag}.{name}")) {
                        self.findings.push(incomplete(template, tag, name, has_markdown));
                    }
                }
            }
        }
        let has_english = self.locales.iter().any(|locale| locale.to_string() == "en");
        if !self.locales.is_empty() && !has_english {
            self.findings.push(Finding::warning(
                template,
                0,
                "There is no English (`en`), so customers whose language is not here get the standard mail."
                    .to_owned(),
                format!("Write {template}/en.md as well."),
            ));
        }
    }
}

fn incomplete(template: &str, tag: &str, name: &str, has_markdown: bool) -> Finding {
    let path = format!("{template}/{tag}.{name}");
    if has_markdown {
        let problem = format!("{tag}.md is used, and the other files of {tag} are not.");
        return Finding::warning(
            &path,
            0,
            problem,
            "Delete them, or write all three: subject.txt, html and txt.",
        );
    }
    Finding::mistake(
        &path,
        0,
        format!("The file is missing, so customers get none of the {tag} files."),
        format!("Write it, or one file {tag}.md in place of the three."),
    )
}

/// The locale and the ending of a file's name.
fn parts_of(name: &str) -> Option<(LanguageIdentifier, Ending)> {
    Ending::ALL.iter().find_map(|(ending, kind)| {
        let tag = name.strip_suffix(ending)?.strip_suffix('.')?;
        let locale: LanguageIdentifier = tag.parse().ok()?;
        (locale.to_string() == tag).then_some((locale, *kind))
    })
}

/// A file that is none of a template's three, and was perhaps meant to be.
fn misnamed(path: &str, name: &str) -> Option<Finding> {
    let small = name.to_lowercase();
    if small == "owner.txt" {
        return None;
    }
    let stem = small.split('.').next().unwrap_or_default();
    let language = |tag: &str| ["english", "german", "deutsch", "french", "français"].contains(&tag);
    let is_known_ending = [".html", ".htm", ".txt", ".md", ".markdown", ".docx", ".rtf", ".odt"];
    let is_known_ending = is_known_ending.iter().any(|ending| small.ends_with(ending));
    let meant =
        stem.parse::<LanguageIdentifier>().is_ok_and(|id| !id.language.is_unknown() && stem.len() <= 6);
    if !is_known_ending || !(meant || language(stem)) {
        return None;
    }
    Some(Finding::mistake(
        path,
        0,
        format!("`{name}` is no name of a template's file, so it is as if it were not there."),
        "Name it after the language's two letters, in small letters: en.md, or en.subject.txt, en.html and en.txt.",
    ))
}

/// A folder whose name no link can give.
pub(super) fn unusable_folder(folder: &str) -> Finding {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let better: String = folder.chars().map(plain).collect();
    let better = better.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    Finding::mistake(
        folder,
        0,
        format!("`{folder}` cannot be a template's name, so no link can use it."),
        format!("Rename the folder: `{better}`."),
    )
}
