//! A payment that was never made, for previews and checks.

use customer_locale::LocaleRequest;
use download_claims::{BoughtFile, OfferedFile, Period, PeriodUnit, Recurring, SoldItem};
use fulfilment::{AmountParts, Currency, FulfilmentKind, Money, Policy, TemplateName};

use crate::mail::{Download, MailContext, Occasion, Sale};

/// What a mail about it needs that lives elsewhere.
pub(crate) struct InventedPayment {
    download: Download,
    items: Vec<SoldItem>,
}

impl InventedPayment {
    /// What it costs, in minor units.
    pub(crate) const MINOR: i64 = 1250;

    pub(crate) fn new() -> Self {
        let file = |key: &str| OfferedFile {
            file: BoughtFile { key: key.to_owned(), quantity: 1, product: None },
            size: Some(1_200_000),
        };
        let monthly = Period { unit: PeriodUnit::Month, count: 1 };
        Self {
            download: Download {
                files: ["guide.pdf", "audio/guide.mp3"].map(file).into(),
                link: "https://example.org/d/v1.preview".to_owned(),
            },
            items: vec![SoldItem {
                name: "Friends of the project".to_owned(),
                quantity: 1,
                amount: Some(Self::MINOR),
                recurring: Some(Recurring { period: monthly, amount: Some(Self::MINOR) }),
            }],
        }
    }

    /// The mail of a template about it, to a customer who gave a name and reads `tag`.
    pub(crate) fn context<'a>(
        &'a self,
        template: &'a TemplateName,
        kind: FulfilmentKind,
        tag: &'a str,
        policy: &'a Policy,
    ) -> MailContext<'a> {
        let occasion = match template.as_str() {
            "payment-pending" => Occasion::PaymentPending,
            "payment-failed" => Occasion::PaymentFailed,
            "files-ready" => Occasion::FilesReady,
            _ => Occasion::ThankYou { template: Some(template) },
        };
        let has_files = kind == FulfilmentKind::Download || occasion == Occasion::FilesReady;
        let renews = kind == FulfilmentKind::Membership;
        MailContext {
            occasion,
            kind,
            renewal: false,
            download: has_files.then_some(&self.download),
            policy,
            locale: LocaleRequest { session: Some(tag), country: None },
            customer_name: Some("Ada Lovelace"),
            amount: Money::new(Self::MINOR, Currency::EUR),
            sale: Sale {
                shown_as: (kind == FulfilmentKind::Download).then_some("The field guide"),
                items: if renews { &self.items } else { &[] },
                parts: AmountParts::default(),
                converted: false,
            },
            paid_on: 1_795_262_400, // 21 November 2026
            reference: "pi_3QPreviewOfAMail000001",
        }
    }
}

/// The kind of a template that is named after one.
pub(crate) fn kind_named(template: &str) -> Option<FulfilmentKind> {
    FulfilmentKind::ALL.into_iter().find(|kind| kind.as_str() == template)
}
