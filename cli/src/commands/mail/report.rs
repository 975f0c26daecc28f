//! What is said of mails, to their writers.

use anyhow::Result;
use fulfilment::Policy;
use mail_rendering::check::{Finding, Severity, TemplateReport, check_template};
use mail_rendering::preview::Preview;
use serde::Serialize;

use super::files::Files;
use crate::page::{BAD, DIM, GOOD, Page, Report, Verdict, WARN, count};

/// What was found in some templates.
#[derive(Serialize)]
pub(crate) struct Checked {
    pub(super) templates: Vec<CheckedTemplate>,
}

#[derive(Serialize)]
pub(crate) struct CheckedTemplate {
    template: String,
    /// Whether customers get it as it is meant.
    usable: bool,
    locales: Vec<String>,
    findings: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    path: String,
    /// 0 for the file as a whole.
    line: usize,
    mistake: bool,
    problem: String,
    fix: String,
}

impl From<TemplateReport> for CheckedTemplate {
    fn from(report: TemplateReport) -> Self {
        Self {
            usable: report.is_usable(),
            findings: report.findings.into_iter().map(Found::from).collect(),
            template: report.template,
            locales: report.locales,
        }
    }
}

impl From<Finding> for Found {
    fn from(Finding { path, line, severity, problem, fix }: Finding) -> Self {
        Self { path, line, mistake: severity == Severity::Mistake, problem, fix }
    }
}

impl CheckedTemplate {
    fn mistakes(&self) -> usize {
        self.findings.iter().filter(|found| found.mistake).count()
    }

    fn print(&self, page: &mut Page) {
        let mistakes = self.mistakes();
        let languages = self.locales.join(", ");
        if mistakes > 0 {
            page.line(format_args!("{BAD}{}{BAD:#}: {} to fix", self.template, count(mistakes, "thing")));
        } else if self.usable {
            page.line(format_args!("{GOOD}{}{GOOD:#} is ready to use: {languages}", self.template));
        } else {
            page.line(format_args!("{WARN}{}{WARN:#} has no mail in any language yet", self.template));
        }
        for found in &self.findings {
            found.print(page);
        }
    }
}

impl Found {
    fn print(&self, page: &mut Page) {
        let style = if self.mistake { BAD } else { WARN };
        let place = if self.line == 0 { self.path.clone() } else { format!("{}:{}", self.path, self.line) };
        page.line(format_args!("  {style}{place}{style:#}"));
        page.line(format_args!("    {}", self.problem));
        page.line(format_args!("    {DIM}{}{DIM:#}", self.fix));
    }
}

impl Report for Checked {
    fn print(&self, page: &mut Page) {
        self.templates.iter().for_each(|template| template.print(page));
    }

    fn verdict(&self) -> Verdict {
        Verdict::needs_you_if(self.templates.iter().any(|template| !template.usable))
    }
}

/// What is said of a mail that is shown or sent.
#[derive(Serialize)]
pub(crate) struct Mail {
    /// The wording that was used. Another one than was asked for if that has a mistake.
    pub(super) template: String,
    pub(super) locale: String,
    pub(super) subject: String,
    /// What was asked for.
    asked: String,
    findings: Vec<Found>,
}

impl Mail {
    pub(super) fn of(preview: &Preview, asked: &str, files: &Files) -> Result<Self> {
        let is_own = files.iter().any(|(path, _)| path.split('/').next() == Some(asked));
        let findings = match is_own {
            true => check_template(asked, files, &Policy::compiled_in()?).findings,
            false => Vec::new(),
        };
        Ok(Self {
            template: preview.template.clone(),
            locale: preview.locale.clone(),
            subject: preview.subject.clone(),
            asked: asked.to_owned(),
            findings: findings.into_iter().map(Found::from).collect(),
        })
    }

    pub(super) fn print(&self, page: &mut Page) {
        for found in &self.findings {
            found.print(page);
        }
        if self.template != self.asked {
            page.line(format_args!(
                "{BAD}{}{BAD:#} cannot be used as it is: customers get {} instead.",
                self.asked, self.template
            ));
        }
        if !self.findings.is_empty() || self.template != self.asked {
            page.line("");
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        let has_mistakes = self.findings.iter().any(|found| found.mistake);
        Verdict::needs_you_if(has_mistakes || self.template != self.asked)
    }
}
