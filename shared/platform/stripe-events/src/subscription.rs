use std::collections::BTreeMap;

use serde::Deserialize;

use crate::open_enum::open_enum;
use crate::{Price, wire};

/// A subscription, as far as Afterlink reads it. <https://docs.stripe.com/api/subscriptions/object>
#[derive(Debug, Clone, Deserialize)]
pub struct Subscription {
    /// `sub_…`
    pub id: String,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// `cus_…`
    #[serde(default, deserialize_with = "wire::expandable")]
    pub customer: Option<String>,
    /// Its own metadata. A Payment Link's goes to the session; `subscription_data.metadata` of the link comes here.
    #[serde(default, deserialize_with = "wire::metadata")]
    pub metadata: BTreeMap<String, String>,
    /// What is subscribed to.
    #[serde(default)]
    pub items: Option<SubscriptionItems>,
    /// When what was paid for ends, in Unix seconds, before 2025-03-31. [`Subscription::period_ends_at`] reads both
    /// places.
    #[serde(default)]
    pub current_period_end: Option<i64>,
    /// When it will end, in Unix seconds.
    #[serde(default)]
    pub cancel_at: Option<i64>,
    /// Whether it ends with the period. With flexible billing only `cancel_at` says so.
    #[serde(default)]
    pub cancel_at_period_end: Option<bool>,
    /// When it ended, in Unix seconds.
    #[serde(default)]
    pub ended_at: Option<i64>,
    /// When its trial ends or ended, in Unix seconds.
    #[serde(default)]
    pub trial_end: Option<i64>,
    /// Set while its invoices are not collected. Its status stays as it was.
    #[serde(default)]
    pub pause_collection: Option<PauseCollection>,
    /// Why it was cancelled.
    #[serde(default)]
    pub cancellation_details: Option<CancellationDetails>,
}

open_enum! {
    /// Where a subscription stands. <https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>
    SubscriptionStatus {
        /// The first payment is not there yet.
        Incomplete = "incomplete",
        /// The first payment did not come within 23 hours. It never began.
        IncompleteExpired = "incomplete_expired",
        /// Free for now.
        Trialing = "trialing",
        /// Paid.
        Active = "active",
        /// A payment failed; Stripe tries again, or has given up, as the account is set up.
        PastDue = "past_due",
        /// It ended.
        Canceled = "canceled",
        /// Stripe has given up on a payment; paying the open invoice brings it back.
        Unpaid = "unpaid",
        /// Its trial ended without a way to pay, or the seller paused it: no invoices.
        Paused = "paused",
    }
}

/// The items of a subscription.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SubscriptionItems {
    /// In Stripe's order.
    #[serde(default, deserialize_with = "wire::list")]
    pub data: Vec<SubscriptionItem>,
}

/// One price of a subscription. <https://docs.stripe.com/api/subscription_items/object>
#[derive(Debug, Clone, Deserialize)]
pub struct SubscriptionItem {
    /// The price, with its product.
    #[serde(default)]
    pub price: Option<Price>,
    /// How many; null where usage is counted.
    #[serde(default, deserialize_with = "wire::readable")]
    pub quantity: Option<i64>,
    /// When what was paid for ends, in Unix seconds, since 2025-03-31. Items may differ.
    #[serde(default)]
    pub current_period_end: Option<i64>,
}

/// How long and in what way invoices are not collected.
#[derive(Debug, Clone, Deserialize)]
pub struct PauseCollection {
    /// What becomes of the invoices.
    #[serde(default)]
    pub behavior: Option<PauseBehavior>,
}

open_enum! {
    /// What becomes of invoices that are not collected.
    /// <https://docs.stripe.com/billing/subscriptions/pause-payment>
    PauseBehavior {
        /// They wait: the service is delivered and paid later.
        KeepAsDraft = "keep_as_draft",
        /// They are given up: the service is delivered for nothing.
        MarkUncollectible = "mark_uncollectible",
        /// They are void: no service is delivered.
        Void = "void",
    }
}

/// Why a subscription was cancelled.
#[derive(Debug, Clone, Deserialize)]
pub struct CancellationDetails {
    /// Stripe's word for it.
    #[serde(default)]
    pub reason: Option<CancellationReason>,
}

open_enum! {
    /// Why a subscription was cancelled.
    CancellationReason {
        /// The customer or the seller asked for it.
        CancellationRequested = "cancellation_requested",
        /// A payment failed for good.
        PaymentFailed = "payment_failed",
        /// A payment was disputed.
        PaymentDisputed = "payment_disputed",
        /// Stripe keeps no subscription of this kind any longer.
        CanceledByRetentionPolicy = "canceled_by_retention_policy",
    }
}

impl Subscription {
    /// When the last of what was paid for ends, in Unix seconds. API version 2025-03-31 moved it to the items.
    /// <https://docs.stripe.com/changelog/basil/2025-03-31/deprecate-subscription-current-period-start-and-end>
    pub fn period_ends_at(&self) -> Option<i64> {
        let items = self.items.iter().flat_map(|items| &items.data);
        items.filter_map(|item| item.current_period_end).max().or(self.current_period_end)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Event, Object};

    fn read(object: serde_json::Value) -> Subscription {
        let event = json!({
            "object": "event", "id": "evt_1", "type": "customer.subscription.updated", "created": 1_790_000_000,
            "livemode": false, "data": { "object": object },
        });
        let Event::Snapshot(event) = Event::from_value(event).unwrap() else { panic!() };
        let Object::Subscription(subscription) = event.object else { panic!() };
        *subscription
    }

    #[test]
    fn the_period_is_that_of_the_items_or_of_the_subscription_before_they_had_one() {
        let items = json!([{ "current_period_end": 20 }, { "current_period_end": 30 }, { "quantity": 2 }]);
        let subscription = read(json!({ "id": "sub_1", "status": "active", "items": { "data": items } }));
        assert_eq!(subscription.period_ends_at(), Some(30));
        let old =
            json!({ "id": "sub_1", "status": "active", "items": { "data": [{}] }, "current_period_end": 10 });
        assert_eq!(read(old).period_ends_at(), Some(10));
    }

    #[test]
    fn a_status_that_stripe_adds_is_kept_as_it_came() {
        let subscription = read(json!({ "object": "subscription", "id": "sub_1", "status": "resting" }));
        assert_eq!(subscription.status, SubscriptionStatus::Other("resting".into()));
    }
}
