use effect_ledger::{Effect, EffectKey};
use fulfilment::{
    DisputeEvent, FraudWarningEvent, InvoiceEvent, NotACorrection, NotReadable, PaymentEvent, RefundEvent,
    SessionEvent, SkipReason, effects,
};
use stripe_events::{Event, EventType, Object, SnapshotEvent};

use crate::task::TaskFailed;

/// What an event tells, by how its payment is found.
pub(crate) enum Told {
    /// A session knows its payment.
    OfSession(Box<PaymentEvent>),
    /// A payment intent may lead to an invoice.
    OfPaymentIntent(Box<PaymentEvent>),
    /// An invoice knows its payment, and not whose it is.
    OfInvoice(Box<InvoiceEvent>),
    /// A payment intent paid an invoice.
    Paid {
        /// `pi_…`
        payment_intent: String,
        /// `in_…`
        invoice: String,
    },
}

/// Why an event tells nothing of a payment.
pub(crate) enum Unreadable {
    /// None of our business.
    Skip(SkipReason),
    /// Parked under the effect it should have had.
    Broken(Box<(EffectKey, TaskFailed)>),
}

/// What an event tells of its payment.
pub(crate) fn read(event: &Event, livemode: bool) -> Result<Told, Unreadable> {
    let correction = |error, effect: fn(&str) -> Effect| match error {
        NotACorrection::Skip(reason) => Unreadable::Skip(reason),
        NotACorrection::Broken { payment_id, correction_id, broken } => {
            let key = EffectKey::new(payment_id, effect(&correction_id));
            Unreadable::Broken(Box::new((key, TaskFailed::BrokenCorrection(broken))))
        }
    };
    let snapshot = match event {
        Event::Snapshot(snapshot) => snapshot,
        Event::Thin(_) => return Err(Unreadable::Skip(SkipReason::ThinEvent)),
    };
    let of_payment_intent = |event: PaymentEvent| Told::OfPaymentIntent(Box::new(event));
    match &snapshot.object {
        Object::Refund(_) => RefundEvent::read(event, livemode)
            .map(|event| of_payment_intent(event.into()))
            .map_err(|error| correction(error, effects::contribution_refund)),
        Object::Dispute(_) => DisputeEvent::read(event, livemode)
            .map(|event| of_payment_intent(event.into()))
            .map_err(|error| correction(error, effects::contribution_dispute)),
        Object::EarlyFraudWarning(_) => FraudWarningEvent::read(event, livemode)
            .map(|event| of_payment_intent(event.into()))
            .map_err(Unreadable::Skip),
        Object::Invoice(_) => InvoiceEvent::read(event, livemode)
            .map(|invoice| Told::OfInvoice(Box::new(invoice)))
            .map_err(Unreadable::Skip),
        Object::InvoicePayment(_) => paid(snapshot, livemode).map_err(Unreadable::Skip),
        Object::Session(_) | Object::Other(_) => {
            let read = SessionEvent::read(event, livemode);
            read.map(|event| Told::OfSession(Box::new(event.into()))).map_err(|error| match error {
                NotReadable::Skip(reason) => Unreadable::Skip(reason),
                NotReadable::Broken { payment_id, intended, broken } => {
                    let key = EffectKey::new(payment_id, effects::contribution(intended));
                    Unreadable::Broken(Box::new((key, TaskFailed::BrokenSession(broken))))
                }
            })
        }
    }
}

/// Which payment intent paid which invoice.
fn paid(event: &SnapshotEvent, livemode: bool) -> Result<Told, SkipReason> {
    let (Object::InvoicePayment(payment), EventType::InvoicePaymentPaid) = (&event.object, &event.event_type)
    else {
        return Err(SkipReason::OtherEventType);
    };
    if event.livemode != livemode {
        return Err(SkipReason::OtherLivemode);
    }
    let ids = payment.payment_intent().zip(payment.invoice_id());
    let (payment_intent, invoice) = ids.ok_or(SkipReason::NoPaymentIntent)?;
    Ok(Told::Paid { payment_intent: payment_intent.to_owned(), invoice: invoice.to_owned() })
}
