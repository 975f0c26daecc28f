use aws::Clock;
use effect_ledger::{
    Busy, Disposition, EffectKey, EffectStore, MovedMoney, Performed, StoreError, Subject, perform,
};
use fulfilment::{
    AcquisitionCorrection, AcquisitionEvent, BrokenCorrection, BrokenSession, Circumstances, Contribution,
    CorrectionBroken, DisputeEvent, InvoiceEvent, Movement, PaymentId, Policy, Reading, SessionBroken,
    SessionEvent, SessionOutcome, SkipReason, effects,
};
use payment_ledger::as_filed;
use payment_lookup::{LookupFailed, PaymentLookup, Stripe, Whose};
use stripe_events::{Event, Source};
use task_runtime::{Delivery, FailureClass, Outcome, Task, TaskError};
use tracing::warn;
use uuid::Uuid;

use crate::bus::{AcquisitionBus, NotPublished};
use crate::waiting::{is_on_its_way, is_published, key, waiting};

/// Publishes each acquisition, and what corrects it.
pub(crate) struct AcquisitionEvents<S, L, B, C> {
    pub(crate) ledger: L,
    pub(crate) lookup: PaymentLookup<S, L, C>,
    pub(crate) bus: B,
    pub(crate) policy: Policy,
    pub(crate) livemode: bool,
    pub(crate) supporter_namespace: Uuid,
    pub(crate) clock: C,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskFailed {
    #[error("the payment is ours but cannot be published")]
    BrokenSession(#[source] SessionBroken),
    #[error("the refund or dispute is of a payment of ours but cannot be published")]
    BrokenCorrection(#[source] CorrectionBroken),
    #[error("the event was not published")]
    NotPublished(#[source] NotPublished),
    #[error("the event cannot be published")]
    Refused(#[source] NotPublished),
    #[error(transparent)]
    InFlight(#[from] Busy),
    #[error("the lease ran out while the event was being published")]
    LeaseLost,
    #[error(transparent)]
    Ledger(#[from] StoreError),
    #[error(transparent)]
    Lookup(#[from] LookupFailed),
}

impl TaskError for TaskFailed {
    fn class(&self) -> FailureClass {
        match self {
            Self::BrokenSession(_) | Self::BrokenCorrection(_) | Self::Refused(_) => FailureClass::Permanent,
            Self::NotPublished(_)
            | Self::InFlight(_)
            | Self::LeaseLost
            | Self::Ledger(_)
            | Self::Lookup(_) => FailureClass::Retryable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::BrokenSession(broken) => broken.as_str(),
            Self::BrokenCorrection(broken) => broken.as_str(),
            Self::NotPublished(error) | Self::Refused(error) => error.reason(),
            Self::InFlight(_) => "in_flight",
            Self::LeaseLost => "lease_lost",
            Self::Ledger(_) => "ledger_unavailable",
            Self::Lookup(error) => error.reason(),
        }
    }
}

/// The session of a subscription's first payment says more than its invoice, and publishes it.
const TOLD_BY_SESSION: &str = "told_by_session";

/// The session is not paid.
const NOT_PAID: &str = "not_paid";

/// No payment of that id was published. Most often it is another business's.
const PAYMENT_UNKNOWN: &str = "payment_unknown";

/// The metric that counts events of returns which are not published, because nothing says how much came back.
const RETURN_UNKNOWN: &str = "ReturnUnknown";

/// Counts campaign codes that the policy does not list.
const NEW_CAMPAIGN: &str = "NewCampaign";

impl<S: Stripe, L: EffectStore, B: AcquisitionBus, C: Clock> Task for AcquisitionEvents<S, L, B, C> {
    type Error = TaskFailed;

    fn subject(&self, event: &Event) -> Option<Subject> {
        PaymentId::subject_of(event)
    }

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let filed = as_filed(&self.ledger, &delivery.event).await?;
        match Reading::from_event(&filed, self.livemode) {
            Ok(Reading::Session(Ok(session))) => match session.outcome {
                SessionOutcome::Paid => self.acquire(*session, delivery).await,
                SessionOutcome::Pending | SessionOutcome::Failed => Ok(Outcome::Skipped(NOT_PAID)),
            },
            Ok(Reading::Session(Err(BrokenSession { payment_id, intended, broken }))) => match intended {
                SessionOutcome::Paid => {
                    let key = EffectKey::new(payment_id, effects::acquisition());
                    self.park_acquisition(&key, broken, delivery).await
                }
                SessionOutcome::Pending | SessionOutcome::Failed => Ok(Outcome::Skipped(NOT_PAID)),
            },
            Ok(Reading::Invoice(invoice)) => self.acquire_again(*invoice, delivery).await,
            Ok(Reading::Refund(Ok(refund))) => {
                self.correct(AcquisitionCorrection::of_refund(&refund), delivery).await
            }
            Ok(Reading::Dispute(Ok(dispute))) => {
                if dispute.return_unknown {
                    self.count_unknown_return(&dispute, delivery).await?;
                }
                self.correct(AcquisitionCorrection::of_dispute(&dispute), delivery).await
            }
            Ok(Reading::Refund(Err(broken))) => {
                self.park_correction(broken, Movement::Refund, delivery).await
            }
            Ok(Reading::Dispute(Err(broken))) => {
                self.park_correction(broken, Movement::dispute, delivery).await
            }
            Ok(Reading::FraudWarning(_) | Reading::InvoicePayment { .. }) => {
                Ok(Outcome::Skipped(SkipReason::OtherEventType.as_str()))
            }
            Err(reason) => Ok(Outcome::Skipped(reason.as_str())),
        }
    }
}

impl<S: Stripe, L: EffectStore, B: AcquisitionBus, C: Clock> AcquisitionEvents<S, L, B, C> {
    /// Publishes a paid session, and every correction that came before it.
    async fn acquire(&self, event: SessionEvent, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        let circumstances = self.circumstances(delivery);
        let mut acquisition =
            AcquisitionEvent::of_session(&event, &self.policy, &self.supporter_namespace, circumstances);
        if let Some(subscription_id) = &event.subscription_id {
            let subscribed = self.lookup.subscribed(subscription_id, delivery.executor()).await?;
            acquisition = match subscribed.frequency {
                Some(frequency) => acquisition.due(frequency).of_items(subscribed.items),
                None => acquisition.of_items(subscribed.items),
            };
        }
        let key = EffectKey::new(event.payment_id, effects::acquisition());
        self.publish_with_corrections(&key, &acquisition, delivery).await
    }

    /// Publishes what a subscription was paid again, from its invoice. A first payment is published from its session,
    /// unless none began the subscription.
    async fn acquire_again(&self, invoice: InvoiceEvent, delivery: &Delivery) -> Result<Outcome, TaskFailed> {
        // Without a marker of its own, only a session of ours can have begun it.
        if invoice.is_first && invoice.marked.is_none() {
            return Ok(Outcome::Skipped(TOLD_BY_SESSION));
        }
        let key = EffectKey::new(&invoice.payment_id, effects::acquisition());
        let whose = self.lookup.whose(&invoice, delivery.executor()).await?;
        if let Whose::Ours(contract) = &whose
            && invoice.is_first
            && contract.session_id.is_some()
        {
            return Ok(Outcome::Skipped(TOLD_BY_SESSION));
        }
        let payment = match whose.payment(invoice) {
            Some(Ok(payment)) => payment,
            Some(Err(broken)) => return self.park_acquisition(&key, broken, delivery).await,
            None => return Ok(Outcome::Skipped(SkipReason::AnotherBusiness.as_str())),
        };
        let circumstances = self.circumstances(delivery);
        let mut acquisition =
            AcquisitionEvent::of_invoice(&payment, &self.policy, &self.supporter_namespace, circumstances);
        if payment.invoice.frequency.is_none()
            && let Some(frequency) =
                self.lookup.subscribed(&payment.invoice.subscription_id, delivery.executor()).await?.frequency
        {
            acquisition = acquisition.due(frequency);
        }
        self.publish_with_corrections(&key, &acquisition, delivery).await
    }

    /// Publishes an acquisition, and every correction that came before it.
    async fn publish_with_corrections(
        &self,
        key: &EffectKey,
        acquisition: &AcquisitionEvent,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let Published { outcome, version } = self.publish(key, acquisition, delivery).await?;
        if version > 0 {
            // Also when it was published before: that delivery may have failed at these.
            for correction in waiting(&key.subject, &self.ledger.of_subject(&key.subject).await?) {
                self.publish_correction(&correction, delivery).await?;
            }
        }
        Ok(outcome)
    }

    /// Publishes what a refund or a dispute corrects, or leaves it in the ledger for its payment to find.
    ///
    /// A waiting correction raises the version of the acquisition's row, and the delivery that publishes the
    /// acquisition reads it when it settles that row. Both are writes of one row, so whichever comes second sees the
    /// other.
    async fn correct(
        &self,
        corrections: Vec<AcquisitionCorrection>,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let Some(first) = corrections.first() else {
            return Ok(Outcome::Skipped("no_money_moved"));
        };
        let payment = self.lookup.payment(&first.payment_id, delivery.executor()).await?;
        let of_payment = |correction: AcquisitionCorrection| AcquisitionCorrection {
            payment_id: payment.payment_id.clone(),
            ..correction
        };
        let corrections: Vec<_> = corrections.into_iter().map(of_payment).collect();
        if !is_published(&payment.rows) {
            let is_ours = payment_ledger::is_ours(&payment.rows);
            let expires_at = (!is_ours).then(|| self.waiting_expires_at());
            for correction in &corrections {
                self.wait(correction, expires_at, delivery).await?;
            }
            let key = EffectKey::new(&payment.payment_id, effects::acquisition());
            let acquisition = self.ledger.raise_version(&key, self.waiting_expires_at()).await?;
            if !acquisition.as_ref().is_some_and(is_on_its_way) {
                if acquisition.is_some() && expires_at.is_some() {
                    // It was parked in between.
                    for correction in &corrections {
                        self.wait(correction, None, delivery).await?;
                    }
                }
                return Ok(Outcome::Skipped(PAYMENT_UNKNOWN));
            }
        }
        let mut outcome = Outcome::Skipped("already_done");
        for correction in &corrections {
            if let done @ Outcome::Done = self.publish_correction(correction, delivery).await? {
                outcome = done;
            }
        }
        Ok(outcome)
    }

    /// Parks a correction that nothing can be made of, where its payment was published.
    async fn park_correction(
        &self,
        broken: BrokenCorrection,
        movement: fn(String) -> Movement,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let payment = self.lookup.payment(&broken.payment_id, delivery.executor()).await?;
        if !is_published(&payment.rows) {
            return Ok(Outcome::Skipped(PAYMENT_UNKNOWN));
        }
        let effect = effects::acquisition_correction(&movement(broken.correction_id));
        let key = EffectKey::new(payment.payment_id, effect);
        self.park(&key, TaskFailed::BrokenCorrection(broken.broken), delivery).await
    }

    async fn publish_correction(
        &self,
        correction: &AcquisitionCorrection,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let event = AcquisitionEvent::of_correction(correction, self.circumstances(delivery));
        Ok(self.publish(&key(correction), &event, delivery).await?.outcome)
    }

    async fn publish(
        &self,
        key: &EffectKey,
        event: &AcquisitionEvent,
        delivery: &Delivery,
    ) -> Result<Published, TaskFailed> {
        let performed = perform(
            &self.ledger,
            &self.clock,
            key,
            delivery.executor(),
            async || self.bus.publish(event).await,
            NotPublished::reason,
        )
        .await?;
        match performed {
            Performed::Done { version } => {
                self.count_new_campaigns(event, delivery);
                Ok(Published { outcome: Outcome::Done, version })
            }
            Performed::AlreadySettled { version, .. } => {
                Ok(Published { outcome: Outcome::Skipped("already_done"), version })
            }
            Performed::NotDone(error) | Performed::Ambiguous(error) => Err(TaskFailed::NotPublished(error)),
            Performed::Rejected(error) => Err(TaskFailed::Refused(error)),
            // An effect that is performed at least once expects no version.
            Performed::Busy | Performed::Abandoned | Performed::Stale { .. } => {
                Err(TaskFailed::InFlight(Busy))
            }
            Performed::LeaseLost => Err(TaskFailed::LeaseLost),
        }
    }

    /// Counts campaigns that the policy does not list, once for each sale. They are published as they are.
    fn count_new_campaigns(&self, event: &AcquisitionEvent, delivery: &Delivery) {
        for new in self.policy.attribution.new_campaigns(&event.campaign_codes) {
            delivery.count(NEW_CAMPAIGN);
            warn!(payment.id = event.payment_id.as_str(), "{new}");
        }
    }

    /// Parks an acquisition, and keeps what waits for it until it is sent again.
    async fn park_acquisition(
        &self,
        key: &EffectKey,
        broken: SessionBroken,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        let parked = self.park(key, TaskFailed::BrokenSession(broken), delivery).await;
        // After the ledger says so: a correction that comes from now on finds it there.
        for correction in waiting(&key.subject, &self.ledger.of_subject(&key.subject).await?) {
            self.wait(&correction, None, delivery).await?;
        }
        parked
    }

    async fn park(
        &self,
        key: &EffectKey,
        error: TaskFailed,
        delivery: &Delivery,
    ) -> Result<Outcome, TaskFailed> {
        delivery.park(&self.ledger, &self.clock, key, error).await
    }

    /// Counts a return that is left out because nothing says how much came back, if the payment is ours.
    async fn count_unknown_return(
        &self,
        dispute: &DisputeEvent,
        delivery: &Delivery,
    ) -> Result<(), TaskFailed> {
        let payment = self.lookup.payment(&dispute.payment_id, delivery.executor()).await?;
        if payment_ledger::is_ours(&payment.rows) {
            delivery.count(RETURN_UNKNOWN);
            warn!(
                dispute.id = dispute.dispute_id,
                "money of a dispute came back, and the event does not say how much: it is not published"
            );
        }
        Ok(())
    }

    /// Leaves a correction in the ledger for its payment, until `expires_at` (Unix seconds) if that is not known to be
    /// ours. A payment of ours can be parked, and come whenever an operator sends it again.
    async fn wait(
        &self,
        correction: &AcquisitionCorrection,
        expires_at: Option<i64>,
        delivery: &Delivery,
    ) -> Result<(), StoreError> {
        let waiting = Disposition::AwaitPayment {
            reason: PAYMENT_UNKNOWN,
            moved: MovedMoney { amount: correction.amount, occurred_at: correction.occurred_at },
            moved_reason: correction.reason.as_deref(),
            expires_at,
        };
        let event_id = delivery.event.id();
        let now = self.clock.now_ms();
        // Refused when it is published already, which is as good.
        self.ledger.write_disposition(&key(correction), waiting, event_id, now).await?.ok();
        Ok(())
    }

    /// Until when a correction that comes now waits for its payment, in Unix seconds.
    fn waiting_expires_at(&self) -> i64 {
        self.clock.now_ms() / 1000 + Contribution::UNKNOWN_PAYMENT_KEPT_SECONDS
    }

    fn circumstances(&self, delivery: &Delivery) -> Circumstances {
        Circumstances {
            livemode: self.livemode,
            replayed: matches!(delivery.source, Source::Reconcile | Source::Operator),
            published_at: self.clock.now_ms() / 1000,
        }
    }
}

/// How a publication went.
struct Published {
    outcome: Outcome,
    /// How often a correction left word that it waits, if this is the acquisition.
    version: u32,
}

#[cfg(test)]
mod tests;
