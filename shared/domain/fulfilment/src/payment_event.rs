use crate::{DisputeEvent, FraudWarningEvent, PaymentId, RefundEvent, SessionEvent, SubscriptionPayment};

/// An event about a payment, read: everything the record of one is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentEvent {
    /// The outcome of a session.
    Session(Box<SessionEvent>),
    /// A subscription was paid for, for the first time or again.
    Invoice(Box<SubscriptionPayment>),
    /// A part of it goes back, or does not after all.
    Refund(RefundEvent),
    /// The customer's bank asks for it.
    Dispute(DisputeEvent),
    /// The card's issuer warns of fraud.
    FraudWarning(FraudWarningEvent),
}

impl PaymentEvent {
    /// The key of the payment.
    pub const fn payment_id(&self) -> &PaymentId {
        match self {
            Self::Session(event) => &event.payment_id,
            Self::Invoice(event) => &event.invoice.payment_id,
            Self::Refund(event) => &event.payment_id,
            Self::Dispute(event) => &event.payment_id,
            Self::FraudWarning(event) => &event.payment_id,
        }
    }

    /// The same event under the key that its payment intent leads to.
    #[must_use]
    pub fn of_payment(self, payment_id: PaymentId) -> Self {
        match self {
            Self::Session(event) => Self::Session(Box::new(SessionEvent { payment_id, ..*event })),
            Self::Invoice(mut event) => {
                event.invoice.payment_id = payment_id;
                Self::Invoice(event)
            }
            Self::Refund(event) => Self::Refund(RefundEvent { payment_id, ..event }),
            Self::Dispute(event) => Self::Dispute(DisputeEvent { payment_id, ..event }),
            Self::FraudWarning(event) => Self::FraudWarning(FraudWarningEvent { payment_id, ..event }),
        }
    }
}

impl From<SessionEvent> for PaymentEvent {
    fn from(event: SessionEvent) -> Self {
        Self::Session(Box::new(event))
    }
}

impl From<SubscriptionPayment> for PaymentEvent {
    fn from(event: SubscriptionPayment) -> Self {
        Self::Invoice(Box::new(event))
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

impl From<FraudWarningEvent> for PaymentEvent {
    fn from(event: FraudWarningEvent) -> Self {
        Self::FraudWarning(event)
    }
}
