//! Payments whose key another version chose.
//!
//! Up to version 0.1.0 the payment of a subscription was filed under its session (`cs_…`), because refunds of it were
//! not joined. Since then it is filed under its invoice (`in_…`). A payment keeps the key that it was first filed under:
//! otherwise a repeated event would be a second payment, and its customer would be thanked twice.

use std::borrow::Cow;

use effect_ledger::{EffectStore, StoreError};
use fulfilment::PaymentId;
use stripe_events::{CheckoutSession, Event, Object};

use crate::is_ours;

/// A session event as the ledger has its payment: without its invoice, and so with the session for a key, where the
/// payment is filed under its session.
///
/// Costs one query for the session of a subscription, and nothing for any other event.
///
/// # Errors
///
/// When the ledger does not answer.
pub async fn as_filed<'a>(store: &impl EffectStore, event: &'a Event) -> Result<Cow<'a, Event>, StoreError> {
    let Some(former) = former_key(event) else {
        return Ok(Cow::Borrowed(event));
    };
    if !is_ours(&store.of_subject(&former).await?) {
        return Ok(Cow::Borrowed(event));
    }
    let mut event = event.clone();
    if let Some(session) = session_mut(&mut event) {
        session.invoice = None;
    }
    Ok(Cow::Owned(event))
}

/// The key that a session's payment had before 0.2.0, where it has another now.
fn former_key(event: &Event) -> Option<PaymentId> {
    let Event::Snapshot(event) = event else { return None };
    let Object::Session(session) = &event.object else { return None };
    let former = PaymentId::new(&session.id);
    let is_of_invoice = session.payment_intent.is_none() && PaymentId::of_session(session) != former;
    is_of_invoice.then_some(former)
}

fn session_mut(event: &mut Event) -> Option<&mut CheckoutSession> {
    match event {
        Event::Snapshot(event) => match &mut event.object {
            Object::Session(session) => Some(session),
            Object::Refund(_)
            | Object::Dispute(_)
            | Object::Invoice(_)
            | Object::InvoicePayment(_)
            | Object::EarlyFraudWarning(_)
            | Object::Subscription(_)
            | Object::Other(_) => None,
        },
        Event::Thin(_) => None,
    }
}
