//! Writes: alone, and in transactions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::evaluate::{holds, updated};
use super::expression::{Invalid, Placeholders};
use super::table::{Key, Table};
use super::value::{Attribute, Item};
use super::{DynamoDb, Failure};

/// One write, alone or in a transaction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Write {
    table_name: String,
    #[serde(default)]
    key: Item,
    #[serde(default)]
    item: Item,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<BTreeMap<String, Attribute>>,
    #[serde(default)]
    return_values: Returned,
    #[serde(default)]
    return_values_on_condition_check_failure: Returned,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Returned {
    #[default]
    None,
    AllOld,
    AllNew,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Put,
    Update,
    Delete,
    Check,
}

/// A write that may go ahead.
struct Granted {
    table: String,
    key: Key,
    change: Change,
}

enum Change {
    Put(Item),
    Delete,
    None,
}

/// Why a write may not go ahead.
enum Refusal {
    /// The request is wrong, whatever the item.
    Invalid(Invalid),
    /// There is no such table.
    NoTable,
    /// The condition does not hold; with the item, if it was asked for and is there.
    Condition(Option<Item>),
    /// The update does not fit the item.
    Update(String),
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Refusal> for Failure {
    /// A write alone.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(message) | Refusal::Update(message) => Self::Validation(message),
            Refusal::NoTable => Self::ResourceNotFound,
            Refusal::Condition(item) => Self::ConditionalCheckFailed(item),
        }
    }
}

impl DynamoDb {
    /// `PutItem`, `UpdateItem`, `DeleteItem`. The item that was asked for.
    pub(super) fn write(&mut self, action: Action, write: &Write) -> Result<Option<Item>, Failure> {
        if write.return_values == Returned::AllNew && action != Action::Update {
            return Err(Failure::Validation("Return values set to invalid value".to_owned()));
        }
        let granted = self.examine(action, write)?;
        let new = match &granted.change {
            Change::Put(item) if write.return_values == Returned::AllNew => Some(item.clone()),
            Change::Put(_) | Change::Delete | Change::None => None,
        };
        let old = self.apply(granted);
        Ok(match write.return_values {
            Returned::None => None,
            Returned::AllOld => old,
            Returned::AllNew => new,
        })
    }

    /// `TransactWriteItems`: every condition is looked at before anything is written.
    pub(super) fn transact(
        &mut self,
        now_ms: i64,
        body: &[u8],
        transaction: &Transaction,
    ) -> Result<(), Failure> {
        self.tokens.retain(|_, (written_at, _)| now_ms - *written_at < TOKEN_MS);
        if let Some(token) = &transaction.client_request_token
            && let Some((_, earlier)) = self.tokens.get(token)
        {
            return if same_json(earlier, body) { Ok(()) } else { Err(Failure::IdempotentParameterMismatch) };
        }
        let items = &transaction.transact_items;
        if !(1..=100).contains(&items.len()) {
            return Err(Failure::Validation(
                "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length between 1 and 100, inclusive".to_owned(),
            ));
        }
        let mut places = BTreeSet::new();
        let mut granted = Vec::with_capacity(items.len());
        let mut reasons = Vec::with_capacity(items.len());
        for item in items {
            let (action, write) = item.action();
            let place = (&write.table_name, self.place(action, write)?);
            if !places.insert(place) {
                return Err(Failure::Validation(
                    "Transaction request cannot include multiple operations on one item".to_owned(),
                ));
            }
            reasons.push(match self.examine(action, write) {
                Ok(write) => {
                    granted.push(write);
                    Reason::NONE
                }
                Err(Refusal::Condition(item)) => Reason {
                    code: "ConditionalCheckFailed",
                    message: Some("The conditional request failed".to_owned()),
                    item,
                },
                Err(Refusal::Update(message)) => {
                    Reason { code: "ValidationError", message: Some(message), item: None }
                }
                Err(refusal @ (Refusal::Invalid(_) | Refusal::NoTable)) => return Err(refusal.into()),
            });
        }
        if granted.len() < items.len() {
            return Err(Failure::TransactionCanceled(reasons));
        }
        for write in granted {
            self.apply(write);
        }
        if let Some(token) = &transaction.client_request_token {
            self.tokens.insert(token.clone(), (now_ms, body.to_vec()));
        }
        Ok(())
    }

    fn table(&self, name: &str) -> Result<&Table, Refusal> {
        self.tables.get(name).ok_or(Refusal::NoTable)
    }

    fn place(&self, action: Action, write: &Write) -> Result<Key, Refusal> {
        let table = self.table(&write.table_name)?;
        Ok(if action == Action::Put { table.key_of_new(&write.item)? } else { table.key(&write.key)? })
    }

    /// Whether a write may go ahead, and what it would do. Changes nothing.
    fn examine(&self, action: Action, write: &Write) -> Result<Granted, Refusal> {
        let table = self.table(&write.table_name)?;
        let placeholders = Placeholders::new(
            write.expression_attribute_names.as_ref(),
            write.expression_attribute_values.as_ref(),
        );
        let condition = write.condition_expression.as_deref();
        let any_expression = condition.is_some() || write.update_expression.is_some();
        let update = placeholders.update(write.update_expression.as_deref())?;
        let condition = placeholders.condition("ConditionExpression", condition)?;
        placeholders.check_all_used(any_expression)?;
        let changed = update.set.iter().map(|(path, _)| path);
        let changed = changed.chain(&update.remove).chain(update.add.iter().map(|(path, _)| path));
        for path in changed {
            if table.definition.keys.iter().any(|key| key.name == path.root()) {
                return Err(Refusal::Invalid(format!(
                    "One or more parameter values were invalid: Cannot update attribute {}. This attribute is part of the key",
                    path.root()
                )));
            }
        }
        let key = self.place(action, write)?;
        if action == Action::Put {
            table.check(&write.item)?;
        }
        let before = table.items.get(&key);
        if condition.is_some_and(|condition| !holds(&condition, before)) {
            let wanted = write.return_values_on_condition_check_failure == Returned::AllOld;
            return Err(Refusal::Condition(before.filter(|_| wanted).cloned()));
        }
        let change = match action {
            Action::Put => Change::Put(write.item.clone()),
            Action::Update => {
                let after = updated(&update, before.unwrap_or(&write.key));
                let after = after.map_err(|message| Refusal::Update(message.to_owned()))?;
                table.check(&after).map_err(Refusal::Update)?;
                Change::Put(after)
            }
            Action::Delete => Change::Delete,
            Action::Check => Change::None,
        };
        Ok(Granted { table: write.table_name.clone(), key, change })
    }

    /// The item as it was.
    fn apply(&mut self, write: Granted) -> Option<Item> {
        let items = &mut self.tables.get_mut(&write.table)?.items;
        match write.change {
            Change::Put(item) => items.insert(write.key, item),
            Change::Delete => items.remove(&write.key),
            Change::None => None,
        }
    }
}

/// How long a `ClientRequestToken` is remembered.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html#DDB-TransactWriteItems-request-ClientRequestToken>
const TOKEN_MS: i64 = 600_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Transaction {
    pub(super) transact_items: Vec<TransactItem>,
    client_request_token: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) enum TransactItem {
    Put(Write),
    Update(Write),
    Delete(Write),
    ConditionCheck(Write),
}

impl TransactItem {
    const fn action(&self) -> (Action, &Write) {
        match self {
            Self::Put(write) => (Action::Put, write),
            Self::Update(write) => (Action::Update, write),
            Self::Delete(write) => (Action::Delete, write),
            Self::ConditionCheck(write) => (Action::Check, write),
        }
    }
}

/// Why a transaction was cancelled, for one of its items.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Reason {
    pub(super) code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) item: Option<Item>,
}

impl Reason {
    pub(super) const NONE: Self = Self { code: "None", message: None, item: None };
}

/// A retry sends the same bytes; another client may have ordered its maps otherwise.
fn same_json(a: &[u8], b: &[u8]) -> bool {
    let parsed = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    a == b || parsed(a) == parsed(b)
}
