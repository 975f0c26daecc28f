//! What the reasons in the ledger and on dead letters mean: what happened, whose it is to fix, and the next command.

use anyhow::{Result, bail};
use effect_ledger::{EffectRow, EffectState, Subject};
use fulfilment::is_nearly;
use reconciliation::MESSAGE_LIFE_SECONDS;
use serde::Serialize;

use crate::queues::NO_REASON;

/// Who can fix it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whose {
    /// Another address is needed, or patience.
    Customer,
    /// The Payment Link, the template or the files.
    Campaign,
    /// The stage's accounts, keys and rights.
    Operator,
    /// It passes by itself, or AWS has an outage.
    Aws,
    /// It passes by itself, or Stripe has an outage.
    Stripe,
    /// A defect, or a version that is too old.
    Afterlink,
}

impl Whose {
    const fn name(self) -> &'static str {
        match self {
            Self::Customer => "the customer's",
            Self::Campaign => "the campaign's",
            Self::Operator => "an operator's",
            Self::Aws => "AWS's",
            Self::Stripe => "Stripe's",
            Self::Afterlink => "Afterlink's",
        }
    }
}

/// What is done next.
#[derive(Clone, Copy)]
enum Next {
    /// Nothing: its message comes back.
    Wait,
    /// Something is corrected outside, then the event is delivered again.
    Fix(&'static str),
    /// Another address, or none.
    Address,
    /// The mail is sent once more on purpose.
    Resend,
    /// The kind is corrected.
    Complete,
    /// An operator finds out.
    Resolve,
    /// The customer is paid in another way.
    Paid,
}

/// A reason's code, whose it is to fix, what is done next, and what happened.
struct Meaning(&'static str, Whose, Next, &'static str);

use Next::{Address, Complete, Fix, Paid, Resend, Resolve, Wait};
use Whose::{Afterlink, Aws, Campaign, Customer, Operator, Stripe};

const RUNS: Next = Fix("find out why the function does not answer: docs/runbooks/function-errors.md");
const NEWER: Next = Fix("deploy a version that knows it, or report it");
const KEY: Next = Fix("`afterlink doctor` says what the Stripe key lacks");

/// Every reason for which an effect is open or a message in a dead-letter queue.
const MEANINGS: &[Meaning] = &[
    Meaning("broken_link_contract", Campaign, Complete, "the Payment Link's metadata cannot be acted on"),
    Meaning("bus_unavailable", Aws, Wait, "EventBridge did not answer"),
    Meaning("consents_unavailable", Aws, Wait, "the table of consents did not answer"),
    Meaning("contended", Afterlink, Wait, "other events of the payment kept changing the record"),
    Meaning(
        "contract_unwritable",
        Afterlink,
        NEWER,
        "what the session says of its subscription cannot be written down",
    ),
    Meaning(
        "contradictory_payment_status",
        Stripe,
        NEWER,
        "the event's type and the session's payment status contradict each other",
    ),
    Meaning("entry_not_taken", Aws, Wait, "EventBridge did not take the event"),
    Meaning("entry_refused", Afterlink, NEWER, "EventBridge refuses the event for analysts as malformed"),
    Meaning(
        "file_missing",
        Campaign,
        Fix("upload the files that `afterlink explain` names: docs/runbooks/files-missing.md"),
        "files that were sold are not in the files bucket",
    ),
    Meaning(
        "function_died",
        Operator,
        RUNS,
        "the function was throttled, timed out or died at most of its receives",
    ),
    Meaning("in_flight", Aws, Wait, "another delivery is at it"),
    Meaning("lease_expired", Operator, Resolve, "the function ended in the middle of it"),
    Meaning("lease_lost", Aws, Wait, "the time ran out in the middle of it"),
    Meaning("ledger_unavailable", Aws, Wait, "the ledger did not answer"),
    Meaning("limit_unavailable", Aws, Wait, "the count of an address's mails could not be read"),
    Meaning(
        "mail_rejected",
        Campaign,
        Fix("correct the wording, or what it holds: docs/runbooks/broken-wording.md"),
        "SES rejects what the mail holds",
    ),
    Meaning("mail_reply_lost", Operator, Resolve, "SES was called, and its answer never came"),
    Meaning("mail_throttled", Aws, Wait, "SES takes no more mails of this account just now"),
    Meaning(
        "mail_unavailable",
        Operator,
        Fix(
            "`afterlink doctor` says whether SES lets the account and the function send: docs/runbooks/mail-reputation.md",
        ),
        "SES takes no mail of ours: no answer, sending paused, or a right that is missing",
    ),
    Meaning("no_amount", Stripe, NEWER, "the session or the invoice has no amount or no currency"),
    Meaning(
        "no_files",
        Campaign,
        Fix("name the files on the Payment Link or its products: docs/runbooks/files-missing.md"),
        "nothing names the files that were sold",
    ),
    Meaning("no_payment_intent", Stripe, NEWER, "a refund or dispute names no payment"),
    Meaning("no_recipient", Customer, Address, "the customer gave no address, or not one"),
    Meaning("no_subscription", Stripe, NEWER, "an invoice names no subscription"),
    Meaning("not_rendered", Afterlink, NEWER, "not even our own wording could be filled in"),
    Meaning("operator", Operator, Wait, "an operator set it free"),
    Meaning(
        "payment_unknown",
        Stripe,
        Wait,
        "the payment of a refund or dispute is not known: most often another business's",
    ),
    Meaning("purchase_unavailable", Aws, Wait, "what was bought could not be read"),
    Meaning("recipient_malformed", Customer, Address, "the address is malformed"),
    Meaning(
        "recipient_not_ascii",
        Customer,
        Address,
        "the address has letters before the @ that SES cannot send to",
    ),
    Meaning("recipient_refused", Customer, Address, "SES refuses the address"),
    Meaning("records_unavailable", Aws, Wait, "the tables of records did not answer"),
    Meaning(
        "refund_failed",
        Operator,
        Paid,
        "the refund failed: Stripe has the money back with us, and the customer does not have it",
    ),
    Meaning(
        "sender_refused",
        Operator,
        Fix("verify the sender in SES: `afterlink doctor` says what is missing"),
        "SES refuses the sender",
    ),
    Meaning("stripe_refused", Operator, KEY, "Stripe refuses the key, or what it was asked"),
    Meaning("stripe_unavailable", Stripe, Wait, "Stripe did not answer"),
    Meaning("templates_unavailable", Aws, Wait, "the templates bucket did not answer"),
    Meaning(
        "too_many_to_one_address",
        Customer,
        Resend,
        "the address has had its mails of the day about payments that cost nothing",
    ),
    Meaning(NO_REASON, Operator, RUNS, "the function never answered for it"),
    Meaning(
        "undecodable_event",
        Afterlink,
        Fix("deploy a version that can read it, or `afterlink discard`"),
        "the message is no event that this version can read",
    ),
    Meaning("unknown_mode", Stripe, NEWER, "the session is of a mode that this version does not know"),
];

fn meaning(reason: &str) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|Meaning(name, ..)| *name == reason)
}

/// What happened, in a sentence without its capital and its point.
pub(crate) fn what(reason: &str) -> Option<&'static str> {
    meaning(reason).map(|Meaning(.., what)| *what)
}

/// What happened, and whose it is to fix, for a list.
pub(crate) fn in_short(reason: &str) -> Option<String> {
    meaning(reason).map(|Meaning(_, whose, _, what)| format!("{what} ({} to fix)", whose.name()))
}

/// Whether the message of an effect that waits for another try is none of the queue's any more: a function that does
/// not answer leaves the row as it was.
fn is_given_up(row: &EffectRow, now: i64) -> bool {
    const LONGEST_PAUSE_MS: i64 = 2 * 3_600_000;
    // What waits for its payment has no message.
    row.moved.is_none()
        && matches!(row.state, EffectState::Retry { .. })
        && row.first_at.is_some_and(|first| now - first > MESSAGE_LIFE_SECONDS * 1000)
        && row.updated_at.is_some_and(|updated| now - updated > LONGEST_PAUSE_MS)
}

/// After so many tries, or for so long, something is retried too long for a passing fault.
const MANY_TRIES: u32 = 4;
const TOO_LONG_MS: i64 = 30 * 60 * 1000;

/// Whether an effect is still retried and should have been done by now.
pub(crate) fn waits_too_long(row: &EffectRow, now: i64) -> bool {
    let EffectState::Retry { reason } = &row.state else { return false };
    // An operator has just set it free, or it waits for its payment, which may be another business's.
    let since = if reason == "operator" { row.updated_at } else { row.first_at };
    let tries = row.last_claim.as_ref().map_or(0, |(_, attempt)| *attempt);
    row.moved.is_none()
        && (since.is_some_and(|since| now - since > TOO_LONG_MS)
            || (tries >= MANY_TRIES && reason != "operator"))
}

/// What an operator is told of an open effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Advice {
    /// What happened.
    what: String,
    /// Who can fix it.
    whose: Option<Whose>,
    /// What to do.
    next: String,
}

impl Advice {
    /// On an effect that is open; none on one that is settled, or being done for the first time. `now` is in Unix
    /// milliseconds.
    pub(crate) fn on(subject: &Subject, row: &EffectRow, now: i64) -> Option<Self> {
        let EffectRow { effect, state, detail, .. } = row;
        let payment = stripe_events::shown_id(subject.as_str()).to_string();
        let reason = match state {
            EffectState::Retry { reason }
            | EffectState::Parked { reason }
            | EffectState::Unknown { reason } => reason,
            EffectState::Done | EffectState::Skipped { .. } | EffectState::Claimed(_) => return None,
        };
        let waits = matches!(state, EffectState::Retry { .. }) && !is_given_up(row, now);
        let meaning = meaning(reason);
        let retry = format!("`afterlink retry {payment} {effect} --because '…' --yes`");
        let next = match (state, meaning.map(|Meaning(_, _, next, _)| next)) {
            (EffectState::Unknown { .. }, _) | (_, Some(Resolve)) => format!(
                "find out whether it was done, then `afterlink resolve {payment} {effect} --sent` or `--not-sent`"
            ),
            (_, Some(Fix(fix))) if waits => format!("{fix}. It comes back by itself; {retry} tries at once"),
            (_, Some(Fix(fix))) => format!("{fix}, then {retry}"),
            (_, Some(Address)) => format!(
                "ask the customer for another address: `afterlink resend {payment} --template thank-you --to … --because '…' --yes`, \
                 or `afterlink close {payment} {effect} --because '…' --yes`"
            ),
            (_, Some(Resend)) => format!(
                "nothing, or `afterlink resend {payment} --template thank-you --because '…' --yes`, which is not counted: \
                 docs/runbooks/mail-limit.md"
            ),
            (_, Some(Complete)) => format!(
                "correct the Payment Link, then `afterlink complete {payment} --because '…' --yes`: docs/runbooks/parked.md"
            ),
            (_, Some(Paid)) => format!(
                "pay the customer in another way, then `afterlink close {payment} {effect} --because '…' --yes`: \
                 docs/runbooks/refund-failed.md"
            ),
            (_, Some(Wait)) if waits => "nothing: it comes back by itself".to_owned(),
            (EffectState::Retry { .. }, _) => {
                format!("it was given up and is in the dead-letter queue: {retry}")
            }
            (_, Some(Wait) | None) => format!("once the cause is gone, {retry}"),
        };
        let cause = detail.as_deref().filter(|_| matches!(state, EffectState::Parked { .. }));
        let what = cause.or(meaning.map(|Meaning(.., what)| *what)).unwrap_or(reason).to_owned();
        Some(Self { what, whose: meaning.map(|Meaning(_, whose, ..)| *whose), next })
    }
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, whose, next } = self;
        let whose = whose.map(|whose| format!(" ({} to fix)", whose.name())).unwrap_or_default();
        write!(f, "{what}{whose}. Next: {next}")
    }
}

/// Refuses a reason that nothing can have: an empty answer would look like good news.
///
/// # Errors
///
/// When no version's task has it, with the one that was probably meant.
pub(crate) fn check(typed: &str) -> Result<()> {
    if meaning(typed).is_some() {
        return Ok(());
    }
    let near = MEANINGS.iter().map(|Meaning(name, ..)| *name).find(|name| is_nearly(typed, name, 3));
    match near {
        Some(near) => bail!("no effect and no message has the reason `{typed}`; did you mean `{near}`?"),
        None => {
            let known: Vec<_> = MEANINGS.iter().map(|Meaning(name, ..)| *name).collect();
            bail!("no effect and no message has the reason `{typed}`; there are: {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
