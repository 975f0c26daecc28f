//! DynamoDB, as far as this project calls it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::table::{Key, KeyValue, Table};
use self::value::{Attribute, Item, NOT_A_NUMBER, NUMBER_LIMITS, plain_item};
use self::write::{Action, Reason, Transaction};
use super::{Response, unreadable};

mod evaluate;
mod expression;
mod query;
mod table;
mod value;
mod write;

pub use table::{KeyAttribute, Projection, TableDefinition};

/// Tables, and the tokens of recent transactions with when they were written and what they said.
#[derive(Debug, Default)]
pub(super) struct DynamoDb {
    tables: BTreeMap<String, Table>,
    tokens: BTreeMap<String, (i64, Vec<u8>)>,
}

/// What an operation answers.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Cow<'a, Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Cow<'a, Item>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scanned_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_key: Option<Item>,
}

/// What an operation is refused with.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
#[derive(Debug)]
enum Failure {
    Validation(String),
    ResourceNotFound,
    ConditionalCheckFailed(Option<Item>),
    TransactionConflict,
    TransactionCanceled(Vec<Reason>),
    IdempotentParameterMismatch,
    ProvisionedThroughputExceeded,
}

impl From<String> for Failure {
    fn from(invalid: String) -> Self {
        Self::Validation(invalid)
    }
}

impl DynamoDb {
    pub(super) fn create_table(&mut self, definition: TableDefinition) {
        self.tables.insert(definition.name.clone(), Table::new(definition));
    }

    pub(super) fn clear_table(&mut self, table: &str) {
        let table = self.tables.get_mut(table).unwrap_or_else(|| panic!("no table {table} was created"));
        table.items.clear();
    }

    pub(super) fn answer(&mut self, now_ms: i64, operation: &str, body: &[u8]) -> Response {
        match self.answered(now_ms, operation, body) {
            Ok(answer) => Response::json(200, &answer),
            Err(failure) => failure.response(),
        }
    }

    fn answered(&mut self, now_ms: i64, operation: &str, body: &[u8]) -> Result<Answer<'_>, Failure> {
        match operation {
            "GetItem" => self.get(&read(operation, body)?),
            "Query" => self.query(&read(operation, body)?),
            "TransactWriteItems" => {
                self.transact(now_ms, body, &read(operation, body)?)?;
                Ok(Answer::default())
            }
            _ => {
                let Some(action) = action_of(operation) else {
                    panic!("the cloud in memory does not know DynamoDB's {operation}")
                };
                let attributes = self.write(action, &read(operation, body)?)?;
                Ok(Answer { attributes, ..Answer::default() })
            }
        }
    }

    /// All items of a table, in the order of their keys, without types.
    pub(super) fn rows(&self, table: &str) -> Vec<Value> {
        self.declared(table).items.values().map(plain_item).collect()
    }

    /// The item with this key of texts: partition, then sort.
    pub(super) fn row(&self, table: &str, key: &[&str]) -> Option<Value> {
        let text = |index: usize| key.get(index).map(|text| KeyValue::Text((*text).to_owned()));
        let key = Key(text(0)?, text(1));
        self.declared(table).items.get(&key).map(plain_item)
    }

    /// Puts an item there, as history would have.
    pub(super) fn put_row(&mut self, table: &str, row: &Value) {
        let Attribute::M(item) = Attribute::from_plain(row) else { panic!("an item is an object: {row}") };
        let key = self.declared(table).key_of_new(&item).unwrap();
        self.tables.get_mut(table).unwrap().put(key, item);
    }

    fn declared(&self, table: &str) -> &Table {
        self.tables.get(table).unwrap_or_else(|| panic!("no table {table} was created"))
    }

    pub(super) fn expire(&mut self, now_ms: i64) {
        self.tables.values_mut().for_each(|table| table.expire(now_ms));
    }
}

fn action_of(operation: &str) -> Option<Action> {
    match operation {
        "PutItem" => Some(Action::Put),
        "UpdateItem" => Some(Action::Update),
        "DeleteItem" => Some(Action::Delete),
        _ => None,
    }
}

/// A request's input. A number that is none is the caller's mistake; anything else that cannot be read is something
/// no code has needed yet.
fn read<T: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let message = error.to_string();
        if message.starts_with(NOT_A_NUMBER) || NUMBER_LIMITS.iter().any(|limit| message.starts_with(limit)) {
            let message = message.split(" at line ").next().unwrap_or_default();
            return Failure::Validation(message.to_owned());
        }
        unreadable(operation, &error, body)
    })
}

/// What DynamoDB answers when it throttles. A transaction is cancelled for it.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html#API_TransactWriteItems_Errors>
pub(super) fn throttled(operation: &str, body: &[u8]) -> Response {
    if operation == "TransactWriteItems" {
        return canceled(
            body,
            "ThrottlingError",
            "Throughput exceeds the current capacity of your table or index.",
        );
    }
    Failure::ProvisionedThroughputExceeded.response()
}

/// What DynamoDB answers a write when a transaction is at the same item; `None` for what cannot conflict.
pub(super) fn conflicted(operation: &str, body: &[u8]) -> Option<Response> {
    if operation == "TransactWriteItems" {
        return Some(canceled(body, "TransactionConflict", "Transaction is ongoing for the item"));
    }
    action_of(operation).map(|_| Failure::TransactionConflict.response())
}

/// A transaction cancelled for its last item: code that looks at the first reason only does not see it.
fn canceled(body: &[u8], code: &'static str, message: &str) -> Response {
    let count = read::<Transaction>("TransactWriteItems", body)
        .map_or(1, |transaction| transaction.transact_items.len());
    let mut reasons: Vec<_> = (1..count).map(|_| Reason::NONE).collect();
    reasons.push(Reason { code, message: Some(message.to_owned()), item: None });
    Failure::TransactionCanceled(reasons).response()
}

#[derive(Serialize)]
struct ErrorAnswer<'a> {
    #[serde(rename = "__type")]
    kind: &'a str,
    message: String,
    #[serde(rename = "Item", skip_serializing_if = "Option::is_none")]
    item: Option<Item>,
    #[serde(rename = "CancellationReasons", skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<Reason>>,
}

impl Failure {
    fn response(self) -> Response {
        let answer = |kind, message: &str| ErrorAnswer {
            kind,
            message: message.to_owned(),
            item: None,
            reasons: None,
        };
        let answer = match self {
            Self::Validation(message) => answer("com.amazon.coral.validate#ValidationException", &message),
            Self::ResourceNotFound => answer(
                "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
                "Requested resource not found",
            ),
            Self::ConditionalCheckFailed(item) => ErrorAnswer {
                item,
                ..answer(
                    "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                    "The conditional request failed",
                )
            },
            Self::TransactionConflict => answer(
                "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
                "Transaction is ongoing for the item",
            ),
            Self::TransactionCanceled(reasons) => {
                let codes: Vec<_> = reasons.iter().map(|reason| reason.code).collect();
                let message = format!(
                    "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
                    codes.join(", ")
                );
                let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
                ErrorAnswer { reasons: Some(reasons), ..answer(kind, &message) }
            }
            Self::IdempotentParameterMismatch => answer(
                "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request.",
            ),
            Self::ProvisionedThroughputExceeded => answer(
                "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for the table was exceeded.",
            ),
        };
        Response::json(400, &answer)
    }
}

#[cfg(test)]
mod tests;
