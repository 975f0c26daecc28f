#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

mod account;
mod form;
mod published;
mod query;
mod server;
mod shapes;
mod writes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::account::Account;
pub use crate::published::{Misfit, Published};
use crate::query::Query;

/// The key that is let in by default.
pub const KEY: &str = "rk_test_fake";

/// Stripe's API on loopback. Clones are the same one; it answers until the process ends.
#[derive(Debug, Clone)]
pub struct StripeApi {
    url: String,
    state: Arc<Mutex<State>>,
}

/// What Stripe knows of one account, without a network.
#[derive(Debug, Default)]
pub struct StripeAccount(Account);

impl StripeAccount {
    /// As [`StripeApi::record`].
    pub fn record(&mut self, event: &str) {
        self.0.record(event, 0, i64::MIN);
    }

    /// As [`StripeApi::put_line_items`].
    pub fn put_line_items(&mut self, id: &str, items: &[Value]) {
        self.0.line_items.insert(id.to_owned(), items.to_vec());
    }

    /// The answer to a GET by its path and query, at a time in Unix seconds: its status, and JSON.
    pub fn get(&self, target: &str, now: i64) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match self.0.get(path, &Query::read(query), usize::MAX, now) {
            Ok(body) => (200, body),
            Err(refusal) => (refusal.status, server::error(&refusal)),
        }
    }
}

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status, with an error as Stripe writes it.
    Status(u16),
    /// The connection breaks before anything is done.
    Reset,
    /// It is done, and the connection breaks before the answer.
    LostReply,
    /// This status, after which nothing is done, and which Stripe keeps with the idempotency key: a caller that asks
    /// again with the same key gets it again. <https://docs.stripe.com/api/idempotent_requests>
    Kept(u16),
    /// No answer ever comes.
    Silence,
}

#[derive(Debug, Default)]
struct State {
    account: Account,
    /// What becomes of the next requests; beyond it they are answered.
    faults: VecDeque<Option<Fault>>,
    /// The permission the key lacks.
    lacks: Option<&'static str>,
    /// `GET /v1/events?limit=1`, in their order.
    requests: Vec<String>,
    /// What a POST with an idempotency key was, and how it was answered.
    answered: BTreeMap<String, server::Answered>,
}

impl StripeApi {
    /// Listens on a free port. `now` is the time in Unix seconds.
    pub fn start(now: impl Fn() -> i64 + Send + 'static) -> Self {
        Self::start_on(0, now)
    }

    /// Listens on a port of one's choice.
    pub fn start_on(port: u16, now: impl Fn() -> i64 + Send + 'static) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let url = server::start(port, Arc::clone(&state), now);
        Self { url, state }
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Something happened at Stripe: the event, and the object as it is now. The text is kept byte for byte.
    pub fn record(&self, event: &str) {
        self.lock().account.record(event, 0, i64::MIN);
    }

    /// The delivery of an event to a webhook endpoint is pending or has failed.
    pub fn not_delivered(&self, event_id: &str) {
        self.lock().account.undelivered.insert(event_id.to_owned());
    }

    /// As [`StripeApi::record`], but the event is not in lists before so many requests were made.
    pub fn record_late(&self, event: &str, requests: usize) {
        let mut state = self.lock();
        let visible_from = state.requests.len() + requests;
        state.account.record(event, visible_from, i64::MIN);
    }

    /// As [`StripeApi::record`], but the event is not in lists before a time, in Unix seconds.
    pub fn record_visible_at(&self, event: &str, unix_seconds: i64) {
        self.lock().account.record(event, 0, unix_seconds);
    }

    /// Puts an object, from any event that has it: a session, a refund, a dispute, a Payment Link or an event
    /// destination, by its `object`.
    pub fn put(&self, object: &Value) {
        self.lock().account.put(object.clone());
    }

    /// The line items of a session.
    pub fn put_line_items(&self, session_id: &str, items: &[Value]) {
        self.lock().account.line_items.insert(session_id.to_owned(), items.to_vec());
    }

    /// Takes an object out of lists; by its id it is still found.
    pub fn hide(&self, id: &str) {
        self.lock().account.hide(id);
    }

    /// Whether Stripe Tax is set up. Until it is, no link can have it; at first it is.
    pub fn set_up_tax(&self, done: bool) {
        self.lock().account.has_no_tax_address = !done;
    }

    /// Whether a Payment Link can be paid: it is active, and so is every price that it sells.
    pub fn can_be_paid(&self, payment_link_id: &str) -> bool {
        self.lock().account.can_be_paid(payment_link_id)
    }

    /// A day goes by: Stripe forgets the idempotency keys.
    pub fn forget_idempotency_keys(&self) {
        self.lock().answered.clear();
    }

    /// The line items of a link or of a session.
    pub fn line_items(&self, id: &str) -> Vec<Value> {
        self.lock().account.line_items.get(id).cloned().unwrap_or_default()
    }

    /// What becomes of the next requests, in their order; `None` is answered.
    pub fn fail(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.lock().faults.extend(faults);
    }

    /// The next requests are answered after all.
    pub fn forget_faults(&self) {
        self.lock().faults.clear();
    }

    /// Takes a permission from the key, e.g. `rak_event_read`: what needs it is refused.
    pub fn withhold(&self, permission: Option<&'static str>) {
        self.lock().lacks = permission;
    }

    /// Every object of a kind, newest first, by its path: `/v1/payment_links`.
    pub fn objects(&self, list: &str) -> Vec<Value> {
        self.lock().account.all(list)
    }

    /// The request: `GET /v1/events?limit=1`.
    pub fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
