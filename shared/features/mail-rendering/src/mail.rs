//! A mail, from the facts of a payment to the words the customer reads. Pure: no clock, no network.

use std::fmt;

use crate::displayed::displayed;
use crate::part::Part;
use crate::wording::{BrokenTemplate, Wordings};

mod context;
mod values;

pub use context::{Download, MailContext, Occasion, Sale};
pub(crate) use values::value_names;
use values::values;

/// A mail ready to be sent. Its texts are personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedMail {
    /// One line.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The plain text part; says the same as the HTML.
    pub text: String,
    /// The template that was used, `contribution`.
    pub template: String,
    /// The locale of the words, `en`.
    pub locale: String,
    /// What should have been used but could not be. The mail is good; a marketer has a template to fix.
    pub passed_over: Vec<RenderError>,
}

impl fmt::Debug for RenderedMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedMail")
            .field("template", &self.template)
            .field("locale", &self.locale)
            .field("passed_over", &self.passed_over)
            .finish_non_exhaustive()
    }
}

/// Why a mail cannot be written. Holds no personal data. Trying again would not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// No source has the template in a usable locale.
    #[error(
        "there is no template `{0}` with subject.txt, html and txt in the customer's language or English"
    )]
    NoSuchTemplate(String),
    /// The template has a mistake.
    #[error(transparent)]
    Broken(#[from] BrokenTemplate),
    /// The payment's time is no time.
    #[error("{0} is not the time of a payment in Unix seconds")]
    PaidOn(i64),
}

/// What is wrong with a wording that leaves out the link to the files.
const NO_FILES: &str = "it leaves out `files_url`, so a customer who bought files would not get them";

/// Writes the mail: with a marketer's own wordings over the built-in ones, then with the built-in alone. No mail is
/// lost to a typo.
///
/// # Errors
///
/// When the link's template and the defaults behind it all fail, or the payment's time is no time.
pub fn render(own: Option<&Wordings>, context: &MailContext<'_>) -> Result<RenderedMail, RenderError> {
    let mut passed_over = Vec::new();
    for wordings in own.into_iter().chain([Wordings::built_in()]) {
        for template in context.templates() {
            let mut pass_over = |error| {
                // The same thing missing twice is still one thing to fix.
                if !passed_over.contains(&error) {
                    passed_over.push(error);
                }
            };
            match render_template(wordings, template, context, &mut pass_over) {
                Ok(mail) => return Ok(RenderedMail { passed_over, ..mail }),
                Err(error) => pass_over(error),
            }
        }
    }
    // The last one is about the plainest wording, which is ours.
    Err(passed_over.pop().unwrap_or_else(|| RenderError::NoSuchTemplate(context.kind.to_string())))
}

fn render_template(
    wordings: &Wordings,
    template: &str,
    context: &MailContext<'_>,
    pass_over: &mut impl FnMut(RenderError),
) -> Result<RenderedMail, RenderError> {
    let wording = wordings
        .find(template, &context.locale.wordings(), |incomplete| pass_over(incomplete.into()))
        .ok_or_else(|| RenderError::NoSuchTemplate(template.to_owned()))?;
    let values = values(&wording, context).ok_or(RenderError::PaidOn(context.paid_on))?;
    let fill = |part| wordings.fill(&wording, part, &values);
    let subject = fill(Part::Subject)?;
    let (html, text) = (fill(Part::Html)?, fill(Part::Text)?);
    for (part, filled) in [(Part::Html, &html), (Part::Text, &text)] {
        if !context.leads_to_files(filled) {
            return Err(wording.broken(part, NO_FILES).into());
        }
    }
    Ok(RenderedMail {
        // One line whatever the template holds: a line break here would start another header.
        subject: displayed(&subject).unwrap_or(subject),
        html,
        text,
        locale: wording.locale.to_string(),
        template: wording.template,
        passed_over: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
