use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use effect_key::Subject;
use serde::{Deserialize, Serialize};
use stripe_events::{CheckoutSession, Event, Object, SessionMode, SnapshotEvent, shown_id};

/// The one key of a payment: its payment intent when it has one, its invoice when it is a subscription's, else its
/// session.
///
/// A subscription's payment has a payment intent as well, but no session names it, and one invoice may have several.
/// So a refund, a dispute or a fraud warning of one carries an id that is not the key: the ledger, or Stripe, says which
/// invoice it leads to. All other events carry the key themselves and meet under it in whatever order they come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentId(Subject);

impl PaymentId {
    /// Takes an id that already is one: `pi_…`, `in_…` or `cs_…`.
    pub fn new(id: impl Into<String>) -> Self {
        Self(Subject::new(id))
    }

    /// The key of a session's payment. A one-off payment for which Stripe makes an invoice (`invoice_creation`) has
    /// both ids, and its payment intent is the key.
    pub fn of_session(session: &CheckoutSession) -> Self {
        let invoice = session.invoice.as_ref().filter(|_| session.mode == Some(SessionMode::Subscription));
        Self::new(session.payment_intent.as_ref().or(invoice).unwrap_or(&session.id))
    }

    /// The key of the payment an event is about, when it is about one we could know. That of a refund, a dispute or a
    /// fraud warning is the payment intent, which for a subscription's payment leads to the key.
    pub fn of_event(event: &SnapshotEvent) -> Option<Self> {
        match &event.object {
            Object::Session(session) => Some(Self::of_session(session)),
            Object::Refund(refund) => refund.payment_intent.as_ref().map(Self::new),
            Object::Dispute(dispute) => dispute.payment_intent.as_ref().map(Self::new),
            Object::EarlyFraudWarning(warning) => warning.payment_intent.as_ref().map(Self::new),
            Object::Invoice(invoice) => invoice.subscription_id().map(|_| Self::new(&invoice.id)),
            Object::InvoicePayment(payment) => payment.invoice_id().map(Self::new),
            Object::Subscription(_) | Object::Other(_) => None,
        }
    }

    /// The subject whose events a task handles in order: the payment, where an event is about one.
    pub fn subject_of(event: &Event) -> Option<Subject> {
        match event {
            Event::Snapshot(event) => Self::of_event(event).map(Subject::from),
            Event::Thin(_) => None,
        }
    }

    /// Whether the id is a payment intent's, which may be only one of the ways to pay an invoice.
    pub fn is_payment_intent(&self) -> bool {
        self.as_str().starts_with("pi_")
    }

    /// What customers quote and logs show: [`shown_id`].
    pub fn reference(&self) -> Cow<'_, str> {
        shown_id(self.as_str())
    }
}

impl Deref for PaymentId {
    type Target = Subject;

    fn deref(&self) -> &Subject {
        &self.0
    }
}

impl From<Subject> for PaymentId {
    /// Takes a subject of the ledger that is a payment.
    fn from(subject: Subject) -> Self {
        Self(subject)
    }
}

impl From<PaymentId> for Subject {
    fn from(payment_id: PaymentId) -> Self {
        payment_id.0
    }
}

impl From<&PaymentId> for Subject {
    fn from(payment_id: &PaymentId) -> Self {
        payment_id.0.clone()
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
