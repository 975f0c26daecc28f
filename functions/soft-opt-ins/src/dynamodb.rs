use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, Put, TransactWriteItem};
use effect_ledger::DynamoDbEffects;
use fulfilment::Consents;

use crate::config::Config;
use crate::records::{ConsentChange, ConsentRecords, RecordsError, Saved};

/// The consents in DynamoDB: partition key `supporter_id`, sort key `record`.
pub(crate) struct DynamoDbConsents {
    client: Client,
    table: String,
    effects: DynamoDbEffects,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl DynamoDbConsents {
    pub(crate) fn new(client: Client, config: &Config) -> Self {
        Self {
            effects: DynamoDbEffects::new(client.clone(), &config.effects_table),
            client,
            table: config.consents_table.clone(),
        }
    }

    /// Evidence first, then states, then the ledger's row: [`refused`] distinguishes them by their places.
    fn transaction(&self, change: ConsentChange<'_>) -> Result<Vec<TransactWriteItem>, BoxError> {
        let ConsentChange { consents, key, event_id, now } = change;
        let mut items = Vec::with_capacity(consents.evidence.len() + consents.states.len() + 1);
        for evidence in &consents.evidence {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(serde_dynamo::to_item(evidence)?))
                .condition_expression("attribute_not_exists(#record)")
                .expression_attribute_names("#record", "record");
            items.push(TransactWriteItem::builder().put(put.build()?).build());
        }
        for state in &consents.states {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(serde_dynamo::to_item(state)?))
                .condition_expression("attribute_not_exists(#rank) OR #rank < :rank")
                .expression_attribute_names("#rank", "rank")
                .expression_attribute_values(":rank", AttributeValue::S(state.rank.clone()));
            items.push(TransactWriteItem::builder().put(put.build()?).build());
        }
        let done = DynamoDbEffects::unless_done(self.effects.done(key, event_id, now)?);
        items.push(TransactWriteItem::builder().update(done).build());
        Ok(items)
    }
}

impl ConsentRecords for DynamoDbConsents {
    async fn save(&self, change: ConsentChange<'_>) -> Result<Saved, RecordsError> {
        let items = self.transaction(change).map_err(RecordsError)?;
        let written = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        let Err(error) = written else {
            return Ok(Saved::Written);
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) =
            error.as_service_error()
            && let Some(saved) = refused(change.consents, canceled.cancellation_reasons())
        {
            return Ok(saved);
        }
        Err(RecordsError(error.into()))
    }
}

/// Why a transaction was cancelled; `None` when none of these conditions did it.
fn refused(consents: &Consents, reasons: &[CancellationReason]) -> Option<Saved> {
    let is = |code: &str, reason: &CancellationReason| reason.code() == Some(code);
    let unmet = |reason: &CancellationReason| is("ConditionalCheckFailed", reason);
    let (evidence, rest) = reasons.split_at_checked(consents.evidence.len())?;
    let is_done = reasons.last().is_some_and(unmet);
    if evidence.iter().any(unmet) {
        return Some(Saved::AlreadyThere { is_done });
    }
    let outranked = consents.states.iter().zip(rest).filter(|(_, reason)| unmet(reason));
    let outranked: Vec<_> = outranked.map(|(state, _)| state.record.clone()).collect();
    if !outranked.is_empty() {
        return Some(Saved::Outranked(outranked));
    }
    if is_done {
        return Some(Saved::Gone);
    }
    reasons.iter().any(|reason| is("TransactionConflict", reason)).then_some(Saved::Conflict)
}

#[cfg(test)]
mod tests;
