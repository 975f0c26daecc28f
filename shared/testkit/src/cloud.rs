//! AWS in memory, at the level of its HTTP API.
//!
//! Clients of the real SDK, and the adapters over them, are answered as AWS would answer: by the rules its pages
//! give for conditions, transactions, visibility, quotas and errors. One request is answered at a time, whole; time
//! is an argument. What AWS can do but nobody here asks for is refused by a panic that names it, and every later call
//! panics as well, so that no test can overlook it.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use self::dynamodb::DynamoDb;

mod dynamodb;
mod http;

pub use dynamodb::{KeyAttribute, TableDefinition};
pub use http::{Request, Response, Service, sdk_config};

/// The services, and what is in them. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cloud(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    dynamodb: DynamoDb,
}

impl Cloud {
    /// An empty account.
    pub fn new() -> Self {
        Self::default()
    }

    /// An account with the tables of `cdk/lib/stacks/data.ts`: `contributions`, `supporters`, `consents` and
    /// `effects`.
    pub fn with_tables() -> Self {
        let cloud = Self::new();
        let table = |name, partition| TableDefinition::new(name, KeyAttribute::text(partition));
        for definition in [
            table("contributions", "payment_id").expiring_by("expires_at"),
            table("supporters", "supporter_id")
                .sorted_by(KeyAttribute::text("payment_id"))
                .expiring_by("expires_at"),
            table("consents", "supporter_id").sorted_by(KeyAttribute::text("record")),
            table("effects", "payment_id").sorted_by(KeyAttribute::text("effect")).expiring_by("expires_at"),
        ] {
            cloud.create_table(definition);
        }
        cloud
    }

    /// Answers a request at a time in Unix milliseconds: does all of what it asks for, or answers with an error.
    ///
    /// # Panics
    ///
    /// When it is asked for something it does not know.
    pub fn answer(&self, now_ms: i64, request: &Request) -> Response {
        let operation = request.operation();
        let mut state = self.state();
        match request.service {
            Service::DynamoDb => state.dynamodb.answer(now_ms, &operation, &request.body),
        }
    }

    /// What the service answers when it throttles this request. Nothing is done.
    pub fn throttled(request: &Request) -> Response {
        match request.service {
            Service::DynamoDb => dynamodb::throttled(&request.operation(), &request.body),
        }
    }

    /// What DynamoDB answers when a transaction is at work on an item this request writes. Nothing is done. `None`
    /// for a request that cannot conflict.
    pub fn conflicted(request: &Request) -> Option<Response> {
        match request.service {
            Service::DynamoDb => dynamodb::conflicted(&request.operation(), &request.body),
        }
    }

    /// Creates a table, empty.
    pub fn create_table(&self, definition: TableDefinition) {
        self.state().dynamodb.create_table(definition);
    }

    /// All items of a table in the order of their keys, as plain JSON.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        self.state().dynamodb.rows(table)
    }

    /// Puts an item, in plain JSON, into a table, as history would have.
    pub fn put_row(&self, table: &str, row: &Value) {
        self.state().dynamodb.put_row(table, row);
    }

    /// Deletes the items whose TTL is over. Until then they stay, as in AWS, where expiry comes days late.
    pub fn expire(&self, now_ms: i64) {
        self.state().dynamodb.expire(now_ms);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the cloud in memory was asked for something it does not know")
    }
}
