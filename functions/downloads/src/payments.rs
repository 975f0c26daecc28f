//! The facts of a payment: our record first, then the ledger, then Stripe.
//!
//! ```text
//! record ──▶ holds every refund and dispute of the ledger? ──▶ the record decides
//!   │                    └─ no: Stripe's charge decides whether the record may
//!   └ none ─▶ the ledger says there was one? ──▶ gone: expired, erased, lost in a restore
//!                    └─ no ─▶ Stripe's session ─▶ older than three days: gone
//!                                     └─ younger: as its event will say, unless the money went back
//! ```
//!
//! A session at Stripe stays `paid` after a refund and for ever, so it opens nothing by itself: only while it is young,
//! only if no record was ever made of it, and only while its charge is whole. It is dated by its own time.

use std::cmp::Ordering;

use aws::Clock;
use download_claims::{ChargeState, SessionsError, StripeSession, StripeSessions};
use fulfilment::{Contribution, PaymentId, SessionEvent};
use futures_util::try_join;
use serde_json::{Value, json};
use stripe_events::Event;
use uuid::Uuid;

use crate::ledger::{DynamoDbLedger, Ledger};
use crate::records::{DynamoDbRecords, RecordsError};
use crate::unknown_sessions::UnknownSessions;

/// The sources of facts about payments.
///
/// A customer comes back from Stripe's page within a second, often before the event that makes the record.
pub(crate) struct Payments {
    pub(crate) records: DynamoDbRecords,
    pub(crate) ledger: DynamoDbLedger,
    pub(crate) unknown_sessions: UnknownSessions,
    pub(crate) livemode: bool,
}

/// A payment of ours.
#[derive(Debug)]
pub(crate) struct Payment {
    /// What the record says, or will say once Stripe's event has come.
    pub(crate) contribution: Contribution,
    /// The files the link names, where Stripe was asked.
    pub(crate) of_link: Option<Vec<String>>,
    /// Why the record alone does not decide.
    pub(crate) closed: Option<Closed>,
}

/// What closes a payment whatever its record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The money went back, and the record does not say so.
    Refunded,
    /// The bank was asked for the money, and the record does not say so.
    Disputed,
    /// The record is gone, or was never made in three days: nothing is left that could open the payment.
    Gone,
}

/// The outcome of a look-up.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// A payment of ours.
    Payment(Box<Payment>),
    /// A payment of ours of which nothing is left but the ledger's rows.
    Gone,
    /// None of ours: of another business, mode or account, or not completed.
    Unknown,
}

/// Neither yes nor no can be said now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PaymentsError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Stripe(#[from] SessionsError),
}

/// How old a session may be, in seconds, to open a payment without a record. Stripe delivers events for three days.
///
/// <https://docs.stripe.com/webhooks#automatic-retries>
const YOUNG_SECONDS: i64 = 3 * 86_400;

/// Characters of a session id. Stripe's have more than 60; only ids of the test mode are made by hand.
const SHORTEST_LIVE_SESSION_ID: usize = 40;

impl Payments {
    /// Whether an id can be one of this stage's sessions.
    pub(crate) fn is_plausible(&self, session_id: &str) -> bool {
        if self.livemode {
            session_id.starts_with("cs_live_") && session_id.len() >= SHORTEST_LIVE_SESSION_ID
        } else {
            session_id.len() > "cs_test_".len() && session_id.starts_with("cs_test_")
        }
    }

    /// The payment of a session.
    pub(crate) async fn of_session<C: Clock>(
        &self,
        session_id: &str,
        stripe: &StripeSessions<C>,
        now: i64,
    ) -> Result<Lookup, PaymentsError> {
        if !self.is_plausible(session_id) {
            return Ok(Lookup::Unknown);
        }
        if let Some(payment_id) = self.records.payment_of(session_id).await? {
            return self.of_payment(&payment_id, stripe, now).await;
        }
        if self.unknown_sessions.contains(session_id, now) {
            return Ok(Lookup::Unknown);
        }
        let session = stripe.session_of_stranger(session_id).await?;
        let event = session.as_ref().and_then(|session| event_to_come(session, self.livemode));
        let (Some(session), Some(event)) = (&session, event) else {
            // One that is still open may be paid in a moment.
            if session.is_none_or(|session| is_complete(&session)) {
                self.unknown_sessions.insert(session_id, now);
            }
            return Ok(Lookup::Unknown);
        };
        // The index learns of a record a moment after the table.
        let (record, ledger) = try_join!(
            self.records.contribution(&event.payment_id),
            self.ledger.of_payment(&event.payment_id)
        )?;
        match record {
            Some(record) if record.is_known() => {
                Ok(Lookup::from(judge_record(record, &ledger, Some(session.charge))))
            }
            record => Ok(Lookup::from(reported_by_stripe(record, &ledger, session, event, now))),
        }
    }

    /// A payment by its id.
    pub(crate) async fn of_payment<C: Clock>(
        &self,
        payment_id: &PaymentId,
        stripe: &StripeSessions<C>,
        now: i64,
    ) -> Result<Lookup, PaymentsError> {
        let (record, ledger) =
            try_join!(self.records.contribution(payment_id), self.ledger.of_payment(payment_id))?;
        let record = match record {
            Some(record) if record.is_known() => {
                let covered = ledger.is_covered_by(&record);
                let charge = match covered {
                    true => None,
                    false => stripe.session_of(payment_id).await?.map(|session| session.charge),
                };
                return Ok(Lookup::from(judge_record(record, &ledger, charge)));
            }
            record => record,
        };
        if ledger.recorded {
            return Ok(Lookup::Gone);
        }
        let Some(session) = stripe.session_of(payment_id).await? else {
            return Ok(Lookup::Unknown);
        };
        let Some(event) = event_to_come(&session, self.livemode) else {
            return Ok(Lookup::Unknown);
        };
        Ok(Lookup::from(reported_by_stripe(record, &ledger, &session, event, now)))
    }
}

impl From<Payment> for Lookup {
    fn from(payment: Payment) -> Self {
        Self::Payment(Box::new(payment))
    }
}

/// A record decides, if it holds whatever the ledger knows. If it does not (the task that keeps the records is behind,
/// or the table was restored to an earlier time), the charge must be whole.
fn judge_record(record: Contribution, ledger: &Ledger, charge: Option<ChargeState>) -> Payment {
    let closed = if ledger.is_covered_by(&record) {
        None
    } else {
        match charge {
            Some(ChargeState::Kept) => None,
            Some(ChargeState::Disputed) => Some(Closed::Disputed),
            Some(ChargeState::Refunded) => Some(Closed::Refunded),
            // Stripe has no charge to ask: what the ledger knows is taken for the whole.
            Some(ChargeState::None) | None if ledger.refunds.is_empty() => Some(Closed::Disputed),
            Some(ChargeState::None) | None => Some(Closed::Refunded),
        }
    };
    Payment { contribution: record, of_link: None, closed }
}

/// The record as Stripe's event will make it, over whatever refunds and disputes have been recorded already.
fn reported_by_stripe(
    record: Option<Contribution>,
    ledger: &Ledger,
    session: &StripeSession,
    event: SessionEvent,
    now: i64,
) -> Payment {
    let so_far = record.unwrap_or_else(|| Contribution::new(event.payment_id.clone()));
    // Nothing of this is written, so whose supporter it is does not matter.
    let contribution = so_far.with_session_event(&event, &Uuid::nil());
    let age = now.saturating_sub(session.object.created).cmp(&YOUNG_SECONDS);
    let closed = match session.charge {
        _ if ledger.recorded || age == Ordering::Greater => Some(Closed::Gone),
        ChargeState::Refunded => Some(Closed::Refunded),
        ChargeState::Disputed => Some(Closed::Disputed),
        ChargeState::None if !ledger.is_covered_by(&contribution) => Some(Closed::Refunded),
        ChargeState::None | ChargeState::Kept => None,
    };
    Payment { contribution, of_link: Some(event.link.files), closed }
}

/// What Stripe's event about a completed session says. Reading it checks whose session it is.
fn event_to_come(session: &StripeSession, livemode: bool) -> Option<SessionEvent> {
    if !is_complete(session) {
        return None;
    }
    let object: Value = session.object.read().ok()?;
    let event = json!({
        "id": format!("evt_page_{}", session.object.id), "object": "event", "type": "checkout.session.completed",
        "created": session.object.created, "livemode": object["livemode"], "data": { "object": object },
    });
    SessionEvent::from_event(&Event::from_value(event).ok()?, livemode).ok()
}

fn is_complete(session: &StripeSession) -> bool {
    session.object.read::<Value>().is_ok_and(|object| object["status"] == "complete")
}
