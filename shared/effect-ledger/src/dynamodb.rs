use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, Update};
use fulfilment::{Currency, Money, PaymentId};
use serde::Deserialize;

use crate::{
    Claim, Effect, EffectKey, EffectRow, EffectState, EffectStore, Executor, MovedMoney, Policy, Refused,
    SetAside, Settlement, StoreError,
};

type Item = HashMap<String, AttributeValue>;

/// The ledger in DynamoDB: partition key `payment_id`, sort key `effect`.
#[derive(Debug, Clone)]
pub struct DynamoDbEffects {
    client: Client,
    table: String,
}

/// A row as it is stored. Times are Unix milliseconds unless they say otherwise.
#[derive(Deserialize)]
struct StoredRow {
    effect: Effect,
    state: String,
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
    /// Unix seconds, as DynamoDB's TTL counts.
    #[serde(default)]
    expires_at: Option<i64>,
}

impl StoredRow {
    fn into_row(self) -> EffectRow {
        let reason = self.reason.unwrap_or_default();
        let last_claim = self.owner.zip(self.attempt);
        let state = match (self.state.as_str(), &last_claim, self.lease_until) {
            ("done", _, _) => EffectState::Done,
            ("skipped", _, _) => EffectState::Skipped { reason },
            ("retry", _, _) => EffectState::Retry { reason },
            ("parked", _, _) => EffectState::Parked { reason },
            ("claimed", Some((owner, attempt)), Some(lease_until)) => {
                EffectState::Claimed(Claim { owner: owner.clone(), attempt: *attempt, lease_until })
            }
            // What nobody can read may have been done: the careful reading.
            _ => EffectState::Unknown { reason },
        };
        let moved = match (self.amount, self.currency, self.occurred_at) {
            (Some(minor), Some(currency), Some(occurred_at)) => {
                Some(MovedMoney { amount: Money::new(minor, currency), occurred_at })
            }
            _ => None,
        };
        EffectRow { effect: self.effect, state, last_claim, moved, expires_at: self.expires_at }
    }
}

fn read_row(item: Item) -> Result<EffectRow, serde_dynamo::Error> {
    serde_dynamo::from_item::<_, StoredRow>(item).map(StoredRow::into_row)
}

fn failed(operation: &'static str) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    move |source| StoreError { operation, source }
}

impl DynamoDbEffects {
    /// The ledger in a table.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The write that marks an effect done, for the transaction that is the effect.
    ///
    /// Unconditional: the transaction's own condition decides. The first completion's time and event stay.
    ///
    /// # Errors
    ///
    /// Never in practice: the SDK's builder reports fields that are all set here.
    pub fn done(&self, key: &EffectKey, event_id: &str, now: i64) -> Result<Update, BuildError> {
        let done = "SET #state = :state, #event_id = if_not_exists(#event_id, :event_id), \
                    #updated_at = if_not_exists(#updated_at, :now)";
        self.done_update(key, event_id, now).update_expression(format!("{done} REMOVE #reason")).build()
    }

    /// Like [`DynamoDbEffects::done`], for an effect about money that moves. The newest amount and expiry stay;
    /// no expiry lifts an earlier one.
    ///
    /// # Errors
    ///
    /// As [`DynamoDbEffects::done`].
    pub fn done_moving(
        &self,
        key: &EffectKey,
        event_id: &str,
        moved: &MovedMoney,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<Update, BuildError> {
        let done = "SET #state = :state, #event_id = if_not_exists(#event_id, :event_id), \
                    #updated_at = if_not_exists(#updated_at, :now), #amount = :amount, \
                    #currency = :currency, #occurred_at = :occurred_at";
        let update = self
            .done_update(key, event_id, now)
            .expression_attribute_names("#amount", "amount")
            .expression_attribute_names("#currency", "currency")
            .expression_attribute_names("#occurred_at", "occurred_at")
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":amount", number(moved.amount.minor()))
            .expression_attribute_values(":currency", text(moved.amount.currency().as_str()))
            .expression_attribute_values(":occurred_at", number(moved.occurred_at));
        match expires_at {
            Some(expires_at) => update
                .update_expression(format!("{done}, #expires_at = :expires_at REMOVE #reason"))
                .expression_attribute_values(":expires_at", number(expires_at)),
            None => update.update_expression(format!("{done} REMOVE #reason, #expires_at")),
        }
        .build()
    }

    fn done_update(&self, key: &EffectKey, event_id: &str, now: i64) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(item_key(key)))
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#event_id", "event_id")
            .expression_attribute_names("#updated_at", "updated_at")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_values(":state", text("done"))
            .expression_attribute_values(":event_id", text(event_id))
            .expression_attribute_values(":now", number(now))
    }

    fn update(&self, key: &EffectKey) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item_key(key)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#updated_at", "updated_at")
    }
}

impl EffectStore for DynamoDbEffects {
    async fn claim(
        &self,
        key: &EffectKey,
        policy: Policy,
        executor: &Executor<'_>,
        now: i64,
    ) -> Result<Result<Claim, EffectRow>, StoreError> {
        let free = "attribute_not_exists(#state) OR #state IN (:retry, :parked)";
        let mut update = self.update(key);
        if policy == Policy::AtLeastOnce {
            update =
                update.condition_expression(format!("{free} OR (#state = :claimed AND #lease_until < :now)"));
        } else {
            update = update.condition_expression(free);
        }
        let written = update
            .update_expression(
                "SET #state = :claimed, #owner = :owner, #attempt = if_not_exists(#attempt, :zero) + :one, \
                 #lease_until = :lease_until, #event_id = :event_id, #updated_at = :now \
                 REMOVE #reason, #expires_at",
            )
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#attempt", "attempt")
            .expression_attribute_names("#lease_until", "lease_until")
            .expression_attribute_names("#event_id", "event_id")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_names("#expires_at", "expires_at")
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
                let EffectState::Claimed(claim) = row.state else {
                    return Err(failed("claim")("wrote a claim, read something else".into()));
                };
                return Ok(Ok(claim));
            }
            Err(error) => refused_row("claim", error)?,
        };
        let Some(row) = in_the_way else {
            return Err(failed("claim")("a refused claim came without its row".into()));
        };
        if let EffectState::Claimed(claim) = &row.state
            && claim.owner == executor.owner
        {
            // Our own claim: the SDK's first try was written and its reply lost.
            return Ok(Ok(claim.clone()));
        }
        Ok(Err(row))
    }

    async fn settle(
        &self,
        key: &EffectKey,
        claim: &Claim,
        settlement: &Settlement,
        now: i64,
    ) -> Result<Result<(), Refused>, StoreError> {
        let mut update = self
            .update(key)
            .condition_expression("#state = :claimed AND #owner = :owner AND #attempt = :attempt")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#attempt", "attempt")
            .expression_attribute_names("#lease_until", "lease_until")
            .expression_attribute_values(":claimed", text("claimed"))
            .expression_attribute_values(":owner", text(&claim.owner))
            .expression_attribute_values(":attempt", number(claim.attempt.into()))
            .expression_attribute_values(":state", text(settlement.state_name()))
            .expression_attribute_values(":now", number(now));
        let (name, value) = match settlement {
            Settlement::Done { reference } => ("reference", reference),
            Settlement::Retry { reason } | Settlement::Parked { reason } | Settlement::Unknown { reason } => {
                ("reason", reason)
            }
        };
        update = update
            .update_expression(
                "SET #state = :state, #updated_at = :now, #detail = :detail REMOVE #lease_until",
            )
            .expression_attribute_names("#detail", name)
            .expression_attribute_values(":detail", text(value));
        match update.send().await {
            Ok(_) => Ok(Ok(())),
            Err(error) => {
                let row = refused_row("settle", error)?;
                // Our own settlement: the SDK's first try was written and its reply lost.
                let ours = row.is_some_and(|row| {
                    row.state.name() == settlement.state_name()
                        && row.last_claim == Some((claim.owner.clone(), claim.attempt))
                });
                Ok(if ours { Ok(()) } else { Err(Refused) })
            }
        }
    }

    async fn set_aside(
        &self,
        key: &EffectKey,
        set_aside: SetAside<'_>,
        event_id: &str,
        now: i64,
    ) -> Result<Result<(), Refused>, StoreError> {
        let set = "SET #state = :state, #reason = :reason, #event_id = :event_id, #updated_at = :now";
        let update = self
            .update(key)
            .condition_expression("attribute_not_exists(#state) OR #state IN (:retry, :parked, :skipped)")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_names("#event_id", "event_id")
            .expression_attribute_values(":retry", text("retry"))
            .expression_attribute_values(":parked", text("parked"))
            .expression_attribute_values(":skipped", text("skipped"))
            .expression_attribute_values(":state", text(set_aside.state_name()))
            .expression_attribute_values(":reason", text(set_aside.reason()))
            .expression_attribute_values(":event_id", text(event_id))
            .expression_attribute_values(":now", number(now));
        let update = match set_aside {
            SetAside::Skipped(_) | SetAside::Parked(_) => update.update_expression(set),
            SetAside::Waiting { moved, expires_at, .. } => update
                .update_expression(format!(
                    "{set}, #amount = :amount, #currency = :currency, #occurred_at = :occurred_at, \
                     #expires_at = :expires_at"
                ))
                .expression_attribute_names("#amount", "amount")
                .expression_attribute_names("#currency", "currency")
                .expression_attribute_names("#occurred_at", "occurred_at")
                .expression_attribute_names("#expires_at", "expires_at")
                .expression_attribute_values(":amount", number(moved.amount.minor()))
                .expression_attribute_values(":currency", text(moved.amount.currency().as_str()))
                .expression_attribute_values(":occurred_at", number(moved.occurred_at))
                .expression_attribute_values(":expires_at", number(expires_at)),
        };
        let written = update.send().await;
        match written {
            Ok(_) => Ok(Ok(())),
            Err(error) => refused_row("set_aside", error).map(|_| Err(Refused)),
        }
    }

    async fn of_payment(&self, payment_id: &PaymentId) -> Result<Vec<EffectRow>, StoreError> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("payment_id = :payment_id")
            .expression_attribute_values(":payment_id", text(payment_id.as_str()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("of_payment")(error.into()))?;
        // A payment has a dozen effects at most, far below a page.
        output
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| read_row(item).map_err(|error| failed("of_payment")(error.into())))
            .collect()
    }
}

/// The row behind a failed condition; any other failure is the ledger not answering.
fn refused_row(
    operation: &'static str,
    error: SdkError<UpdateItemError>,
) -> Result<Option<EffectRow>, StoreError> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
            refused.item.clone().map(read_row).transpose().map_err(|error| failed(operation)(error.into()))
        }
        _ => Err(failed(operation)(error.into())),
    }
}

fn item_key(key: &EffectKey) -> Item {
    HashMap::from([
        ("payment_id".to_owned(), text(key.payment_id.as_str())),
        ("effect".to_owned(), text(key.effect.as_str())),
    ])
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
