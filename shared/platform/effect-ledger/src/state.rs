use std::fmt;

use fulfilment::{Currency, DisputeStatus, Money, Movement, PaymentId, SessionOutcome};
use serde::{Deserialize, Serialize};

const CONTRIBUTION_REFUND: &str = "contribution#refund#";
const ACQUISITION: &str = "acquisition";
const LOOKUP: &str = "lookup";
const CONTRACT: &str = "contract";

/// The name of an effect within a payment, e.g. `email#thank-you`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Effect(String);

impl Effect {
    /// A mail, by what it tells (not by the wording a campaign chose for it).
    pub fn email(kind: &str) -> Self {
        Self(format!("email#{kind}"))
    }

    /// This mail once more, because an operator asked for it; each time under an id of its own.
    #[must_use]
    pub fn resent(&self, resend_id: &str) -> Self {
        Self(format!("{}#resend#{resend_id}", self.0))
    }

    /// The id of the operator's request, where this is a mail sent once more ([`Effect::resent`]).
    pub fn resend_id(&self) -> Option<&str> {
        self.0.split_once("#resend#").map(|(_, id)| id)
    }

    /// The mail that tells a customer of a session's outcome.
    pub fn email_about(outcome: SessionOutcome) -> Self {
        Self::email(match outcome {
            SessionOutcome::Paid => "thank-you",
            SessionOutcome::Pending => "payment-pending",
            SessionOutcome::Failed => "payment-failed",
        })
    }

    /// A session's outcome written to the records.
    pub fn contribution(outcome: SessionOutcome) -> Self {
        let outcome = match outcome {
            SessionOutcome::Pending => "pending",
            SessionOutcome::Failed => "failed",
            SessionOutcome::Paid => "paid",
        };
        Self(format!("contribution#{outcome}"))
    }

    /// What is known of a refund (`re_…`), written to the records.
    pub fn contribution_refund(refund_id: &str) -> Self {
        Self(format!("{CONTRIBUTION_REFUND}{refund_id}"))
    }

    /// What is known of a dispute (`dp_…`), written to the records.
    pub fn contribution_dispute(dispute_id: &str) -> Self {
        Self(format!("contribution#dispute#{dispute_id}"))
    }

    /// What is known of a warning of fraud (`issfr_…`), written to the records.
    pub fn contribution_fraud_warning(warning_id: &str) -> Self {
        Self(format!("contribution#fraud-warning#{warning_id}"))
    }

    /// Until when a subscription's first payment pays, written to the records. Its session tells all but that.
    pub fn contribution_term() -> Self {
        Self("contribution#term".to_owned())
    }

    /// What Stripe was asked, once: under a payment intent (`pi_…`) which invoice it leads to, under a subscription
    /// (`sub_…`) whose it is. The row's [`reference`](EffectRow::reference) is the answer.
    pub fn lookup() -> Self {
        Self(LOOKUP.to_owned())
    }

    /// Under a subscription (`sub_…`): what its session said of what was sold. The row's
    /// [`reference`](EffectRow::reference) holds it.
    pub fn contract() -> Self {
        Self(CONTRACT.to_owned())
    }

    /// Whether only a session or an invoice of ours calls for this effect: a payment that has it is known to be ours.
    pub fn is_of_our_payment(&self) -> bool {
        let later = ["refund#", "dispute#", "fraud-warning#"];
        match self.0.split_once('#') {
            Some(("contribution" | ACQUISITION, what)) => !later.iter().any(|kind| what.starts_with(kind)),
            Some(("email" | "consents", _)) => true,
            Some(_) => false,
            None => self.0 == ACQUISITION || self.0 == "consents",
        }
    }

    /// Whether this writes the record of a payment of ours: once it is done, the record was there.
    pub fn is_of_our_record(&self) -> bool {
        self.is_of_our_payment() && self.0.starts_with("contribution#")
    }

    /// That a dispute came to stand where it stands, written to the records.
    ///
    /// How a dispute ends, and that it goes on after its end, has a row of its own each: so what is missing can be
    /// found although the records have seen the dispute before. Its beginning has the dispute's own row.
    pub fn contribution_dispute_status(dispute_id: &str, status: DisputeStatus) -> Self {
        let Self(dispute) = Self::contribution_dispute(dispute_id);
        if status.is_before_verdict() { Self(dispute) } else { Self(format!("{dispute}#{}", status.name())) }
    }

    /// A payment told to the analysts.
    pub fn acquisition() -> Self {
        Self(ACQUISITION.to_owned())
    }

    /// Money that moved later, told to the analysts as a correction of the acquisition.
    pub fn acquisition_correction(movement: &Movement) -> Self {
        Self(format!("{ACQUISITION}#{}", movement.name()))
    }

    /// What moved the money, when this is a correction of an acquisition.
    pub fn movement(&self) -> Option<Movement> {
        Movement::from_name(self.0.strip_prefix(ACQUISITION)?.strip_prefix('#')?)
    }

    /// What a customer agreed to, written to the records once the money is there.
    pub fn consents() -> Self {
        Self("consents".to_owned())
    }

    /// What a customer answered before the money is there, written to the records whatever becomes of it.
    pub fn consent_answers() -> Self {
        Self("consents#answers".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Effect {
    /// Takes the name of an effect as the ledger has it.
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectKey {
    /// Partition key.
    pub payment_id: PaymentId,
    /// Sort key.
    pub effect: Effect,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectRow {
    /// Which effect.
    pub effect: Effect,
    /// Where it stands.
    pub state: EffectState,
    /// The last executor that claimed it; stays after the claim is settled.
    pub last_claim: Option<(String, u32)>,
    /// The money that a refund or a dispute holds back.
    pub moved: Option<MovedMoney>,
    /// When the row goes away by itself, in Unix seconds. Only rows about a payment that nobody knows have one:
    /// most refunds and disputes of an account may be another business's.
    pub expires_at: Option<i64>,
    /// The event that the state comes from, `evt_…`.
    pub event_id: Option<String>,
    /// What the other side calls it, e.g. SES's message id.
    pub reference: Option<String>,
    /// When the row was first written, in Unix milliseconds. Rows of before the ledger kept it have none.
    pub first_at: Option<i64>,
    /// When the state was last written, in Unix milliseconds.
    pub updated_at: Option<i64>,
    /// Whether it is in the index of what needs somebody or something.
    pub open: bool,
    /// How often news of the payment was left here for whoever acts on the effect
    /// ([`EffectStore::leave_news`](crate::EffectStore::leave_news)).
    pub news: u32,
}

/// The money that a refund or a dispute holds back from its payment, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedMoney {
    /// How much; nothing once it has come back.
    pub amount: Money,
    /// When it moved, in Unix seconds.
    pub occurred_at: i64,
}

impl EffectRow {
    /// A row that says no more than where its effect stands.
    pub const fn new(effect: Effect, state: EffectState) -> Self {
        Self {
            effect,
            state,
            last_claim: None,
            moved: None,
            expires_at: None,
            event_id: None,
            reference: None,
            first_at: None,
            updated_at: None,
            open: false,
            news: 0,
        }
    }

    /// The reference of a `lookup` that found nothing.
    pub const NOTHING_FOUND: &str = "none";

    /// The reference of a `lookup` of a payment intent that came to nothing before its session told that it is the key.
    pub const NOT_NEEDED: &str = "not_needed";

    /// Whether any of a payment's rows says that the payment is ours.
    pub fn tell_of_ours(rows: &[Self]) -> bool {
        rows.iter().any(|row| row.effect.is_of_our_payment())
    }

    /// Whether any of a payment's rows says that the payment is ours and filed under this key. A term that was skipped does
    /// not: of a first payment that version 0.1.0 filed under its session, the invoice has that row and nothing else.
    pub fn tell_of_filed(rows: &[Self]) -> bool {
        let is_skipped = |row: &Self| matches!(row.state, EffectState::Skipped { .. });
        let is_filed = |row: &Self| row.effect != Effect::contribution_term() || !is_skipped(row);
        rows.iter().any(|row| row.effect.is_of_our_payment() && is_filed(row))
    }

    /// The invoice that a payment intent leads to, from the rows under the payment intent: the key of everything about
    /// the payment. The session where version 0.1.0 filed a subscription's first payment. `None` when it leads to none, or that has not been asked yet.
    pub fn alias(rows: &[Self]) -> Option<PaymentId> {
        let answer = rows.iter().find(|row| row.effect.0 == LOOKUP && row.state == EffectState::Done)?;
        answer
            .reference
            .as_ref()
            .filter(|id| id.starts_with("in_") || id.starts_with("cs_"))
            .map(PaymentId::new)
    }

    /// Whether a subscription is ours, from the rows under `sub_…`: what its session left there, or what Stripe answered.
    /// `None` when neither is known.
    pub fn subscription_is_ours(rows: &[Self]) -> Option<bool> {
        let done =
            |effect: &str| rows.iter().find(|row| row.effect.0 == effect && row.state == EffectState::Done);
        if done(CONTRACT).is_some() {
            return Some(true);
        }
        let answer = done(LOOKUP)?;
        Some(answer.reference.as_deref().is_some_and(|reference| reference != Self::NOTHING_FOUND))
    }

    /// Whether Stripe was asked which invoice a payment intent leads to, from the rows under the payment intent.
    pub fn is_looked_up(rows: &[Self]) -> bool {
        rows.iter().any(|row| row.effect.0 == LOOKUP && row.state == EffectState::Done)
    }

    /// What was refunded of a payment, from all its rows, in minor units of `currency`.
    pub fn refunded(rows: &[Self], currency: Currency) -> i64 {
        rows.iter()
            .filter(|row| row.state == EffectState::Done && row.effect.0.starts_with(CONTRIBUTION_REFUND))
            .filter_map(|row| row.moved.as_ref())
            .filter(|moved| moved.amount.currency() == currency)
            .fold(0, |sum: i64, moved| sum.saturating_add(moved.amount.minor()))
    }

    /// Whether all of a payment was refunded, from all its rows. A payment of nothing never is.
    pub fn is_refunded(rows: &[Self], amount: Money) -> bool {
        let refunded = Self::refunded(rows, amount.currency());
        refunded > 0 && refunded >= amount.minor()
    }
}

/// Where an effect stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectState {
    /// Done, for good.
    Done,
    /// Deliberately not done, for good.
    Skipped {
        /// Short name of the reason.
        reason: String,
    },
    /// Proven not done; the message comes back.
    Retry {
        /// Short name of the reason.
        reason: String,
    },
    /// Proven not done, and needs somebody. May be claimed again once that is mended.
    Parked {
        /// Short name of the reason.
        reason: String,
    },
    /// Somebody is at it, or died at it.
    Claimed(Claim),
    /// May or may not have been done. Only a person can tell.
    Unknown {
        /// Short name of the reason.
        reason: String,
    },
}

impl EffectState {
    /// The state's name in the ledger.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped { .. } => "skipped",
            Self::Retry { .. } => "retry",
            Self::Parked { .. } => "parked",
            Self::Claimed(_) => "claimed",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Why it stands there, if there is a reason to tell.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Skipped { reason }
            | Self::Retry { reason }
            | Self::Parked { reason }
            | Self::Unknown { reason } => Some(reason),
            Self::Done | Self::Claimed(_) => None,
        }
    }
}

impl fmt::Display for EffectState {
    /// `done`, `parked (no_recipient)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            Some(reason) => write!(f, "{} ({reason})", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// A granted claim: the right to act once, until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who: unique to one message in one invocation.
    pub owner: String,
    /// The how-manieth claim of this effect. With the owner, the fencing token.
    pub attempt: u32,
    /// Until when, in Unix milliseconds.
    pub lease_until: i64,
}

/// What an expired claim means for an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Never act twice: an expired claim becomes `unknown`. What was done cannot be taken back, so all news of the
    /// payment must be known before.
    AtMostOnce,
    /// Act again: the effect carries a deterministic id by which receivers drop repeats. What news there is can be
    /// told afterwards.
    AtLeastOnce,
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The call was accepted.
    Done {
        /// What the other side calls it, e.g. SES's message id. An opaque id, never personal data.
        reference: String,
    },
    /// A question was answered, and the answer is kept with the row.
    Answered {
        /// The answer: ids and the marketer's words, never personal data.
        reference: String,
        /// When nobody needs it any longer, in Unix seconds; `None` for an answer about what is ours.
        expires_at: Option<i64>,
    },
    /// The call was proven not to have had an effect; try again later.
    Retry {
        /// Short name of the reason.
        reason: String,
    },
    /// The call was refused for good.
    Parked {
        /// Short name of the reason.
        reason: String,
    },
    /// The reply was lost.
    Unknown {
        /// Short name of the reason.
        reason: String,
    },
}

impl Settlement {
    /// The name of the state it leads to.
    pub const fn state_name(&self) -> &'static str {
        match self {
            Self::Done { .. } | Self::Answered { .. } => "done",
            Self::Retry { .. } => "retry",
            Self::Parked { .. } => "parked",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The reason, if this settlement has one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Done { .. } | Self::Answered { .. } => None,
            Self::Retry { reason } | Self::Parked { reason } | Self::Unknown { reason } => Some(reason),
        }
    }
}

/// What a state means to somebody who wants to claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Go ahead.
    Free,
    /// Nothing left to do.
    Settled,
    /// Somebody is at it.
    Busy(&'a Claim),
    /// Somebody's lease ended without an answer, and the policy forbids to act again.
    Ambiguous(&'a Claim),
}

impl EffectState {
    /// What a row's state means to somebody who wants to claim at `now` (Unix milliseconds).
    ///
    /// The model of the store's write condition: [`Standing::Free`] exactly where the condition holds, but for news
    /// that somebody who acts at most once does not know.
    pub fn standing(row: Option<&Self>, policy: Policy, now: i64) -> Standing<'_> {
        match row {
            None | Some(Self::Retry { .. } | Self::Parked { .. }) => Standing::Free,
            Some(Self::Done | Self::Skipped { .. } | Self::Unknown { .. }) => Standing::Settled,
            Some(Self::Claimed(claim)) if claim.lease_until >= now => Standing::Busy(claim),
            Some(Self::Claimed(claim)) => match policy {
                Policy::AtLeastOnce => Standing::Free,
                Policy::AtMostOnce => Standing::Ambiguous(claim),
            },
        }
    }
}
