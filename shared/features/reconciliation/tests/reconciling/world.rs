//! A deployment in small: Stripe, a bus with tasks behind it, their ledger, and reconciliation's journal.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use aws::{BusEntry, Clock, NotPut};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use effect_ledger::{
    Claim, Disposition, Effect, EffectKey, EffectRow, EffectState, EffectStore, Executor, Guarantee,
    NotGranted, Refused, Settlement, StoreError, Subject,
};
use fulfilment::{ExpectedEffects, PaymentId, effects};
use reconciliation::{
    FulfilmentBus, Journal, Missing, Overtaken, PUTTING_BACK_SECONDS, Pending, PendingSearch, Position,
    Reconciliation, RunError, RunReport, Settings,
};
use serde_json::Value;
use stripe_client::{ApiKey, StripeClient};
use stripe_events::Event;
use testkit::aws::Endpoint;
use testkit::clock::ManualClock;
use testkit::stripe_api::{KEY, StripeApi};

pub(crate) const NOW: i64 = 1_795_000_000;
pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 86_400;

/// A journal in memory with DynamoDB's conditions; clones share it.
#[derive(Clone, Default)]
pub(crate) struct InMemoryJournal {
    pub(crate) position: Rc<RefCell<Option<Position>>>,
    pub(crate) missing: Rc<RefCell<BTreeMap<String, Missing>>>,
    putting_back_until: Rc<RefCell<BTreeMap<String, i64>>>,
    pub(crate) pending: Rc<RefCell<BTreeMap<String, Pending>>>,
    /// After so many writes it answers no more.
    pub(crate) dies_after: Rc<Cell<Option<u32>>>,
}

impl InMemoryJournal {
    /// As if reconciliation had begun long ago and come to a time.
    pub(crate) fn set_until(&self, until: i64) {
        let position = Position {
            revision: 1,
            began_at: 0,
            until,
            sweep: None,
            proven_until: until,
            proof: None,
            pending_search: PendingSearch::Done,
        };
        *self.position.borrow_mut() = Some(position);
    }

    /// As if a version had written the position that remembers no pending sessions.
    pub(crate) fn forget_search(&self) {
        self.position.borrow_mut().as_mut().unwrap().pending_search = PendingSearch::Due;
    }

    /// As if days had been proven up to a time.
    pub(crate) fn set_proven_until(&self, proven_until: i64) {
        self.position.borrow_mut().as_mut().unwrap().proven_until = proven_until;
    }

    fn write(&self) -> Result<(), StoreError> {
        match self.dies_after.get() {
            Some(0) => Err(StoreError { operation: "write", source: "dead".into() }),
            left => {
                self.dies_after.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

impl Journal for InMemoryJournal {
    async fn position(&self) -> Result<Option<Position>, StoreError> {
        // Another run may come in between.
        tokio::task::yield_now().await;
        Ok(self.position.borrow().clone())
    }

    async fn save(&self, position: &Position) -> Result<Result<(), Overtaken>, StoreError> {
        tokio::task::yield_now().await;
        self.write()?;
        let mut saved = self.position.borrow_mut();
        if saved.as_ref().map_or(0, |saved| saved.revision) != position.revision {
            return Ok(Err(Overtaken));
        }
        *saved = Some(Position { revision: position.revision + 1, ..position.clone() });
        Ok(Ok(()))
    }

    async fn missing(&self) -> Result<Vec<Missing>, StoreError> {
        let mut missing: Vec<_> = self.missing.borrow().values().cloned().collect();
        missing.sort_by_key(|missing| missing.happened_at);
        Ok(missing)
    }

    async fn record(&self, missing: &Missing, not_after: i64, now: i64) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        self.write()?;
        let mut all = self.missing.borrow_mut();
        let last = all.get(&missing.event_id).and_then(|known| known.put_back_at);
        let mut claims = self.putting_back_until.borrow_mut();
        let claimed = claims.get(&missing.event_id).is_some_and(|until| *until >= now);
        if claimed || last.is_some_and(|last| last > not_after) {
            return Ok(false);
        }
        claims.insert(missing.event_id.clone(), now + PUTTING_BACK_SECONDS);
        all.insert(missing.event_id.clone(), missing.clone());
        Ok(true)
    }

    async fn put_back(&self, missing: &Missing, now: i64) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        self.write()?;
        self.putting_back_until.borrow_mut().remove(&missing.event_id);
        let marked = Missing { put_back_at: Some(now), ..missing.clone() };
        self.missing.borrow_mut().insert(missing.event_id.clone(), marked);
        Ok(())
    }

    async fn explained(&self, event_id: &str) -> Result<(), StoreError> {
        self.write()?;
        self.missing.borrow_mut().remove(event_id);
        Ok(())
    }

    async fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        let mut pending: Vec<_> = self.pending.borrow().values().cloned().collect();
        pending.sort_by_key(|pending| pending.next_look_at);
        Ok(pending)
    }

    async fn remember(&self, pending: &Pending) -> Result<(), StoreError> {
        self.write()?;
        self.pending.borrow_mut().entry(pending.session_id.clone()).or_insert_with(|| pending.clone());
        Ok(())
    }

    async fn postpone(&self, pending: &Pending) -> Result<(), StoreError> {
        self.write()?;
        self.pending.borrow_mut().insert(pending.session_id.clone(), pending.clone());
        Ok(())
    }

    async fn decided(&self, session_id: &str) -> Result<(), StoreError> {
        self.write()?;
        self.pending.borrow_mut().remove(session_id);
        Ok(())
    }
}

/// A bus that keeps its entries; clones share it.
#[derive(Clone, Default)]
pub(crate) struct InMemoryBus {
    pub(crate) entries: Rc<RefCell<Vec<BusEntry>>>,
    pub(crate) out_of_order: Rc<Cell<bool>>,
}

impl FulfilmentBus for InMemoryBus {
    async fn put(&self, entries: &[BusEntry]) -> Result<(), NotPut> {
        tokio::task::yield_now().await;
        if self.out_of_order.get() && !entries.is_empty() {
            return Err(NotPut::NoAnswer("out of order".into()));
        }
        self.entries.borrow_mut().extend_from_slice(entries);
        Ok(())
    }
}

/// A ledger in memory that only tasks write, and with the loophole that tests need: rows that go away.
#[derive(Default)]
pub(crate) struct Ledger(
    RefCell<BTreeMap<Subject, BTreeMap<Effect, EffectState>>>,
    /// What Stripe answered, by what it was asked about.
    RefCell<BTreeMap<Subject, String>>,
);

impl Ledger {
    pub(crate) fn state(&self, key: &EffectKey) -> Option<EffectState> {
        self.0.borrow().get(&key.subject)?.get(&key.effect).cloned()
    }

    pub(crate) fn put(&self, key: &EffectKey, state: EffectState) {
        let mut payments = self.0.borrow_mut();
        payments.entry(key.subject.clone()).or_default().insert(key.effect.clone(), state);
    }

    pub(crate) fn rows(&self) -> Vec<(EffectKey, EffectState)> {
        let payments = self.0.borrow();
        let rows = payments.iter().flat_map(|(subject, rows)| {
            rows.iter().map(move |(effect, state)| {
                let key = EffectKey::new(subject, effect.clone());
                (key, state.clone())
            })
        });
        rows.collect()
    }

    /// Keeps what Stripe answered about a payment intent or a subscription.
    pub(crate) fn remember(&self, id: &str, answer: &str) {
        let subject = Subject::new(id);
        self.1.borrow_mut().insert(subject.clone(), answer.to_owned());
        self.put(&EffectKey::new(subject, effects::lookup()), EffectState::Done);
    }

    /// Takes rows away.
    pub(crate) fn forget(&self, gone: impl Fn(&EffectKey) -> bool) {
        for (key, _) in self.rows() {
            if gone(&key) {
                self.0.borrow_mut().entry(key.subject).or_default().remove(&key.effect);
            }
        }
    }
}

impl EffectStore for Ledger {
    async fn of_subject(&self, subject: &Subject) -> Result<Vec<EffectRow>, StoreError> {
        tokio::task::yield_now().await;
        let rows = self.0.borrow().get(subject).cloned().unwrap_or_default();
        let answer = self.1.borrow().get(subject).cloned();
        let row = |(effect, state)| {
            let reference = answer.clone().filter(|_| effect == effects::lookup());
            EffectRow { reference, ..EffectRow::new(effect, state) }
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn claim(
        &self,
        _: &EffectKey,
        _: &Executor<'_>,
        _: i64,
    ) -> Result<Result<Claim, NotGranted>, StoreError> {
        panic!("reconciliation only reads the ledger")
    }

    async fn settle(
        &self,
        _: &EffectKey,
        _: &Claim,
        _: &Settlement,
        _: i64,
    ) -> Result<Result<u32, Refused>, StoreError> {
        panic!("reconciliation only reads the ledger")
    }

    async fn raise_version(&self, _: &EffectKey, _: i64) -> Result<Option<EffectState>, StoreError> {
        panic!("reconciliation only reads the ledger")
    }

    async fn mark_contended(&self, _: &EffectKey, _: &Claim) -> Result<(), StoreError> {
        panic!("reconciliation only reads the ledger")
    }

    async fn write_disposition(
        &self,
        _: &EffectKey,
        _: Disposition<'_>,
        _: &str,
        _: i64,
    ) -> Result<Result<(), EffectRow>, StoreError> {
        panic!("reconciliation only reads the ledger")
    }
}

/// Pauses pass at once, time-outs never.
#[derive(Debug)]
struct NoTime;

impl AsyncSleep for NoTime {
    fn sleep(&self, duration: Duration) -> Sleep {
        match duration.as_secs() {
            3 | 15 => Sleep::new(std::future::pending()),
            _ => Sleep::new(std::future::ready(())),
        }
    }
}

pub(crate) struct World {
    pub(crate) stripe: StripeApi,
    pub(crate) ledger: Ledger,
    pub(crate) journal: InMemoryJournal,
    pub(crate) bus: InMemoryBus,
    pub(crate) clock: ManualClock,
    /// How many mails were sent, by payment and mail.
    pub(crate) mails: RefCell<BTreeMap<EffectKey, u32>>,
    pub(crate) budget: Cell<u32>,
    pub(crate) put_back_at_most: Cell<u64>,
    pub(crate) delivered: Cell<usize>,
    pub(crate) policy: fulfilment::Policy,
}

impl World {
    /// At noon, reconciled up to an hour ago.
    pub(crate) fn new() -> Self {
        let world = Self {
            stripe: StripeApi::start(|| NOW),
            ledger: Ledger::default(),
            journal: InMemoryJournal::default(),
            bus: InMemoryBus::default(),
            clock: ManualClock::default(),
            mails: RefCell::default(),
            budget: Cell::new(100_000),
            put_back_at_most: Cell::new(100_000),
            delivered: Cell::new(0),
            policy: fulfilment::Policy::compiled_in().unwrap(),
        };
        world.journal.set_until(NOW - HOUR);
        world
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1000);
    }

    /// It happened at Stripe, and live traffic brought it.
    pub(crate) fn record_event(&self, event: &Value) {
        self.stripe.record(&event.to_string());
        self.handle(&event.to_string());
    }

    /// It happened at Stripe, and no event of it was delivered.
    pub(crate) fn lose(&self, event: &Value) {
        self.stripe.record(&event.to_string());
    }

    /// What the tasks make of an event: the rows it calls for, unless they are settled. Each task's own tests hold it
    /// to these rows.
    fn handle(&self, json: &str) {
        let event = Event::from_json(json.as_bytes()).unwrap();
        let Some(expected) = ExpectedEffects::from_event(&event, false, &self.policy) else {
            return;
        };
        let Some(payment_id) = self.key_of(&expected) else {
            return;
        };
        let session: Value = serde_json::from_str(json).unwrap();
        if let Some(subscription) = session["data"]["object"]["subscription"].as_str() {
            let key = EffectKey::new(subscription, effects::contract());
            self.ledger.put(&key, EffectState::Done);
        }
        for effect in expected.effects {
            let key = EffectKey::new(&payment_id, effect);
            let state = self.ledger.state(&key);
            if EffectState::standing(state.as_ref(), Guarantee::AtMostOnce, self.clock.now_ms())
                == effect_ledger::Standing::Free
            {
                if key.effect.as_str().starts_with("email#") {
                    *self.mails.borrow_mut().entry(key.clone()).or_default() += 1;
                }
                self.ledger.put(&key, EffectState::Done);
            }
        }
    }

    /// The key under which tasks keep what an event calls for; `None` for an invoice of another business's. Stripe's
    /// answers are kept as tasks keep them, but for the one that a payment intent pays no invoice.
    fn key_of(&self, expected: &ExpectedEffects) -> Option<PaymentId> {
        let id = &expected.payment_id;
        if let Some(subscription) = &expected.if_ours {
            return self.is_our_subscription(subscription).then(|| id.clone());
        }
        let remembered = self.ledger.1.borrow().get(id).cloned();
        let invoice = remembered.or_else(|| {
            let payments = self.stripe.objects("/v1/invoice_payments").into_iter();
            let mut of_it = payments.filter(|payment| payment["payment"]["payment_intent"] == id.as_str());
            let invoice = of_it.next()?["invoice"].as_str()?.to_owned();
            self.ledger.remember(id.as_str(), &invoice);
            Some(invoice)
        });
        let invoice = invoice.filter(|invoice| invoice.starts_with("in_"));
        Some(invoice.map_or_else(|| id.clone(), PaymentId::new))
    }

    fn is_our_subscription(&self, id: &str) -> bool {
        let contract = EffectKey::new(id, effects::contract());
        let of_it = |session: &Value| session["subscription"] == id;
        self.ledger.state(&contract).is_some()
            || self
                .stripe
                .objects("/v1/checkout/sessions")
                .iter()
                .filter(|session| of_it(session))
                .any(|session| session["metadata"].get("fulfilment").is_some())
    }

    /// Events that were put back reach the tasks. Hands back the ids of these events.
    pub(crate) fn deliver(&self) -> Vec<String> {
        let entries = self.bus.entries.borrow();
        let fresh: Vec<_> = entries[self.delivered.get()..].to_vec();
        self.delivered.set(entries.len());
        drop(entries);
        let fresh = fresh.into_iter().filter(|entry| entry.source == "afterlink.reconcile");
        fresh
            .map(|entry| {
                let event = Event::from_json(entry.detail.as_bytes()).unwrap();
                assert_eq!(entry.detail_type, event.type_name());
                self.handle(&entry.detail);
                event.id().to_owned()
            })
            .collect()
    }

    pub(crate) fn client(&self) -> StripeClient {
        // One for all: making it reads the machine's certificates.
        static HTTP: LazyLock<SharedHttpClient> =
            LazyLock::new(|| Endpoint::unreachable().sdk_config().http_client().unwrap());
        let key = ApiKey::new(KEY).unwrap();
        let sleep = SharedAsyncSleep::new(NoTime);
        StripeClient::new(self.stripe.url(), key, HTTP.clone(), sleep, self.budget.get()).unwrap()
    }

    pub(crate) fn reconciliation<'a>(
        &'a self,
        stripe: &'a StripeClient,
    ) -> Reconciliation<'a, Ledger, InMemoryJournal, InMemoryBus, ManualClock> {
        let settings = Settings {
            lag_seconds: 5 * MINUTE,
            overlap_seconds: 10 * MINUTE,
            deadline_ms: self.clock.now_ms() + 1,
            put_back_at_most: self.put_back_at_most.get(),
            again: false,
        };
        Reconciliation {
            stripe,
            ledger: &self.ledger,
            journal: &self.journal,
            bus: &self.bus,
            clock: &self.clock,
            livemode: false,
            policy: &self.policy,
            settings,
        }
    }

    pub(crate) async fn try_run(&self) -> Result<RunReport, RunError> {
        self.reconciliation(&self.client()).run().await
    }

    pub(crate) async fn run(&self) -> RunReport {
        self.try_run().await.unwrap()
    }

    /// The rows of a payment.
    pub(crate) fn rows_of(&self, payment: &str) -> usize {
        self.ledger.rows().iter().filter(|(key, _)| key.subject.as_str() == payment).count()
    }
}
