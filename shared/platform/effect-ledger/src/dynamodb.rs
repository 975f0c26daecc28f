//! The ledger in DynamoDB: each step of the protocol is one conditional write.
//!
//! Long because the conditions exclude each other, and a reader compares them side by side.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use serde::Deserialize;
use stripe_events::{Currency, Money};

use crate::shard::open_shard;
use crate::{
    Claim, Disposition, Effect, EffectKey, EffectRow, EffectState, EffectStore, Executor, Guarantee,
    MovedMoney, NotGranted, Refused, Settlement, Standing, StoreError, Subject,
};

/// The effect is neither claimed nor settled.
pub(crate) const FREE: &str = "attribute_not_exists(#state) OR #state IN (:retry, :parked)";

/// The version counts later facts about the payment. Its attribute is called `news`, as in every version of the table.
pub(crate) const RAISE_VERSION: &str = "#news = if_not_exists(#news, :zero) + :one";

/// A claim that is still this owner's and attempt's: the fence.
const STILL_CLAIMED: &str = "#state = :claimed AND #owner = :owner AND #attempt = :attempt";

/// Moved money is in three attributes, whose values [`moved_attributes`] gives.
pub(crate) const SET_MOVED: &str = "#amount = :amount, #currency = :currency, #occurred_at = :occurred_at";

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The ledger in DynamoDB: partition key `payment_id`, sort key `effect`.
#[derive(Debug, Clone)]
pub struct DynamoDbEffects {
    pub(crate) client: Client,
    pub(crate) table: String,
}

/// A row as it is stored. Times are Unix milliseconds unless they say otherwise.
#[derive(Deserialize)]
struct StoredRow {
    effect: Effect,
    /// None where the version was raised before an executor began the effect.
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    attempt: Option<u32>,
    #[serde(default)]
    lease_until: Option<i64>,
    #[serde(default)]
    amount: Option<i64>,
    #[serde(default)]
    currency: Option<Currency>,
    /// Unix seconds, as Stripe counts.
    #[serde(default)]
    occurred_at: Option<i64>,
    #[serde(default)]
    moved_reason: Option<String>,
    /// Unix seconds, as DynamoDB's TTL counts.
    #[serde(default)]
    expires_at: Option<i64>,
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    first_at: Option<i64>,
    #[serde(default)]
    updated_at: Option<i64>,
    /// The shard of the index, while the effect is open.
    #[serde(default)]
    open: Option<String>,
    #[serde(default)]
    news: u32,
}

impl StoredRow {
    /// The row, if an executor has begun the effect.
    fn into_row(self) -> Option<EffectRow> {
        let state = self.state?;
        let reason = self.reason.unwrap_or_default();
        let last_claim = self.owner.zip(self.attempt);
        let state = match (state.as_str(), &last_claim, self.lease_until) {
            ("done", _, _) => EffectState::Done,
            ("skipped", _, _) => EffectState::Skipped { reason },
            ("retry", _, _) => EffectState::Retry { reason },
            ("parked", _, _) => EffectState::Parked { reason },
            ("claimed", Some((owner, attempt)), Some(lease_until)) => {
                EffectState::Claimed(Claim { owner: owner.clone(), attempt: *attempt, lease_until })
            }
            // A row that cannot be read may be of an effect that was done.
            _ => EffectState::Unknown { reason },
        };
        let moved = match (self.amount, self.currency, self.occurred_at) {
            (Some(minor), Some(currency), Some(occurred_at)) => {
                Some(MovedMoney { amount: Money::new(minor, currency), occurred_at })
            }
            _ => None,
        };
        Some(EffectRow {
            effect: self.effect,
            state,
            last_claim,
            moved,
            moved_reason: self.moved_reason,
            expires_at: self.expires_at,
            event_id: self.event_id,
            reference: self.reference,
            detail: self.detail,
            first_at: self.first_at,
            updated_at: self.updated_at,
            open: self.open.is_some(),
            version: self.news,
        })
    }
}

fn version_in(item: &Item) -> u32 {
    let version = item.get("news").and_then(|version| version.as_n().ok());
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// Reads a row; none if no executor has begun its effect.
pub(crate) fn read_row(item: Item) -> Result<Option<EffectRow>, serde_dynamo::Error> {
    serde_dynamo::from_item::<_, StoredRow>(item).map(StoredRow::into_row)
}

pub(crate) fn failed(
    operation: &'static str,
) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    move |source| StoreError { operation, source }
}

impl DynamoDbEffects {
    /// The ledger in a table.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    fn update(&self, key: &EffectKey) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item_key(key)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .expression_attribute_names("#state", "state")
    }

    /// An update of a row that is still under this claim.
    fn fenced_update(&self, key: &EffectKey, claim: &Claim) -> UpdateItemFluentBuilder {
        self.update(key)
            .condition_expression(STILL_CLAIMED)
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#attempt", "attempt")
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":claimed", text("claimed"))
            .expression_attribute_values(":owner", text(&claim.owner))
            .expression_attribute_values(":attempt", number(claim.attempt.into()))
    }
}

impl EffectStore for DynamoDbEffects {
    async fn claim(
        &self,
        key: &EffectKey,
        executor: &Executor<'_>,
        now: i64,
    ) -> Result<Result<Claim, NotGranted>, StoreError> {
        let update = self.update(key);
        let update = match key.effect.guarantee() {
            Guarantee::AtLeastOnce => {
                update.condition_expression(format!("{FREE} OR (#state = :claimed AND #lease_until < :now)"))
            }
            Guarantee::AtMostOnce => {
                let update = update.expression_attribute_names("#news", "news");
                match executor.expected_version {
                    0 => update.condition_expression(format!("({FREE}) AND attribute_not_exists(#news)")),
                    version => update
                        .condition_expression(format!("({FREE}) AND #news = :version"))
                        .expression_attribute_values(":version", number(version.into())),
                }
            }
        };
        let set = "SET #state = :claimed, #owner = :owner, #attempt = if_not_exists(#attempt, :zero) + :one, \
                   #lease_until = :lease_until, #event_id = :event_id, \
                   #first_at = if_not_exists(#first_at, :now), #updated_at = :now";
        let (mut set, mut remove, mut update) = (set.to_owned(), "#reason".to_owned(), update);
        for (name, value) in [
            ("expires_at", executor.claim_expires_at(key).map(number)),
            ("detail", executor.detail.map(text)),
        ] {
            match value {
                Some(value) => {
                    set.push_str(&format!(", #{name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), value);
                }
                None => remove.push_str(&format!(", #{name}")),
            }
            update = update.expression_attribute_names(format!("#{name}"), name);
        }
        let update = update.update_expression(format!("{set} REMOVE {remove}"));
        let written = update
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#attempt", "attempt")
            .expression_attribute_names("#lease_until", "lease_until")
            .expression_attribute_names("#event_id", "event_id")
            .expression_attribute_names("#first_at", "first_at")
            .expression_attribute_names("#updated_at", "updated_at")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_values(":claimed", text("claimed"))
            .expression_attribute_values(":retry", text("retry"))
            .expression_attribute_values(":parked", text("parked"))
            .expression_attribute_values(":owner", text(executor.owner))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":lease_until", number(executor.lease_until))
            .expression_attribute_values(":event_id", text(executor.event_id))
            .expression_attribute_values(":now", number(now))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        let in_the_way = match written {
            Ok(output) => {
                let row = output.attributes.unwrap_or_default();
                let row = read_row(row).map_err(|error| failed("claim")(error.into()))?;
                let Some(EffectState::Claimed(claim)) = row.map(|row| row.state) else {
                    return Err(failed("claim")("wrote a claim, read something else".into()));
                };
                return Ok(Ok(claim));
            }
            Err(error) => refused_item("claim", error)?,
        };
        let version = version_in(&in_the_way);
        // Without an item, the row that the executor had read has expired meanwhile.
        let row = if in_the_way.is_empty() { Ok(None) } else { read_row(in_the_way) };
        let Some(row) = row.map_err(|error| failed("claim")(error.into()))? else {
            return Ok(Err(NotGranted::Stale(version)));
        };
        Ok(match EffectState::standing(Some(&row.state), key.effect.guarantee(), now) {
            // Our own claim: the SDK's first try was written and its reply lost.
            Standing::Busy(claim) | Standing::Ambiguous(claim) if claim.owner == executor.owner => {
                Ok(claim.clone())
            }
            Standing::Free if key.effect.guarantee() == Guarantee::AtMostOnce => {
                Err(NotGranted::Stale(version))
            }
            Standing::Free | Standing::Settled | Standing::Busy(_) | Standing::Ambiguous(_) => {
                Err(NotGranted::InTheWay(Box::new(row)))
            }
        })
    }

    async fn settle(
        &self,
        key: &EffectKey,
        claim: &Claim,
        settlement: &Settlement,
        now: i64,
    ) -> Result<Result<u32, Refused>, StoreError> {
        let (name, value) = match settlement {
            Settlement::Done { reference } | Settlement::Answered { reference, .. } => {
                ("reference", reference)
            }
            Settlement::Retry { reason } | Settlement::Parked { reason } | Settlement::Unknown { reason } => {
                ("reason", reason)
            }
        };
        let set = "SET #state = :state, #updated_at = :now, #told = :told";
        let update = self
            .fenced_update(key, claim)
            .expression_attribute_names("#updated_at", "updated_at")
            .expression_attribute_names("#lease_until", "lease_until")
            .expression_attribute_names("#told", name)
            .expression_attribute_values(":state", text(settlement.state_name()))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":told", text(value));
        let update = match settlement {
            Settlement::Answered { expires_at: Some(expires_at), .. } => update
                .update_expression(format!("{set}, #expires_at = :expires_at REMOVE #lease_until, #open"))
                .expression_attribute_names("#expires_at", "expires_at")
                .expression_attribute_values(":expires_at", number(*expires_at)),
            Settlement::Answered { expires_at: None, .. } => update
                .update_expression(format!("{set} REMOVE #lease_until, #open, #expires_at"))
                .expression_attribute_names("#expires_at", "expires_at"),
            Settlement::Done { .. } => update.update_expression(format!("{set} REMOVE #lease_until, #open")),
            Settlement::Unknown { .. } => update
                .update_expression(format!("{set}, #open = :open REMOVE #lease_until"))
                .expression_attribute_values(":open", text(&open_shard(&key.subject))),
            // Nothing was done, so how says nothing any more.
            Settlement::Retry { .. } | Settlement::Parked { .. } => update
                .update_expression(format!("{set}, #open = :open REMOVE #lease_until, #detail"))
                .expression_attribute_names("#detail", "detail")
                .expression_attribute_values(":open", text(&open_shard(&key.subject))),
        };
        match update.return_values(ReturnValue::AllNew).send().await {
            Ok(output) => Ok(Ok(output.attributes.as_ref().map_or(0, version_in))),
            Err(error) => {
                let row = refused_row("settle", error)?;
                // Our own settlement: the SDK's first try was written and its reply lost.
                let ours = row.filter(|row| {
                    row.state.name() == settlement.state_name()
                        && row.last_claim == Some((claim.owner.clone(), claim.attempt))
                });
                Ok(ours.map(|row| row.version).ok_or(Refused))
            }
        }
    }

    async fn write_disposition(
        &self,
        key: &EffectKey,
        disposition: Disposition<'_>,
        event_id: &str,
        now: i64,
    ) -> Result<Result<(), EffectRow>, StoreError> {
        let set = "SET #state = :state, #reason = :reason, #event_id = :event_id, \
                   #first_at = if_not_exists(#first_at, :now), #updated_at = :now";
        let update = self
            .update(key)
            .condition_expression("attribute_not_exists(#state) OR #state IN (:retry, :parked, :skipped)")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_names("#event_id", "event_id")
            .expression_attribute_names("#first_at", "first_at")
            .expression_attribute_names("#updated_at", "updated_at")
            .expression_attribute_values(":retry", text("retry"))
            .expression_attribute_values(":parked", text("parked"))
            .expression_attribute_values(":skipped", text("skipped"))
            .expression_attribute_values(":state", text(disposition.state_name()))
            .expression_attribute_values(":reason", text(disposition.reason()))
            .expression_attribute_values(":event_id", text(event_id))
            .expression_attribute_values(":now", number(now));
        let update = match disposition {
            Disposition::Skip(_) => update
                .update_expression(format!("{set} REMOVE #open, #expires_at, #detail"))
                .expression_attribute_names("#detail", "detail")
                .expression_attribute_names("#expires_at", "expires_at")
                .expression_attribute_names("#open", "open"),
            Disposition::Park { detail, .. } => update
                .update_expression(format!("{set}, #open = :open, #detail = :detail REMOVE #expires_at"))
                .expression_attribute_names("#detail", "detail")
                .expression_attribute_values(":detail", text(detail))
                .expression_attribute_names("#expires_at", "expires_at")
                .expression_attribute_names("#open", "open")
                .expression_attribute_values(":open", text(&open_shard(&key.subject))),
            Disposition::AwaitPayment { moved, moved_reason, expires_at, .. } => {
                let set = format!("{set}, {SET_MOVED}");
                let update = moved_attributes(&moved).into_iter().fold(
                    update.expression_attribute_names("#expires_at", "expires_at"),
                    |update, (name, value)| {
                        update
                            .expression_attribute_names(format!("#{name}"), name)
                            .expression_attribute_values(format!(":{name}"), value)
                    },
                );
                // An event without the word takes none away that another event brought.
                let (set, update) = match moved_reason {
                    Some(moved_reason) => (
                        format!("{set}, #moved_reason = :moved_reason"),
                        update
                            .expression_attribute_names("#moved_reason", "moved_reason")
                            .expression_attribute_values(":moved_reason", text(moved_reason)),
                    ),
                    None => (set, update),
                };
                match expires_at {
                    Some(expires_at) => update
                        .update_expression(format!("{set}, #expires_at = :expires_at"))
                        .expression_attribute_values(":expires_at", number(expires_at)),
                    None => update.update_expression(format!("{set} REMOVE #expires_at")),
                }
            }
        };
        let written = update.send().await;
        match written {
            Ok(_) => Ok(Ok(())),
            Err(error) => match refused_row("write_disposition", error)? {
                Some(row) => Ok(Err(row)),
                None => Err(failed("write_disposition")("a refusal came without its row".into())),
            },
        }
    }

    async fn mark_contended(&self, key: &EffectKey, claim: &Claim) -> Result<(), StoreError> {
        let update = self
            .fenced_update(key, claim)
            .update_expression("SET #open = :open")
            .expression_attribute_values(":open", text(&open_shard(&key.subject)));
        match update.send().await {
            Ok(_) => Ok(()),
            // Settled meanwhile: it blocks no delivery any more.
            Err(error) => refused_row("mark_contended", error).map(drop),
        }
    }

    async fn raise_version(
        &self,
        key: &EffectKey,
        expires_at: i64,
    ) -> Result<Option<EffectState>, StoreError> {
        let update = || {
            self.update(key)
                .expression_attribute_names("#news", "news")
                .expression_attribute_values(":zero", number(0))
                .expression_attribute_values(":one", number(1))
        };
        let not_begun = update()
            .condition_expression("attribute_not_exists(#state)")
            .update_expression(format!("SET {RAISE_VERSION}, #expires_at = :expires_at"))
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":expires_at", number(expires_at));
        match not_begun.send().await {
            Ok(_) => return Ok(None),
            Err(error) => refused_item("raise_version", error).map(drop)?,
        }
        // The payment is ours, and the row has to stay.
        let begun = update()
            .condition_expression("attribute_exists(#state)")
            .update_expression(format!("SET {RAISE_VERSION}"))
            .return_values(ReturnValue::AllNew);
        let written = begun.send().await.map_err(|error| failed("raise_version")(error.into()))?;
        let row = read_row(written.attributes.unwrap_or_default());
        let row = row.map_err(|error| failed("raise_version")(error.into()))?;
        Ok(row.map(|row| row.state))
    }

    async fn of_subject(&self, subject: &Subject) -> Result<Vec<EffectRow>, StoreError> {
        Ok(self.history(subject).await?.effects)
    }
}

impl DynamoDbEffects {}

/// The row behind a failed condition, none where no executor has begun. Any other failure means that the ledger did not
/// answer.
fn refused_row(
    operation: &'static str,
    error: SdkError<UpdateItemError>,
) -> Result<Option<EffectRow>, StoreError> {
    match refused_item(operation, error)? {
        item if item.is_empty() => Ok(None),
        item => read_row(item).map_err(|error| failed(operation)(error.into())),
    }
}

/// The item behind a failed condition, empty where there is none.
fn refused_item(operation: &'static str, error: SdkError<UpdateItemError>) -> Result<Item, StoreError> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
            Ok(refused.item.clone().unwrap_or_default())
        }
        _ => Err(failed(operation)(error.into())),
    }
}

/// The attributes in [`SET_MOVED`].
pub(crate) fn moved_attributes(moved: &MovedMoney) -> [(&'static str, AttributeValue); 3] {
    let MovedMoney { amount, occurred_at } = moved;
    [
        ("amount", number(amount.minor())),
        ("currency", text(amount.currency().as_str())),
        ("occurred_at", number(*occurred_at)),
    ]
}

pub(crate) fn item_key(key: &EffectKey) -> Item {
    HashMap::from([
        ("payment_id".to_owned(), text(key.subject.as_str())),
        ("effect".to_owned(), text(key.effect.as_str())),
    ])
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
