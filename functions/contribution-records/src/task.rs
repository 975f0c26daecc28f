use aws::Clock;
use effect_ledger::{
    Busy, Disposed, Disposition, Effect, EffectKey, EffectRow, EffectState, EffectStore, StoreError, Subject,
    dispose,
};
use fulfilment::{
    BrokenCorrection, BrokenSession, Contribution, CorrectionBroken, InvoiceEvent, PaymentEvent, PaymentId,
    Policy, Reading, RefundStatus, SessionBroken, SkipReason, SupporterRow, effects,
};
use payment_ledger::as_filed;
use payment_lookup::{LookupFailed, PaymentLookup, Stripe, Whose};
use stripe_events::Event;
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError};
use uuid::Uuid;

use crate::ledger_entries::{
    contract, effect, effect_of_invoice, ledger_entries, raised_version, waiting_entries,
};
use crate::records::{
    ContractNote, CurrentRows, RecordChange, Records, RecordsError, Revision, Saved, Stored,
};

/// Keeps the contribution and supporter records.
pub(crate) struct ContributionRecords<R, S, L, C> {
    pub(crate) records: R,
    pub(crate) ledger: L,
    pub(crate) lookup: PaymentLookup<S, L, C>,
    pub(crate) policy: Policy,
    pub(crate) livemode: bool,
    pub(crate) supporter_namespace: Uuid,
    pub(crate) clock: C,
}

/// How often a change is folded again onto a record that changed meanwhile, before the message goes back.
const TRIES: u32 = 4;

/// The metric that counts payments, each once: when its money is first heard of. An alarm listens for its silence.
const PAID: &str = "Paid";

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the event is ours but cannot be recorded")]
    BrokenSession(#[source] SessionBroken),
    #[error("the refund or dispute cannot be recorded")]
    BrokenCorrection(#[source] CorrectionBroken),
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Ledger(#[from] StoreError),
    #[error(transparent)]
    InFlight(#[from] Busy),
    #[error(transparent)]
    Lookup(#[from] LookupFailed),
    #[error("what the session says of its subscription cannot be written down")]
    Contract(#[from] serde_json::Error),
    #[error("other events of this payment kept changing the record")]
    Contended,
}

impl TaskError for TaskFailed {
    fn class(&self) -> FailureClass {
        match self {
            Self::BrokenSession(_) | Self::BrokenCorrection(_) => FailureClass::Permanent,
            Self::Records(_)
            | Self::Ledger(_)
            | Self::InFlight(_)
            | Self::Lookup(_)
            | Self::Contract(_)
            | Self::Contended => FailureClass::Retryable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::BrokenSession(broken) => broken.as_str(),
            Self::BrokenCorrection(broken) => broken.as_str(),
            Self::Records(_) => "records_unavailable",
            Self::Ledger(_) => "ledger_unavailable",
            Self::InFlight(_) => "in_flight",
            Self::Lookup(error) => error.reason(),
            Self::Contract(_) => "contract_unwritable",
            Self::Contended => "contended",
        }
    }
}

impl<R: Records, S: Stripe, L: EffectStore, C: Clock> Task for ContributionRecords<R, S, L, C> {
    type Error = TaskFailed;

    fn subject(&self, event: &Event) -> Option<Subject> {
        PaymentId::subject_of(event)
    }

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let filed = as_filed(&self.ledger, &delivery.event).await?;
        match Reading::from_event(&filed, self.livemode) {
            Ok(Reading::Session(Ok(session))) => {
                self.record(&(*session).into(), Remembered::default(), delivery).await
            }
            Ok(Reading::Session(Err(BrokenSession { payment_id, intended, broken }))) => {
                let effect = effects::contribution(intended);
                self.park_broken(payment_id, effect, TaskFailed::BrokenSession(broken), delivery).await
            }
            Ok(Reading::Refund(Ok(refund))) => self.record_later(refund.into(), delivery).await,
            Ok(Reading::Dispute(Ok(dispute))) => self.record_later(dispute.into(), delivery).await,
            Ok(Reading::FraudWarning(warning)) => self.record_later(warning.into(), delivery).await,
            Ok(Reading::Refund(Err(BrokenCorrection { payment_id, correction_id, broken }))) => {
                let effect = effects::contribution_refund(&correction_id);
                self.park_broken(payment_id, effect, TaskFailed::BrokenCorrection(broken), delivery).await
            }
            Ok(Reading::Dispute(Err(BrokenCorrection { payment_id, correction_id, broken }))) => {
                let effect = effects::contribution_dispute(&correction_id);
                self.park_broken(payment_id, effect, TaskFailed::BrokenCorrection(broken), delivery).await
            }
            Ok(Reading::Invoice(invoice)) => self.record_invoice(*invoice, delivery).await,
            Ok(Reading::InvoicePayment { payment_intent, invoice_id }) => {
                let executor = delivery.executor();
                let known = self.lookup.remember(payment_intent.as_str(), &invoice_id, executor).await?;
                Ok(if known { Outcome::Done } else { Outcome::Skipped("payment_unknown") })
            }
            Err(reason) => Ok(Outcome::Skipped(reason.as_str())),
        }
    }
}

impl<R: Records, S: Stripe, L: EffectStore, C: Clock> ContributionRecords<R, S, L, C> {
    /// Records what carries a payment intent, under the payment that the payment intent leads to.
    async fn record_later(&self, event: PaymentEvent, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let payment = self.lookup.payment(event.payment_id(), delivery.executor()).await?;
        let remembered = Remembered::of(&payment.rows);
        let event = event.of_payment(payment.payment_id);
        self.record(&event, remembered, delivery).await
    }

    /// Stripe has the money of a failed refund back with us, and the customer was told that it comes: they must be paid
    /// in another way. Parked until an operator closes it, once for each refund; whoever closed it has paid them.
    ///
    /// <https://docs.stripe.com/refunds#failed-refunds>
    async fn hand_to_operator(
        &self,
        payment_id: &PaymentId,
        failed: &[String],
        delivery: &Delivery,
    ) -> Result<(), TaskFailed> {
        if failed.is_empty() {
            return Ok(());
        }
        let rows = self.ledger.of_subject(payment_id).await?;
        for refund_id in failed {
            let key = EffectKey::new(payment_id, effects::contribution_refund_failed(refund_id));
            if rows.iter().any(|row| row.effect == key.effect) {
                continue;
            }
            let detail = "the refund failed, and the customer did not get the money";
            let park = Disposition::Park { reason: REFUND_FAILED_REASON, detail };
            let event_id = delivery.event.id();
            let disposed = dispose::<_, TaskFailed>(&self.ledger, &self.clock, &key, park, event_id).await?;
            if disposed == Disposed::Written {
                delivery.count(REFUND_FAILED);
            }
        }
        Ok(())
    }

    /// Parks the effect that a broken event should have had.
    async fn park_broken(
        &self,
        payment_id: PaymentId,
        effect: Effect,
        error: TaskFailed,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let payment = self.lookup.payment(&payment_id, delivery.executor()).await?;
        self.park(&EffectKey::new(payment.payment_id, effect), error, delivery).await
    }

    /// Records a subscription's paid invoice, once it is known that the subscription is ours and what it sells.
    async fn record_invoice(
        &self,
        invoice: InvoiceEvent,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let effect = effect_of_invoice(&invoice);
        let key = EffectKey::new(&invoice.payment_id, effect);
        let whose = self.lookup.whose(&invoice, delivery.executor()).await?;
        if let Whose::Ours(contract) = &whose
            && self.lookup.is_filed_under_session(&invoice, contract).await?
        {
            let ledger = &self.ledger;
            let clock = &self.clock;
            let reason = "filed_under_session";
            return delivery.skip(ledger, clock, &key, reason).await;
        }
        match whose.payment(invoice) {
            Some(Ok(payment)) => self.record(&payment.into(), Remembered::default(), delivery).await,
            Some(Err(broken)) => self.park(&key, TaskFailed::BrokenSession(broken), delivery).await,
            None => Ok(Outcome::Skipped(SkipReason::AnotherBusiness.as_str())),
        }
    }

    async fn park(
        &self,
        key: &EffectKey,
        error: TaskFailed,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let is_ours = matches!(error, TaskFailed::BrokenSession(_));
        let parked = delivery.park(&self.ledger, &self.clock, key, error).await;
        if is_ours {
            // After the ledger says so: a refund that comes from now on finds it there.
            self.keep_waiting(key.subject.clone().into()).await?;
        }
        parked
    }

    /// Folds the event into the record and writes what follows, in one transaction.
    ///
    /// The first try assumes that there is no record yet and that the ledger does not know the event, which is so
    /// for most; the refused conditions show the current rows. A record the event does not change has seen it before. A
    /// record that the ledger remembers and the table does not have was erased, or has expired: it stays away.
    async fn record(
        &self,
        event: &PaymentEvent,
        mut remembered: Remembered,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let contract = contract(event)?;
        let mut found = CurrentRows { is_ours: remembered.is_ours, ..CurrentRows::default() };
        for _ in 0..TRIES {
            let before = found.record.as_ref().map(|stored| &stored.contribution);
            let after = before
                .cloned()
                .unwrap_or_else(|| Contribution::new(event.payment_id().clone()))
                .with_event(event, &self.supporter_namespace);
            let failed = failed_refunds(&after);
            if before == Some(&after) {
                self.hand_to_operator(event.payment_id(), &failed, delivery).await?;
                if found.already_settled {
                    return Ok(Outcome::Skipped("already_done"));
                }
                // The ledger's row has gone.
                return self.skip(event, "already_recorded", delivery).await;
            }
            let becomes_paid =
                after.paid_at.is_some() && before.is_none_or(|record| record.paid_at.is_none());
            let asks = Revision::none();
            let only_asks = before.is_none() && remembered.is_recorded;
            let revision = found.record.as_ref().map(|stored| &stored.revision);
            let revision = revision.or_else(|| only_asks.then_some(&asks));
            let change = self.change(event, &found, revision, contract.as_ref(), after);
            match self.records.save(change).await? {
                Saved::Written => {
                    if becomes_paid {
                        delivery.count(PAID);
                    }
                    self.hand_to_operator(event.payment_id(), &failed, delivery).await?;
                    return Ok(Outcome::Done);
                }
                Saved::Refused(now) if only_asks && now.is_absent => {
                    return match self.skip(event, ERASED_OR_EXPIRED, delivery).await? {
                        Outcome::Skipped(_) => Ok(Outcome::Skipped(ERASED_OR_EXPIRED)),
                        other @ (Outcome::Done | Outcome::Unknown(_)) => Ok(other),
                    };
                }
                Saved::Refused(now) => {
                    found = CurrentRows {
                        record: now.record.or(found.record),
                        is_absent: false,
                        already_settled: now.already_settled || found.already_settled,
                        is_ours: now.is_ours || found.is_ours,
                    };
                    remembered.is_recorded |= found.already_settled && makes_known(event);
                }
            }
        }
        Err(TaskFailed::Contended)
    }

    /// Everything that follows from the record as it is after an event.
    fn change<'a>(
        &self,
        event: &PaymentEvent,
        found: &CurrentRows,
        revision: Option<&'a Revision>,
        contract: Option<&'a ContractNote>,
        after: Contribution,
    ) -> RecordChange<'a> {
        let before = found.record.as_ref().map(|stored| &stored.contribution);
        let supporter_before = before.and_then(|record| record.session.supporter_id.clone());
        let supporter = SupporterRow::of(&after, &self.policy);
        let now = self.clock.now_ms();
        let expires_at = after.expires_at(&self.policy, now / 1000);
        let expires_at = (after.is_known() || !found.is_ours).then_some(expires_at);
        RecordChange {
            revision,
            unless_settled: before.is_none() && !found.already_settled,
            left_supporter: supporter_before
                .filter(|id| supporter.as_ref().is_none_or(|row| row.supporter_id != *id)),
            supporter,
            expires_at,
            raises: raised_version(event, before, &after, expires_at.filter(|_| !found.is_ours)),
            entries: ledger_entries(event, before, &after, expires_at),
            contract,
            contribution: after,
            now,
        }
    }

    async fn skip(
        &self,
        event: &PaymentEvent,
        reason: &'static str,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let key = EffectKey::new(event.payment_id(), effect(event));
        delivery.skip(&self.ledger, &self.clock, &key, reason).await
    }

    /// Takes the expiry off what came before its payment: that is ours, and parked, so it comes whenever an operator
    /// sends it again.
    async fn keep_waiting(&self, payment_id: PaymentId) -> Result<(), TaskFailed> {
        let asks = Revision::none();
        let mut record: Option<Box<Stored>> = None;
        for _ in 0..TRIES {
            let revision = record.as_ref().map_or(&asks, |stored| &stored.revision);
            let contribution = record.as_ref().map(|stored| stored.contribution.clone());
            if contribution.as_ref().is_some_and(Contribution::is_known) {
                return Ok(());
            }
            let contribution = contribution.unwrap_or_else(|| Contribution::new(payment_id.clone()));
            let change = RecordChange {
                revision: Some(revision),
                expires_at: None,
                supporter: None,
                left_supporter: None,
                entries: waiting_entries(&contribution, None),
                unless_settled: false,
                raises: None,
                contract: None,
                contribution,
                now: self.clock.now_ms(),
            };
            match self.records.save(change).await? {
                Saved::Written => return Ok(()),
                Saved::Refused(now) if now.is_absent => return Ok(()),
                Saved::Refused(now) => record = now.record.or(record),
            }
        }
        Err(TaskFailed::Contended)
    }
}

/// Why a record is not written again that the ledger remembers.
const ERASED_OR_EXPIRED: &str = "erased_or_expired";

/// The refunds of a payment of ours that did not reach the customer.
fn failed_refunds(record: &Contribution) -> Vec<String> {
    let failed = record.refunds.iter().filter(|(_, refund)| refund.status == RefundStatus::Failed);
    failed.filter(|_| record.is_known()).map(|(id, _)| id.clone()).collect()
}

/// The metric that counts refunds which failed, once each.
const REFUND_FAILED: &str = "RefundFailed";

/// Why a failed refund is open.
const REFUND_FAILED_REASON: &str = "refund_failed";

/// What the ledger remembers of a payment.
#[derive(Debug, Clone, Copy, Default)]
struct Remembered {
    /// A task has begun something that only a payment of ours calls for.
    is_ours: bool,
    /// The payment has had a record.
    is_recorded: bool,
}

impl Remembered {
    /// What its rows say. Only refunds, disputes and warnings look at them before they write: these are few, and a
    /// payment's own events are many.
    fn of(rows: &[EffectRow]) -> Self {
        let is_recorded =
            |row: &EffectRow| effects::is_of_our_record(&row.effect) && row.state == EffectState::Done;
        Self { is_ours: payment_ledger::is_ours(rows), is_recorded: rows.iter().any(is_recorded) }
    }
}

/// Whether an event says whose payment it is. The others may be about another business's.
const fn makes_known(event: &PaymentEvent) -> bool {
    match event {
        PaymentEvent::Session(_) | PaymentEvent::Invoice(_) => true,
        PaymentEvent::Refund(_) | PaymentEvent::Dispute(_) | PaymentEvent::FraudWarning(_) => false,
    }
}

#[cfg(test)]
mod tests;
