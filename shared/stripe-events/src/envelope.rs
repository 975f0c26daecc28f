use serde_json::Value;

use crate::{DecodeError, Event};

/// An event as it was delivered: through which door, and what.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Where it came in.
    pub door: Door,
    /// The event itself.
    pub event: Event,
}

/// The three doors to the fulfilment bus, and the absence of one.
///
/// A door is told by the envelope's `source`. AWS lets nobody but a partner use a source that begins with
/// `aws.`, so `aws.partner/stripe.com/…` proves where an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Stripe's partner event source.
    Partner,
    /// Our `stripe-webhook` function.
    Webhook,
    /// Our `reconcile` function: a replay.
    Reconcile,
    /// A bare event, or a source we do not know (an operator's own tools).
    Other,
}

impl Door {
    /// What Stripe's partner sources begin with.
    pub const PARTNER_PREFIX: &str = "aws.partner/stripe.com/";
    /// The source `stripe-webhook` puts on its events.
    pub const WEBHOOK_SOURCE: &str = "afterlink.webhook";
    /// The source `reconcile` puts on its events.
    pub const RECONCILE_SOURCE: &str = "afterlink.reconcile";

    fn from_source(source: &str) -> Self {
        match source {
            Self::WEBHOOK_SOURCE => Self::Webhook,
            Self::RECONCILE_SOURCE => Self::Reconcile,
            _ if source.starts_with(Self::PARTNER_PREFIX) => Self::Partner,
            _ => Self::Other,
        }
    }
}

impl Delivered {
    /// Reads an EventBridge envelope, or a bare event when there is none around it.
    ///
    /// The envelope's own `id` and `time` are not read: its id changes with every delivery, and the event has
    /// both itself.
    ///
    /// # Errors
    ///
    /// Every error is permanent: the same bytes will never decode.
    pub fn from_json(body: &[u8]) -> Result<Self, DecodeError> {
        let mut body: Value = serde_json::from_slice(body).map_err(|error| DecodeError::not_json(&error))?;
        let (door, event) = match body.get_mut("detail").map(Value::take) {
            Some(detail) => {
                let source = body.get("source").and_then(Value::as_str).unwrap_or_default();
                (Door::from_source(source), detail)
            }
            None => (Door::Other, body),
        };
        Ok(Self { door, event: Event::from_value(event)? })
    }
}
