use crate::{DisputeEvent, PaymentId, RefundEvent, SessionEvent};

/// An event about a payment, read: everything the record of one is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentEvent {
    /// What became of the money.
    Session(Box<SessionEvent>),
    /// A part of it goes back, or does not after all.
    Refund(RefundEvent),
    /// The customer's bank asks for it.
    Dispute(DisputeEvent),
}

impl PaymentEvent {
    /// The key of the payment.
    pub const fn payment_id(&self) -> &PaymentId {
        match self {
            Self::Session(event) => &event.payment_id,
            Self::Refund(event) => &event.payment_id,
            Self::Dispute(event) => &event.payment_id,
        }
    }
}

impl From<SessionEvent> for PaymentEvent {
    fn from(event: SessionEvent) -> Self {
        Self::Session(Box::new(event))
    }
}

impl From<RefundEvent> for PaymentEvent {
    fn from(event: RefundEvent) -> Self {
        Self::Refund(event)
    }
}

impl From<DisputeEvent> for PaymentEvent {
    fn from(event: DisputeEvent) -> Self {
        Self::Dispute(event)
    }
}
