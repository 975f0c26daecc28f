//! Events on their way to the tasks.

use fulfilment::{InvoiceEvent, PaymentEvent, Reading};
use serde_json::{Value, json};
use stripe_events::{Delivered, Event};
use testkit::queue::envelope;

/// An event as EventBridge puts it into a queue, and its meaning.
#[derive(Debug, Clone)]
pub struct Message {
    /// The envelope.
    pub body: String,
    /// `None` when it is none of our business, or says only what a payment intent leads to.
    pub meaning: Option<Meaning>,
}

/// The meaning of an event, as far as the event alone has it.
#[derive(Debug, Clone)]
pub enum Meaning {
    /// Of a payment. A correction has its payment intent for a key.
    Payment(Box<PaymentEvent>),
    /// That a subscription was paid for, without saying whose it is.
    Invoice(Box<InvoiceEvent>),
}

impl Message {
    /// The message about an event.
    pub fn of(event: &Value) -> Self {
        let body = envelope("afterlink.webhook", event);
        let delivered = Delivered::from_json(body.as_bytes()).ok();
        Self { meaning: delivered.and_then(|delivered| meaning_of(&delivered.event)), body }
    }
}

/// The meaning of an event, read as the tasks read it.
fn meaning_of(event: &Event) -> Option<Meaning> {
    match Reading::from_event(event, false).ok()? {
        Reading::Invoice(invoice) => Some(Meaning::Invoice(invoice)),
        reading @ (Reading::Session(_)
        | Reading::Refund(_)
        | Reading::Dispute(_)
        | Reading::FraudWarning(_)
        | Reading::InvoicePayment { .. }) => {
            reading.into_payment_event().map(|event| Meaning::Payment(Box::new(event)))
        }
    }
}

/// The same change in another event: Stripe does that.
pub fn twin(event: &Value) -> Value {
    let mut twin = event.clone();
    twin["id"] = json!(format!("{}_twin", event["id"].as_str().unwrap_or_default()));
    twin
}
