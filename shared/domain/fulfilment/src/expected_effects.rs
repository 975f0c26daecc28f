use effect_key::Effect;
use stripe_events::{Event, Object};

use crate::{
    AcquisitionCorrection, ConsentForm, DisputeEvent, FraudWarningEvent, InvoiceEvent, NotACorrection,
    NotReadable, PaymentId, Policy, RefundEvent, SessionEvent, SessionOutcome, effects,
};

/// What an event calls for: the rows the ledger holds once every task has dealt with it.
///
/// The one place that says so. Each task has a test that it writes the rows named here for it, so that nothing is
/// looked for that nobody does, and nothing is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedEffects {
    /// The payment the event is about. A refund, a dispute, a fraud warning or an invoice may be about another
    /// business's. Where it is a payment intent, the rows may be under the invoice that it leads to
    /// (`payment_ledger::alias`).
    pub payment_id: PaymentId,
    /// `sub_…`, when it depends on the subscription whether anything is called for: an invoice carries no marker of
    /// ours unless its subscription does. The effects are called for if the subscription is ours.
    pub if_ours: Option<String>,
    /// What a session says of the money; `None` for all other events.
    pub outcome: Option<SessionOutcome>,
    /// What must be in the ledger, in the order of the tasks.
    pub effects: Vec<Effect>,
}

impl ExpectedEffects {
    /// What an event calls for in a stage under a policy; `None` for what no task acts on.
    pub fn from_event(event: &Event, livemode: bool, policy: &Policy) -> Option<Self> {
        let Event::Snapshot(snapshot) = event else {
            return None;
        };
        match &snapshot.object {
            Object::Session(_) => of_session(event, SessionEvent::read(event, livemode)),
            Object::Refund(_) => of_refund(RefundEvent::read(event, livemode)),
            Object::Dispute(_) => of_dispute(DisputeEvent::read(event, livemode)),
            Object::Invoice(_) => {
                InvoiceEvent::read(event, livemode).ok().map(|invoice| of_invoice(invoice, policy))
            }
            Object::EarlyFraudWarning(_) => {
                FraudWarningEvent::read(event, livemode).ok().map(|warning| of_fraud_warning(&warning))
            }
            // It only spares a look-up.
            Object::InvoicePayment(_) | Object::Other(_) => None,
        }
    }
}

/// Of a first payment, the session calls for everything but the term.
///
/// An invoice does not say what its subscription sells. Where any kind thanks for renewals, the mail finds that out, and
/// has a row of every renewal of ours: `skipped` where its kind does not.
fn of_invoice(invoice: InvoiceEvent, policy: &Policy) -> ExpectedEffects {
    let effects = if invoice.is_first {
        vec![effects::contribution_term()]
    } else {
        let thanks = policy.thanks_renewals().then(|| effects::email_about(SessionOutcome::Paid));
        let recorded = [effects::contribution(SessionOutcome::Paid), effects::acquisition()];
        thanks.into_iter().chain(recorded).collect()
    };
    let if_ours = invoice.marked.is_none().then_some(invoice.subscription_id);
    ExpectedEffects { payment_id: invoice.payment_id, if_ours, outcome: None, effects }
}

fn of_fraud_warning(warning: &FraudWarningEvent) -> ExpectedEffects {
    let effects = vec![effects::contribution_fraud_warning(&warning.warning_id)];
    ExpectedEffects { payment_id: warning.payment_id.clone(), if_ours: None, outcome: None, effects }
}

/// A broken session is parked under the same effects it should have had.
fn of_session(event: &Event, read: Result<SessionEvent, NotReadable>) -> Option<ExpectedEffects> {
    let (payment_id, outcome) = match read {
        Ok(event) => (event.payment_id, event.outcome),
        Err(NotReadable::Broken { payment_id, intended, .. }) => (payment_id, intended),
        Err(NotReadable::Skip(_)) => return None,
    };
    let mut effects = vec![effects::email_about(outcome), effects::contribution(outcome)];
    match outcome {
        SessionOutcome::Paid => effects.extend([effects::consents(), effects::acquisition()]),
        // An answer counts whatever becomes of the money. Where nothing was answered there is nothing to record.
        SessionOutcome::Pending if ConsentForm::of_event(event).is_some_and(|form| form.is_answered()) => {
            effects.push(effects::consent_answers());
        }
        SessionOutcome::Pending | SessionOutcome::Failed => {}
    }
    Some(ExpectedEffects { payment_id, if_ours: None, outcome: Some(outcome), effects })
}

fn of_refund(read: Result<RefundEvent, NotACorrection>) -> Option<ExpectedEffects> {
    let refund = match read {
        Ok(refund) => refund,
        Err(error) => return of_broken(error, effects::contribution_refund),
    };
    let corrections = AcquisitionCorrection::of_refund(&refund);
    Some(of_correction(refund.payment_id, effects::contribution_refund(&refund.refund_id), &corrections))
}

fn of_dispute(read: Result<DisputeEvent, NotACorrection>) -> Option<ExpectedEffects> {
    let dispute = match read {
        Ok(dispute) => dispute,
        Err(error) => return of_broken(error, effects::contribution_dispute),
    };
    let corrections = AcquisitionCorrection::of_dispute(&dispute);
    let recorded = effects::contribution_dispute_status(&dispute.dispute_id, dispute.status);
    Some(of_correction(dispute.payment_id, recorded, &corrections))
}

fn of_correction(payment_id: PaymentId, recorded: Effect, told: &[AcquisitionCorrection]) -> ExpectedEffects {
    let told = told.iter().map(|correction| effects::acquisition_correction(&correction.movement));
    let effects = std::iter::once(recorded).chain(told).collect();
    ExpectedEffects { payment_id, if_ours: None, outcome: None, effects }
}

/// One that nothing can be made of is parked by the records. Analysts are told of it only if they were told of the
/// payment, so that row is not asked for.
fn of_broken(error: NotACorrection, effect: fn(&str) -> Effect) -> Option<ExpectedEffects> {
    match error {
        NotACorrection::Skip(_) => None,
        NotACorrection::Broken { payment_id, correction_id, .. } => Some(ExpectedEffects {
            payment_id,
            if_ours: None,
            outcome: None,
            effects: vec![effect(&correction_id)],
        }),
    }
}
