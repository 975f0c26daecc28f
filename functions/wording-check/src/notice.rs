//! The mail to a template's owner: what to fix, or that it is ready.

use std::fmt::Write as _;

use mail_rendering::check::{Finding, Severity};

/// A mail that is ready to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) subject: String,
    pub(crate) html: String,
    pub(crate) text: String,
}

/// What was found about a template, or about every template when the layout changed.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    /// The folder, as the marketer named it.
    pub(crate) folder: &'a str,
    pub(crate) stage: &'a str,
    pub(crate) findings: Vec<Finding>,
    /// What can be used: its languages, or, of the layout, the templates in it.
    pub(crate) usable: Vec<String>,
    pub(crate) is_layout: bool,
    pub(crate) is_owner_refused: bool,
}

/// So many findings are listed: who has more corrects these first.
pub(crate) const MOST_LISTED: usize = 20;

/// A folder's name is the marketer's, and a subject is one short line.
const LONGEST_NAME: usize = 60;

impl Checked<'_> {
    /// Whether the template cannot be used as it is.
    pub(crate) fn is_broken(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Mistake)
    }

    fn subject(&self) -> String {
        let name = one_line(self.folder);
        let count = self.findings.len();
        if self.is_broken() {
            return format!("{} to fix in {name}", things(count));
        }
        let remarks = if count == 0 { String::new() } else { format!(" ({} to look at)", things(count)) };
        format!("{name} is ready to use: {}{remarks}", self.usable.join(", "))
    }

    /// What it means, and what to do now; a paragraph each.
    fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        if self.is_broken() {
            advice.push(
                "Until this is fixed, customers get the standard mail wherever these files cannot be used. Upload the \
                 corrected files: they are checked again, and you get another mail like this one."
                    .to_owned(),
            );
        } else if self.is_layout {
            advice.push("Every template was checked with this layout.".to_owned());
        } else {
            advice.push(format!(
                "To use it, write thank_you = {} into the metadata of a Payment Link.",
                one_line(self.folder)
            ));
        }
        advice.push(
            "Mails that go out within five minutes after an upload may still have the wording of before."
                .to_owned(),
        );
        if self.is_owner_refused {
            advice.push(
                "The file owner.txt in this folder is not one address of the domains that policy.toml lists under \
                 [marketers], so this mail went to the addresses listed there."
                    .to_owned(),
            );
        }
        advice
    }

    pub(crate) fn notice(&self) -> Notice {
        let subject = self.subject();
        let listed = &self.findings[..self.findings.len().min(MOST_LISTED)];
        let left = self.findings.len() - listed.len();
        let left = (left > 0).then(|| format!("And {} more: correct these first.", things(left)));
        let footer = format!("Checked when it was uploaded to the templates of stage {}.", self.stage);
        let mut text = format!("{subject}\n");
        let mut html = format!("<h1 style=\"font-size:18px\">{}</h1>\n", escaped(&subject));
        // Writing to a string cannot fail.
        let mut paragraph = |of_text: &str, of_html: &str| {
            let _infallible = write!(text, "\n{of_text}\n");
            let _infallible = writeln!(html, "<p>{of_html}</p>");
        };
        for finding in listed {
            let place = place(finding);
            paragraph(
                &format!("{place}\n  {}\n  Fix: {}", finding.problem, finding.fix),
                &format!(
                    "<strong>{}</strong><br>{}<br>Fix: {}",
                    escaped(&place),
                    escaped(&finding.problem),
                    escaped(&finding.fix)
                ),
            );
        }
        for sentence in left.into_iter().chain(self.advice()).chain([footer]) {
            paragraph(&sentence, &escaped(&sentence));
        }
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><body style=\"font-family:sans-serif;font-size:15px;line-height:1.5\">\n\
             {html}</body></html>\n"
        );
        Notice { subject, html, text }
    }
}

/// `gala/en.html, line 3`
pub(crate) fn place(finding: &Finding) -> String {
    match finding.line {
        0 => one_line(&finding.path),
        line => format!("{}, line {line}", one_line(&finding.path)),
    }
}

fn things(count: usize) -> String {
    if count == 1 { "1 thing".to_owned() } else { format!("{count} things") }
}

/// A name as it may stand in a subject: without what breaks a line, and not longer than one.
pub(crate) fn one_line(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = plain.clone().take(LONGEST_NAME).collect();
    if plain.count() > LONGEST_NAME {
        short.push('…');
    }
    short
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
