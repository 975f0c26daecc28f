use std::fmt;

use effect_key::{Effect, Guarantee};
use stripe_events::Money;

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectRow {
    /// The effect.
    pub effect: Effect,
    /// Its state.
    pub state: EffectState,
    /// The last executor that claimed it; stays after the claim is settled.
    pub last_claim: Option<(String, u32)>,
    /// The money that a refund or a dispute holds back.
    pub moved: Option<MovedMoney>,
    /// Stripe's word for why that money moved, while the row waits for its payment: `fraudulent`. Rows of 0.2.0
    /// and before have none.
    pub moved_reason: Option<String>,
    /// When the row expires, in Unix seconds. Only rows about a payment that is not known to be ours have one: most
    /// refunds and disputes of an account may be another business's.
    pub expires_at: Option<i64>,
    /// The event that the state comes from, `evt_…`.
    pub event_id: Option<String>,
    /// The other side's id for it, e.g. SES's message id; the reply, where the effect is a question.
    pub reference: Option<String>,
    /// What state and reason leave out, in a sentence for the operator: how it was done, or what it is parked for. Never
    /// personal data.
    pub detail: Option<String>,
    /// When the row was first written, in Unix milliseconds. Rows of before the ledger kept it have none.
    pub first_at: Option<i64>,
    /// When the state was last written, in Unix milliseconds.
    pub updated_at: Option<i64>,
    /// Whether it is in the index of open effects.
    pub open: bool,
    /// How many later facts about the payment were recorded on this row
    /// ([`EffectStore::raise_version`](crate::EffectStore::raise_version)).
    pub version: u32,
}

/// The money that a refund or a dispute holds back from its payment, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedMoney {
    /// The amount; nothing once it has been returned.
    pub amount: Money,
    /// When it moved, in Unix seconds.
    pub occurred_at: i64,
}

impl EffectRow {
    /// A row with nothing but its effect's state.
    pub const fn new(effect: Effect, state: EffectState) -> Self {
        Self {
            effect,
            state,
            last_claim: None,
            moved: None,
            moved_reason: None,
            expires_at: None,
            event_id: None,
            reference: None,
            detail: None,
            first_at: None,
            updated_at: None,
            open: false,
            version: 0,
        }
    }
}

/// The state of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectState {
    /// Done, for good.
    Done,
    /// Deliberately not done, for good.
    Skipped {
        /// The reason code.
        reason: String,
    },
    /// Proven not done; the message is received again.
    Retry {
        /// The reason code.
        reason: String,
    },
    /// Proven not done, and waits for a fix. May be claimed again after it.
    Parked {
        /// The reason code.
        reason: String,
    },
    /// Claimed by an executor that may still be running, or has died.
    Claimed(Claim),
    /// May or may not have been done. Only a person can find out.
    Unknown {
        /// The reason code.
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

    /// The reason code, if the state has one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Skipped { reason }
            | Self::Retry { reason }
            | Self::Parked { reason }
            | Self::Unknown { reason } => Some(reason),
            Self::Done | Self::Claimed(_) => None,
        }
    }

    /// What a row's state means to an executor that wants to claim at `now` (Unix milliseconds).
    ///
    /// The model of the store's write condition: [`Standing::Free`] exactly where the condition holds, except for the
    /// row's version, which an effect that is performed at most once compares as well.
    pub fn standing(row: Option<&Self>, guarantee: Guarantee, now: i64) -> Standing<'_> {
        match row {
            None | Some(Self::Retry { .. } | Self::Parked { .. }) => Standing::Free,
            Some(Self::Done | Self::Skipped { .. } | Self::Unknown { .. }) => Standing::Settled,
            Some(Self::Claimed(claim)) if claim.lease_until >= now => Standing::Busy(claim),
            Some(Self::Claimed(claim)) => match guarantee {
                Guarantee::AtLeastOnce => Standing::Free,
                Guarantee::AtMostOnce => Standing::Ambiguous(claim),
            },
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
    /// The executor: unique to one message in one invocation.
    pub owner: String,
    /// The number of this claim among the effect's claims, from 1. With the owner, the fencing token.
    pub attempt: u32,
    /// When the lease ends, in Unix milliseconds.
    pub lease_until: i64,
}

/// The end of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The call was accepted.
    Done {
        /// The other side's id for it, e.g. SES's message id. An opaque id, never personal data.
        reference: String,
    },
    /// A question was answered, and the reply is kept with the row.
    Answered {
        /// The reply: ids and the marketer's words, never personal data.
        reference: String,
        /// When the row expires, in Unix seconds; `None` for a reply about a payment of ours.
        expires_at: Option<i64>,
    },
    /// The call was proven not to have had an effect; try again later.
    Retry {
        /// The reason code.
        reason: String,
    },
    /// The call was refused for good.
    Parked {
        /// The reason code.
        reason: String,
    },
    /// The reply was lost.
    Unknown {
        /// The reason code.
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

    /// The reason code, if this settlement has one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Done { .. } | Self::Answered { .. } => None,
            Self::Retry { reason } | Self::Parked { reason } | Self::Unknown { reason } => Some(reason),
        }
    }
}

/// What a state means to an executor that wants to claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It may be claimed.
    Free,
    /// Nothing is left to do.
    Settled,
    /// Another executor holds the claim.
    Busy(&'a Claim),
    /// A lease ended without a settlement, and the effect must not be performed again.
    Ambiguous(&'a Claim),
}
