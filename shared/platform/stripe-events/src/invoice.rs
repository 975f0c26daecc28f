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

/// A line of an invoice. <https://docs.stripe.com/api/invoice-line-item/object>
#[derive(Debug, Clone, Deserialize)]
pub struct InvoiceLine {
    /// For which time.
    #[serde(default)]
    pub period: Option<Period>,
    /// The price, before 2025-03-31: with its interval.
    #[serde(default)]
    pub price: Option<Price>,
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
