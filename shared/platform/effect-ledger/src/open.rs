use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;

use crate::dynamodb::{failed, read_row, text};
use crate::{DynamoDbEffects, EffectKey, EffectRow, StoreError, Subject};

/// The index of open effects. A row is in it while it has the attribute `open`.
const OPEN_EFFECTS: &str = "open-effects";

/// An outage leaves thousands of effects to be tried again, and a partition takes a thousand writes a second.
const SHARDS: u32 = 16;

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

/// The partition of the index that a subject's open effects are in.
///
/// FNV-1a, because the shard of a row must be the same in every version of every function.
/// <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>
pub(crate) fn open_shard(subject: &Subject) -> String {
    let hash = subject
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    shard_name(hash % SHARDS)
}

fn shard_name(shard: u32) -> String {
    format!("{shard:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_stays_in_its_shard_from_version_to_version() {
        for (payment_id, expected) in [("pi_1", "02"), ("pi_2", "15"), ("cs_test_a1FixtureMembership", "00")]
        {
            assert_eq!(open_shard(&Subject::new(payment_id)), expected, "{payment_id}");
        }
    }

    #[test]
    fn subjects_spread_over_the_shards() {
        let mut counts = [0_u32; SHARDS as usize];
        for payment in 0..16_000 {
            let shard: usize = open_shard(&Subject::new(format!("pi_{payment}"))).parse().unwrap();
            counts[shard] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
