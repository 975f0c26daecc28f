use download_claims::{StripeAccess, StripeAccessError};
use effect_ledger::Clock;
use fulfilment::{Contribution, PaymentId, SessionEvent};
use serde_json::{Value, json};
use stripe_client::ApiObject;
use stripe_events::Event;
use uuid::Uuid;

use crate::records::{DynamoDbRecords, RecordsError};

/// What is known of payments: our record first, then Stripe.
///
/// A customer comes back from Stripe's page within a second, often before the event that makes the record.
pub(crate) struct Payments {
    pub(crate) records: DynamoDbRecords,
    pub(crate) livemode: bool,
}

/// A payment of ours.
#[derive(Debug)]
pub(crate) struct Payment {
    /// What the record says, or will say once Stripe's event has come.
    pub(crate) contribution: Contribution,
    /// The files the link names, where Stripe was asked.
    pub(crate) of_link: Option<Vec<String>>,
}

/// Nobody can tell just now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PaymentsError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Stripe(#[from] StripeAccessError),
}

impl Payments {
    /// The payment of a session; `None` when it is none of ours: of another business, mode or account, or not
    /// completed.
    pub(crate) async fn of_session<C: Clock>(
        &self,
        session_id: &str,
        stripe: &StripeAccess<C>,
        now: i64,
    ) -> Result<Option<Payment>, PaymentsError> {
        // The mode is in the id: nobody has to be asked about the other one.
        let mode = if self.livemode { "cs_live_" } else { "cs_test_" };
        if !session_id.starts_with(mode) {
            return Ok(None);
        }
        if let Some(payment_id) = self.records.payment_of(session_id).await?
            && let Some(payment) = self.recorded(&payment_id).await?
        {
            return Ok(Some(payment));
        }
        match stripe.session(session_id).await? {
            Some(session) => self.told_by_stripe(&session, now).await,
            None => Ok(None),
        }
    }

    /// A payment by its id.
    pub(crate) async fn of_payment<C: Clock>(
        &self,
        payment_id: &PaymentId,
        stripe: &StripeAccess<C>,
        now: i64,
    ) -> Result<Option<Payment>, PaymentsError> {
        if let Some(payment) = self.recorded(payment_id).await? {
            return Ok(Some(payment));
        }
        match stripe.session_of(payment_id).await? {
            Some(session) => self.told_by_stripe(&session, now).await,
            None => Ok(None),
        }
    }

    async fn recorded(&self, payment_id: &PaymentId) -> Result<Option<Payment>, PaymentsError> {
        let contribution = self.records.contribution(payment_id).await?.filter(Contribution::is_known);
        Ok(contribution.map(|contribution| Payment { contribution, of_link: None }))
    }

    /// The record as Stripe's event will make it, over whatever refunds and disputes have been told already.
    async fn told_by_stripe(&self, session: &ApiObject, now: i64) -> Result<Option<Payment>, PaymentsError> {
        let Some(event) = event_to_come(session, self.livemode, now) else {
            return Ok(None);
        };
        let so_far = self.records.contribution(&event.payment_id).await?;
        let so_far = so_far.unwrap_or_else(|| Contribution::new(event.payment_id.clone()));
        // Nothing of this is written, so whose supporter it is does not matter.
        let contribution = so_far.with_session_event(&event, &Uuid::nil());
        Ok(Some(Payment { contribution, of_link: Some(event.link.files) }))
    }
}

/// What Stripe's event about a completed session says. Reading it checks whose session it is.
fn event_to_come(session: &ApiObject, livemode: bool, now: i64) -> Option<SessionEvent> {
    let object: Value = serde_json::from_str(session.json()).ok()?;
    if object["status"] != "complete" {
        return None;
    }
    let event = json!({
        "id": format!("evt_page_{}", session.id), "object": "event", "type": "checkout.session.completed",
        "created": now, "livemode": object["livemode"], "data": { "object": object },
    });
    SessionEvent::read(&Event::from_value(event).ok()?, livemode).ok()
}
