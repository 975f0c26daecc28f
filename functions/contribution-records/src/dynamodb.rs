use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use effect_ledger::{DynamoDbEffects, EffectKey};
use fulfilment::{Contribution, ContributionStatus, effects};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Config;
use crate::records::{
    ContractNote, CurrentRows, LedgerEntry, RaisedVersion, RecordChange, Records, RecordsError, Revision,
    Saved, Stored,
};

/// The records in DynamoDB.
pub(crate) struct DynamoDbRecords {
    client: Client,
    contributions_table: String,
    supporters_table: String,
    effects: DynamoDbEffects,
}

/// A contribution as it is stored: the facts, and beside them what follows from them, for people and queries.
#[derive(Serialize, Deserialize)]
struct StoredContribution {
    #[serde(flatten)]
    contribution: Contribution,
    status: ContributionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    revision: String,
}

impl DynamoDbRecords {
    pub(crate) fn new(client: Client, config: &Config) -> Self {
        Self {
            effects: DynamoDbEffects::new(client.clone(), &config.effects_table),
            client,
            contributions_table: config.contributions_table.clone(),
            supporters_table: config.supporters_table.clone(),
        }
    }

    fn transaction(&self, change: RecordChange<'_>) -> Result<Vec<TransactWriteItem>, BoxError> {
        let payment_id = change.contribution.payment_id.clone();
        let row = StoredContribution {
            status: change.contribution.status(),
            expires_at: change.expires_at,
            revision: revision_of(&change.contribution)?,
            contribution: change.contribution,
        };
        let contribution = Put::builder()
            .table_name(&self.contributions_table)
            .set_item(Some(serde_dynamo::to_item(row)?))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let contribution = match change.revision {
            None => contribution.condition_expression("attribute_not_exists(payment_id)"),
            Some(Revision(revision)) => contribution
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", AttributeValue::S(revision.clone())),
        };
        // What can be refused comes first, in the order in which `found` looks for it.
        let mut items = vec![TransactWriteItem::builder().put(contribution.build()?).build()];
        if let Some(RaisedVersion { key, expires_at }) = change.raises {
            let raised = self.effects.version_raised(&key, expires_at)?;
            items.push(TransactWriteItem::builder().update(raised).build());
        }
        let mut unless_settled = change.unless_settled;
        for LedgerEntry { effect, event_id, moved, expires_at } in change.entries {
            let key = EffectKey::new(&payment_id, effect);
            let done = match moved {
                None if effects::is_of_our_payment(&key.effect) => {
                    self.effects.done(&key, &event_id, change.now)?
                }
                // A warning of fraud waits for its payment as a refund does.
                None => self.effects.done_until(&key, &event_id, expires_at, change.now)?,
                Some(moved) => self.effects.done_moving(&key, &event_id, &moved, expires_at, change.now)?,
            };
            let done = if std::mem::take(&mut unless_settled) {
                DynamoDbEffects::unless_settled(done)
            } else {
                done
            };
            items.push(TransactWriteItem::builder().update(done).build());
        }
        if let Some(ContractNote { key, event_id, contract }) = change.contract {
            let kept = self.effects.answered(key, event_id, contract, change.now)?;
            items.push(TransactWriteItem::builder().update(kept).build());
        }
        if let Some(supporter) = change.supporter {
            let put = Put::builder()
                .table_name(&self.supporters_table)
                .set_item(Some(serde_dynamo::to_item(supporter)?))
                .build()?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        if let Some(supporter_id) = change.left_supporter {
            let delete = Delete::builder()
                .table_name(&self.supporters_table)
                .key("supporter_id", AttributeValue::S(supporter_id.as_str().to_owned()))
                .key("payment_id", AttributeValue::S(payment_id.as_str().to_owned()))
                .build()?;
            items.push(TransactWriteItem::builder().delete(delete).build());
        }
        Ok(items)
    }
}

impl Records for DynamoDbRecords {
    async fn save(&self, change: RecordChange<'_>) -> Result<Saved, RecordsError> {
        let raises_version = change.raises.is_some();
        let items = self.transaction(change).map_err(RecordsError)?;
        let written = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        let Err(error) = written else {
            return Ok(Saved::Written);
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) =
            error.as_service_error()
        {
            let reasons = canceled.cancellation_reasons();
            let refused = |code| reasons.iter().any(|reason| reason.code() == Some(code));
            if refused(UNMET) {
                return found(reasons, raises_version).map(Saved::Refused).map_err(RecordsError);
            }
            if refused("TransactionConflict") {
                return Ok(Saved::Refused(CurrentRows::default()));
            }
        }
        Err(RecordsError(error.into()))
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The code of a condition that did not hold.
const UNMET: &str = "ConditionalCheckFailed";

/// What refused conditions show: the contribution's, the raised version's if there is one, and that of the event's own
/// effect. DynamoDB need not report more than one.
fn found(reasons: &[CancellationReason], raises_version: bool) -> Result<CurrentRows, BoxError> {
    let unmet = |place: usize| reasons.get(place).filter(|reason| reason.code() == Some(UNMET));
    // Without an item there is no record: it was deleted, or expired this very moment.
    let item = unmet(0).and_then(|reason| reason.item()).filter(|item| !item.is_empty());
    let is_absent = unmet(0).is_some() && item.is_none();
    let record = item.map(|item| serde_dynamo::from_item::<_, StoredContribution>(item.clone()));
    let record = record
        .transpose()?
        .map(|row| Box::new(Stored { contribution: row.contribution, revision: Revision(row.revision) }));
    let already_settled = unmet(1 + usize::from(raises_version)).is_some();
    Ok(CurrentRows { record, is_absent, already_settled, is_ours: raises_version && unmet(1).is_some() })
}

fn revision_of(contribution: &Contribution) -> Result<String, serde_json::Error> {
    let content = serde_json::to_vec(contribution)?;
    Ok(Uuid::new_v5(&Uuid::NAMESPACE_OID, &content).to_string())
}

#[cfg(test)]
mod tests;
