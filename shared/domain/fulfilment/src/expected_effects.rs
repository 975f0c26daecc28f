use effect_key::Effect;
use stripe_events::Event;

use crate::{
    AcquisitionCorrection, BrokenCorrection, BrokenSession, ConsentForm, DisputeEvent, FraudWarningEvent,
    InvoiceEvent, PaymentId, Policy, Reading, RefundEvent, SessionEvent, SessionOutcome, effects,
};

/// The effects that an event calls for: the rows that the ledger holds once every task has handled the event.
///
/// The one place that says so. Each task has a test that it writes exactly the rows named here for it, so that
/// reconciliation neither misses an effect nor expects one that no task performs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedEffects {
    /// The payment the event is about. A refund, a dispute, a fraud warning or an invoice may be about another
    /// business's. Where it is a payment intent, the rows may be under the invoice that it leads to
    /// (`payment_ledger::alias`).
    pub payment_id: PaymentId,
    /// `sub_…`, when it depends on the subscription whether any effect is expected: an invoice carries no marker of
    /// ours unless its subscription does. The effects are expected if the subscription is ours.
    pub if_ours: Option<String>,
    /// What a session says of the money; `None` for all other events.
    pub outcome: Option<SessionOutcome>,
    /// What must be in the ledger, in the order of the tasks.
    pub effects: Vec<Effect>,
}

impl ExpectedEffects {
    /// What an event calls for in a stage under a policy; `None` for what no task acts on.
    pub fn from_event(event: &Event, livemode: bool, policy: &Policy) -> Option<Self> {
        match Reading::from_event(event, livemode).ok()? {
            Reading::Session(session) => Some(of_session(event, session)),
            Reading::Refund(refund) => Some(of_refund(refund)),
            Reading::Dispute(dispute) => Some(of_dispute(dispute)),
            Reading::Invoice(invoice) => Some(of_invoice(*invoice, policy)),
            Reading::FraudWarning(warning) => Some(of_fraud_warning(&warning)),
            Reading::InvoicePayment { .. } => None,
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
fn of_session(event: &Event, session: Result<Box<SessionEvent>, BrokenSession>) -> ExpectedEffects {
    let (payment_id, outcome) = match session {
        Ok(event) => (event.payment_id, event.outcome),
        Err(BrokenSession { payment_id, intended, .. }) => (payment_id, intended),
    };
    let mut effects = vec![effects::email_about(outcome), effects::contribution(outcome)];
    match outcome {
        SessionOutcome::Paid => {
            effects.push(effects::consents());
            effects.push(effects::acquisition());
        }
        // An answer counts whatever the payment's outcome. Where the customer gave none, there is nothing to record.
        SessionOutcome::Pending if ConsentForm::of_event(event).is_some_and(|form| form.is_answered()) => {
            effects.push(effects::consent_answers());
        }
        SessionOutcome::Pending | SessionOutcome::Failed => {}
    }
    ExpectedEffects { payment_id, if_ours: None, outcome: Some(outcome), effects }
}

fn of_refund(refund: Result<RefundEvent, BrokenCorrection>) -> ExpectedEffects {
    let refund = match refund {
        Ok(refund) => refund,
        Err(broken) => return of_broken(broken, effects::contribution_refund),
    };
    let corrections = AcquisitionCorrection::of_refund(&refund);
    of_correction(refund.payment_id, effects::contribution_refund(&refund.refund_id), &corrections)
}

fn of_dispute(dispute: Result<DisputeEvent, BrokenCorrection>) -> ExpectedEffects {
    let dispute = match dispute {
        Ok(dispute) => dispute,
        Err(broken) => return of_broken(broken, effects::contribution_dispute),
    };
    let corrections = AcquisitionCorrection::of_dispute(&dispute);
    let recorded = effects::contribution_dispute_status(&dispute.dispute_id, dispute.status);
    of_correction(dispute.payment_id, recorded, &corrections)
}

fn of_correction(
    payment_id: PaymentId,
    recorded: Effect,
    published: &[AcquisitionCorrection],
) -> ExpectedEffects {
    let published = published.iter().map(|correction| effects::acquisition_correction(&correction.movement));
    let effects = std::iter::once(recorded).chain(published).collect();
    ExpectedEffects { payment_id, if_ours: None, outcome: None, effects }
}

/// A broken refund or dispute is parked by the records. It is published only if its payment was, so that row is not
/// expected.
fn of_broken(broken: BrokenCorrection, effect: fn(&str) -> Effect) -> ExpectedEffects {
    ExpectedEffects {
        payment_id: broken.payment_id,
        if_ours: None,
        outcome: None,
        effects: vec![effect(&broken.correction_id)],
    }
}
