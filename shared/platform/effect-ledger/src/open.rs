use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;

use crate::dynamodb::{failed, read_row, text};
use crate::shard::{SHARDS, shard_name};
use crate::{DynamoDbEffects, EffectKey, EffectRow, StoreError, Subject};

/// The index of open effects. A row is in it while it has the attribute `open`.
pub(crate) const OPEN_EFFECTS: &str = "open-effects";

/// The open effects, and what reading them took.
#[derive(Debug, Default)]
pub struct OpenEffects {
    /// The effects, in the order of their names.
    pub rows: Vec<(EffectKey, EffectRow)>,
    /// How many pages DynamoDB returned.
    pub pages: usize,
    /// How many rows DynamoDB read for it.
    pub scanned: usize,
}

impl DynamoDbEffects {
    /// Every open effect: `retry`, `parked`, `unknown`, and claims that followed a
    /// failure or stood in another delivery's way. Only those whose names begin with `prefix`.
    ///
    /// A query of each shard of a sparse index, which holds nothing else: what it costs grows with the number of open
    /// effects, not with the ledger. The index follows the ledger within a second or so.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer.
    pub async fn open_effects(&self, prefix: &str) -> Result<OpenEffects, StoreError> {
        let shards = try_join_all((0..SHARDS).map(|shard| self.open_shard(shard, prefix))).await?;
        let mut all = OpenEffects::default();
        for shard in shards {
            all.rows.extend(shard.rows);
            all.pages += shard.pages;
            all.scanned += shard.scanned;
        }
        all.rows.sort_by(|(a, _), (b, _)| (&a.effect, &a.subject).cmp(&(&b.effect, &b.subject)));
        Ok(all)
    }

    async fn open_shard(&self, shard: u32, prefix: &str) -> Result<OpenEffects, StoreError> {
        let mut open = OpenEffects::default();
        let mut start = None;
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(OPEN_EFFECTS)
                .expression_attribute_names("#open", "open")
                .expression_attribute_values(":shard", text(&shard_name(shard)))
                .set_exclusive_start_key(start);
            // DynamoDB refuses to look for names that begin with nothing.
            let query = if prefix.is_empty() {
                query.key_condition_expression("#open = :shard")
            } else {
                query
                    .key_condition_expression("#open = :shard AND begins_with(#effect, :prefix)")
                    .expression_attribute_names("#effect", "effect")
                    .expression_attribute_values(":prefix", text(prefix))
            };
            let page = query.send().await.map_err(|error| failed("open_effects")(error.into()))?;
            open.pages += 1;
            open.scanned += usize::try_from(page.scanned_count).unwrap_or_default();
            for item in page.items.unwrap_or_default() {
                let id = item.get("payment_id").and_then(|id: &AttributeValue| id.as_s().ok());
                let subject = Subject::new(id.cloned().unwrap_or_default());
                let row = read_row(item).map_err(|error| failed("open_effects")(error.into()))?;
                let keyed = |row: EffectRow| (EffectKey { subject, effect: row.effect.clone() }, row);
                open.rows.extend(row.map(keyed));
            }
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(open);
            }
        }
    }
}
