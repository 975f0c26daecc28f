//! What is wrong with a template, before a customer meets it.
//!
//! The same checks for the person who writes a mail and for the bucket it is uploaded to. The template's own text is read for
//! what customers would see (`source`, `html`), so that every finding has its line, and it is filled in for every
//! language and every kind of customer (`rendering`), as the mail function would.

mod files;
mod frame;
mod html;
mod rendering;
mod sentences;
mod source;

use std::collections::BTreeSet;

use fulfilment::{Policy, TemplateName};

use self::files::OwnTemplate;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Customers get other wording than this, or a broken mail.
    Mistake,
    /// Customers get it, and will probably not like it.
    Warning,
}

/// Something that is wrong with a template, for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file: `autumn-appeal/en.html`.
    pub path: String,
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, and what customers see of it, in a sentence.
    pub problem: String,
    /// What to do about it, in a sentence.
    pub fix: String,
}

impl Finding {
    fn new(path: &str, line: usize, severity: Severity, problem: String, fix: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, severity, problem, fix: fix.into() }
    }

    fn mistake(path: &str, line: usize, problem: String, fix: impl Into<String>) -> Self {
        Self::new(path, line, Severity::Mistake, problem, fix)
    }

    fn warning(path: &str, line: usize, problem: String, fix: impl Into<String>) -> Self {
        Self::new(path, line, Severity::Warning, problem, fix)
    }
}

/// What was found in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateReport {
    /// The template's name.
    pub template: String,
    /// By file and line, each once.
    pub findings: Vec<Finding>,
    /// The languages in which customers get it: `de`, `en`.
    pub locales: Vec<String>,
}

impl TemplateReport {
    /// Whether customers get this wording as it is meant.
    pub fn is_usable(&self) -> bool {
        !self.locales.is_empty() && self.mistakes().next().is_none()
    }

    /// What has to be corrected.
    pub fn mistakes(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Mistake)
    }
}

/// The names of the folders that hold a template, of files with the paths they have in the templates bucket.
pub fn templates_in<'a>(paths: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let folders = paths.into_iter().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder);
    folders.filter(|folder| !folder.is_empty() && *folder != "layout").collect()
}

/// Checks a template: its own files and those of `layout`, with the paths they have in the templates bucket. Files of
/// other folders are passed over.
pub fn check_template(template: &str, files: &[(String, Vec<u8>)], policy: &Policy) -> TemplateReport {
    let own = OwnTemplate::read(template, files);
    let mut findings = own.findings.clone();
    if TemplateName::try_from(template.to_owned()).is_err() {
        findings.push(files::unusable_folder(template));
        return TemplateReport { template: template.to_owned(), findings, locales: Vec::new() };
    }
    for file in &own.files {
        findings.extend(source::check_source(file, &own));
    }
    let rendered = rendering::check_rendering(template, &own, policy, &findings);
    findings.extend(rendered);
    findings.sort();
    findings.dedup();
    let locales = own.locales.iter().map(ToString::to_string).collect();
    TemplateReport { template: template.to_owned(), findings, locales }
}

#[cfg(test)]
mod tests;
