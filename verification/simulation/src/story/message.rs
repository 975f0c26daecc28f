//! Events on their way to the tasks.

use fulfilment::{DisputeEvent, FraudWarningEvent, InvoiceEvent, PaymentEvent, RefundEvent, SessionEvent};
use serde_json::{Value, json};
use stripe_events::{Delivered, Event, Object};
use testkit::queue::envelope;

/// An event as EventBridge puts it into a queue, and what it tells.
#[derive(Debug, Clone)]
pub struct Message {
    /// The envelope.
    pub body: String,
    /// `None` when it is none of our business, or says only what a payment intent leads to.
    pub tells: Option<Tells>,
}

/// What an event tells, as far as it says by itself.
#[derive(Debug, Clone)]
pub enum Tells {
    /// Of a payment. A correction has its payment intent for a key.
    Payment(PaymentEvent),
    /// That a subscription was paid for, without saying whose it is.
    Invoice(Box<InvoiceEvent>),
}

impl Message {
    /// The message about an event.
    pub fn of(event: &Value) -> Self {
        let body = envelope("afterlink.webhook", event);
        let delivered = Delivered::from_json(body.as_bytes()).ok();
        Self { tells: delivered.and_then(|delivered| tells(&delivered.event)), body }
    }
}

/// What an event tells of a payment, read as the tasks read it.
fn tells(event: &Event) -> Option<Tells> {
    let Event::Snapshot(snapshot) = event else {
        return None;
    };
    match snapshot.object {
        Object::Refund(_) => RefundEvent::read(event, false).ok().map(|event| Tells::Payment(event.into())),
        Object::Dispute(_) => DisputeEvent::read(event, false).ok().map(|event| Tells::Payment(event.into())),
        Object::EarlyFraudWarning(_) => {
            FraudWarningEvent::read(event, false).ok().map(|event| Tells::Payment(event.into()))
        }
        Object::Invoice(_) => {
            InvoiceEvent::read(event, false).ok().map(|invoice| Tells::Invoice(Box::new(invoice)))
        }
        Object::Session(_) | Object::InvoicePayment(_) | Object::Other(_) => {
            SessionEvent::read(event, false).ok().map(|event| Tells::Payment(event.into()))
        }
    }
}

/// The same change told by another event: Stripe does that.
pub fn twin(event: &Value) -> Value {
    let mut twin = event.clone();
    twin["id"] = json!(format!("{}_twin", event["id"].as_str().unwrap_or_default()));
    twin
}
