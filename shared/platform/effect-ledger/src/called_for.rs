use fulfilment::{
    AcquisitionCorrection, ConsentForm, DisputeEvent, FraudWarningEvent, InvoiceEvent, NotACorrection,
    NotReadable, PaymentId, Policy, RefundEvent, SessionEvent, SessionOutcome,
};
use stripe_events::{Event, Object};

use crate::Effect;

/// What an event calls for: the rows the ledger holds once every task has dealt with it.
///
/// The one place that says so. Each task has a test that it writes the rows named here for it, so that nothing is
/// looked for that nobody does, and nothing is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalledFor {
    /// The payment the event is about. A refund, a dispute, a fraud warning or an invoice may be about another
    /// business's. Where it is a payment intent, the rows may be under the invoice that it leads to
    /// ([`EffectRow::alias`](crate::EffectRow::alias)).
    pub payment_id: PaymentId,
    /// `sub_…`, when it depends on the subscription whether anything is called for: an invoice carries no marker of
    /// ours unless its subscription does. The effects are called for if the subscription is ours.
    pub if_ours: Option<String>,
    /// What a session says of the money; `None` for all other events.
    pub outcome: Option<SessionOutcome>,
    /// What must be in the ledger, in the order of the tasks.
    pub effects: Vec<Effect>,
}

impl CalledFor {
    /// What an event calls for in a stage under a policy; `None` for what no task acts on.
    pub fn by(event: &Event, livemode: bool, policy: &Policy) -> Option<Self> {
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
fn of_invoice(invoice: InvoiceEvent, policy: &Policy) -> CalledFor {
    let effects = if invoice.is_first {
        vec![Effect::contribution_term()]
    } else {
        let thanks = policy.thanks_renewals().then(|| Effect::email_about(SessionOutcome::Paid));
        let recorded = [Effect::contribution(SessionOutcome::Paid), Effect::acquisition()];
        thanks.into_iter().chain(recorded).collect()
    };
    let if_ours = invoice.marked.is_none().then_some(invoice.subscription_id);
    CalledFor { payment_id: invoice.payment_id, if_ours, outcome: None, effects }
}

fn of_fraud_warning(warning: &FraudWarningEvent) -> CalledFor {
    let effects = vec![Effect::contribution_fraud_warning(&warning.warning_id)];
    CalledFor { payment_id: warning.payment_id.clone(), if_ours: None, outcome: None, effects }
}

/// A broken session is parked under the same effects it should have had.
fn of_session(event: &Event, read: Result<SessionEvent, NotReadable>) -> Option<CalledFor> {
    let (payment_id, outcome) = match read {
        Ok(event) => (event.payment_id, event.outcome),
        Err(NotReadable::Broken { payment_id, intended, .. }) => (payment_id, intended),
        Err(NotReadable::Skip(_)) => return None,
    };
    let mut effects = vec![Effect::email_about(outcome), Effect::contribution(outcome)];
    match outcome {
        SessionOutcome::Paid => effects.extend([Effect::consents(), Effect::acquisition()]),
        // An answer counts whatever becomes of the money. Where nothing was answered there is nothing to record.
        SessionOutcome::Pending if ConsentForm::of_event(event).is_some_and(|form| form.is_answered()) => {
            effects.push(Effect::consent_answers());
        }
        SessionOutcome::Pending | SessionOutcome::Failed => {}
    }
    Some(CalledFor { payment_id, if_ours: None, outcome: Some(outcome), effects })
}

fn of_refund(read: Result<RefundEvent, NotACorrection>) -> Option<CalledFor> {
    let refund = match read {
        Ok(refund) => refund,
        Err(error) => return of_broken(error, Effect::contribution_refund),
    };
    let corrections = AcquisitionCorrection::of_refund(&refund);
    Some(of_correction(refund.payment_id, Effect::contribution_refund(&refund.refund_id), &corrections))
}

fn of_dispute(read: Result<DisputeEvent, NotACorrection>) -> Option<CalledFor> {
    let dispute = match read {
        Ok(dispute) => dispute,
        Err(error) => return of_broken(error, Effect::contribution_dispute),
    };
    let corrections = AcquisitionCorrection::of_dispute(&dispute);
    let recorded = Effect::contribution_dispute_status(&dispute.dispute_id, dispute.status);
    Some(of_correction(dispute.payment_id, recorded, &corrections))
}

fn of_correction(payment_id: PaymentId, recorded: Effect, told: &[AcquisitionCorrection]) -> CalledFor {
    let told = told.iter().map(|correction| Effect::acquisition_correction(&correction.movement));
    let effects = std::iter::once(recorded).chain(told).collect();
    CalledFor { payment_id, if_ours: None, outcome: None, effects }
}

/// One that nothing can be made of is parked by the records. Analysts are told of it only if they were told of the
/// payment, so that row is not asked for.
fn of_broken(error: NotACorrection, effect: fn(&str) -> Effect) -> Option<CalledFor> {
    match error {
        NotACorrection::Skip(_) => None,
        NotACorrection::Broken { payment_id, correction_id, .. } => Some(CalledFor {
            payment_id,
            if_ours: None,
            outcome: None,
            effects: vec![effect(&correction_id)],
        }),
    }
}

#[cfg(test)]
mod tests {
    use fulfilment::FulfilmentKind;
    use serde_json::Value;
    use testkit::policy::with_renewals_thanked;
    use testkit::stripe::{CorrectionEvent, InvoiceEvent, SessionEvent};

    use super::*;

    fn check(event: Value, expected: Option<&[&str]>) {
        let shown = event["type"].clone();
        let called_for =
            CalledFor::by(&Event::from_value(event).unwrap(), false, &with_renewals_thanked(&[]));
        let effects = called_for.map(|it| it.effects.iter().map(ToString::to_string).collect::<Vec<_>>());
        let expected = expected.map(|effects| effects.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(effects, expected, "{shown}");
    }

    #[test]
    fn a_session_calls_for_what_its_money_is_worth() {
        let paid = ["email#thank-you", "contribution#paid", "consents", "acquisition"];
        check(SessionEvent::paid().to_json(), Some(&paid));
        check(SessionEvent::async_succeeded().to_json(), Some(&paid));
        let broken = serde_json::json!({ "fulfilment": "donation" });
        check(SessionEvent::paid().metadata(broken).to_json(), Some(&paid));
        let pending = ["email#payment-pending", "contribution#pending"];
        check(SessionEvent::unpaid().to_json(), Some(&pending));
        check(SessionEvent::unpaid().marketing(None).to_json(), Some(&pending));
        let answered = [&pending[..], &["consents#answers"]].concat();
        check(SessionEvent::unpaid().marketing(Some("no")).to_json(), Some(&answered));
        check(SessionEvent::async_failed().to_json(), Some(&["email#payment-failed", "contribution#failed"]));
    }

    #[test]
    fn a_correction_calls_for_what_it_moves() {
        let refund = |what| CorrectionEvent::refund("P", "re_1", what).to_json();
        check(refund("created"), Some(&["contribution#refund#re_1", "acquisition#refund#re_1"]));
        check(
            refund("failed"),
            Some(&["contribution#refund#re_1", "acquisition#refund#re_1", "acquisition#refund#re_1#failed"]),
        );
        let dispute = |what| CorrectionEvent::dispute("P", "dp_1", what).to_json();
        check(dispute("created"), Some(&["contribution#dispute#dp_1"]));
        check(dispute("updated"), Some(&["contribution#dispute#dp_1"]));
        check(dispute("funds_withdrawn"), Some(&["contribution#dispute#dp_1", "acquisition#dispute#dp_1"]));
        let broken = CorrectionEvent::refund("P", "re_1", "created").object("amount", Value::Null);
        check(broken.to_json(), Some(&["contribution#refund#re_1"]));
    }

    #[test]
    fn how_a_dispute_stands_calls_for_a_row_of_its_own_once_it_has_ended() {
        let dispute =
            |what: &str, status: &str| CorrectionEvent::dispute("P", "dp_1", what).status(status).to_json();
        let (taken, back) = ("acquisition#dispute#dp_1", "acquisition#dispute#dp_1#reinstated");
        check(dispute("closed", "warning_closed"), Some(&["contribution#dispute#dp_1"]));
        check(dispute("closed", "lost"), Some(&["contribution#dispute#dp_1#lost", taken]));
        check(dispute("created", "lost"), Some(&["contribution#dispute#dp_1#lost", taken]));
        check(dispute("closed", "won"), Some(&["contribution#dispute#dp_1#won", taken, back]));
        check(dispute("updated", "appeal_under_review"), Some(&["contribution#dispute#dp_1#appealed"]));
        check(dispute("updated", "prevented"), Some(&["contribution#dispute#dp_1#prevented"]));
        let prevented = CorrectionEvent::prevented("P", "dp_1", "block");
        check(prevented.to_json(), Some(&["contribution#dispute#dp_1#blocked"]));
        let prevented = CorrectionEvent::prevented("P", "dp_1", "resolution");
        check(prevented.to_json(), Some(&["contribution#dispute#dp_1#lost", taken]));
        // A return of which nothing says how much it is can be published by no task.
        check(dispute("funds_reinstated", "lost"), Some(&["contribution#dispute#dp_1#lost", taken]));
        let in_part = CorrectionEvent::dispute("P", "dp_1", "funds_reinstated").status("lost");
        let in_part = in_part.balance("gbp", &[-1250, 500]);
        check(in_part.to_json(), Some(&["contribution#dispute#dp_1#lost", taken, back]));
    }

    #[test]
    fn a_renewal_calls_for_thanks_only_where_a_kind_says_so() {
        let effects = |event: Value, thanked: bool| {
            let kinds: &[_] = if thanked { &[FulfilmentKind::Membership] } else { &[] };
            let event = Event::from_value(event).unwrap();
            let called_for = CalledFor::by(&event, false, &with_renewals_thanked(kinds)).unwrap();
            called_for.effects.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let renewal = InvoiceEvent::renewal("Member", "Renewal1").to_json();
        assert_eq!(effects(renewal.clone(), false), ["contribution#paid", "acquisition"]);
        assert_eq!(effects(renewal, true), ["email#thank-you", "contribution#paid", "acquisition"]);
        let first = InvoiceEvent::first("Member").to_json();
        assert_eq!(effects(first.clone(), false), ["contribution#term"]);
        assert_eq!(effects(first, true), ["contribution#term"], "its session calls for the thanks");
    }

    #[test]
    fn what_is_none_of_our_business_calls_for_nothing() {
        check(SessionEvent::paid().without_marker().to_json(), None);
        check(SessionEvent::paid().livemode().to_json(), None);
        check(SessionEvent::paid().session("mode", "setup".into()).to_json(), None);
        check(SessionEvent::paid().set("/type", "checkout.session.expired".into()).to_json(), None);
        let foreign = CorrectionEvent::refund("P", "re_1", "created").object("payment_intent", Value::Null);
        check(foreign.to_json(), None);
    }
}
