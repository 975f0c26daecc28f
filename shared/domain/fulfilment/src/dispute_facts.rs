use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::made::is_made;
use crate::{AsOf, Currency, DisputeEvent, DisputeStatus, DisputeStep, Money};

/// The facts of one dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeFacts {
    /// Which event these facts are from.
    #[serde(flatten)]
    pub as_of: AsOf,
    /// Which step that event was.
    pub step: DisputeStep,
    /// Where it stood then.
    pub status: DisputeStatus,
    /// Minor units of `currency`.
    pub amount: i64,
    /// Three lower-case letters.
    pub currency: Currency,
    /// When it was opened, in Unix seconds.
    pub created_at: Option<i64>,
    /// When its money last left, in Unix seconds.
    pub withdrawn_at: Option<i64>,
    /// When its money last came back, in Unix seconds.
    pub reinstated_at: Option<i64>,
    /// All that its balance transactions took, in minor units of `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<i64>,
    /// All that they brought back, in minor units of `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<i64>,
    /// Every status that an event has shown.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub seen: BTreeSet<DisputeStatus>,
    /// What reconciliation found at Stripe, when it had to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<FoundDispute>,
}

/// A dispute as reconciliation found it at Stripe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FoundDispute {
    /// When Stripe was asked. An event made by a version before it kept that has the time when the dispute was
    /// opened.
    #[serde(flatten)]
    pub as_of: AsOf,
    /// Where it stood then.
    pub status: DisputeStatus,
    /// Minor units of the dispute's currency.
    pub amount: i64,
}

/// What a dispute means for the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing.
    None,
    /// It is not decided whose the money is.
    Contested,
    /// The customer's bank has this for good.
    Lost(Money),
}

impl DisputeFacts {
    /// What one event says.
    pub(crate) fn of(event: &DisputeEvent) -> Self {
        let status = event.status;
        let amount = event.amount.minor();
        Self {
            as_of: event.as_of(),
            step: event.step,
            status,
            amount,
            currency: event.amount.currency(),
            created_at: event.created_at,
            withdrawn_at: event.balance.withdrawn_at,
            reinstated_at: event.balance.reinstated_at,
            withdrawn: event.balance.withdrawn,
            returned: event.balance.returned,
            seen: BTreeSet::from([status]),
            found: is_made(&event.event_id).then(|| FoundDispute { as_of: event.as_of(), status, amount }),
        }
    }

    /// What two of them say together, in whatever order.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        let withdrawn_at = self.withdrawn_at.max(other.withdrawn_at);
        let reinstated_at = self.reinstated_at.max(other.reinstated_at);
        let withdrawn = self.withdrawn.max(other.withdrawn);
        let returned = self.returned.max(other.returned);
        let seen = self.seen.union(&other.seen).copied().collect();
        let found = self.found.clone().max(other.found.clone());
        let newest = if self.order() > other.order() { self } else { other };
        Self { withdrawn_at, reinstated_at, withdrawn, returned, seen, found, ..newest }
    }

    /// How much of the money the dispute holds back, or has taken for good.
    pub fn held(&self) -> Money {
        Money::new(self.held_minor(), self.currency)
    }

    /// Where the dispute stands, and over how much, in minor units of its currency.
    pub fn present(&self) -> (DisputeStatus, i64) {
        match &self.found {
            Some(found) if self.is_newer(found) => (found.status, found.amount),
            Some(_) | None => (self.status, self.amount),
        }
    }

    pub(crate) fn claim(&self) -> Claim {
        let held = self.held();
        match self.present().0 {
            DisputeStatus::Won => Claim::None,
            DisputeStatus::Lost | DisputeStatus::Blocked | DisputeStatus::Prevented if !held.is_zero() => {
                Claim::Lost(held)
            }
            DisputeStatus::Lost | DisputeStatus::Blocked => Claim::None,
            DisputeStatus::Open | DisputeStatus::Appealed | DisputeStatus::Prevented => Claim::Contested,
            DisputeStatus::Inquiry if held.is_zero() => Claim::None,
            DisputeStatus::Inquiry => Claim::Contested,
        }
    }

    /// Whether the dispute as found at Stripe is newer than the newest event. Where the time of asking is not
    /// known, a verdict is newer than what comes before verdicts.
    fn is_newer(&self, found: &FoundDispute) -> bool {
        let is_dated = self.created_at.is_none_or(|created_at| found.as_of.occurred_at > created_at);
        found.as_of.occurred_at >= self.as_of.occurred_at
            || (!is_dated && found.status.is_verdict() && self.status.is_before_verdict())
    }

    fn held_minor(&self) -> i64 {
        let (status, amount) = self.present();
        let net = |taken: i64| taken.saturating_sub(self.returned.unwrap_or_default()).max(0);
        match status {
            DisputeStatus::Won => 0,
            DisputeStatus::Lost => net(self.withdrawn.unwrap_or(amount)),
            DisputeStatus::Inquiry
            | DisputeStatus::Open
            | DisputeStatus::Appealed
            | DisputeStatus::Blocked
            | DisputeStatus::Prevented => {
                let listed = self.withdrawn.map(net);
                match (self.withdrawn_at, self.reinstated_at) {
                    (None, None) => listed.unwrap_or_default(),
                    // Within one second the money leaves before it comes back.
                    (Some(left), Some(back)) if left <= back => self.left_after_a_return(listed),
                    (None, Some(_)) => self.left_after_a_return(listed),
                    (Some(_), _) => listed.filter(|held| *held > 0).unwrap_or(amount),
                }
            }
        }
    }

    /// The money still gone after some came back: all of it is here unless the list shows how much came.
    fn left_after_a_return(&self, listed: Option<i64>) -> i64 {
        listed.filter(|_| self.returned.is_some()).unwrap_or_default()
    }

    /// A status can come back (a lost dispute is appealed), so the time comes first and the step settles ties. What
    /// was found at Stripe is kept apart, and stands here only while there is no event.
    fn order(&self) -> (bool, i64, DisputeStep, &str) {
        let AsOf { occurred_at, event_id } = &self.as_of;
        (!is_made(event_id), *occurred_at, self.step, event_id)
    }
}
