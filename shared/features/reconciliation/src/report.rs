//! What a run reports.

use aws::NotPut;
use effect_ledger::StoreError;
use fulfilment::{NotReadable, PaymentId, SessionEvent, SkipReason};
use stripe_client::StripeError;
use stripe_events::{Event, Object, SessionMode};

use crate::{DailyProof, Missing, Tally};

/// What a run saw and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Events of ours that were compared with the ledger.
    pub examined: u64,
    /// Those of which something was missing.
    pub missing: Vec<Missing>,
    /// How many events were put back.
    pub put_back: u64,
    /// Events of our types that cannot be read. Live traffic parks them.
    pub unreadable: u64,
    /// Payments over links whose marker is misspelt, so that no rule lets them through, and that no operator has
    /// completed.
    pub misspelt: Vec<Misspelt>,
    /// How the payments of the window stand.
    pub tally: Tally,
    /// Whether the whole window was looked at. If not, the next run goes on.
    pub complete: bool,
    /// Another run was at it and has come further.
    pub overtaken: bool,
    /// The days that were proven.
    pub proofs: Vec<DailyProof>,
    /// How many events are missing now, of whatever time.
    pub unexplained: u64,
    /// When the oldest of them happened, in Unix seconds.
    pub oldest_unexplained_at: Option<i64>,
    /// How many sessions wait for their money.
    pub pending: u64,
    /// Since when the oldest of them does, in Unix seconds.
    pub oldest_pending_at: Option<i64>,
}

/// A payment over a link whose metadata has a key that is nearly our marker. Most likely it was meant to be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misspelt {
    /// The payment.
    pub payment_id: PaymentId,
    /// The link to correct, `plink_…`.
    pub payment_link_id: Option<String>,
}

impl Misspelt {
    pub(crate) fn of(event: &Event, livemode: bool) -> Option<Self> {
        let Err(NotReadable::Skip(SkipReason::MisspeltMarker)) = SessionEvent::from_event(event, livemode)
        else {
            return None;
        };
        let Event::Snapshot(event) = event else { return None };
        let Object::Session(session) = &event.object else { return None };
        let is_ours = event.livemode == livemode && session.mode != Some(SessionMode::Setup);
        is_ours.then(|| Self {
            payment_id: PaymentId::of_session(session),
            payment_link_id: session.payment_link.clone(),
        })
    }
}

/// Why a run broke off. What it had come to is kept.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Stripe cannot be asked.
    #[error("Stripe cannot be asked what was paid")]
    Stripe(#[from] StripeError),
    /// The ledger or the journal did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus did not take an event.
    #[error("an event was not put back")]
    NotPut(#[from] NotPut),
}
