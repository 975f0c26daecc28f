use std::collections::BTreeMap;

use fulfilment::PaymentId;

/// What Stripe answered in this run.
#[derive(Default)]
pub(crate) struct Answers {
    /// Whether a session of ours began a one-off payment, by payment intent.
    pub(crate) of_payments: BTreeMap<PaymentId, bool>,
    /// The subscription's invoice that a payment intent pays, if it pays one.
    pub(crate) invoices: BTreeMap<PaymentId, Option<PaidInvoice>>,
    /// Whether a session of ours began a subscription, by `sub_…`.
    pub(crate) of_subscriptions: BTreeMap<String, bool>,
}

/// What of a subscription's invoice leads to its payment.
#[derive(Clone)]
pub(crate) struct PaidInvoice {
    pub(crate) payment_id: PaymentId,
    pub(crate) subscription_id: String,
    /// Whether the subscription's own metadata carries our marker.
    pub(crate) is_marked: bool,
    /// Whether it is the subscription's first.
    pub(crate) is_first: bool,
}
