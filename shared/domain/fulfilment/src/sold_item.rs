use serde::{Deserialize, Serialize};
use stripe_events::{Invoice, InvoiceLine};

use crate::attribution::publishable;

/// One thing that a payment was for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SoldItem {
    /// `prod_…`
    pub product_id: Option<String>,
    /// `price_…`
    pub price_id: Option<String>,
    /// As the invoice names it.
    pub name: Option<String>,
    /// How many.
    pub quantity: Option<i64>,
    /// Before discounts and before taxes that are added, in minor units of the payment's currency.
    pub amount: Option<i64>,
}

/// The most items that are published of a payment. A Payment Link has 20 at most, and Stripe's events hold ten lines
/// of an invoice.
const MOST: usize = 20;

impl SoldItem {
    /// The lines of an invoice, as many as the event holds.
    pub(crate) fn of_invoice(invoice: &Invoice) -> Vec<Self> {
        let lines = invoice.lines.iter().flat_map(|lines| &lines.data);
        lines.take(MOST).map(Self::of_line).collect()
    }

    fn of_line(line: &InvoiceLine) -> Self {
        Self {
            product_id: line.product_id().map(str::to_owned),
            price_id: line.price_id().map(str::to_owned),
            name: line.description.as_deref().and_then(publishable),
            quantity: line.quantity,
            amount: line.amount,
        }
    }

    /// The items of a subscription, by their prices.
    pub fn of_subscription<'a>(
        items: impl IntoIterator<Item = (&'a stripe_events::Price, Option<i64>)>,
    ) -> Vec<Self> {
        let item = |(price, quantity): (&stripe_events::Price, Option<i64>)| Self {
            product_id: price.product.clone(),
            price_id: price.id.clone(),
            name: None,
            quantity,
            amount: price.unit_amount.zip(quantity).and_then(|(each, count)| each.checked_mul(count)),
        };
        items.into_iter().take(MOST).map(item).collect()
    }
}
