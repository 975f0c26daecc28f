use aws::Clock;
use effect_ledger::{
    Busy, EffectKey, EffectRow, EffectState, EffectStore, Executor, NotGranted, Refused, Settlement,
    Standing, StoreError,
};
use fulfilment::{Contribution, PaymentId, effects};
use stripe_access::StripeAccessError;
use stripe_events::BillingReason;

use crate::Stripe;

/// Finds the key of a payment, and whose a subscription is.
#[derive(Debug, Clone)]
pub struct PaymentLookup<S, L, C> {
    /// Who is asked.
    pub stripe: S,
    /// What remembers.
    pub ledger: L,
    /// The time.
    pub clock: C,
}

/// A payment, and what the ledger has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The key.
    pub payment_id: PaymentId,
    /// The rows under that key.
    pub rows: Vec<EffectRow>,
}

/// The question is not answered. Always worth another try.
#[derive(Debug, thiserror::Error)]
pub enum LookupFailed {
    /// The ledger does not answer.
    #[error(transparent)]
    Ledger(#[from] StoreError),
    /// Stripe does not answer, or refuses the key.
    #[error("Stripe does not say which payment this is")]
    Stripe(#[source] StripeAccessError),
    /// Another executor is asking.
    #[error(transparent)]
    InFlight(#[from] Busy),
}

impl LookupFailed {
    /// A short name for the ledger and the metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Ledger(_) => "ledger_unavailable",
            Self::Stripe(error) => error.reason(),
            Self::InFlight(_) => "in_flight",
        }
    }
}

/// The answer that there is nothing to find.
pub(crate) const NONE: &str = payment_ledger::NOTHING_FOUND;

/// A reply, and when it expires, in Unix seconds.
pub(crate) struct Answer {
    pub(crate) reference: String,
    pub(crate) expires_at: Option<i64>,
}

impl<S: Stripe, L: EffectStore, C: Clock> PaymentLookup<S, L, C> {
    /// The payment behind the id that a refund, a dispute or a fraud warning carries: itself, or the invoice of a
    /// subscription that it pays.
    ///
    /// # Errors
    ///
    /// When that cannot be found out now.
    pub async fn payment(
        &self,
        payment_id: &PaymentId,
        executor: Executor<'_>,
    ) -> Result<Payment, LookupFailed> {
        let rows = self.ledger.of_subject(payment_id).await?;
        if !payment_id.is_payment_intent() || payment_ledger::is_ours(&rows) {
            self.settle_needless(payment_id, &rows, executor).await?;
            return Ok(Payment { payment_id: payment_id.clone(), rows });
        }
        if remembered(&rows).is_none() {
            let is_again = rows.iter().any(|row| row.effect == effects::lookup());
            let key = EffectKey::new(payment_id, effects::lookup());
            let answer =
                self.ask(&key, executor, async || self.key_of(payment_id, is_again, executor).await).await?;
            if answer == NONE {
                return Ok(Payment { payment_id: payment_id.clone(), rows });
            }
            return self.known(PaymentId::new(answer)).await;
        }
        match payment_ledger::alias(&rows) {
            Some(invoice) => self.known(invoice).await,
            None => Ok(Payment { payment_id: payment_id.clone(), rows }),
        }
    }

    /// Remembers that a payment intent leads to an invoice, if the ledger knows the invoice. Says whether it does.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer, or another executor is asking Stripe just now.
    pub async fn remember(
        &self,
        payment_intent: &str,
        invoice_id: &str,
        executor: Executor<'_>,
    ) -> Result<bool, LookupFailed> {
        let invoice = self.known(PaymentId::new(invoice_id)).await?;
        if !payment_ledger::is_filed(&invoice.rows) {
            return Ok(false);
        }
        let key = EffectKey::new(payment_intent, effects::lookup());
        let answer = Answer { reference: invoice_id.to_owned(), expires_at: None };
        self.ask(&key, executor, async || Ok(answer)).await?;
        Ok(true)
    }

    async fn known(&self, payment_id: PaymentId) -> Result<Payment, LookupFailed> {
        let rows = self.ledger.of_subject(&payment_id).await?;
        Ok(Payment { payment_id, rows })
    }

    /// An invoice that is no subscription's is made for a one-off payment, whose key is the payment intent.
    ///
    /// `is_again`: the question was begun before, and what it asked on the way may have been left.
    async fn key_of(
        &self,
        payment_intent: &PaymentId,
        is_again: bool,
        executor: Executor<'_>,
    ) -> Result<Answer, LookupFailed> {
        let invoice =
            self.stripe.invoice_paid_by(payment_intent.as_str()).await.map_err(LookupFailed::Stripe)?;
        let Some((invoice, subscription_id)) =
            invoice.as_ref().and_then(|invoice| Some((invoice, invoice.subscription_id()?)))
        else {
            return Ok(Answer { reference: NONE.to_owned(), expires_at: Some(self.forgotten_at()) });
        };
        let rows = self.ledger.of_subject(&PaymentId::new(&invoice.id)).await?;
        if payment_ledger::is_filed(&rows) {
            if is_again {
                let of_subscription = self.ledger.of_subject(&PaymentId::new(subscription_id)).await?;
                self.finish_asking(subscription_id, &of_subscription, executor).await?;
            }
            return Ok(Answer { reference: invoice.id.clone(), expires_at: None });
        }
        if invoice.billing_reason == Some(BillingReason::SubscriptionCreate)
            && let Some(session_id) = self.session_that_began(subscription_id, executor).await?
            && self.is_filed_under(&session_id).await?
        {
            return Ok(Answer { reference: session_id, expires_at: None });
        }
        let is_ours = payment_ledger::is_ours(&rows);
        Ok(Answer { reference: invoice.id.clone(), expires_at: (!is_ours).then(|| self.forgotten_at()) })
    }

    /// Whether version 0.1.0 filed a payment under its session.
    pub(crate) async fn is_filed_under(&self, session_id: &str) -> Result<bool, LookupFailed> {
        Ok(payment_ledger::is_filed(&self.ledger.of_subject(&PaymentId::new(session_id)).await?))
    }

    /// Until when an answer is kept about a payment that is probably another business's, in Unix seconds.
    pub(crate) fn forgotten_at(&self) -> i64 {
        self.clock.now_ms() / 1000 + Contribution::UNKNOWN_PAYMENT_KEPT_SECONDS
    }

    /// Settles the question about a payment intent that was begun, and came to nothing before its session showed that
    /// it is the key itself: no task would ask it again, and it would stay among the open effects for ever.
    async fn settle_needless(
        &self,
        payment_id: &PaymentId,
        rows: &[EffectRow],
        executor: Executor<'_>,
    ) -> Result<(), LookupFailed> {
        let now = self.clock.now_ms();
        if !is_abandoned(rows, executor, now)? {
            return Ok(());
        }
        let key = EffectKey::new(payment_id, effects::lookup());
        // Refused claims and settlements are another executor's, who decides.
        if let Ok(claim) = self.ledger.claim(&key, &executor, now).await? {
            let reference = payment_ledger::NOT_NEEDED.to_owned();
            let needless = Settlement::Answered { reference, expires_at: None };
            self.ledger.settle(&key, &claim, &needless, self.clock.now_ms()).await?.ok();
        }
        Ok(())
    }

    /// The answer to a question: claims it, asks, and keeps the answer. An executor that finds it settled takes the
    /// reply that is there.
    pub(crate) async fn ask(
        &self,
        key: &EffectKey,
        executor: Executor<'_>,
        question: impl AsyncFnOnce() -> Result<Answer, LookupFailed>,
    ) -> Result<String, LookupFailed> {
        let now = self.clock.now_ms();
        let claim = match self.ledger.claim(key, &executor, now).await? {
            Ok(claim) => claim,
            Err(NotGranted::InTheWay(row)) => {
                return match EffectState::standing(Some(&row.state), effects::lookup().guarantee(), now) {
                    Standing::Settled => Ok(row.reference.unwrap_or_else(|| NONE.to_owned())),
                    Standing::Free | Standing::Busy(_) | Standing::Ambiguous(_) => Err(Busy.into()),
                };
            }
            // Only an effect that is performed at most once expects a version.
            Err(NotGranted::Stale(_)) => return Err(Busy.into()),
        };
        let (settlement, answer) = match question().await {
            Ok(Answer { reference, expires_at }) => {
                (Settlement::Answered { reference: reference.clone(), expires_at }, Ok(reference))
            }
            Err(error) => (Settlement::Retry { reason: error.reason().to_owned() }, Err(error)),
        };
        match self.ledger.settle(key, &claim, &settlement, self.clock.now_ms()).await? {
            Ok(_) => answer,
            // The lease ended meanwhile: the executor that took over decides.
            Err(Refused) => answer.and(Err(Busy.into())),
        }
    }
}

/// The answer that the ledger remembers, from the rows of the subject that was asked about.
pub(crate) fn remembered(rows: &[EffectRow]) -> Option<&str> {
    let row = rows.iter().find(|row| row.effect == effects::lookup() && row.state == EffectState::Done)?;
    Some(row.reference.as_deref().unwrap_or(NONE))
}

/// Whether a question was begun, from the rows of what it is about, and its executor has given it up.
///
/// # Errors
///
/// When an earlier try at the same event may still be asking it: then this one waits for the end of its lease, because
/// no other may take it up again.
pub(crate) fn is_abandoned(rows: &[EffectRow], executor: Executor<'_>, now: i64) -> Result<bool, Busy> {
    let Some(row) = rows.iter().find(|row| row.effect == effects::lookup()) else {
        return Ok(false);
    };
    match EffectState::standing(Some(&row.state), effects::lookup().guarantee(), now) {
        Standing::Busy(_) if row.event_id.as_deref() == Some(executor.event_id) => Err(Busy),
        Standing::Busy(_) | Standing::Settled | Standing::Ambiguous(_) => Ok(false),
        Standing::Free => Ok(true),
    }
}

#[cfg(test)]
mod tests;
