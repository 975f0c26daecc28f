//! What a task will do with an event that is delivered again, said before it is.

use catalogue::Task;
use effect_ledger::{EffectKey, EffectRow, EffectState};
use fulfilment::{InvoiceEvent, Money, Policy, SessionEvent, SessionOutcome, effects};
use stripe_events::Object;

use super::Event;

/// What the task does with the event that it is given.
pub(crate) fn then(key: &EffectKey, event: &Event, rows: &[EffectRow], livemode: Option<bool>) -> String {
    let task = Task::of_effect(&key.effect);
    if task == Some(Task::ContributionRecords) {
        return "The record is folded again: what the event says is in it afterwards, and nothing counts twice.".to_owned();
    }
    if task != Some(Task::ThankYouEmail) {
        return "The task does it now.".to_owned();
    }
    let event = event.read().zip(livemode);
    let left_out = event.and_then(|(event, livemode)| left_out(&event, rows, livemode));
    left_out.map_or_else(
        || "The task sends the mail.".to_owned(),
        |why| format!("The task leaves the mail out: {why}."),
    )
}

/// Why the mail task does not send a mail about an event, if it will not.
fn left_out(event: &stripe_events::Event, rows: &[EffectRow], livemode: bool) -> Option<&'static str> {
    let is_refunded =
        |amount: Money| payment_ledger::is_refunded(rows, amount).then_some("the payment was refunded");
    if let Some(Object::Invoice(_)) = event.object() {
        let thanks = Policy::compiled_in().ok()?.thanks_renewals();
        let amount = InvoiceEvent::from_event(event, livemode).ok()?.amount?;
        return if thanks { is_refunded(amount) } else { Some("policy.toml thanks for no renewals") };
    }
    let session = SessionEvent::from_event(event, livemode).ok()?;
    if session.outcome == SessionOutcome::Paid {
        return is_refunded(session.amount);
    }
    let later = match session.outcome {
        SessionOutcome::Pending => vec![SessionOutcome::Paid, SessionOutcome::Failed],
        SessionOutcome::Failed | SessionOutcome::Paid => vec![SessionOutcome::Paid],
    };
    let went_out = |row: &EffectRow| {
        later.iter().any(|outcome| row.effect == effects::email_about(*outcome))
            && matches!(row.state, EffectState::Done | EffectState::Claimed(_) | EffectState::Unknown { .. })
    };
    rows.iter().any(went_out).then_some("a later mail says what became of the payment")
}
