//! A mail, from the facts of a payment to the words the customer reads. Pure: no clock, no network.

use std::fmt;

use customer_locale::LocaleRequest;
use download_claims::OfferedFile;
use fulfilment::{FulfilmentKind, Money, Policy, TemplateName};
use minijinja::context;
use minijinja::value::{Value, ValueKind};

use crate::customer_name::customer_name;
use crate::date_format::date_text;
use crate::displayed::displayed;
use crate::money_format::money_text;
use crate::wording::{BrokenTemplate, Part, Wording, Wordings, or_missing};

/// What a mail is written from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// The payment has arrived, or nothing was due.
    ThankYou {
        /// The template the Payment Link names, if it names one.
        template: Option<&'a TemplateName>,
    },
    /// The payment is on its way; the bank has not confirmed it.
    PaymentPending,
    /// The payment did not arrive and will not.
    PaymentFailed,
    /// Files that an earlier mail promised are there.
    FilesReady,
}

/// Everything a mail is made of.
#[derive(Clone, Copy)]
pub struct MailContext<'a> {
    /// What the mail is about.
    pub occasion: Occasion<'a>,
    /// The kind of product.
    pub kind: FulfilmentKind,
    /// Whether a subscription was paid again.
    pub renewal: bool,
    /// The files that were bought, and where to fetch them.
    pub download: Option<&'a Download>,
    /// The organisation, its products, its default templates.
    pub policy: &'a Policy,
    /// The evidence of the customer's language.
    pub locale: LocaleRequest<'a>,
    /// The name as the customer typed it. Personal data.
    pub customer_name: Option<&'a str>,
    /// The amount the customer saw.
    pub amount: Money,
    /// When the payment was made, or tried, in Unix seconds.
    pub paid_on: i64,
    /// What the customer can quote to the organisation and the organisation can look up.
    pub reference: &'a str,
}

/// What a customer may fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// In the order of the purchase. None at all when nothing names a file.
    pub files: Vec<OfferedFile>,
    /// The page that lists them.
    pub link: String,
}

impl fmt::Debug for MailContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailContext")
            .field("occasion", &self.occasion)
            .field("kind", &self.kind)
            .field("renewal", &self.renewal)
            .field("locale", &self.locale)
            .field("amount", &self.amount)
            .field("paid_on", &self.paid_on)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

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

impl<'a> MailContext<'a> {
    /// The name the customer is greeted by: only of a customer who has paid. A mail that costs nothing can be had for
    /// any address by anybody, with any text as the name.
    fn greeted_name(&self) -> Option<String> {
        let has_paid = match self.occasion {
            Occasion::ThankYou { .. } | Occasion::FilesReady => !self.amount.is_zero(),
            Occasion::PaymentPending | Occasion::PaymentFailed => false,
        };
        self.customer_name.filter(|_| has_paid).and_then(customer_name)
    }

    /// The templates that may be used, best first.
    pub fn templates(&self) -> Vec<&'a str> {
        match self.occasion {
            Occasion::ThankYou { template } => {
                let named = template.map(TemplateName::as_str);
                let decided = self.policy.kind(self.kind).thank_you.as_str();
                let mut templates: Vec<&str> =
                    named.into_iter().chain([decided, self.kind.as_str()]).collect();
                templates.dedup();
                templates
            }
            Occasion::PaymentPending => vec!["payment-pending"],
            Occasion::PaymentFailed => vec!["payment-failed"],
            Occasion::FilesReady => vec!["files-ready"],
        }
    }
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
    let values = values(&wording, context)?;
    let fill = |part| wordings.fill(&wording, part, &values);
    let subject = fill(Part::Subject)?;
    Ok(RenderedMail {
        // One line whatever the template holds: a line break here would start another header.
        subject: displayed(&subject).unwrap_or(subject),
        html: fill(Part::Html)?,
        text: fill(Part::Text)?,
        locale: wording.locale.to_string(),
        template: wording.template,
        passed_over: Vec::new(),
    })
}

/// The variables of a template. Only `customer.name` and `files_url` may be missing.
fn values(wording: &Wording, context: &MailContext<'_>) -> Result<Value, RenderError> {
    let format = context.locale.format_of(&wording.locale);
    let zone = &context.policy.organisation.time_zone;
    let paid_on = date_text(context.paid_on, zone, &format).ok_or(RenderError::PaidOn(context.paid_on))?;
    let language = wording.locale.language.as_str();
    let organisation = &context.policy.organisation;
    let offered = context.download.map(|download| &download.files[..]).unwrap_or_default();
    let files: Vec<Value> = offered.iter().map(file).collect();
    Ok(context! {
        locale => wording.locale.to_string(),
        customer => context! { name => or_missing(context.greeted_name()) },
        organisation => context! { name => &organisation.name, contact => &organisation.contact },
        product => context.policy.kind(context.kind).shown_as(language),
        amount => money_text(context.amount, &format),
        nothing_due => context.amount.is_zero(),
        renewal => context.renewal,
        paid_on => paid_on,
        reference => context.reference,
        files => files,
        files_url => or_missing(context.download.map(|download| download.link.as_str())),
        // A purchase that names no file at all is fixed and reported like one whose file is missing.
        files_follow => offered.is_empty() || offered.iter().any(|offered| offered.size.is_none()),
    })
}

/// The names of a template's values, with what follows a dot: `customer`, `customer.name`.
pub(crate) fn value_names(context: &MailContext<'_>) -> Vec<String> {
    let locale = context.locale.wordings().into_iter().next();
    let wording = locale.map(|locale| Wording { template: String::new(), locale });
    let Some(values) = wording.and_then(|wording| values(&wording, context).ok()) else { return Vec::new() };
    let mut names = Vec::new();
    for name in keys(&values) {
        let inner = values.get_attr(&name).unwrap_or_default();
        if inner.kind() == ValueKind::Map {
            names.extend(keys(&inner).into_iter().map(|part| format!("{name}.{part}")));
        }
        names.push(name);
    }
    names
}

fn keys(map: &Value) -> Vec<String> {
    let keys = map.try_iter().into_iter().flatten();
    keys.filter_map(|key| key.as_str().map(str::to_owned)).collect()
}

fn file(offered: &OfferedFile) -> Value {
    context! {
        name => displayed(offered.file.name()).unwrap_or_default(),
        product => or_missing(offered.file.product.as_deref().and_then(displayed)),
        quantity => offered.file.quantity,
        follows => offered.size.is_none(),
    }
}

#[cfg(test)]
mod tests;
