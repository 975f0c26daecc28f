use std::collections::BTreeSet;

use fulfilment::{SubscriptionContract, SupporterId};
use serde::{Deserialize, Serialize};
use stripe_events::SubscriptionStatus;

use crate::Said;

/// What is known of a subscription.
///
/// Folding is commutative and idempotent: events and readings in any order, any number of times, give the same facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionFacts {
    /// `sub_…`
    pub subscription_id: String,
    /// The newest thing that Stripe said.
    #[serde(default)]
    pub newest: Option<Said>,
    /// The newest that Stripe said with a status that this code knows: one that it does not know changes no access.
    #[serde(default)]
    pub understood: Option<Said>,
    /// When Stripe said that it was paid or free, for the last time, in Unix seconds.
    #[serde(default)]
    last_good: Option<i64>,
    /// When Stripe said since then that a payment failed, in Unix seconds: the earliest ones, and the latest.
    #[serde(default)]
    past_due: BTreeSet<i64>,
    /// What the session that began it says.
    #[serde(default)]
    pub begun: Option<Begun>,
}

/// What the session that began a subscription says: what was sold, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// `cs_…`
    pub session_id: String,
    /// Who paid.
    pub subject: SupporterId,
    /// What was sold.
    pub contract: SubscriptionContract,
}

/// As many times of failed payments are kept: a subscription that is left as it is fails every month.
const MOST_FAILURES: usize = 16;

impl SubscriptionFacts {
    /// Facts of which none is known yet.
    pub const fn new(subscription_id: String) -> Self {
        Self {
            subscription_id,
            newest: None,
            understood: None,
            last_good: None,
            past_due: BTreeSet::new(),
            begun: None,
        }
    }

    /// Folds in what Stripe said.
    #[must_use]
    pub fn with_said(mut self, said: Said) -> Self {
        let at = said.as_of.occurred_at;
        match said.status {
            SubscriptionStatus::Active | SubscriptionStatus::Trialing => {
                self.last_good = self.last_good.max(Some(at));
            }
            SubscriptionStatus::PastDue => {
                self.past_due.insert(at);
            }
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Other(_) => {}
        }
        self.past_due.retain(|failed| Some(*failed) > self.last_good);
        while self.past_due.len() > MOST_FAILURES {
            let last_but_one = self.past_due.iter().rev().nth(1).copied();
            self.past_due.retain(|failed| Some(*failed) != last_but_one);
        }
        let is_understood = !matches!(said.status, SubscriptionStatus::Other(_));
        if is_understood && self.understood.as_ref().is_none_or(|known| said.order() > known.order()) {
            self.understood = Some(said.clone());
        }
        if self.newest.as_ref().is_none_or(|known| said.order() > known.order()) {
            self.newest = Some(said);
        }
        self
    }

    /// Folds in what a session says. One session begins a subscription; of two, the first by id is believed.
    #[must_use]
    pub fn with_begun(mut self, begun: Begun) -> Self {
        if self.begun.as_ref().is_none_or(|known| begun.session_id < known.session_id) {
            self.begun = Some(begun);
        }
        self
    }

    /// Whether Stripe must be asked which of two is right: said in the same second, and not the same. Stripe's times
    /// have no finer resolution.
    pub fn must_ask(&self, said: &Said) -> bool {
        self.newest.as_ref().is_some_and(|known| {
            let is_same_time = known.as_of.occurred_at == said.as_of.occurred_at;
            let is_settled = known.is_final() || said.is_final();
            is_same_time && !is_settled && !known.says_as(said)
        })
    }

    /// Since when a payment is missing, in Unix seconds: the first failure since it was last paid.
    pub fn past_due_since(&self) -> Option<i64> {
        self.past_due.first().copied()
    }

    /// What it sells: as its session says, else its own metadata, where that has our marker. `None` while it may be
    /// another business's.
    pub fn contract(&self) -> Option<&SubscriptionContract> {
        let of_session = self.begun.as_ref().map(|begun| &begun.contract);
        of_session.or_else(|| self.newest.as_ref()?.marked.as_ref())
    }

    /// `cus_…`
    pub fn customer_id(&self) -> Option<&str> {
        self.newest.as_ref()?.customer_id.as_deref()
    }

    /// Whether its status is one that Stripe has added: an operator should look, and nothing changes meanwhile.
    pub fn is_unknown_to_us(&self) -> bool {
        self.newest.as_ref().is_some_and(|said| matches!(said.status, SubscriptionStatus::Other(_)))
    }
}
