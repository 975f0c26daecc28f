use fulfilment::{AsOf, SkipReason, SubscriptionContract, snapshot};
use serde::{Deserialize, Serialize};
use stripe_events::{
    CancellationReason, Event, EventType, Object, PauseBehavior, Subscription, SubscriptionStatus,
};

/// What Stripe said of a subscription at one time: in an event, or asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When and where it was said. A reading counts from when Stripe was asked: what happens during the answer has an
    /// event of its own.
    #[serde(flatten)]
    pub as_of: AsOf,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// `cus_…`
    pub customer_id: Option<String>,
    /// What is subscribed to.
    pub items: Vec<Item>,
    /// When what was paid for ends, in Unix seconds.
    pub period_ends_at: Option<i64>,
    /// When the trial ends, in Unix seconds.
    pub trial_ends_at: Option<i64>,
    /// When it is going to end, in Unix seconds; `None` while it goes on.
    pub ends_at: Option<i64>,
    /// What becomes of its invoices, while they are not collected.
    pub collection_paused: Option<PauseBehavior>,
    /// When it ended, in Unix seconds.
    pub ended_at: Option<i64>,
    /// Why it ended or is going to.
    pub reason: Option<CancellationReason>,
    /// What its own metadata says, where that has our marker and can be read.
    pub marked: Option<SubscriptionContract>,
}

/// A price of a subscription, and how many of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// `price_…`
    pub price_id: Option<String>,
    /// `prod_…`
    pub product_id: Option<String>,
    /// How many were bought; 1 where Stripe does not say.
    pub quantity: i64,
}

impl Said {
    /// What an event says, and the subscription it is about.
    ///
    /// # Errors
    ///
    /// The reason to leave it alone.
    pub fn from_event(event: &Event, livemode: bool) -> Result<(String, Self), SkipReason> {
        let event = snapshot(event)?;
        let Object::Subscription(subscription) = &event.object else {
            return Err(SkipReason::OtherEventType);
        };
        if let EventType::Other(_) = event.event_type {
            return Err(SkipReason::OtherEventType);
        }
        if event.livemode != livemode {
            return Err(SkipReason::OtherLivemode);
        }
        let as_of = AsOf { occurred_at: event.created, event_id: event.id.clone() };
        Ok((subscription.id.clone(), Self::of(subscription, as_of)))
    }

    /// What Stripe answered; `asked_at` (Unix seconds) is from before the question.
    pub fn of_reading(subscription: &Subscription, asked_at: i64) -> Self {
        Self::of(subscription, AsOf { occurred_at: asked_at, event_id: String::new() })
    }

    fn of(subscription: &Subscription, as_of: AsOf) -> Self {
        let items = subscription.items.iter().flat_map(|items| &items.data);
        let item = |item: &stripe_events::SubscriptionItem| Item {
            price_id: item.price.as_ref().and_then(|price| price.id.clone()),
            product_id: item.price.as_ref().and_then(|price| price.product.clone()),
            quantity: item.quantity.unwrap_or(1).max(0),
        };
        let period_ends_at = subscription.period_ends_at();
        let with_period = period_ends_at.filter(|_| subscription.cancel_at_period_end == Some(true));
        let pause = subscription.pause_collection.as_ref();
        let unnamed = || PauseBehavior::Other(String::new());
        Self {
            as_of,
            status: subscription.status.clone(),
            customer_id: subscription.customer.clone(),
            items: items.map(item).collect(),
            period_ends_at,
            trial_ends_at: subscription.trial_end,
            ends_at: subscription.cancel_at.or(with_period),
            collection_paused: pause.map(|pause| pause.behavior.clone().unwrap_or_else(unnamed)),
            ended_at: subscription.ended_at,
            reason: subscription.cancellation_details.as_ref().and_then(|details| details.reason.clone()),
            marked: SubscriptionContract::of_subscription(&subscription.metadata).ok().flatten(),
        }
    }

    /// Whether nothing comes after it. <https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>
    pub fn is_final(&self) -> bool {
        matches!(self.status, SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired)
    }

    /// The same but for when it was said.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        *self == Self { as_of: self.as_of.clone(), ..other.clone() }
    }

    /// The place among everything that was said: what is final stays, then by time; of one second, the status that
    /// usually follows the other, then the event's id.
    pub(crate) fn order(&self) -> (bool, i64, u8, &str) {
        (self.is_final(), self.as_of.occurred_at, rank(&self.status), &self.as_of.event_id)
    }
}

/// How far a status is in the usual life of a subscription.
const fn rank(status: &SubscriptionStatus) -> u8 {
    match status {
        SubscriptionStatus::Incomplete => 0,
        SubscriptionStatus::Trialing => 1,
        SubscriptionStatus::Active => 2,
        SubscriptionStatus::PastDue => 3,
        SubscriptionStatus::Unpaid => 4,
        SubscriptionStatus::Paused => 5,
        SubscriptionStatus::Other(_) => 6,
        SubscriptionStatus::IncompleteExpired => 7,
        SubscriptionStatus::Canceled => 8,
    }
}
