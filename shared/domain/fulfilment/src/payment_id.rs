use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use stripe_events::{CheckoutSession, Object, SessionMode, SnapshotEvent};
use uuid::Uuid;

/// The one key of a payment: its payment intent when it has one, its invoice when it is a subscription's, else its
/// session.
///
/// A subscription's payment has a payment intent as well, but no session names it, and one invoice may have several.
/// So a refund, a dispute or a fraud warning of one carries an id that is not the key: the ledger, or Stripe, says which
/// invoice it leads to. All other events carry the key themselves and meet under it in whatever order they come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentId(String);

impl PaymentId {
    /// Takes an id that already is one: `pi_…`, `in_…` or `cs_…`.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The key of a session's payment. A one-off payment for which Stripe makes an invoice (`invoice_creation`) has
    /// both ids, and its payment intent is the key.
    pub fn of_session(session: &CheckoutSession) -> Self {
        let invoice = session.invoice.as_ref().filter(|_| session.mode == Some(SessionMode::Subscription));
        Self(session.payment_intent.as_ref().or(invoice).unwrap_or(&session.id).clone())
    }

    /// The key of the payment an event is about, when it is about one we could know. That of a refund, a dispute or a
    /// fraud warning is the payment intent, which for a subscription's payment leads to the key.
    pub fn of_event(event: &SnapshotEvent) -> Option<Self> {
        match &event.object {
            Object::Session(session) => Some(Self::of_session(session)),
            Object::Refund(refund) => refund.payment_intent.clone().map(Self),
            Object::Dispute(dispute) => dispute.payment_intent.clone().map(Self),
            Object::EarlyFraudWarning(warning) => warning.payment_intent.clone().map(Self),
            Object::Invoice(invoice) => invoice.subscription_id().map(|_| Self(invoice.id.clone())),
            Object::InvoicePayment(payment) => payment.invoice_id().map(Self::new),
            Object::Other(_) => None,
        }
    }

    /// Whether the id is a payment intent's, which may be only one of the ways to pay an invoice.
    pub fn is_payment_intent(&self) -> bool {
        self.0.starts_with("pi_")
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What customers quote and logs show.
    ///
    /// A session id opens the customer's pages for a day, and where there is no payment intent it is also the key. It
    /// is shown as `ref_` and twelve hexadecimal digits that follow from it and do not lead back.
    pub fn reference(&self) -> Cow<'_, str> {
        if self.0.starts_with("cs_") { shown_id(&self.0) } else { Cow::Borrowed(&self.0) }
    }
}

/// An id as logs show it: a session's, also at the end of the id of an event that reconciliation made
/// (`evt_reconcile_cs_…`), is replaced by its [reference](PaymentId::reference).
pub fn shown_id(id: &str) -> Cow<'_, str> {
    let start = if id.starts_with("cs_") { Some(0) } else { id.find("_cs_").map(|before| before + 1) };
    let Some(start) = start else {
        return Cow::Borrowed(id);
    };
    let digest = Uuid::new_v5(&Uuid::nil(), &id.as_bytes()[start..]).simple().to_string();
    Cow::Owned(format!("{}ref_{}", &id[..start], &digest[..12]))
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_not_shown_and_other_ids_are() {
        for id in ["pi_3QExample", "in_1Example"] {
            assert_eq!(PaymentId::new(id).reference(), id);
        }
        let reference = |id: &str| PaymentId::new(id).reference().into_owned();
        let free = reference("cs_test_Free");
        assert!(free.starts_with("ref_") && free.len() == 16, "{free}");
        assert!(!free.contains("Free"), "{free}");
        assert_eq!(free, reference("cs_test_Free"));
        assert_ne!(free, reference("cs_test_Free2"));
        assert_eq!(shown_id("evt_reconcile_paid_cs_test_Free"), format!("evt_reconcile_paid_{free}"));
        assert_eq!(shown_id("evt_reconcile_re_1"), "evt_reconcile_re_1");
    }
}
