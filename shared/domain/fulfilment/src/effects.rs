//! Every effect, by the name under which the ledger keeps it.
//!
//! The catalogue says which task an effect belongs to, and with it the delivery guarantee: a mail cannot be recalled, so it
//! is sent at most once; a record is written under a condition and an acquisition has a deterministic id, so both are
//! repeated until they are known to be done.

use catalogue::Task;
use effect_key::Effect;

use crate::{Contribution, DisputeStatus, Movement, SessionOutcome};

const REFUND: &str = "refund#";
const DISPUTE: &str = "dispute#";
const FRAUD_WARNING: &str = "fraud-warning#";
const RESEND: &str = "#resend#";

/// The mail about a session's outcome.
pub fn email_about(outcome: SessionOutcome) -> Effect {
    email(match outcome {
        SessionOutcome::Paid => "thank-you",
        SessionOutcome::Pending => "payment-pending",
        SessionOutcome::Failed => "payment-failed",
    })
}

/// A mail, by its occasion and not by the wording that a campaign chose for it.
pub fn email(occasion: &str) -> Effect {
    Task::ThankYouEmail.effect(Some(occasion))
}

/// A mail that an operator asked for once more, under the request's id.
pub fn resent(mail: &Effect, resend_id: &str) -> Effect {
    mail.extended(&format!("{RESEND}{resend_id}"))
}

/// The id of the operator's request, where this is a mail sent once more ([`resent`]).
pub fn resend_id(effect: &Effect) -> Option<&str> {
    effect.as_str().split_once(RESEND).map(|(_, id)| id)
}

/// A session's outcome written to the records.
pub fn contribution(outcome: SessionOutcome) -> Effect {
    contribution_named(match outcome {
        SessionOutcome::Pending => "pending",
        SessionOutcome::Failed => "failed",
        SessionOutcome::Paid => "paid",
    })
}

/// A refund (`re_…`) written to the records.
pub fn contribution_refund(refund_id: &str) -> Effect {
    contribution_named(&format!("{REFUND}{refund_id}"))
}

/// A dispute (`dp_…`) written to the records.
pub fn contribution_dispute(dispute_id: &str) -> Effect {
    contribution_named(&format!("{DISPUTE}{dispute_id}"))
}

/// A failed refund, which the customer was told of and did not get: somebody's work until they have the money.
pub fn contribution_refund_failed(refund_id: &str) -> Effect {
    contribution_refund(refund_id).extended("#failed")
}

/// The status that a dispute has reached, written to the records.
///
/// The verdict of a dispute and what follows it have rows of their own, so that a missing one is found although the
/// records have seen the dispute before. What comes before the verdict shares the dispute's own row.
pub fn contribution_dispute_status(dispute_id: &str, status: DisputeStatus) -> Effect {
    let dispute = contribution_dispute(dispute_id);
    if status.is_before_verdict() { dispute } else { dispute.extended(&format!("#{}", status.name())) }
}

/// A warning of fraud (`issfr_…`) written to the records.
pub fn contribution_fraud_warning(warning_id: &str) -> Effect {
    contribution_named(&format!("{FRAUD_WARNING}{warning_id}"))
}

/// The end of the term that a subscription's first payment pays for, written to the records: the one fact that its
/// session does not carry.
pub fn contribution_term() -> Effect {
    contribution_named("term")
}

fn contribution_named(name: &str) -> Effect {
    Task::ContributionRecords.effect(Some(name))
}

/// A payment published to the analysts.
pub fn acquisition() -> Effect {
    Task::AcquisitionEvents.effect(None)
}

/// Money that moved later, published to the analysts as a correction of the acquisition.
pub fn acquisition_correction(movement: &Movement) -> Effect {
    acquisition().extended(&format!("#{}", movement.name()))
}

/// The movement of money, where this is a correction of an acquisition.
pub fn movement(effect: &Effect) -> Option<Movement> {
    let is_acquisition = Task::of_effect(effect) == Some(Task::AcquisitionEvents);
    Movement::from_name(effect.as_str().split_once('#').filter(|_| is_acquisition)?.1)
}

/// A customer's consents written to the records once the payment has succeeded.
pub fn consents() -> Effect {
    Task::SoftOptIns.effect(None)
}

/// A customer's answers given before the payment has succeeded, written to the records whatever its outcome.
pub fn consent_answers() -> Effect {
    consents().extended("#answers")
}

/// One question to Stripe. Under a payment intent (`pi_…`): which invoice it pays. Under a subscription (`sub_…`): whose
/// it is. The reply is the row's reference.
pub fn lookup() -> Effect {
    Effect::at_least_once("lookup").with_claims_kept(Contribution::UNKNOWN_PAYMENT_KEPT_SECONDS)
}

/// Under a subscription (`sub_…`): the contract that its session carried. It is the row's reference.
pub fn contract() -> Effect {
    Effect::at_least_once("contract")
}

/// Whether only a session or an invoice of ours calls for this effect, so that a payment with it is known to be ours.
pub fn is_of_our_payment(effect: &Effect) -> bool {
    let name = effect.as_str().split_once('#').map_or("", |(_, name)| name);
    // These are about any payment of the Stripe account.
    let is_correction = [REFUND, DISPUTE, FRAUD_WARNING].iter().any(|kind| name.starts_with(kind));
    Task::of_effect(effect).is_some() && !is_correction
}

/// Whether this writes the record of a payment of ours: once it is done, the record was there.
pub fn is_of_our_record(effect: &Effect) -> bool {
    is_of_our_payment(effect) && Task::of_effect(effect) == Some(Task::ContributionRecords)
}

/// Whether this is a refund written to the records.
pub fn is_contribution_refund(effect: &Effect) -> bool {
    effect.as_str().strip_prefix("contribution#").is_some_and(|rest| rest.starts_with(REFUND))
}

#[cfg(test)]
mod tests {
    use effect_key::Guarantee;

    use super::*;

    #[test]
    fn a_correction_of_an_acquisition_names_the_movement() {
        let failed = Movement::RefundFailed("re_1".to_owned());
        let effect = acquisition_correction(&failed);
        assert_eq!((effect.as_str(), movement(&effect)), ("acquisition#refund#re_1#failed", Some(failed)));
        for other in [acquisition(), email("thank-you"), contribution_refund("re_1")] {
            assert_eq!(movement(&other), None, "{other}");
        }
    }

    #[test]
    fn mails_and_nothing_else_are_sent_at_most_once() {
        let mail = email_about(SessionOutcome::Paid);
        for effect in [&mail, &resent(&mail, "r-1"), &email("files-ready")] {
            assert_eq!(effect.guarantee(), Guarantee::AtMostOnce, "{effect}");
        }
        let others = [
            contribution(SessionOutcome::Paid),
            contribution_refund("re_1"),
            contribution_refund_failed("re_1"),
            contribution_dispute_status("dp_1", DisputeStatus::Lost),
            contribution_fraud_warning("issfr_1"),
            contribution_term(),
            acquisition_correction(&Movement::Refund("re_1".to_owned())),
            consents(),
            consent_answers(),
            lookup(),
            contract(),
        ];
        for effect in others {
            assert_eq!(effect.guarantee(), Guarantee::AtLeastOnce, "{effect}");
        }
    }
}
