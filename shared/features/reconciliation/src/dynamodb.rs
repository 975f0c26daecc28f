use std::collections::HashMap;
use std::error::Error;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use effect_ledger::StoreError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Journal, Missing, Overtaken, PUTTING_BACK_SECONDS, Pending, Position};

type Item = HashMap<String, AttributeValue>;

/// The journal in DynamoDB: partition key `kind` (`position`, `missing` or `pending`), sort key `name`.
#[derive(Debug, Clone)]
pub struct DynamoDbJournal {
    client: Client,
    table: String,
}

const POSITION: &str = "position";
const MISSING: &str = "missing";
const PENDING: &str = "pending";

/// A row: its key, and what it holds.
#[derive(Serialize, Deserialize)]
struct Row<T> {
    kind: String,
    name: String,
    #[serde(flatten)]
    content: T,
}

impl DynamoDbJournal {
    /// The journal in a table.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Every row of a kind.
    async fn rows_of<T: DeserializeOwned>(&self, kind: &'static str) -> Result<Vec<T>, StoreError> {
        let (mut rows, mut next) = self.page_of(kind, None).await?;
        while next.is_some() {
            let (more, after) = self.page_of(kind, next).await?;
            rows.extend(more);
            next = after;
        }
        Ok(rows)
    }

    async fn page_of<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        start: Option<Item>,
    ) -> Result<(Vec<T>, Option<Item>), StoreError> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#kind = :kind")
            .expression_attribute_names("#kind", "kind")
            .expression_attribute_values(":kind", text(kind))
            .set_exclusive_start_key(start)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed(kind, error))?;
        let rows = output.items.unwrap_or_default().into_iter();
        let rows = rows.map(|item| serde_dynamo::from_item::<_, Row<T>>(item).map(|row| row.content));
        let rows = rows.collect::<Result<_, _>>().map_err(|error| failed(kind, error))?;
        Ok((rows, output.last_evaluated_key))
    }
}

impl DynamoDbJournal {
    fn put_pending(&self, pending: &Pending) -> Result<PutItemFluentBuilder, StoreError> {
        let kind = PENDING.to_owned();
        let name = pending.session_id.clone();
        let item = serde_dynamo::to_item(Row { kind, name, content: pending });
        let item: Item = item.map_err(|error| failed("pending", error))?;
        Ok(self.client.put_item().table_name(&self.table).set_item(Some(item)))
    }
}

fn missing_item(operation: &'static str, missing: &Missing) -> Result<Item, StoreError> {
    let row = Row { kind: MISSING.to_owned(), name: missing.event_id.clone(), content: missing };
    serde_dynamo::to_item(row).map_err(|error| failed(operation, error))
}

impl Journal for DynamoDbJournal {
    async fn position(&self) -> Result<Option<Position>, StoreError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(POSITION, "scheduled")))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("position", error))?;
        let read = |item| serde_dynamo::from_item::<_, Row<Position>>(item).map(|row| row.content);
        output.item.map(read).transpose().map_err(|error| failed("position", error))
    }

    async fn save(&self, position: &Position) -> Result<Result<(), Overtaken>, StoreError> {
        let content = Position { revision: position.revision + 1, ..position.clone() };
        let row = Row { kind: POSITION.to_owned(), name: "scheduled".to_owned(), content };
        let item: Item = serde_dynamo::to_item(row).map_err(|error| failed("save", error))?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match position.revision {
            0 => put.condition_expression("attribute_not_exists(revision)"),
            revision => put
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", number(revision)),
        };
        match put.send().await {
            Ok(_) => Ok(Ok(())),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(Err(Overtaken))
            }
            Err(error) => Err(failed("save", error)),
        }
    }

    async fn missing(&self) -> Result<Vec<Missing>, StoreError> {
        let mut rows: Vec<Missing> = self.rows_of(MISSING).await?;
        rows.sort_by_key(|missing| missing.happened_at);
        Ok(rows)
    }

    async fn record(&self, missing: &Missing, not_after: i64, now: i64) -> Result<bool, StoreError> {
        let mut item = missing_item("record", missing)?;
        item.insert("putting_back_until".to_owned(), number(now + PUTTING_BACK_SECONDS));
        let recorded = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(
                "(attribute_not_exists(put_back_at) OR put_back_at <= :not_after) \
                 AND (attribute_not_exists(putting_back_until) OR putting_back_until < :now)",
            )
            .expression_attribute_values(":not_after", number(not_after))
            .expression_attribute_values(":now", number(now))
            .send()
            .await;
        match recorded {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(failed("record", error)),
        }
    }

    async fn put_back(&self, missing: &Missing, now: i64) -> Result<(), StoreError> {
        let item = missing_item("put_back", &Missing { put_back_at: Some(now), ..missing.clone() })?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.send().await.map(drop).map_err(|error| failed("put_back", error))
    }

    async fn explained(&self, event_id: &str) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(MISSING, event_id)))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("explained", error))
    }

    async fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        let mut rows: Vec<Pending> = self.rows_of(PENDING).await?;
        rows.sort_by_key(|pending| pending.next_look_at);
        Ok(rows)
    }

    async fn remember(&self, pending: &Pending) -> Result<(), StoreError> {
        let put = self.put_pending(pending)?.condition_expression("attribute_not_exists(#kind)");
        let put = put.expression_attribute_names("#kind", "kind");
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(failed("remember", error)),
        }
    }

    async fn postpone(&self, pending: &Pending) -> Result<(), StoreError> {
        let put = self.put_pending(pending)?.send().await;
        put.map(drop).map_err(|error| failed("postpone", error))
    }

    async fn decided(&self, session_id: &str) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.set_key(Some(key(PENDING, session_id))).send().await;
        delete.map(drop).map_err(|error| failed("decided", error))
    }
}

fn key(kind: &str, name: &str) -> Item {
    HashMap::from([("kind".to_owned(), text(kind)), ("name".to_owned(), text(name))])
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn failed(operation: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError { operation, source: source.into() }
}

#[cfg(test)]
mod tests;
