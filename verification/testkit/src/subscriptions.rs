//! A Stripe that says which payment intent pays which invoice and what began which subscription, in memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use payment_lookup::Stripe;
use serde_json::{Value, json};
use stripe_access::{Began, StripeAccessError, SubscriptionItem};
use stripe_client::StripeError;
use stripe_events::{CheckoutSession, Interval, Invoice, Recurring};

/// A session, and how often the subscription that it began is due.
/// The interval of a price.
pub fn every(count: i64, interval: Interval) -> Recurring {
    Recurring { interval: Some(interval), interval_count: Some(count) }
}

type Session = (CheckoutSession, Option<Recurring>, Vec<SubscriptionItem>);

/// Replies from what a test put; clones share it.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionsAtStripe {
    invoices: Rc<RefCell<BTreeMap<String, Value>>>,
    sessions: Rc<RefCell<BTreeMap<String, Session>>>,
    /// How many questions were asked.
    pub asked: Rc<Cell<u32>>,
    /// Whether every question is answered with 503.
    pub down: Rc<Cell<bool>>,
}

impl SubscriptionsAtStripe {
    /// A payment intent pays an invoice; `subscription_id` is none for that of a one-off payment.
    pub fn pays(&self, payment_intent: &str, invoice_id: &str, subscription_id: Option<&str>) {
        let parent = subscription_id.map(|id| json!({ "subscription_details": { "subscription": id } }));
        let invoice = json!({ "object": "invoice", "id": invoice_id, "parent": parent });
        self.invoices.borrow_mut().insert(payment_intent.to_owned(), invoice);
    }

    /// A session began a subscription. `event` is any event of the session.
    pub fn began(&self, subscription_id: &str, event: &Value, recurring: Option<Recurring>) {
        let session = serde_json::from_value(event["data"]["object"].clone()).unwrap();
        self.sessions.borrow_mut().insert(subscription_id.to_owned(), (session, recurring, Vec::new()));
    }

    /// What a subscription is for that a session began: two of a price of £2.50.
    pub fn is_for_two(&self, subscription_id: &str) {
        let price = json!({ "id": "price_1Fixture", "product": "prod_1Fixture", "unit_amount": 250 });
        let item = serde_json::from_value(json!({ "price": price, "quantity": 2 })).unwrap();
        self.sessions.borrow_mut().get_mut(subscription_id).unwrap().2.push(item);
    }

    /// A session began each of the subscriptions whose invoices are recorded.
    pub fn began_the_recorded(&self) {
        let session = serde_json::from_str(include_str!("../fixtures/session_subscription.json")).unwrap();
        for subscription in ["sub_1Fixture", "sub_1Fixture2020"] {
            self.began(subscription, &session, Some(every(1, Interval::Month)));
        }
    }

    /// Lets others run, as a call over the network does.
    async fn answer(&self) -> Result<(), StripeAccessError> {
        self.asked.set(self.asked.get() + 1);
        tokio::task::yield_now().await;
        if self.down.get() {
            let path = String::new();
            let error = StripeError::Unavailable { path, attempts: 4, reason: "503".to_owned() };
            return Err(error.into());
        }
        Ok(())
    }
}

impl Stripe for SubscriptionsAtStripe {
    async fn invoice_paid_by(&self, payment_intent: &str) -> Result<Option<Invoice>, StripeAccessError> {
        self.answer().await?;
        let invoices = self.invoices.borrow();
        Ok(invoices.get(payment_intent).map(|json| serde_json::from_value(json.clone()).unwrap()))
    }

    async fn began(&self, subscription_id: &str) -> Result<Option<Began>, StripeAccessError> {
        self.answer().await?;
        let sessions = self.sessions.borrow();
        let began = sessions.get(subscription_id).cloned();
        Ok(began.map(|(session, recurring, items)| Began { session, recurring, items }))
    }
}
