//! A Stripe that answers from two lists and counts the questions.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use aws::Clock as _;
use effect_ledger::{EffectRow, Executor};
use serde_json::{Value, json};
use stripe_access::{Began, StripeAccessError};
use stripe_client::StripeError;
use stripe_events::Invoice;
use testkit::clock::ManualClock;
use testkit::ledger::InMemoryEffects;

use crate::{PaymentLookup, Stripe};

#[derive(Clone, Default)]
pub(crate) struct FakeStripe {
    pub(crate) invoices: Rc<RefCell<BTreeMap<String, Value>>>,
    pub(crate) sessions: Rc<RefCell<BTreeMap<String, Began>>>,
    pub(crate) asked: Rc<Cell<u32>>,
    pub(crate) fails: Rc<RefCell<Option<StripeError>>>,
}

impl FakeStripe {
    pub(crate) fn pays(&self, payment_intent: &str, invoice: &str, subscription: Option<&str>) {
        let parent = subscription.map(|id| json!({ "subscription_details": { "subscription": id } }));
        let invoice = json!({ "object": "invoice", "id": invoice, "parent": parent });
        self.invoices.borrow_mut().insert(payment_intent.to_owned(), invoice);
    }

    /// Lets others run, as a call over the network does.
    async fn answer(&self) -> Result<(), StripeAccessError> {
        self.asked.set(self.asked.get() + 1);
        tokio::task::yield_now().await;
        self.fails.borrow().clone().map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Stripe for FakeStripe {
    async fn invoice_paid_by(&self, payment_intent: &str) -> Result<Option<Invoice>, StripeAccessError> {
        self.answer().await?;
        let invoices = self.invoices.borrow();
        Ok(invoices.get(payment_intent).map(|json| serde_json::from_value(json.clone()).unwrap()))
    }

    async fn began(&self, subscription_id: &str) -> Result<Option<Began>, StripeAccessError> {
        self.answer().await?;
        Ok(self.sessions.borrow().get(subscription_id).cloned())
    }
}

pub(crate) type Lookup = PaymentLookup<FakeStripe, InMemoryEffects, ManualClock>;

pub(crate) fn lookup() -> Lookup {
    PaymentLookup {
        stripe: FakeStripe::default(),
        ledger: InMemoryEffects::default(),
        clock: ManualClock::default(),
    }
}

pub(crate) fn executor(owner: &str) -> Executor<'_> {
    Executor { owner, lease_until: i64::MAX, event_id: "evt_1", detail: None, expected_version: 0 }
}

/// An executor with another event, whose lease has run out when the clock has moved on.
pub(crate) fn executor_of<'a>(lookup: &Lookup, owner: &'a str, event_id: &'a str) -> Executor<'a> {
    Executor { owner, event_id, lease_until: lookup.clock.now_ms(), detail: None, expected_version: 0 }
}

pub(crate) fn rows(lookup: &Lookup, id: &str) -> Vec<EffectRow> {
    let rows = lookup.ledger.rows().into_iter();
    rows.filter(|(key, _)| key.subject.as_str() == id).map(|(_, row)| row).collect()
}
