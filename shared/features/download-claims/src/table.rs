use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use fulfilment::PaymentId;
use serde::{Deserialize, Serialize};

use crate::BoughtFile;

/// The table `downloads`: a row for each payment, with its files and how often they were fetched.
#[derive(Debug, Clone)]
pub struct DynamoDbDownloads {
    client: Client,
    table: String,
}

/// The table does not answer. Worth another try.
#[derive(Debug, thiserror::Error)]
#[error("the table of downloads did not answer ({operation})")]
pub struct TableError {
    /// Which call.
    operation: &'static str,
    /// What the SDK said.
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The outcome of a request for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Counted: how many there were, this one included.
    Counted(i64),
    /// The limit was reached before.
    LimitReached,
}

/// The stored row of a payment's downloads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Downloads {
    /// The purchase.
    pub files: Vec<BoughtFile>,
    /// How often a file was fetched, all files together.
    #[serde(default)]
    pub fetches: i64,
    /// When that was last, in Unix seconds.
    #[serde(default)]
    pub last_fetched_at: Option<i64>,
    /// How often the link was renewed.
    #[serde(default)]
    pub generation: u32,
}

#[derive(Serialize, Deserialize)]
struct Row {
    payment_id: PaymentId,
    files: Vec<BoughtFile>,
    /// When the files were decided, in Unix seconds.
    decided_at: i64,
    /// When the row may go, in Unix seconds.
    expires_at: i64,
}

impl DynamoDbDownloads {
    /// The table of that name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The stored row of a payment; `None` while its files are not decided.
    ///
    /// # Errors
    ///
    /// When the table does not answer.
    pub async fn of_payment(&self, payment_id: &PaymentId) -> Result<Option<Downloads>, TableError> {
        let answer = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = answer.key("payment_id", text(payment_id.as_str())).send().await;
        let item = answer.map_err(|error| failed("of_payment", error))?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(|error| failed("of_payment", error))
    }

    /// Decides the files of a payment. The first decision wins, and is returned.
    ///
    /// # Errors
    ///
    /// When the table does not answer.
    pub async fn decide(
        &self,
        payment_id: &PaymentId,
        files: Vec<BoughtFile>,
        now: i64,
        keep_until: i64,
    ) -> Result<Vec<BoughtFile>, TableError> {
        let row = Row { payment_id: payment_id.clone(), files, decided_at: now, expires_at: keep_until };
        let item = serde_dynamo::to_item(&row).map_err(|error| failed("decide", error))?;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(payment_id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(row.files);
        };
        let decided = match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => refused.item.clone(),
            _ => None,
        };
        let decided = decided.ok_or_else(|| failed("decide", error))?;
        let decided = serde_dynamo::from_item::<_, Row>(decided);
        Ok(decided.map_err(|error| failed("decide", error))?.files)
    }

    /// Counts that a file of a payment is fetched, unless that was done `limit` times. Nothing of the visitor is kept.
    ///
    /// # Errors
    ///
    /// When the table does not answer.
    pub async fn count_fetch(
        &self,
        payment_id: &PaymentId,
        limit: i64,
        now: i64,
    ) -> Result<Fetch, TableError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("payment_id", text(payment_id.as_str()))
            .update_expression("SET #fetches = if_not_exists(#fetches, :zero) + :one, #last_at = :now")
            .condition_expression(
                "attribute_exists(payment_id) AND (attribute_not_exists(#fetches) OR #fetches < :limit)",
            )
            .expression_attribute_names("#fetches", "fetches")
            .expression_attribute_names("#last_at", "last_fetched_at")
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":limit", number(limit))
            .expression_attribute_values(":now", number(now))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match update {
            Ok(output) => {
                let counted = output.attributes.as_ref().and_then(|row| row.get("fetches")?.as_n().ok());
                Ok(Fetch::Counted(counted.and_then(|count| count.parse().ok()).unwrap_or_default()))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(Fetch::LimitReached),
                _ => Err(failed("count_fetch", error)),
            },
        }
    }

    /// Makes every link of a payment that is out worth nothing, if none was renewed since `seen` was read: a part of a
    /// transaction, so that the operator's action is recorded with it.
    ///
    /// # Errors
    ///
    /// None that a payment's id can cause: the SDK checks that nothing is left out.
    pub fn renew_link(
        &self,
        payment_id: &PaymentId,
        seen: &Downloads,
    ) -> Result<TransactWriteItem, BuildError> {
        let unchanged = match seen.generation {
            0 => "attribute_exists(payment_id) AND attribute_not_exists(#generation)",
            _ => "#generation = :seen",
        };
        let mut update = Update::builder()
            .table_name(&self.table)
            .key("payment_id", text(payment_id.as_str()))
            .update_expression("SET #generation = :next")
            .condition_expression(unchanged)
            .expression_attribute_names("#generation", "generation")
            .expression_attribute_values(":next", number(i64::from(seen.generation) + 1));
        if seen.generation > 0 {
            update = update.expression_attribute_values(":seen", number(seen.generation.into()));
        }
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    /// Lets a payment fetch its files as often as at first, if none was fetched since `seen` was read: a part
    /// of a transaction, so that who did it is written down with it.
    ///
    /// # Errors
    ///
    /// None that a payment's id can cause: the SDK checks that nothing is left out.
    pub fn count_anew(
        &self,
        payment_id: &PaymentId,
        seen: &Downloads,
    ) -> Result<TransactWriteItem, BuildError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("payment_id", text(payment_id.as_str()))
            .update_expression("SET #fetches = :zero")
            .condition_expression("#fetches = :seen")
            .expression_attribute_names("#fetches", "fetches")
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":seen", number(seen.fetches))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

fn failed(
    operation: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TableError {
    TableError { operation, source: source.into() }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
