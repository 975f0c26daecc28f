//! What a mail is made of.

use std::fmt;

use customer_locale::LocaleRequest;
use download_claims::{OfferedFile, SoldItem};
use fulfilment::{AmountParts, FulfilmentKind, Money, Policy, TemplateName};

use crate::customer_name::customer_name;

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
    /// What it was paid for, as far as that is known.
    pub sale: Sale<'a>,
    /// When the payment was made, or tried, in Unix seconds.
    pub paid_on: i64,
    /// What the customer can quote to the organisation and the organisation can look up.
    pub reference: &'a str,
}

/// What was sold, as far as it is known. A mail goes out without any of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sale<'a> {
    /// The name that the Payment Link gives it.
    pub shown_as: Option<&'a str>,
    /// Its lines, as Stripe has them; none where Stripe was not asked, or did not answer.
    pub items: &'a [SoldItem],
    /// What the booked amount is made of.
    pub parts: AmountParts,
    /// Whether the customer saw another amount than the booked one: then the lines and parts are of no use to them.
    pub converted: bool,
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

impl<'a> MailContext<'a> {
    /// The name the customer is greeted by: only of a customer who has paid. A mail that costs nothing can be had for
    /// any address by anybody, with any text as the name.
    pub(super) fn greeted_name(&self) -> Option<String> {
        let has_paid = match self.occasion {
            Occasion::ThankYou { .. } | Occasion::FilesReady => !self.amount.is_zero(),
            Occasion::PaymentPending | Occasion::PaymentFailed => false,
        };
        self.customer_name.filter(|_| has_paid).and_then(customer_name)
    }

    /// Whether a part of the mail has the link to the files, where there are any.
    pub(super) fn leads_to_files(&self, part: &str) -> bool {
        // The token has nothing in it that HTML would write in another way; the rest of the address may.
        let offers = self.download.filter(|download| !download.files.is_empty());
        offers.is_none_or(|download| part.contains(download.link.rsplit('/').next().unwrap_or_default()))
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
