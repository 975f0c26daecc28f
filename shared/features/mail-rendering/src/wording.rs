//! Where the words of a mail come from, and the engine that fills them in.
//!
//! A template is three files, `<template>/<locale>.subject.txt`, `.html` and `.txt`. A [`WordingSource`] has some
//! of them; of several sources the first that has a file wins, so a source with a marketer's own files goes
//! before [`BuiltIn`]. The shared layouts are files like any other and can be replaced the same way.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use icu_locale_core::LanguageIdentifier;
use include_dir::{Dir, include_dir};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind};

mod allowed;
mod engine;
mod missing;

use crate::markdown::{NotAMail, evenly_spaced, problem_of};
use crate::part::Part;
use engine::{engine, render};
pub(crate) use missing::or_missing;

/// Something that has template files.
pub(crate) trait WordingSource: Send + Sync {
    /// The text of a file by its path, `contribution/en.html`; `None` when this source does not have it.
    fn file(&self, path: &str) -> Option<Result<Cow<'_, str>, Unusable>>;

    /// The text of a template that is one file in Markdown; `None` where it is none, or three files are there as well.
    fn markdown(&self, _template: &str, _tag: &str) -> Option<&str> {
        None
    }

    /// Whether its files shipped with the function; others are read through before they are used (`allowed.rs`).
    fn is_trusted(&self) -> bool {
        false
    }
}

/// A file that is there but cannot be a template; says what it is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

/// The templates that ship in the function.
pub(crate) struct BuiltIn;

impl WordingSource for BuiltIn {
    fn file(&self, path: &str) -> Option<Result<Cow<'_, str>, Unusable>> {
        let file = BUILT_IN.get_file(path)?;
        Some(file.contents_utf8().map(Cow::Borrowed).ok_or(Unusable("not text in UTF-8")))
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

/// A template in one locale. Only [`Wordings::find`] makes one, so its three files are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// The template's name.
    pub template: String,
    /// The locale of its words.
    pub locale: LanguageIdentifier,
}

impl Wording {
    /// What is wrong with one of its parts as a whole.
    pub(crate) fn broken(&self, part: Part, problem: &str) -> BrokenTemplate {
        let path = path(&self.template, &self.locale, part);
        BrokenTemplate { path, line: 0, problem: problem.to_owned() }
    }
}

/// A template that cannot be filled in: a mistake in its text.
///
/// Says what and where, and never a value: values are the customer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template file {path}{}: {problem}", in_line(*.line))]
pub struct BrokenTemplate {
    /// The file, `contribution/en.html`; a shared layout when the mistake is there.
    pub path: String,
    /// The line, from 1; 0 when the mistake is the file as a whole.
    pub line: usize,
    /// The defect, in a few words.
    pub problem: String,
}

fn in_line(line: usize) -> String {
    if line == 0 { String::new() } else { format!(", line {line}") }
}

/// Bytes of a filled-in part. Mail programs cut a mail off at about half of it.
const LONGEST_PART: usize = 200 * 1024;

/// All the wordings of some sources, ready to be filled in. Files are read and compiled when first used.
pub struct Wordings {
    sources: Arc<[Box<dyn WordingSource>]>,
    html: Environment<'static>,
    text: Environment<'static>,
}

impl Wordings {
    /// The wordings of these sources; the first source that has a file wins.
    pub(crate) fn of(sources: Vec<Box<dyn WordingSource>>) -> Self {
        let sources: Arc<[_]> = sources.into();
        // Two engines, so that escaping depends on the mail's part and never on a file's name.
        let html = engine(Arc::clone(&sources), AutoEscape::Html);
        let text = engine(Arc::clone(&sources), AutoEscape::None);
        Self { sources, html, text }
    }

    /// The wordings that ship in the function.
    pub fn built_in() -> &'static Self {
        static WORDINGS: LazyLock<Wordings> = LazyLock::new(|| Wordings::of(vec![Box::new(BuiltIn)]));
        &WORDINGS
    }

    /// The template in the first of these locales that has all three files.
    ///
    /// A better locale that has only some of them is a mistake, and goes to `incomplete`.
    pub fn find(
        &self,
        template: &str,
        locales: &[LanguageIdentifier],
        mut incomplete: impl FnMut(BrokenTemplate),
    ) -> Option<Wording> {
        for locale in locales {
            let paths = Part::ALL.map(|part| path(template, locale, part));
            let is_there = |path: &&String| read(&self.sources, path).is_some();
            match (paths.iter().find(is_there), paths.iter().find(|path| !is_there(path))) {
                (Some(_), None) => {
                    return Some(Wording { template: template.to_owned(), locale: locale.clone() });
                }
                (Some(there), Some(missing)) => incomplete(BrokenTemplate {
                    path: missing.clone(),
                    line: 0,
                    problem: format!("it is missing, although there is {there}"),
                }),
                (None, _) => {}
            }
        }
        None
    }

    /// One part of a mail, filled in.
    ///
    /// # Errors
    ///
    /// When the template has a mistake.
    pub fn fill(&self, wording: &Wording, part: Part, values: &Value) -> Result<String, BrokenTemplate> {
        let path = path(&wording.template, &wording.locale, part);
        if self.is_markdown(wording) {
            return self.fill_markdown(wording, part, &path, values);
        }
        self.fill_file(&path, part, values)
    }

    fn is_markdown(&self, wording: &Wording) -> bool {
        let tag = wording.locale.to_string();
        self.sources.iter().any(|source| source.markdown(&wording.template, &tag).is_some())
    }

    /// The file in Markdown is filled in by itself before its first part is: its tags are those of all parts, and so a
    /// mistake in one is found on its own line.
    fn fill_markdown(
        &self,
        wording: &Wording,
        part: Part,
        derived: &str,
        values: &Value,
    ) -> Result<String, BrokenTemplate> {
        let tag = wording.locale.to_string();
        let path = format!("{}/{tag}.md", wording.template);
        if let Part::Subject = part {
            let text = self.sources.iter().find_map(|source| source.markdown(&wording.template, &tag));
            if let Some(NotAMail { line, problem }) = text.and_then(problem_of) {
                return Err(BrokenTemplate { path, line, problem });
            }
            self.fill_file(&path, Part::Text, values)?;
        }
        let broken = |error: BrokenTemplate| {
            // What is left is about the frame, or about the file as a whole.
            if error.path == derived { BrokenTemplate { path, line: 0, ..error } } else { error }
        };
        let filled = self.fill_file(derived, part, values).map_err(broken)?;
        Ok(if let Part::Text = part { evenly_spaced(&filled) } else { filled })
    }

    fn fill_file(&self, path: &str, part: Part, values: &Value) -> Result<String, BrokenTemplate> {
        let engine = match part {
            Part::Html => &self.html,
            Part::Subject | Part::Text => &self.text,
        };
        let filled = render(engine, path, values).map_err(|error| broken(path, &error))?;
        if filled.trim().is_empty() {
            return Err(BrokenTemplate {
                path: path.to_owned(),
                line: 0,
                problem: "it comes out empty".to_owned(),
            });
        }
        Ok(filled)
    }
}

fn path(template: &str, locale: &LanguageIdentifier, part: Part) -> String {
    format!("{template}/{locale}.{}", part.ending())
}

/// A file, and whether it shipped with the function.
type Found<'a> = (Result<Cow<'a, str>, Unusable>, bool);

fn read<'a>(sources: &'a [Box<dyn WordingSource>], path: &str) -> Option<Found<'a>> {
    sources.iter().find_map(|source| Some((source.file(path)?, source.is_trusted())))
}

fn broken(path: &str, error: &minijinja::Error) -> BrokenTemplate {
    // The innermost error knows best: the others say that a block or an include did not work.
    let mut innermost = error;
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        if let Some(not_allowed) = next.downcast_ref::<BrokenTemplate>() {
            return not_allowed.clone();
        }
        if let Some(next) = next.downcast_ref::<minijinja::Error>() {
            innermost = next;
        }
        source = next.source();
    }
    let kind = innermost.kind();
    // Details of other kinds may quote a value.
    let quotes_only_the_template = [
        ErrorKind::SyntaxError,
        ErrorKind::TemplateNotFound,
        ErrorKind::UnknownFilter,
        ErrorKind::UnknownFunction,
        ErrorKind::UnknownTest,
        ErrorKind::UnknownBlock,
    ]
    .contains(&kind);
    let is_own = |detail: &&str| quotes_only_the_template || engine::OWN_DETAILS.contains(detail);
    let detail = innermost.detail().filter(is_own);
    BrokenTemplate {
        path: innermost.name().unwrap_or(path).to_owned(),
        line: innermost.line().unwrap_or(0),
        problem: match (kind, detail) {
            (ErrorKind::OutOfFuel, _) => "it loops without end".to_owned(),
            (ErrorKind::WriteFailure, _) => "it comes out longer than any mail should be".to_owned(),
            (_, Some(detail)) => format!("{kind}: {detail}"),
            (_, None) => kind.to_string(),
        },
    }
}

/// All files of the folder: three a template and language, and the layouts.
pub(crate) static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Whether a template of this name ships with the function.
pub fn is_built_in(template: &str) -> bool {
    BUILT_IN.get_dir(template).is_some()
}
