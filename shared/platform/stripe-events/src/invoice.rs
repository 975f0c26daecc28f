use std::collections::BTreeMap;

use serde::Deserialize;

use crate::open_enum::open_enum;
use crate::{Address, Personal, wire};

/// An invoice, as far as Afterlink reads it. <https://docs.stripe.com/api/invoices/object>
///
/// API version 2025-03-31 moved the subscription into `parent` and the price of a line into `pricing`; both places
/// are read, because an account's events keep the version of the destination.
/// <https://docs.stripe.com/changelog/basil/2025-03-31/adds-new-parent-field-to-invoicing-objects>
#[derive(Debug, Clone, Deserialize)]
pub struct Invoice {
    /// `in_…`
    pub id: String,
    /// Why it was made.
    #[serde(default)]
    pub billing_reason: Option<BillingReason>,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<InvoiceStatus>,
    /// The paid amount, in minor units of `currency`. The customer's credit is no part of it; an amount paid outside
    /// of Stripe is.
    #[serde(default)]
    pub amount_paid: Option<i64>,
    /// The amount due after the customer's credit, in minor units of `currency`.
    #[serde(default)]
    pub amount_due: Option<i64>,
    /// The sum of its lines with discounts and taxes, in minor units of `currency`; below zero when the customer is
    /// credited.
    #[serde(default)]
    pub total: Option<i64>,
    /// The sum of its lines, before discounts and before taxes that are added to the prices, in minor units of
    /// `currency`.
    #[serde(default)]
    pub subtotal: Option<i64>,
    /// What each discount took off.
    #[serde(default, deserialize_with = "wire::readable")]
    pub total_discount_amounts: Option<Vec<PartAmount>>,
    /// What each tax comes to, since 2025-03-31. [`Invoice::tax_minor`] reads every place.
    #[serde(default, deserialize_with = "wire::readable")]
    pub total_taxes: Option<Vec<PartAmount>>,
    /// What each tax comes to, before 2025-03-31.
    #[serde(default, deserialize_with = "wire::readable")]
    pub total_tax_amounts: Option<Vec<PartAmount>>,
    /// What all taxes come to, before 2025-03-31: null where there is none.
    #[serde(default, deserialize_with = "wire::readable")]
    pub tax: Option<i64>,
    /// Shipping, in minor units of `currency`.
    #[serde(default)]
    pub amount_shipping: Option<i64>,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// When it was made, in Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
    /// `cus_…`
    #[serde(default, deserialize_with = "wire::expandable")]
    pub customer: Option<String>,
    /// The customer's address when the invoice was finalized.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub customer_email: Option<Personal<String>>,
    /// The customer's name when the invoice was finalized.
    #[serde(default, deserialize_with = "wire::personal_text")]
    pub customer_name: Option<Personal<String>>,
    /// Where the customer lived when the invoice was finalized.
    #[serde(default)]
    pub customer_address: Option<Address>,
    /// What it is for. Long lists are cut in events; a subscription's own lines come first.
    #[serde(default)]
    pub lines: Option<InvoiceLines>,
    /// What made it, since 2025-03-31.
    #[serde(default)]
    pub parent: Option<InvoiceParent>,
    /// `sub_…`, before 2025-03-31. [`Invoice::subscription_id`] reads both.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub subscription: Option<String>,
    /// The subscription's metadata, before 2025-03-31. [`Invoice::subscription_metadata`] reads both.
    #[serde(default)]
    pub subscription_details: Option<SubscriptionDetails>,
    /// When its state changed.
    #[serde(default)]
    pub status_transitions: Option<InvoiceTransitions>,
}

open_enum! {
    /// Why an invoice was made.
    BillingReason {
        /// A subscription began.
        SubscriptionCreate = "subscription_create",
        /// A subscription goes on for another period.
        SubscriptionCycle = "subscription_cycle",
        /// A subscription changed: another price or quantity, in the middle of a period.
        SubscriptionUpdate = "subscription_update",
        /// A subscription's usage reached an amount.
        SubscriptionThreshold = "subscription_threshold",
        /// A subscription's, in renderings of before 2018.
        Subscription = "subscription",
        /// Made by hand, or for a one-off payment.
        Manual = "manual",
    }
}

open_enum! {
    /// Where an invoice stands.
    InvoiceStatus {
        /// Not final.
        Draft = "draft",
        /// Waits for its money.
        Open = "open",
        /// Nothing is owed any more.
        Paid = "paid",
        /// Given up; it can still be paid.
        Uncollectible = "uncollectible",
        /// Cancelled.
        Void = "void",
    }
}

/// The lines of an invoice, as many as the event holds.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct InvoiceLines {
    /// In Stripe's order.
    #[serde(default, deserialize_with = "wire::list")]
    pub data: Vec<InvoiceLine>,
}

/// A tax or a discount of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PartAmount {
    /// Minor units of the invoice's currency.
    pub amount: i64,
}

/// A line of an invoice. <https://docs.stripe.com/api/invoice-line-item/object>
#[derive(Debug, Clone, Deserialize)]
pub struct InvoiceLine {
    /// For which time.
    #[serde(default)]
    pub period: Option<Period>,
    /// What is sold, as the invoice shows it.
    #[serde(default, deserialize_with = "wire::readable")]
    pub description: Option<String>,
    /// How many; null where that makes no sense.
    #[serde(default, deserialize_with = "wire::readable")]
    pub quantity: Option<i64>,
    /// Before discounts and before taxes that are added, in minor units of the invoice's currency.
    #[serde(default, deserialize_with = "wire::readable")]
    pub amount: Option<i64>,
    /// The price, before 2025-03-31: with its interval.
    #[serde(default)]
    pub price: Option<Price>,
    /// The price, since 2025-03-31: by its ids.
    #[serde(default, deserialize_with = "wire::readable")]
    pub pricing: Option<Pricing>,
    /// Whether it settles a change in the middle of a period, before 2025-03-31.
    #[serde(default)]
    pub proration: Option<bool>,
    /// `subscription`, before 2025-03-31.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// What made it, since 2025-03-31.
    #[serde(default)]
    pub parent: Option<LineParent>,
}

/// The price of a line, since 2025-03-31.
#[derive(Debug, Clone, Deserialize)]
pub struct Pricing {
    /// There for a line that a price is behind.
    #[serde(default)]
    pub price_details: Option<PriceDetails>,
}

/// A price by its ids.
#[derive(Debug, Clone, Deserialize)]
pub struct PriceDetails {
    /// `price_…`
    #[serde(default, deserialize_with = "wire::expandable")]
    pub price: Option<String>,
    /// `prod_…`
    #[serde(default, deserialize_with = "wire::expandable")]
    pub product: Option<String>,
}

/// What made a line.
#[derive(Debug, Clone, Deserialize)]
pub struct LineParent {
    /// Set for what a subscription costs by itself.
    #[serde(default)]
    pub subscription_item_details: Option<ItemDetails>,
    /// Set for items added to the invoice, prorations of older billing among it.
    #[serde(default)]
    pub invoice_item_details: Option<ItemDetails>,
}

/// How a line came about.
#[derive(Debug, Clone, Deserialize)]
pub struct ItemDetails {
    /// Whether it settles a change in the middle of a period.
    #[serde(default)]
    pub proration: Option<bool>,
}

impl InvoiceLine {
    /// `price_…`
    pub fn price_id(&self) -> Option<&str> {
        let details = self.pricing.as_ref().and_then(|pricing| pricing.price_details.as_ref());
        let id = details.and_then(|details| details.price.as_ref());
        id.or_else(|| self.price.as_ref()?.id.as_ref()).map(String::as_str)
    }

    /// `prod_…`
    pub fn product_id(&self) -> Option<&str> {
        let details = self.pricing.as_ref().and_then(|pricing| pricing.price_details.as_ref());
        let id = details.and_then(|details| details.product.as_ref());
        id.or_else(|| self.price.as_ref()?.product.as_ref()).map(String::as_str)
    }

    /// Whether the line is the subscription's own price for a whole period, not the settlement of a change.
    pub fn is_whole_period(&self) -> bool {
        let proration = |details: &ItemDetails| details.proration == Some(true);
        match &self.parent {
            Some(LineParent { subscription_item_details: Some(details), .. }) => !proration(details),
            Some(_) => false,
            None => self.proration != Some(true) && self.kind.as_deref() != Some("invoiceitem"),
        }
    }
}

/// A stretch of time, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Period {
    /// Its beginning.
    #[serde(default)]
    pub start: Option<i64>,
    /// Its end.
    #[serde(default)]
    pub end: Option<i64>,
}

/// A price, as far as it is read. <https://docs.stripe.com/api/prices/object>
#[derive(Debug, Clone, Deserialize)]
pub struct Price {
    /// `price_…`
    #[serde(default, deserialize_with = "wire::text")]
    pub id: Option<String>,
    /// `prod_…`
    #[serde(default, deserialize_with = "wire::expandable")]
    pub product: Option<String>,
    /// For one, in minor units; null where it is graduated or the customer chooses.
    #[serde(default, deserialize_with = "wire::readable")]
    pub unit_amount: Option<i64>,
    /// How often it is due; null for a price that is paid once.
    #[serde(default)]
    pub recurring: Option<Recurring>,
}

/// How often a price is due.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Recurring {
    /// The unit.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// How many units lie between two payments.
    #[serde(default)]
    pub interval_count: Option<i64>,
}

open_enum! {
    /// The unit in which the time between two payments is counted.
    Interval {
        /// Days.
        Day = "day",
        /// Weeks.
        Week = "week",
        /// Months.
        Month = "month",
        /// Years.
        Year = "year",
    }
}

/// What made an invoice.
#[derive(Debug, Clone, Deserialize)]
pub struct InvoiceParent {
    /// Set for a subscription's invoices.
    #[serde(default)]
    pub subscription_details: Option<SubscriptionDetails>,
}

/// The subscription behind an invoice.
#[derive(Debug, Clone, Deserialize)]
pub struct SubscriptionDetails {
    /// `sub_…`
    #[serde(default, deserialize_with = "wire::expandable")]
    pub subscription: Option<String>,
    /// The subscription's metadata when the invoice was finalized.
    #[serde(default, deserialize_with = "wire::metadata")]
    pub metadata: BTreeMap<String, String>,
}

/// When an invoice's state changed.
#[derive(Debug, Clone, Deserialize)]
pub struct InvoiceTransitions {
    /// When it was paid, in Unix seconds.
    #[serde(default)]
    pub paid_at: Option<i64>,
}

impl Invoice {
    /// What its discounts took off, in minor units of its currency; `None` where Stripe does not say.
    pub fn discount_minor(&self) -> Option<i64> {
        sum(self.total_discount_amounts.as_ref()?)
    }

    /// What its taxes come to, whether they were added to the prices or are in them, in minor units of its currency;
    /// `None` where Stripe does not say. API version 2025-03-31 moved it into `total_taxes`.
    /// <https://docs.stripe.com/changelog/basil/2025-03-31/invoice-tax-configurations>
    pub fn tax_minor(&self) -> Option<i64> {
        let listed = self.total_taxes.as_ref().or(self.total_tax_amounts.as_ref());
        listed.map_or(self.tax, |taxes| sum(taxes))
    }

    /// `sub_…`, when the invoice is a subscription's.
    pub fn subscription_id(&self) -> Option<&str> {
        let details = self.parent.as_ref().and_then(|parent| parent.subscription_details.as_ref());
        let id = details.and_then(|details| details.subscription.as_ref()).or(self.subscription.as_ref());
        id.map(String::as_str)
    }

    /// The metadata of its subscription when the invoice was finalized.
    pub fn subscription_metadata(&self) -> Option<&BTreeMap<String, String>> {
        let details = self.parent.as_ref().and_then(|parent| parent.subscription_details.as_ref());
        details.or(self.subscription_details.as_ref()).map(|details| &details.metadata)
    }
}

/// `None` for what no money adds up to.
fn sum(parts: &[PartAmount]) -> Option<i64> {
    parts.iter().try_fold(0_i64, |sum, part| sum.checked_add(part.amount))
}

/// A payment of an invoice: one invoice may have several. <https://docs.stripe.com/api/invoice-payment/object>
#[derive(Debug, Clone, Deserialize)]
pub struct InvoicePayment {
    /// `inpay_…`
    pub id: String,
    /// `in_…`
    #[serde(default)]
    pub invoice: Option<InvoiceReference>,
    /// With what.
    #[serde(default)]
    pub payment: Option<PaymentOfInvoice>,
    /// `open`, `paid` or `canceled`.
    #[serde(default, deserialize_with = "wire::text")]
    pub status: Option<String>,
}

impl InvoicePayment {
    /// `in_…`
    pub fn invoice_id(&self) -> Option<&str> {
        match self.invoice.as_ref()? {
            InvoiceReference::Id(id) => Some(id).filter(|id| !id.is_empty()).map(String::as_str),
            InvoiceReference::Whole(invoice) => Some(&invoice.id),
        }
    }

    /// `pi_…`
    pub fn payment_intent(&self) -> Option<&str> {
        self.payment.as_ref()?.payment_intent.as_deref()
    }
}

/// An invoice, by its id or expanded.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum InvoiceReference {
    /// `in_…`
    Id(String),
    /// The whole invoice, where it was asked for.
    Whole(Box<Invoice>),
}

/// With what an invoice was paid.
#[derive(Debug, Clone, Deserialize)]
pub struct PaymentOfInvoice {
    /// `payment_intent`, `charge` or `payment_record`.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// `pi_…`
    #[serde(default, deserialize_with = "wire::expandable")]
    pub payment_intent: Option<String>,
}
