//! What each command does about an effect, by where the effect stands: decided before anything is done, and tested for
//! every combination.

use catalogue::Task;
use effect_ledger::{EffectKey, EffectState};
use fulfilment::effects;

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// `retry`
    Retry,
    /// `resolve --sent`
    Sent,
    /// `resolve --not-sent`
    NotSent,
    /// `close`
    Close,
    /// `resend`
    Resend {
        /// Whether it goes to another address than the customer's.
        elsewhere: bool,
    },
}

/// The action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Its event is delivered to its task.
    Deliver,
    /// The operator's request goes back to the task if it is still in the dead-letter queue; it is nowhere else. If it
    /// is gone, the row is closed.
    DeliverRequest,
    /// The row says done.
    Settle,
    /// The row is set free, and its event is delivered.
    SetFree,
    /// The row is closed: it will not be done, or another request takes its place.
    Close,
    /// Another mail, recorded as an effect of its own.
    Another,
    /// The same, and the row of the first mail is closed: it will not be sent any more.
    AnotherInstead,
}

/// The reasons under which operators close what will not be done. `retry` takes either back.
pub(crate) const CLOSED: &str = "closed_by_operator";
pub(crate) const DISCARDED: &str = "discarded";

fn is_closed(reason: &str) -> bool {
    [CLOSED, DISCARDED].contains(&reason)
}

/// The reason under which the mail task parks mails because their address has had its mails of the day. An operator's
/// mail is not counted.
const LIMITED: &str = "too_many_to_one_address";

/// The action on an effect; `state` is none where the ledger has no row of it.
///
/// # Errors
///
/// Why nothing is done, and what to do instead.
pub(crate) fn course(
    asked: Asked,
    key: &EffectKey,
    state: Option<&EffectState>,
    now: i64,
) -> Result<Course, String> {
    let EffectKey { subject: payment_id, effect } = key;
    let name = format!("{effect} of {payment_id}");
    let is_mail = Task::of_effect(effect) == Some(Task::ThankYouEmail);
    if let Some(EffectState::Claimed(claim)) = state {
        if claim.lease_until >= now {
            return Err(format!("{name} is being done right now: look again in a minute"));
        }
        if is_mail && matches!(asked, Asked::Retry | Asked::Close | Asked::Resend { .. }) {
            return Err(format!(
                "{name} was begun and never settled, so the mail may have gone out: {}",
                find_out(key)
            ));
        }
    }
    match asked {
        Asked::Retry => retry(key, &name, is_mail, state),
        Asked::Sent | Asked::NotSent => resolve(asked, key, &name, is_mail, state),
        Asked::Close => close(key, &name, state),
        Asked::Resend { elsewhere } => resend(key, &name, elsewhere, state),
    }
}

fn retry(key: &EffectKey, name: &str, is_mail: bool, state: Option<&EffectState>) -> Result<Course, String> {
    let payment_id = &key.subject;
    let is_request = effects::resend_id(&key.effect).is_some();
    let folds = Task::of_effect(&key.effect) == Some(Task::ContributionRecords);
    match state {
        None if is_request => Err(format!("the ledger has no {name}: {}", ask_again(key))),
        Some(EffectState::Done | EffectState::Skipped { .. }) if is_request => {
            Err(format!("{name} is settled ({}): {}", state.map_or("", EffectState::name), ask_again(key)))
        }
        Some(EffectState::Retry { .. } | EffectState::Parked { .. }) if is_request => {
            Ok(Course::DeliverRequest)
        }
        Some(EffectState::Done) if is_mail => {
            Err(format!("{name} is done: the mail went out. {}", ask_again(key)))
        }
        Some(EffectState::Skipped { reason }) if is_closed(reason) => Ok(Course::SetFree),
        Some(EffectState::Skipped { reason }) if is_mail && reason == "refunded" => Err(format!(
            "{name} was left out because the payment was refunded. If the refund failed since, so that the money is kept, \
             `afterlink resend {payment_id} --template thank-you` sends the mail"
        )),
        // A record is folded from events, and an event that is in it already changes nothing.
        Some(EffectState::Done | EffectState::Skipped { .. }) if folds => Ok(Course::Deliver),
        Some(EffectState::Done) => {
            Err(format!("{name} is done: delivering its event again would change nothing"))
        }
        Some(EffectState::Skipped { reason }) => Err(format!(
            "{name} was left out on purpose ({reason}): delivering its event again would change nothing"
        )),
        Some(EffectState::Unknown { .. }) => {
            Err(format!("it is not known whether {name} was done: {}", find_out(key)))
        }
        Some(EffectState::Claimed(_) | EffectState::Retry { .. } | EffectState::Parked { .. }) | None => {
            Ok(Course::Deliver)
        }
    }
}

fn resolve(
    asked: Asked,
    key: &EffectKey,
    name: &str,
    is_mail: bool,
    state: Option<&EffectState>,
) -> Result<Course, String> {
    let nothing = "there is nothing to resolve";
    let EffectKey { subject: payment_id, effect } = key;
    match state {
        None => Err(format!("the ledger has no {name}: {nothing}")),
        Some(EffectState::Done) => Err(format!("{name} is not unknown but done: {nothing}")),
        Some(EffectState::Skipped { reason }) => {
            Err(format!("{name} is not unknown but left out on purpose ({reason}): {nothing}"))
        }
        Some(state @ (EffectState::Retry { .. } | EffectState::Parked { .. })) => Err(format!(
            "{name} is not unknown but {state}, which means that it was not done: `afterlink retry {payment_id} {effect}` \
             tries again"
        )),
        Some(EffectState::Claimed(_)) if !is_mail => Err(format!(
            "{name} is not unknown: its last try ended without an answer, and trying again is safe. `afterlink retry \
             {payment_id} {effect}` does"
        )),
        Some(EffectState::Unknown { .. } | EffectState::Claimed(_)) => Ok(if asked == Asked::Sent {
            Course::Settle
        } else if effects::resend_id(effect).is_some() {
            Course::Close
        } else {
            Course::SetFree
        }),
    }
}

/// Closing is for what is proven not to be done.
fn close(key: &EffectKey, name: &str, state: Option<&EffectState>) -> Result<Course, String> {
    let nothing = "there is nothing to close";
    match state {
        None => Err(format!("the ledger has no {name}: {nothing}")),
        Some(EffectState::Done) => Err(format!("{name} is done: {nothing}")),
        Some(EffectState::Skipped { reason }) => {
            Err(format!("{name} is left out already ({reason}): {nothing}"))
        }
        Some(EffectState::Unknown { .. }) => {
            Err(format!("it is not known whether {name} was done: {}", find_out(key)))
        }
        Some(EffectState::Claimed(_) | EffectState::Retry { .. } | EffectState::Parked { .. }) => {
            Ok(Course::Close)
        }
    }
}

/// `key` is the first mail's.
fn resend(
    key: &EffectKey,
    name: &str,
    elsewhere: bool,
    state: Option<&EffectState>,
) -> Result<Course, String> {
    let EffectKey { subject: payment_id, effect } = key;
    match state {
        None => {
            Err(format!("the ledger has no {name}: `afterlink retry {payment_id} {effect}` sends the first"))
        }
        // A refund may have failed since: what is refunded now decides.
        Some(EffectState::Skipped { reason }) if reason == "refunded" || is_closed(reason) => {
            Ok(Course::Another)
        }
        Some(EffectState::Skipped { reason }) => {
            Err(format!("{name} was left out on purpose ({reason}): there is no mail to send once more"))
        }
        Some(EffectState::Parked { reason }) if elsewhere || reason == LIMITED => Ok(Course::AnotherInstead),
        Some(EffectState::Parked { reason }) => Err(format!(
            "{name} was not sent ({reason}): fix the cause, then `afterlink retry {payment_id} {effect}`; or give \
             another address with --to"
        )),
        Some(EffectState::Retry { reason }) => Err(format!(
            "{name} was not sent yet ({reason}): its message comes back by itself, and `afterlink retry {payment_id} \
             {effect}` tries at once"
        )),
        Some(EffectState::Done | EffectState::Unknown { .. } | EffectState::Claimed(_)) => {
            Ok(Course::Another)
        }
    }
}

/// How to ask for the mail once more.
fn ask_again(key: &EffectKey) -> String {
    if ["email#payment-pending", "email#payment-failed"].contains(&key.effect.as_str()) {
        return "it is sent once".to_owned();
    }
    format!(
        "use resend again: `afterlink resend {} --template thank-you --because …` sends another",
        key.subject
    )
}

fn find_out(key: &EffectKey) -> String {
    let EffectKey { subject: payment_id, effect } = key;
    format!("find out, then `afterlink resolve {payment_id} {effect} --sent` or `--not-sent`")
}

#[cfg(test)]
mod tests;
