//! What a template can print, from the facts of a payment.

use download_claims::{OfferedFile, Period, PeriodUnit, SoldItem};
use fulfilment::{Money, Organisation};
use icu_locale_core::Locale;
use minijinja::context;
use minijinja::value::{Value, ValueKind};

use super::context::{MailContext, Occasion};
use crate::date_format::{date_text, day_text};
use crate::displayed::displayed;
use crate::money_format::money_text;
use crate::wording::{Wording, or_missing};

const SECONDS_A_DAY: i64 = 86_400;

/// The variables of a template. What may be missing is made by [`or_missing`]; the rest is always there. `None` where the
/// payment's time is no time.
pub(super) fn values(wording: &Wording, context: &MailContext<'_>) -> Option<Value> {
    let format = context.locale.format_of(&wording.locale);
    let policy = context.policy;
    let paid_on = date_text(context.paid_on, &policy.organisation.time_zone, &format)?;
    let offered = context.download.map(|download| &download.files[..]).unwrap_or_default();
    let files: Vec<Value> = offered.iter().map(file).collect();
    let bought = context.bought();
    let word = policy.kind(context.kind).shown_as(wording.locale.language.as_str());
    Some(context! {
        locale => wording.locale.to_string(),
        customer => context! { name => or_missing(context.greeted_name()) },
        organisation => organisation(&policy.organisation),
        product_named => bought.is_some(),
        product => bought.unwrap_or_else(|| word.to_owned()),
        items => context.items(&format),
        amount => money_text(context.amount, &format),
        discount => or_missing(context.discount().map(|discount| money_text(discount, &format))),
        tax => or_missing(context.tax().map(|tax| money_text(tax, &format))),
        nothing_due => context.amount.is_zero(),
        renewal => context.renewal,
        renews => context.renews(&format),
        paid_on => paid_on,
        reference => context.reference,
        files => files,
        files_url => or_missing(context.download.map(|download| download.link.as_str())),
        files_until => context.files_until(&format)?,
        // A purchase that names no file at all is fixed and reported like one whose file is missing.
        files_follow => offered.is_empty() || offered.iter().any(|offered| offered.size.is_none()),
    })
}

/// The names of a template's values, with what follows a dot: `customer`, `customer.name`.
pub(crate) fn value_names(context: &MailContext<'_>) -> Vec<String> {
    let locale = context.locale.wordings().into_iter().next();
    let wording = locale.map(|locale| Wording { template: String::new(), locale });
    let Some(values) = wording.and_then(|wording| values(&wording, context)) else { return Vec::new() };
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

fn organisation(organisation: &Organisation) -> Value {
    context! {
        name => &organisation.name,
        contact => &organisation.contact,
        legal_name => or_missing(organisation.legal_name.clone()),
        address => organisation.address_lines().map(str::to_owned).collect::<Vec<_>>(),
        tax_id => or_missing(organisation.tax_id.clone()),
        manage_subscription => or_missing(organisation.manage_subscription.clone()),
    }
}

fn file(offered: &OfferedFile) -> Value {
    context! {
        name => displayed(offered.file.name()).unwrap_or_default(),
        product => or_missing(offered.file.product.as_deref().and_then(displayed)),
        quantity => offered.file.quantity,
        follows => offered.size.is_none(),
    }
}

impl MailContext<'_> {
    /// The name of what was bought: the link's, else those of the lines, else those that came with the files.
    fn bought(&self) -> Option<String> {
        let of_link = self.sale.shown_as.and_then(displayed);
        of_link.or_else(|| names(self.sale.items.iter().map(|item| &*item.name))).or_else(|| {
            let files = self.download.map(|download| &download.files[..]).unwrap_or_default();
            names(files.iter().filter_map(|offered| offered.file.product.as_deref()))
        })
    }

    /// The lines of the sale, with what each cost.
    fn items(&self, format: &Locale) -> Vec<Value> {
        let shown = |item: &SoldItem| {
            let amount = item.amount.filter(|_| !self.sale.converted);
            let amount = amount.map(|amount| money_text(self.of_currency(amount), format));
            let name = displayed(&item.name)?;
            Some(context! { name => name, quantity => item.quantity, amount => or_missing(amount) })
        };
        self.sale.items.iter().filter_map(shown).collect()
    }

    /// What was taken off, below zero.
    fn discount(&self) -> Option<Money> {
        self.part(self.sale.parts.discount).map(|discount| self.of_currency(-discount))
    }

    /// The tax in the amount.
    fn tax(&self) -> Option<Money> {
        self.part(self.sale.parts.tax).map(|tax| self.of_currency(tax))
    }

    /// A part of the amount, where there was one and it is in the customer's currency. What was not charged has none.
    fn part(&self, minor: Option<i64>) -> Option<i64> {
        minor.filter(|minor| *minor > 0 && !self.sale.converted && self.occasion != Occasion::PaymentFailed)
    }

    fn of_currency(&self, minor: i64) -> Money {
        Money::new(minor, self.amount.currency())
    }

    /// How a subscription goes on: at which pace, and for how much where that is sure. A discount may end, and what is
    /// converted is converted anew each time.
    fn renews(&self, format: &Locale) -> Value {
        let paid = matches!(self.occasion, Occasion::ThankYou { .. });
        let renewal = SoldItem::renewal_of(self.sale.items).filter(|_| paid);
        or_missing(renewal.map(|renewal| {
            let is_sure =
                !self.sale.converted && self.sale.parts.discount.is_none_or(|discount| discount == 0);
            let price = renewal.amount.filter(|_| is_sure);
            context! {
                every => every(renewal.period),
                unit => unit(renewal.period),
                count => renewal.period.count,
                price => or_missing(price.map(|price| money_text(self.of_currency(price), format))),
            }
        }))
    }

    /// The last whole day on which the link to the files works.
    fn files_until(&self, format: &Locale) -> Option<String> {
        let days = self.policy.files.days.saturating_sub(1).saturating_mul(SECONDS_A_DAY);
        day_text(self.paid_on.saturating_add(days), &self.policy.organisation.time_zone, format)
    }
}

/// Names in a row, each once, as many as a subject line has room for.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    const LONGEST: usize = 100;
    let mut shown: Vec<String> = Vec::new();
    for name in names.filter_map(displayed) {
        if !shown.contains(&name) {
            shown.push(name);
        }
    }
    let mut row = String::new();
    for (index, name) in shown.iter().enumerate() {
        if index > 0 && row.chars().count() + name.chars().count() > LONGEST {
            row.push_str(", …");
            break;
        }
        if index > 0 {
            row.push_str(", ");
        }
        row.extend(name.chars().take(LONGEST));
    }
    (!row.is_empty()).then_some(row)
}

/// The name of a period, for the words of a language; `other` has its own number and unit.
const fn every(period: Period) -> &'static str {
    match (period.unit, period.count) {
        (PeriodUnit::Day, 1) => "day",
        (PeriodUnit::Day, 7) | (PeriodUnit::Week, 1) => "week",
        (PeriodUnit::Month, 1) => "month",
        (PeriodUnit::Month, 3) => "quarter",
        (PeriodUnit::Month, 6) => "half-year",
        (PeriodUnit::Month, 12) | (PeriodUnit::Year, 1) => "year",
        _ => "other",
    }
}

const fn unit(period: Period) -> &'static str {
    match period.unit {
        PeriodUnit::Day => "day",
        PeriodUnit::Week => "week",
        PeriodUnit::Month => "month",
        PeriodUnit::Year => "year",
    }
}
