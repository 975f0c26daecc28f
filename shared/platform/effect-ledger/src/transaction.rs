//! The ledger's part in a transaction that is itself the effect, or a later fact about the payment.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::Update;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;

use crate::dynamodb::{FREE, RAISE_VERSION, SET_MOVED, item_key, moved_attributes, number, text};
use crate::{DynamoDbEffects, EffectKey, MovedMoney};

/// The first completion's time and event stay.
const SET_DONE: &str = "SET #state = :state, #event_id = if_not_exists(#event_id, :event_id), \
                        #first_at = if_not_exists(#first_at, :now), \
                        #updated_at = if_not_exists(#updated_at, :now)";

impl DynamoDbEffects {
    /// The write that marks an effect done, for the transaction that is the effect.
    ///
    /// Unconditional: the transaction's own condition decides. The first completion's time and event stay.
    ///
    /// # Errors
    ///
    /// Never in practice: the SDK's builder reports fields that are all set here.
    pub fn done(&self, key: &EffectKey, event_id: &str, now: i64) -> Result<Update, BuildError> {
        self.done_update(key, event_id, now)
            .update_expression(format!("{SET_DONE} REMOVE #reason, #detail, #open"))
            .build()
    }

    /// Like [`DynamoDbEffects::done`], for what may be another business's. The newest expiry stays; no expiry lifts an
    /// earlier one.
    ///
    /// # Errors
    ///
    /// As [`DynamoDbEffects::done`].
    pub fn done_until(
        &self,
        key: &EffectKey,
        event_id: &str,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<Update, BuildError> {
        expiring(self.done_update(key, event_id, now), SET_DONE, expires_at).build()
    }

    /// Like [`DynamoDbEffects::done`], for a row that keeps an answer: see a contract.
    /// It replaces an earlier one and stays.
    ///
    /// # Errors
    ///
    /// As [`DynamoDbEffects::done`].
    pub fn answered(
        &self,
        key: &EffectKey,
        event_id: &str,
        reference: &str,
        now: i64,
    ) -> Result<Update, BuildError> {
        self.done_update(key, event_id, now)
            .update_expression(format!(
                "{SET_DONE}, #reference = :reference REMOVE #reason, #detail, #open, #expires_at"
            ))
            .expression_attribute_names("#reference", "reference")
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":reference", text(reference))
            .build()
    }

    /// Like [`DynamoDbEffects::done`], for an effect about moved money. The newest amount and expiry stay;
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
        let update = moved_attributes(moved).into_iter().fold(
            self.done_update(key, event_id, now),
            |update, (name, value)| {
                update
                    .expression_attribute_names(format!("#{name}"), name)
                    .expression_attribute_values(format!(":{name}"), value)
            },
        );
        expiring(update, &format!("{SET_DONE}, {SET_MOVED}"), expires_at).build()
    }

    /// The same write of a done effect, on condition that the effect is not settled yet. If it is, the transaction is
    /// refused at this place, which is how a duplicate shows.
    pub fn unless_settled(done: Update) -> Update {
        let mut update = done;
        update.condition_expression = Some(FREE.to_owned());
        let values = update.expression_attribute_values.get_or_insert_default();
        values.extend([(":retry".to_owned(), text("retry")), (":parked".to_owned(), text("parked"))]);
        update
    }

    /// The same write of a done effect, on condition that it is not done yet. If it is, the transaction is refused at
    /// this place: what it wrote earlier may have been erased since, and must not be written again.
    pub fn unless_done(done: Update) -> Update {
        let mut update = done;
        update.condition_expression = Some("attribute_not_exists(#state) OR #state <> :state".to_owned());
        update
    }

    /// The write that raises the version of an effect's row, for the transaction that records a later fact about the
    /// payment ([`EffectStore::raise_version`](crate::EffectStore::raise_version)).
    ///
    /// `expires_at` (Unix seconds) is for a payment that is probably another business's. The write is refused if an
    /// executor has begun the effect: then the payment is ours, and its row must stay.
    ///
    /// # Errors
    ///
    /// As [`DynamoDbEffects::done`].
    pub fn version_raised(&self, key: &EffectKey, expires_at: Option<i64>) -> Result<Update, BuildError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item_key(key)))
            .expression_attribute_names("#news", "news")
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1));
        match expires_at {
            Some(expires_at) => update
                .update_expression(format!("SET {RAISE_VERSION}, #expires_at = :expires_at"))
                .condition_expression("attribute_not_exists(#state)")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":expires_at", number(expires_at)),
            None => update.update_expression(format!("SET {RAISE_VERSION} REMOVE #expires_at")),
        }
        .build()
    }

    fn done_update(&self, key: &EffectKey, event_id: &str, now: i64) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(item_key(key)))
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#event_id", "event_id")
            .expression_attribute_names("#first_at", "first_at")
            .expression_attribute_names("#updated_at", "updated_at")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_names("#detail", "detail")
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":state", text("done"))
            .expression_attribute_values(":event_id", text(event_id))
            .expression_attribute_values(":now", number(now))
    }
}

/// A done effect whose row may go at some time; without one, an earlier one is lifted.
fn expiring(update: UpdateBuilder, set: &str, expires_at: Option<i64>) -> UpdateBuilder {
    let update = update.expression_attribute_names("#expires_at", "expires_at");
    match expires_at {
        Some(expires_at) => update
            .update_expression(format!("{set}, #expires_at = :expires_at REMOVE #reason, #detail, #open"))
            .expression_attribute_values(":expires_at", number(expires_at)),
        None => update.update_expression(format!("{set} REMOVE #reason, #detail, #open, #expires_at")),
    }
}
