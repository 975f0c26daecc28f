#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use serde::de::DeserializeOwned;
use serde_json::Value;
use stripe_api_fake::StripeAccount;

use self::deployed::DeployedTable;
use self::dynamodb::DynamoDb;
use self::event_bridge::EventBridge;
use self::s3::S3;
use self::secrets_manager::SecretsManager;
use self::ses::Ses;
use self::sqs::Sqs;

mod deployed;
mod dynamodb;
mod event_bridge;
mod http;
mod s3;
mod secrets_manager;
mod ses;
mod sqs;

pub use dynamodb::{KeyAttribute, Projection, TableDefinition};
pub use event_bridge::BusEvent;
pub use http::{Request, Response, Service, sdk_config};
pub use ses::{Mail, Quota};
pub use sqs::{Message, MessageAttribute, QueueDefinition, Redrive};

/// The services, and their contents. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cloud(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    dynamodb: DynamoDb,
    sqs: Sqs,
    ses: Ses,
    event_bridge: EventBridge,
    s3: S3,
    secrets_manager: SecretsManager,
    stripe: StripeAccount,
}

impl Cloud {
    /// An empty account.
    pub fn new() -> Self {
        Self::default()
    }

    /// An account with the tables that are deployed, as the CDK app's tests write them down.
    ///
    /// # Panics
    ///
    /// When that file says something that these tables cannot be.
    pub fn with_tables() -> Self {
        let cloud = Self::new();
        // Read once: the simulation makes tens of thousands of clouds.
        static TABLES: LazyLock<BTreeMap<String, DeployedTable>> = LazyLock::new(|| {
            serde_json::from_str(include_str!("../../../cdk/test/golden/tables.json")).expect("tables")
        });
        for (name, table) in TABLES.iter() {
            cloud.create_table(table.definition(name));
        }
        cloud
    }

    /// Answers a request at a time in Unix milliseconds: does all of what it asks for, or answers with an error.
    ///
    /// # Panics
    ///
    /// When it is asked for something it does not know.
    pub fn answer(&self, now_ms: i64, request: &Request) -> Response {
        let Request { service, body, .. } = request;
        let mut state = self.state();
        let operation = request.operation();
        match service {
            Service::DynamoDb => state.dynamodb.answer(now_ms, operation, body),
            Service::Sqs => state.sqs.answer(now_ms, operation, body),
            Service::Ses => state.ses.answer(now_ms, operation, body),
            Service::EventBridge => state.event_bridge.answer(now_ms, operation, body),
            Service::S3 => {
                let operation = s3::operation(&request.method, &request.uri);
                state.s3.answer(operation, body, request.checksum_sha256.as_deref())
            }
            Service::SecretsManager => state.secrets_manager.answer(operation, body),
            Service::Stripe => state.ask_stripe(now_ms, request),
        }
    }

    /// What the service answers when it throttles this request. Nothing is done.
    pub fn throttled(request: &Request) -> Response {
        match request.service {
            Service::DynamoDb => dynamodb::throttled(request.operation(), &request.body),
            Service::Sqs => sqs::throttled(),
            Service::Ses => ses::throttled(),
            Service::EventBridge => event_bridge::throttled(),
            Service::S3 => s3::throttled(),
            Service::SecretsManager => secrets_manager::throttled(),
            Service::Stripe => Response {
                status: 429,
                headers: Vec::new(),
                body: br#"{"error":{"code":"rate_limit"}}"#.to_vec(),
            },
        }
    }

    /// What EventBridge answers when it throttles an entry of a `PutEvents` and not the call: a success whose last
    /// entry was refused. Nothing is done. `None` for any other request.
    pub fn entry_throttled(request: &Request) -> Option<Response> {
        (request.service == Service::EventBridge).then(|| event_bridge::entry_throttled(&request.body))
    }

    /// What DynamoDB answers when a transaction is at work on an item this request writes. Nothing is done. `None`
    /// for a request that cannot conflict.
    pub fn conflicted(request: &Request) -> Option<Response> {
        if request.service != Service::DynamoDb {
            return None;
        }
        dynamodb::conflicted(request.operation(), &request.body)
    }

    /// Creates a table, empty.
    pub fn create_table(&self, definition: TableDefinition) {
        self.state().dynamodb.create_table(definition);
    }

    /// Takes every item out of a table.
    ///
    /// # Panics
    ///
    /// When there is no such table.
    pub fn clear_table(&self, table: &str) {
        self.state().dynamodb.clear_table(table);
    }

    /// All items of a table in the order of their keys, as plain JSON.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        self.state().dynamodb.rows(table)
    }

    /// The item with this key (partition, then sort), as plain JSON.
    pub fn row(&self, table: &str, key: &[&str]) -> Option<Value> {
        self.state().dynamodb.row(table, key)
    }

    /// Puts an item, in plain JSON, into a table, as history would have.
    pub fn put_row(&self, table: &str, row: &Value) {
        self.state().dynamodb.put_row(table, row);
    }

    /// Deletes the items whose TTL is over. Until then they stay, as in AWS, where expiry comes days late.
    pub fn expire(&self, now_ms: i64) {
        self.state().dynamodb.expire(now_ms);
    }

    /// Creates a queue, empty.
    pub fn create_queue(&self, definition: QueueDefinition) {
        self.state().sqs.create_queue(definition);
    }

    /// Sends a message to a queue, and says its id.
    ///
    /// # Panics
    ///
    /// When SQS would refuse it.
    pub fn send(
        &self,
        now_ms: i64,
        queue_url: &str,
        body: &str,
        attributes: BTreeMap<String, MessageAttribute>,
    ) -> String {
        self.state().sqs.send(now_ms, queue_url, body.to_owned(), attributes, 0).unwrap()
    }

    /// Receives messages for the queue's own visibility timeout. A message received too often before goes to the DLQ
    /// instead.
    pub fn receive(&self, now_ms: i64, queue_url: &str, at_most: usize) -> Vec<Message> {
        self.state().sqs.receive(now_ms, queue_url, at_most, None).unwrap()
    }

    /// Deletes a message that was received, as Lambda does when a function is done with it.
    pub fn delete(&self, queue_url: &str, receipt_handle: &str) {
        self.state().sqs.delete(queue_url, receipt_handle).unwrap();
    }

    /// Sends everything in a DLQ back to a queue, as new messages. How many there were.
    pub fn redrive(&self, now_ms: i64, dlq_url: &str, queue_url: &str) -> usize {
        self.state().sqs.redrive(now_ms, dlq_url, queue_url).unwrap()
    }

    /// Everything in a queue, visible or not, in the order it came.
    pub fn messages(&self, queue_url: &str) -> Vec<Message> {
        self.state().sqs.messages(queue_url).to_vec()
    }

    /// When the first message of a queue is (or was) visible, in Unix milliseconds; `None` when there is none.
    pub fn next_visible_ms(&self, queue_url: &str) -> Option<i64> {
        self.state().sqs.messages(queue_url).iter().map(|message| message.visible_at_ms).min()
    }

    /// Every mail that was accepted, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.state().ses.mails.clone()
    }

    /// Limits how much may be mailed from now on.
    pub fn set_mail_quota(&self, quota: Quota) {
        self.state().ses.quota = quota;
    }

    /// Mails to this address are rejected from now on.
    pub fn reject_mail_to(&self, address: &str) {
        self.state().ses.rejected.insert(address.to_owned());
    }

    /// Creates an event bus. An entry for a bus that was not created is accepted and lost.
    pub fn create_bus(&self, name: &str) {
        self.state().event_bridge.buses.insert(name.to_owned());
    }

    /// Every event that a bus accepted, in order.
    pub fn events(&self, bus: &str) -> Vec<BusEvent> {
        let state = self.state();
        state.event_bridge.events.iter().filter(|event| event.bus == bus).cloned().collect()
    }

    /// Creates a bucket, empty.
    pub fn create_bucket(&self, bucket: &str) {
        self.state().s3.buckets.entry(bucket.to_owned()).or_default();
    }

    /// An object's bytes, if it is there.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.state().s3.buckets.get(bucket)?.get(key).map(|object| object.body.clone())
    }

    /// Puts an object into a bucket, which is created if need be. No checksum comes with it.
    pub fn put_object(&self, bucket: &str, key: &str, body: &[u8]) {
        self.put_object_at(bucket, key, body, s3::MODIFIED_MS);
    }

    /// As [`Cloud::put_object`], at a time in Unix milliseconds.
    pub fn put_object_at(&self, bucket: &str, key: &str, body: &[u8], modified_ms: i64) {
        let mut state = self.state();
        let objects = state.s3.buckets.entry(bucket.to_owned()).or_default();
        objects.insert(key.to_owned(), s3::Object { body: body.to_vec(), sha256: None, modified_ms });
    }

    /// An object's entity tag, without quotation marks, if it is there.
    pub fn etag(&self, bucket: &str, key: &str) -> Option<String> {
        Some(s3::etag(&self.object(bucket, key)?))
    }

    /// Takes an object out of a bucket.
    pub fn delete_object(&self, bucket: &str, key: &str) {
        if let Some(objects) = self.state().s3.buckets.get_mut(bucket) {
            objects.remove(key);
        }
    }

    /// Something happened at Stripe: its API shows the event, and the object as it is now.
    pub fn record_at_stripe(&self, event: &Value) {
        self.state().stripe.record(&event.to_string());
    }

    /// What a session or a Payment Link of Stripe's sells.
    pub fn put_line_items_at_stripe(&self, id: &str, items: &[Value]) {
        self.state().stripe.put_line_items(id, items);
    }

    /// Puts a secret there.
    pub fn put_secret(&self, name: &str, text: &str) {
        self.state().secrets_manager.secrets.insert(name.to_owned(), text.to_owned());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the cloud in memory was asked for something it does not know")
    }
}

impl State {
    fn ask_stripe(&self, now_ms: i64, request: &Request) -> Response {
        let target = request.uri.split_once("://").map_or(request.uri.as_str(), |(_, rest)| rest);
        let path = &target[target.find('/').unwrap_or_default()..];
        let (status, body) = self.stripe.get(path, now_ms / 1000);
        Response { status, headers: Vec::new(), body: body.into_bytes() }
    }
}

/// A request's input. What cannot be read is something that no code has needed yet.
fn read<T: DeserializeOwned>(operation: &str, body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap_or_else(|error| unreadable(operation, &error, body))
}

fn unreadable(operation: &str, error: &serde_json::Error, body: &[u8]) -> ! {
    let body = String::from_utf8_lossy(body);
    panic!("the cloud in memory cannot read this {operation} ({error}): {body}")
}

#[cfg(test)]
mod tests;
