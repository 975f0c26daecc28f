use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};

use crate::dynamodb::{failed, text};
use crate::open::OPEN_EFFECTS;
use crate::operator::{DEEDS, OPERATOR};
use crate::{DynamoDbEffects, OperatorAction, StoreError, Subject};

impl DynamoDbEffects {
    /// What operators did from `from` on (Unix milliseconds), oldest first, with the subjects. The rows of versions that
    /// had no index of them are not among these.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer.
    pub async fn deeds(&self, from: i64) -> Result<Vec<(Subject, OperatorAction)>, StoreError> {
        let failed = || failed("deeds");
        // To the second: names have a fraction or none, and both sort after this.
        let from = DateTime::from_secs(from.div_euclid(1000)).fmt(DateTimeFormat::DateTime);
        let from = from.map_err(|error| failed()(error.into()))?;
        let from = from.trim_end_matches('Z');
        let mut deeds = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(OPEN_EFFECTS)
                .key_condition_expression("#open = :deeds AND #effect >= :from")
                .expression_attribute_names("#open", "open")
                .expression_attribute_names("#effect", "effect")
                .expression_attribute_values(":deeds", text(DEEDS))
                .expression_attribute_values(":from", text(&format!("{OPERATOR}{from}")))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| failed()(error.into()))?;
            for item in page.items.unwrap_or_default() {
                let id = item.get("payment_id").and_then(|id| id.as_s().ok());
                let subject = Subject::new(id.cloned().unwrap_or_default());
                let action = serde_dynamo::from_item(item);
                deeds.push((subject, action.map_err(|error| failed()(error.into()))?));
            }
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                deeds.sort_by_key(|(_, action): &(Subject, OperatorAction)| action.at);
                return Ok(deeds);
            }
        }
    }
}
