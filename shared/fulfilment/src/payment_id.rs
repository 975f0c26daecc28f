use std::fmt;

use serde::{Deserialize, Serialize};
use stripe_events::{CheckoutSession, Object, SnapshotEvent};

/// The one key of a payment: its payment intent when it has one, else its session.
///
/// Every event about a payment carries enough to compute it alone: sessions hold both, refunds and disputes
/// hold the payment intent. So events meet under the same key in whatever order they come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentId(String);

impl PaymentId {
    /// Takes an id that already is one: `pi_…` or `cs_…`.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The key of a session's payment.
    pub fn of_session(session: &CheckoutSession) -> Self {
        Self(session.payment_intent.as_ref().unwrap_or(&session.id).clone())
    }

    /// The key of the payment an event is about, when it is about one we could know.
    pub fn of_event(event: &SnapshotEvent) -> Option<Self> {
        match &event.object {
            Object::Session(session) => Some(Self::of_session(session)),
            Object::Refund(refund) => refund.payment_intent.clone().map(Self),
            Object::Dispute(dispute) => dispute.payment_intent.clone().map(Self),
            Object::Other(_) => None,
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
