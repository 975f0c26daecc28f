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

/// What decides about a page, and nothing of who paid: no address, no name, no postal code.
const READ: [&str; 18] = [
    "payment_id",
    "session_id",
    "as_of",
    "as_of_event",
    "opened_at",
    "pending_at",
    "paid_at",
    "failed_at",
    "refunds",
    "disputes",
    "kind",
    "shown_as",
    "amount",
    "currency",
    "presentment_amount",
    "presentment_currency",
    "country",
    "locale",
];

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
        // Some of the names are reserved words.
        let placeholders: Vec<String> = (0..READ.len()).map(|number| format!("#a{number}")).collect();
        let names = placeholders.iter().cloned().zip(READ.map(str::to_owned)).collect();
        let get =
            get.projection_expression(placeholders.join(", ")).set_expression_attribute_names(Some(names));
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
            .projection_expression("payment_id")
            .limit(1);
        let items = query.send().await.map_err(failed("payment_of"))?.items.unwrap_or_default();
        let payment_id = items.first().and_then(|item| item.get("payment_id")?.as_s().ok());
        Ok(payment_id.map(|id| PaymentId::new(id.as_str())))
    }
}

pub(crate) fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    operation: &'static str,
) -> impl Fn(E) -> RecordsError {
    move |source| RecordsError { operation, source: source.into() }
}
