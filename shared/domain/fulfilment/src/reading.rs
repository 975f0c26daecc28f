use stripe_events::{Event, EventType, Object, SnapshotEvent};

use crate::correction::snapshot;
use crate::{
    CorrectionBroken, DisputeEvent, FraudWarningEvent, InvoiceEvent, NotACorrection, NotReadable,
    PaymentEvent, PaymentId, RefundEvent, SessionBroken, SessionEvent, SessionOutcome, SkipReason,
};

/// What a Stripe event means for a payment.
///
/// The one place that distinguishes Stripe's objects. Tasks, the expected effects and reconciliation ask it, so that a
/// new kind of event is a new variant that each of them has to decide about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The outcome of a session.
    Session(Result<Box<SessionEvent>, BrokenSession>),
    /// A paid invoice of a subscription, which may be another business's.
    Invoice(Box<InvoiceEvent>),
    /// A refund, of whichever business.
    Refund(Result<RefundEvent, BrokenCorrection>),
    /// A dispute, of whichever business.
    Dispute(Result<DisputeEvent, BrokenCorrection>),
    /// A card issuer's warning of fraud, about a payment of whichever business.
    FraudWarning(FraudWarningEvent),
    /// A payment intent paid an invoice: it only spares a look-up.
    InvoicePayment {
        /// `pi_…`
        payment_intent: PaymentId,
        /// `in_…`
        invoice_id: String,
    },
}

/// A session of ours that nothing can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenSession {
    /// The payment it is about.
    pub payment_id: PaymentId,
    /// The outcome that the event was meant to report.
    pub intended: SessionOutcome,
    /// The defect.
    pub broken: SessionBroken,
}

/// A refund or a dispute that nothing can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenCorrection {
    /// The payment it is about.
    pub payment_id: PaymentId,
    /// `re_…` or `dp_…`
    pub correction_id: String,
    /// The defect.
    pub broken: CorrectionBroken,
}

impl Reading {
    /// Reads an event in a stage with real money, or without.
    ///
    /// # Errors
    ///
    /// The reason to leave the event alone.
    pub fn from_event(event: &Event, livemode: bool) -> Result<Self, SkipReason> {
        let snapshot = snapshot(event)?;
        match &snapshot.object {
            Object::Session(_) | Object::Other(_) => session(SessionEvent::from_event(event, livemode)),
            Object::Refund(_) => correction(RefundEvent::from_event(event, livemode)).map(Self::Refund),
            Object::Dispute(_) => correction(DisputeEvent::from_event(event, livemode)).map(Self::Dispute),
            Object::EarlyFraudWarning(_) => {
                FraudWarningEvent::from_event(event, livemode).map(Self::FraudWarning)
            }
            Object::Invoice(_) => {
                InvoiceEvent::from_event(event, livemode).map(|invoice| Self::Invoice(Box::new(invoice)))
            }
            Object::InvoicePayment(_) => invoice_payment(snapshot, livemode),
            // A subscription's payments are its invoices.
            Object::Subscription(_) => Err(SkipReason::OtherEventType),
        }
    }

    /// The event as the record of a payment takes it; `None` where that needs more than the event, and for what is
    /// broken.
    pub fn into_payment_event(self) -> Option<PaymentEvent> {
        match self {
            Self::Session(session) => session.ok().map(PaymentEvent::Session),
            Self::Refund(refund) => refund.ok().map(PaymentEvent::Refund),
            Self::Dispute(dispute) => dispute.ok().map(PaymentEvent::Dispute),
            Self::FraudWarning(warning) => Some(PaymentEvent::FraudWarning(warning)),
            // The subscription's contract is not in it.
            Self::Invoice(_) | Self::InvoicePayment { .. } => None,
        }
    }
}

fn session(read: Result<SessionEvent, NotReadable>) -> Result<Reading, SkipReason> {
    match read {
        Ok(session) => Ok(Reading::Session(Ok(Box::new(session)))),
        Err(NotReadable::Broken { payment_id, intended, broken }) => {
            Ok(Reading::Session(Err(BrokenSession { payment_id, intended, broken })))
        }
        Err(NotReadable::Skip(reason)) => Err(reason),
    }
}

fn correction<T>(read: Result<T, NotACorrection>) -> Result<Result<T, BrokenCorrection>, SkipReason> {
    match read {
        Ok(correction) => Ok(Ok(correction)),
        Err(NotACorrection::Broken { payment_id, correction_id, broken }) => {
            Ok(Err(BrokenCorrection { payment_id, correction_id, broken }))
        }
        Err(NotACorrection::Skip(reason)) => Err(reason),
    }
}

fn invoice_payment(event: &SnapshotEvent, livemode: bool) -> Result<Reading, SkipReason> {
    let (Object::InvoicePayment(payment), EventType::InvoicePaymentPaid) = (&event.object, &event.event_type)
    else {
        return Err(SkipReason::OtherEventType);
    };
    if event.livemode != livemode {
        return Err(SkipReason::OtherLivemode);
    }
    let ids = payment.payment_intent().zip(payment.invoice_id());
    let (payment_intent, invoice_id) = ids.ok_or(SkipReason::NoPaymentIntent)?;
    Ok(Reading::InvoicePayment {
        payment_intent: PaymentId::new(payment_intent),
        invoice_id: invoice_id.to_owned(),
    })
}
