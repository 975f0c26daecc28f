use std::collections::BTreeMap;

use fulfilment::{
    AccessPolicy, Allowance, EntitlementName, FulfilmentKind, Limit, Meanwhile, Several, WhilePending,
};
use serde::{Deserialize, Serialize};
use stripe_events::{CancellationReason, PauseBehavior, SubscriptionStatus};

use crate::{Item, PaymentFacts, PaymentStanding, Said, SubscriptionFacts};

const SECONDS_A_DAY: i64 = 86_400;

/// What one source gives: a subscription, or a payment that is made once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// `sub_…`, or the payment's key.
    pub source: String,
    /// The kind of product.
    pub kind: FulfilmentKind,
    /// Whether it gives anything now.
    pub state: GrantState,
    /// Why it is so.
    pub reason: Reason,
    /// What it gives while it is active.
    pub entitlements: BTreeMap<EntitlementName, Given>,
    /// Until when, in Unix seconds; `None` for good. Of no meaning while it is not active.
    pub until: Option<i64>,
    /// When its subscription is going to end, in Unix seconds; `None` while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<i64>,
}

/// How much of an entitlement a grant gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// So many; `None` where no number is meant.
    pub limit: Option<i64>,
    /// What it is together with another grant's.
    pub several: Several,
}

/// Whether a grant gives anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantState {
    /// Over.
    Ended,
    /// Not now; it comes back by itself.
    Suspended,
    /// It does.
    Active,
}

/// Why a grant is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The money is there.
    Paid,
    /// The money is on its way, and the policy gives access at once.
    Pending,
    /// Free for now.
    Trial,
    /// A payment is missing, and its grace has not run out.
    PastDue,
    /// A payment is missing, and Stripe tries no more.
    Unpaid,
    /// Cancelled, on request or without a reason given.
    Canceled,
    /// Cancelled because a payment failed.
    PaymentFailed,
    /// Cancelled because a payment was disputed.
    PaymentDisputed,
    /// Paused.
    Paused,
    /// Stripe collects no invoices for now.
    CollectionPaused,
    /// A bank decides about the payment, or its issuer warns of fraud.
    Disputed,
    /// All of the money went back.
    Refunded,
    /// Stripe says a status that this code does not know, and has said none before.
    Unknown,
}

impl Grant {
    /// What a subscription gives: `None` while its first payment is not there, if it never came, and while it may be
    /// another business's.
    ///
    /// `payments` are those of this subscription that are known. `products` is what its products say that they give, by
    /// their ids; where none does, the policy says.
    pub fn of_subscription(
        facts: &SubscriptionFacts,
        payments: &[PaymentFacts],
        policy: &AccessPolicy,
        products: &BTreeMap<String, BTreeMap<EntitlementName, Allowance>>,
    ) -> Option<Self> {
        let kind = facts.contract()?.kind;
        let said = facts.understood.as_ref()?;
        let (state, reason, until) = standing(facts, said, payments, policy)?;
        Some(Self {
            source: facts.subscription_id.clone(),
            kind,
            state,
            reason,
            entitlements: given(&said.items, policy, products),
            until,
            ends_at: said.ends_at,
        })
    }

    /// What a payment that is made once gives; `None` while the money is not there, if it never came, and while the
    /// payment may be another business's.
    pub fn of_payment(facts: &PaymentFacts, policy: &AccessPolicy) -> Option<Self> {
        let kind = facts.kind()?;
        let (state, reason) = match facts.standing() {
            PaymentStanding::Paid => (GrantState::Active, Reason::Paid),
            PaymentStanding::Pending if policy.while_pending == WhilePending::Grant => {
                (GrantState::Active, Reason::Pending)
            }
            PaymentStanding::Contested => (while_disputed(policy), Reason::Disputed),
            PaymentStanding::Returned if policy.refund_ends => (GrantState::Ended, Reason::Refunded),
            PaymentStanding::Returned => (GrantState::Active, Reason::Paid),
            PaymentStanding::Pending | PaymentStanding::Failed => return None,
        };
        let until = match (policy.term_days, facts.paid_at()) {
            (None, _) => None,
            (Some(days), Some(at)) => Some(at.saturating_add(days.saturating_mul(SECONDS_A_DAY))),
            // The term begins with the payment: a refund of a part may be heard of first.
            (Some(_), None) => return None,
        };
        let one = [Item { price_id: None, product_id: None, quantity: 1 }];
        Some(Self {
            source: facts.payment_id().as_str().to_owned(),
            kind,
            state,
            reason,
            entitlements: given(&one, policy, &BTreeMap::new()),
            until,
            ends_at: None,
        })
    }

    /// Whether it gives anything at a time, in Unix seconds.
    pub fn is_active(&self, now: i64) -> bool {
        self.state == GrantState::Active && self.until.is_none_or(|until| now < until)
    }

    /// Whether less is left of it than of another: then Stripe is asked again before this is believed.
    pub fn takes_from(after: Option<&Self>, before: Option<&Self>) -> bool {
        let Some(before) = before.filter(|before| before.state == GrantState::Active) else { return false };
        let Some(after) = after.filter(|after| after.state == GrantState::Active) else { return true };
        let is_sooner = match (after.until, before.until) {
            (Some(after), Some(before)) => after < before,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let is_less = before.entitlements.iter().any(|(name, given)| {
            after.entitlements.get(name).is_none_or(|now| match (now.limit, given.limit) {
                (Some(now), Some(given)) => now < given,
                (Some(_), None) | (None, Some(_) | None) => false,
            })
        });
        is_sooner || is_less
    }
}

/// State, reason and end of a subscription's grant; `None` where there is no grant yet, or never was.
fn standing(
    facts: &SubscriptionFacts,
    said: &Said,
    payments: &[PaymentFacts],
    policy: &AccessPolicy,
) -> Option<(GrantState, Reason, Option<i64>)> {
    let days = |from: i64, days: i64| from.saturating_add(days.saturating_mul(SECONDS_A_DAY));
    // What was cancelled for a later day ends on that day, and not three days after it.
    let with_slack = |end: Option<i64>| {
        let end = end.map(|end| days(end, policy.slack_days));
        match said.ends_at {
            Some(ends_at) => Some(end.map_or(ends_at, |end| end.min(ends_at))),
            None => end,
        }
    };
    let (state, reason, until) = match &said.status {
        SubscriptionStatus::Incomplete | SubscriptionStatus::IncompleteExpired => return None,
        SubscriptionStatus::Trialing => (GrantState::Active, Reason::Trial, with_slack(said.trial_ends_at)),
        SubscriptionStatus::Active => (GrantState::Active, Reason::Paid, with_slack(said.period_ends_at)),
        SubscriptionStatus::PastDue => {
            let since = facts.past_due_since().unwrap_or(said.as_of.occurred_at);
            (GrantState::Active, Reason::PastDue, Some(days(since, policy.grace_days)))
        }
        SubscriptionStatus::Unpaid => (GrantState::Ended, Reason::Unpaid, None),
        SubscriptionStatus::Paused => (GrantState::Suspended, Reason::Paused, None),
        SubscriptionStatus::Canceled => (GrantState::Ended, canceled(said.reason.as_ref()), None),
        SubscriptionStatus::Other(_) => (GrantState::Suspended, Reason::Unknown, None),
    };
    if state != GrantState::Active {
        return Some((state, reason, until));
    }
    match current(payments).map(PaymentFacts::standing) {
        Some(PaymentStanding::Returned) if policy.refund_ends => {
            return Some((GrantState::Ended, Reason::Refunded, None));
        }
        Some(PaymentStanding::Contested) => return Some((while_disputed(policy), Reason::Disputed, until)),
        // Stripe says `active` of a bank debit that may yet fail.
        Some(PaymentStanding::Pending) => match policy.while_pending {
            WhilePending::Wait => return None,
            WhilePending::Grant => return Some((GrantState::Active, Reason::Pending, until)),
        },
        Some(PaymentStanding::Failed) => return None,
        Some(PaymentStanding::Paid | PaymentStanding::Returned) | None => {}
    }
    if let Some(behavior) = &said.collection_paused {
        // Void: no service is delivered. <https://docs.stripe.com/billing/subscriptions/pause-payment>
        let rests = policy.while_collection_paused == Meanwhile::Suspend || *behavior == PauseBehavior::Void;
        let state = if rests { GrantState::Suspended } else { GrantState::Active };
        return Some((state, Reason::CollectionPaused, until));
    }
    Some((state, reason, until))
}

/// The payment of the current period: the one that paid for the longest. Refunds of others take nothing away.
fn current(payments: &[PaymentFacts]) -> Option<&PaymentFacts> {
    payments.iter().max_by_key(|payment| (payment.term_ends_at(), payment.paid_at()))
}

const fn while_disputed(policy: &AccessPolicy) -> GrantState {
    match policy.while_disputed {
        Meanwhile::Keep => GrantState::Active,
        Meanwhile::Suspend => GrantState::Suspended,
    }
}

const fn canceled(reason: Option<&CancellationReason>) -> Reason {
    match reason {
        Some(CancellationReason::PaymentFailed) => Reason::PaymentFailed,
        Some(CancellationReason::PaymentDisputed) => Reason::PaymentDisputed,
        Some(
            CancellationReason::CancellationRequested
            | CancellationReason::CanceledByRetentionPolicy
            | CancellationReason::Other(_),
        )
        | None => Reason::Canceled,
    }
}

/// What items give together: each as its product says, else the policy.
fn given(
    items: &[Item],
    policy: &AccessPolicy,
    products: &BTreeMap<String, BTreeMap<EntitlementName, Allowance>>,
) -> BTreeMap<EntitlementName, Given> {
    let mut together: BTreeMap<EntitlementName, Given> = BTreeMap::new();
    for item in items {
        let own = item.product_id.as_ref().and_then(|product| products.get(product));
        for (name, allowance) in own.unwrap_or(&policy.entitlements) {
            let limit = match allowance.limit {
                Limit::None => None,
                Limit::Fixed(number) => Some(number),
                Limit::Quantity => Some(item.quantity),
            };
            let given = Given { limit, several: allowance.several };
            together.entry(name.clone()).and_modify(|known| *known = known.and(given)).or_insert(given);
        }
    }
    together
}

impl Reason {
    /// As text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Pending => "pending",
            Self::Trial => "trial",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Canceled => "canceled",
            Self::PaymentFailed => "payment_failed",
            Self::PaymentDisputed => "payment_disputed",
            Self::Paused => "paused",
            Self::CollectionPaused => "collection_paused",
            Self::Disputed => "disputed",
            Self::Refunded => "refunded",
            Self::Unknown => "unknown",
        }
    }
}

impl Given {
    /// This and another's together. No number with a number is no number: it limits nothing.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let limit = self.limit.zip(other.limit).map(|(one, two)| match self.several {
            Several::Sum => one.saturating_add(two),
            Several::Max => one.max(two),
        });
        Self { limit, several: self.several }
    }
}

#[cfg(test)]
mod tests;
