use effect_ledger::{
    Busy, Clock, Effect, EffectKey, EffectStore, MovedMoney, Policy as Attempts, StoreError,
};
use fulfilment::{
    AsOf, Contribution, CorrectionBroken, DisputeEvent, FraudWarningEvent, InvoiceEvent, NotACorrection,
    NotReadable, PaymentEvent, PaymentId, Policy, RefundEvent, SessionBroken, SessionEvent, SessionOutcome,
    SkipReason, SubscriptionContract, SupporterRow,
};
use payment_lookup::{LookupFailed, PaymentLookup, Stripe, Whose};
use stripe_events::{Event, EventType, Object, SnapshotEvent};
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError};
use uuid::Uuid;

use crate::records::{Change, ContractNote, Found, News, Note, Records, RecordsError, Saved};

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

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        match read(&delivery.event, self.livemode) {
            Ok(Told::OfSession(event)) => self.record(&event, delivery).await,
            Ok(Told::OfPaymentIntent(event)) => {
                let payment = self.lookup.payment(event.payment_id(), delivery.executor()).await?;
                self.record(&event.of_payment(payment.payment_id), delivery).await
            }
            Ok(Told::OfInvoice(invoice)) => self.record_invoice(*invoice, delivery).await,
            Ok(Told::Paid { payment_intent, invoice }) => {
                let known = self.lookup.remember(&payment_intent, &invoice, delivery.executor()).await?;
                Ok(if known { Outcome::Done } else { Outcome::Skipped("payment_unknown") })
            }
            Err(Unreadable::Skip(reason)) => Ok(Outcome::Skipped(reason.as_str())),
            Err(Unreadable::Broken(broken)) => {
                let (key, error) = *broken;
                let payment = self.lookup.payment(&key.payment_id, delivery.executor()).await?;
                self.park(&EffectKey { payment_id: payment.payment_id, ..key }, error, delivery).await
            }
        }
    }
}

/// What an event tells, by how its payment is found.
enum Told {
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
enum Unreadable {
    /// None of our business.
    Skip(SkipReason),
    /// Parked under the effect it should have had.
    Broken(Box<(EffectKey, TaskFailed)>),
}

/// What an event tells of its payment.
fn read(event: &Event, livemode: bool) -> Result<Told, Unreadable> {
    let correction = |error, effect: fn(&str) -> Effect| match error {
        NotACorrection::Skip(reason) => Unreadable::Skip(reason),
        NotACorrection::Broken { payment_id, correction_id, broken } => {
            let key = EffectKey { payment_id, effect: effect(&correction_id) };
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
            .map_err(|error| correction(error, Effect::contribution_refund)),
        Object::Dispute(_) => DisputeEvent::read(event, livemode)
            .map(|event| of_payment_intent(event.into()))
            .map_err(|error| correction(error, Effect::contribution_dispute)),
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
                    let key = EffectKey { payment_id, effect: Effect::contribution(intended) };
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

impl<R: Records, S: Stripe, L: EffectStore, C: Clock> ContributionRecords<R, S, L, C> {
    /// Records a subscription's paid invoice, once it is known that the subscription is ours and what it sells.
    async fn record_invoice(
        &self,
        invoice: InvoiceEvent,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let effect = effect_of_invoice(&invoice);
        let key = EffectKey { payment_id: invoice.payment_id.clone(), effect };
        let payment = match self.lookup.whose(&invoice, delivery.executor()).await? {
            Whose::Ours(contract) => invoice.payment(*contract),
            Whose::Broken(broken) => Err(SessionBroken::Contract(broken)),
            Whose::AnotherBusiness => {
                return Ok(Outcome::Skipped(SkipReason::AnotherBusiness.as_str()));
            }
        };
        match payment {
            Ok(payment) => self.record(&payment.into(), delivery).await,
            Err(broken) => self.park(&key, TaskFailed::BrokenSession(broken), delivery).await,
        }
    }

    async fn park(
        &self,
        key: &EffectKey,
        error: TaskFailed,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        delivery.park(&self.ledger, &self.clock, key, Attempts::AtLeastOnce, error).await
    }

    /// Folds the event into the record and writes what follows, in one transaction.
    ///
    /// The first try assumes that there is no record yet and that the ledger does not know the event, which is so
    /// for most; the failed conditions tell what is there. A record the event does not change has seen it before.
    async fn record(&self, event: &PaymentEvent, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let mut found = Found::default();
        let contract = contract(event)?;
        for _ in 0..TRIES {
            let before = found.record.as_ref().map(|stored| &stored.contribution);
            let after = before
                .cloned()
                .unwrap_or_else(|| Contribution::new(event.payment_id().clone()))
                .with_event(event, &self.supporter_namespace);
            if before == Some(&after) {
                if found.noted {
                    return Ok(Outcome::Skipped("already_done"));
                }
                // The ledger's row has gone.
                let key = EffectKey { payment_id: event.payment_id().clone(), effect: effect(event) };
                let reason = "already_recorded";
                return delivery.skip(&self.ledger, &self.clock, &key, Attempts::AtLeastOnce, reason).await;
            }
            let becomes_paid =
                after.paid_at.is_some() && before.is_none_or(|record| record.paid_at.is_none());
            let supporter_before = before.and_then(|record| record.session.supporter_id.clone());
            let supporter = SupporterRow::of(&after, &self.policy);
            let now = self.clock.now_ms();
            let expires_at = after.expires_at(&self.policy, now / 1000);
            let change = Change {
                revision: found.record.as_ref().map(|stored| &stored.revision),
                unless_noted: before.is_none() && !found.noted,
                left_supporter: supporter_before
                    .filter(|id| supporter.as_ref().is_none_or(|row| row.supporter_id != *id)),
                supporter,
                expires_at,
                news: news(event, before, &after, (!found.is_ours).then_some(expires_at)),
                notes: notes(event, before, &after, expires_at),
                contract: contract.as_ref(),
                contribution: after,
                now,
            };
            match self.records.save(change).await? {
                Saved::Written => {
                    if becomes_paid {
                        delivery.note(PAID);
                    }
                    return Ok(Outcome::Done);
                }
                Saved::Refused(now) => {
                    found = Found {
                        record: now.record.or(found.record),
                        noted: now.noted || found.noted,
                        is_ours: now.is_ours || found.is_ours,
                    };
                }
            }
        }
        Err(TaskFailed::Contended)
    }
}

/// What the ledger calls what an event does to the records.
fn effect(event: &PaymentEvent) -> Effect {
    match event {
        PaymentEvent::Session(event) => Effect::contribution(event.outcome),
        PaymentEvent::Refund(event) => Effect::contribution_refund(&event.refund_id),
        PaymentEvent::Dispute(event) => Effect::contribution_dispute(&event.dispute_id),
        PaymentEvent::FraudWarning(event) => Effect::contribution_fraud_warning(&event.warning_id),
        PaymentEvent::Invoice(event) => effect_of_invoice(&event.invoice),
    }
}

/// A first payment has its session's effects, and one of its own for the term that only the invoice tells.
fn effect_of_invoice(invoice: &InvoiceEvent) -> Effect {
    if invoice.is_first { Effect::contribution_term() } else { Effect::contribution(SessionOutcome::Paid) }
}

/// What a session says of the subscription it begins, for its renewals: none of them says it again.
fn contract(event: &PaymentEvent) -> Result<Option<ContractNote>, serde_json::Error> {
    let PaymentEvent::Session(event) = event else {
        return Ok(None);
    };
    let Some(subscription_id) = &event.subscription_id else {
        return Ok(None);
    };
    Ok(Some(ContractNote {
        key: EffectKey { payment_id: PaymentId::new(subscription_id), effect: Effect::contract() },
        event_id: event.event_id.clone(),
        contract: serde_json::to_string(&SubscriptionContract::of_event(event))?,
    }))
}

fn event_id(event: &PaymentEvent) -> &str {
    match event {
        PaymentEvent::Session(event) => &event.event_id,
        PaymentEvent::Refund(event) => &event.event_id,
        PaymentEvent::Dispute(event) => &event.event_id,
        PaymentEvent::FraudWarning(event) => &event.event_id,
        PaymentEvent::Invoice(event) => &event.invoice.event_id,
    }
}

/// Word for the thanks, which nobody wants for a gift that was given back. A payment that has become known takes the
/// expiry off the word that had been waiting for it.
fn news(
    event: &PaymentEvent,
    before: Option<&Contribution>,
    after: &Contribution,
    expires_at: Option<i64>,
) -> Option<News> {
    let tells_of_refunds = match event {
        PaymentEvent::Refund(_) => true,
        PaymentEvent::Dispute(_) | PaymentEvent::FraudWarning(_) => false,
        PaymentEvent::Session(_) | PaymentEvent::Invoice(_) => {
            before.is_some_and(|before| !before.is_known() && !before.refunds.is_empty())
        }
    };
    tells_of_refunds.then(|| News {
        key: EffectKey {
            payment_id: event.payment_id().clone(),
            effect: Effect::email_about(SessionOutcome::Paid),
        },
        expires_at: expires_at.filter(|_| !after.is_known()),
    })
}

/// What the ledger is told of the event, and of the refunds and disputes that had been waiting for it.
fn notes(
    event: &PaymentEvent,
    before: Option<&Contribution>,
    after: &Contribution,
    expires_at: i64,
) -> Vec<Note> {
    let note = |effect, as_of: &AsOf, amount, created_at: Option<i64>| Note {
        effect,
        event_id: as_of.event_id.clone(),
        moved: Some(MovedMoney { amount, occurred_at: created_at.unwrap_or(as_of.occurred_at) }),
        expires_at: (!after.is_known()).then_some(expires_at),
    };
    let refund = |id: &String| {
        let facts = after.refunds.get(id)?;
        Some(note(Effect::contribution_refund(id), &facts.as_of, facts.returned(), facts.created_at))
    };
    let dispute = |id: &String| {
        let facts = after.disputes.get(id)?;
        Some(note(Effect::contribution_dispute(id), &facts.as_of, facts.held(), facts.created_at))
    };
    let own = |event_id: &str, effect| Note {
        effect,
        event_id: event_id.to_owned(),
        moved: None,
        expires_at: (!after.is_known()).then_some(expires_at),
    };
    let warning = |id: &String| {
        let facts = after.fraud_warnings.get(id)?;
        Some(own(&facts.as_of.event_id, Effect::contribution_fraud_warning(id)))
    };
    match event {
        PaymentEvent::Refund(event) => refund(&event.refund_id).into_iter().collect(),
        PaymentEvent::Dispute(event) => dispute(&event.dispute_id).into_iter().collect(),
        PaymentEvent::FraudWarning(event) => warning(&event.warning_id).into_iter().collect(),
        PaymentEvent::Session(_) | PaymentEvent::Invoice(_) => {
            let mut notes = vec![own(event_id(event), effect(event))];
            if effect(event) == Effect::contribution_term() {
                // Also without the session's word, the payment is recorded now.
                notes.push(own(event_id(event), Effect::contribution(SessionOutcome::Paid)));
            }
            if before.is_some_and(|before| !before.is_known()) {
                // A handful, far below the hundred writes of a transaction.
                notes.extend(after.refunds.keys().filter_map(refund));
                notes.extend(after.disputes.keys().filter_map(dispute));
                notes.extend(after.fraud_warnings.keys().filter_map(warning));
            }
            notes
        }
    }
}

#[cfg(test)]
mod tests;
