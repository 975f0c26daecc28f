use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use fulfilment::{Contribution, PaymentId};

/// The contributions in DynamoDB, read.
#[derive(Debug)]
pub(crate) struct DynamoDbRecords {
    client: Client,
    table: String,
}

/// The records do not answer.
#[derive(Debug, thiserror::Error)]
#[error("the contributions did not answer ({operation})")]
pub(crate) struct RecordsError {
    operation: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The index of the contributions by their session.
const BY_SESSION: &str = "by_session";

impl DynamoDbRecords {
    pub(crate) fn new(sdk: &SdkConfig, table: &str) -> Self {
        Self { client: Client::new(sdk), table: table.to_owned() }
    }

    /// The record of a payment, as it is this moment.
    pub(crate) async fn contribution(
        &self,
        payment_id: &PaymentId,
    ) -> Result<Option<Contribution>, RecordsError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("payment_id", AttributeValue::S(payment_id.as_str().to_owned()));
        let item = get.send().await.map_err(failed("contribution"))?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(failed("contribution"))
    }

    /// The payment of a session. The index learns of a payment a moment after the table.
    pub(crate) async fn payment_of(&self, session_id: &str) -> Result<Option<PaymentId>, RecordsError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_SESSION)
            .key_condition_expression("session_id = :session_id")
            .expression_attribute_values(":session_id", AttributeValue::S(session_id.to_owned()))
            .limit(1);
        let items = query.send().await.map_err(failed("payment_of"))?.items.unwrap_or_default();
        let payment_id = items.first().and_then(|item| item.get("payment_id")?.as_s().ok());
        Ok(payment_id.map(|id| PaymentId::new(id.as_str())))
    }
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    operation: &'static str,
) -> impl Fn(E) -> RecordsError {
    move |source| RecordsError { operation, source: source.into() }
}
