use std::fmt;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};

use crate::dynamodb::{Item, failed, item_key, number, read_row, text};
use crate::shard::open_shard;
use crate::{DynamoDbEffects, Effect, EffectKey, EffectRow, StoreError, Subject};

/// The prefix of operators' rows, which stand beside the effects of their subject.
pub(crate) const OPERATOR: &str = "operator#";

/// The partition that operators' rows have to themselves in the index of open effects, in the order of their times.
pub(crate) const DEEDS: &str = "operators";

/// How many equal actions of one millisecond get names of their own. An operator takes one.
const REPEATS: u32 = 1000;

/// Everything the ledger has about a subject.
#[derive(Debug, Default)]
pub struct History {
    /// The effects.
    pub effects: Vec<EffectRow>,
    /// The operators' actions, oldest first.
    pub actions: Vec<OperatorAction>,
}

/// An operator's action on an effect: a row of the ledger that is written once and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAction {
    /// The kind of action.
    pub verb: Verb,
    /// When, in Unix milliseconds.
    pub at: i64,
    /// The operator: the caller's ARN, which for single sign-on ends in the name a person signs in with.
    pub by: String,
    /// The reason, in the operator's words.
    pub because: Option<String>,
    /// The effect; none where the message of a redrive names no payment.
    pub about: Option<Effect>,
    /// The effect's state before.
    pub before: String,
    /// The state it was put into, or the request.
    pub after: String,
}

/// The kinds of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// A message went from the DLQ back to its queue.
    Redrive,
    /// The event was delivered once more.
    Retry,
    /// The event of a link with a broken contract was delivered with the right one.
    Complete,
    /// An operator found out whether an unknown effect was done.
    Resolve,
    /// A mail was asked for once more.
    Resend,
    /// An event that never came was put on the bus.
    Reconcile,
    /// A customer who had fetched their files too often may go on.
    Reset,
    /// A customer's download link was replaced by a new one.
    RenewLink,
    /// An effect that will not be done was closed.
    Close,
    /// A message of a DLQ was deleted, and what it asked for closed.
    Discard,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redrive => "redrive",
            Self::Retry => "retry",
            Self::Complete => "complete",
            Self::Resolve => "resolve",
            Self::Resend => "resend",
            Self::Reconcile => "reconcile",
            Self::Reset => "reset",
            Self::RenewLink => "renew-link",
            Self::Close => "close",
            Self::Discard => "discard",
        })
    }
}

/// The change of an action to the row of its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing: what follows happens elsewhere.
    Nothing,
    /// It was done after all.
    Done,
    /// It was not done, and may be tried again.
    Free,
    /// It was not done, and will not be: another effect takes its place.
    Closed {
        /// Short name of the reason.
        reason: &'static str,
    },
}

/// The reason for which an action was not recorded, and therefore must not be taken.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// The row is no longer what the operator saw.
    #[error("it has changed since it was looked at; look again before deciding")]
    Changed,
    /// The ledger did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OperatorAction {
    pub(crate) fn is_one(item: &Item) -> bool {
        let effect = item.get("effect").and_then(|effect| effect.as_s().ok());
        effect.is_some_and(|effect| effect.starts_with(OPERATOR))
    }

    /// The row. It says `done`, so that it can be read as any row of its subject.
    fn item(&self, subject: &Subject, repeat: u32) -> Result<Item, StoreError> {
        let mut item: Item = serde_dynamo::to_item(self).map_err(|error| failed("record")(error.into()))?;
        let effect = self.row_name(repeat)?;
        item.extend(item_key(&EffectKey::new(subject, effect)));
        item.insert("state".to_owned(), text("done"));
        item.insert("open".to_owned(), text(DEEDS));
        Ok(item)
    }

    /// `operator#<time>#<verb>#<digits>`: the digits follow from the rest of the action, because a command does many
    /// things at one time. Equal actions are numbered. Rows of earlier versions end with the verb.
    fn row_name(&self, repeat: u32) -> Result<Effect, StoreError> {
        let at = DateTime::from_millis(self.at).fmt(DateTimeFormat::DateTime);
        let at = at.map_err(|error| failed("record")(error.into()))?;
        let about = self.about.as_ref().map_or("", Effect::as_str);
        let because = self.because.as_deref().unwrap_or_default();
        let digits = fnv_1a([&self.by, because, about, &self.before, &self.after]);
        let name = format!("{OPERATOR}{at}#{}#{digits:016x}", self.verb);
        Ok(Effect::from(if repeat == 0 { name } else { format!("{name}#{repeat}") }.as_str()))
    }
}

/// FNV-1a of texts, each ended by a byte that no text has.
///
/// <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>
fn fnv_1a<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    texts
        .into_iter()
        .flat_map(|text| text.bytes().chain([u8::MAX]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl DynamoDbEffects {
    /// Everything the ledger has about a subject: its effects, and what operators did about them.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer.
    pub async fn history(&self, subject: &Subject) -> Result<History, StoreError> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("payment_id = :payment_id")
            .expression_attribute_values(":payment_id", text(subject.as_str()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("of_subject")(error.into()))?;
        // A subject has a dozen rows at most, far below a page.
        let mut history = History::default();
        for item in output.items.unwrap_or_default() {
            let unreadable = |error: serde_dynamo::Error| failed("of_subject")(error.into());
            if OperatorAction::is_one(&item) {
                history.actions.push(serde_dynamo::from_item(item).map_err(unreadable)?);
            } else {
                history.effects.extend(read_row(item).map_err(unreadable)?);
            }
        }
        Ok(history)
    }

    /// Records an operator's action on an effect, and changes the effect's row, both or neither. `seen` is the row
    /// as the operator saw it, none where there was none: if it has changed since, nothing is written.
    ///
    /// # Errors
    ///
    /// [`NotRecorded`].
    pub async fn record(
        &self,
        key: &EffectKey,
        seen: Option<&EffectRow>,
        action: &OperatorAction,
        change: Change,
    ) -> Result<(), NotRecorded> {
        let target =
            self.target(key, seen, action, change).map_err(|error| failed("record")(error.into()))?;
        self.write(Some(target), &key.subject, action).await
    }

    /// The effect's row: changed, or only checked.
    fn target(
        &self,
        key: &EffectKey,
        seen: Option<&EffectRow>,
        action: &OperatorAction,
        change: Change,
    ) -> Result<TransactWriteItem, BuildError> {
        let (condition, names, values) = as_seen(seen);
        let (state, detail, reason) = match change {
            Change::Nothing => {
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .set_key(Some(item_key(key)))
                    .condition_expression(condition)
                    .set_expression_attribute_names(Some(names))
                    .set_expression_attribute_values((!values.is_empty()).then_some(values));
                return Ok(TransactWriteItem::builder().condition_check(check.build()?).build());
            }
            Change::Done => ("done", "reference", "operator"),
            Change::Free => ("retry", "reason", "operator"),
            Change::Closed { reason } => ("skipped", "reason", reason),
        };
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item_key(key)))
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#updated_at", "updated_at")
            .expression_attribute_names("#detail", detail)
            .expression_attribute_names("#open", "open")
            .expression_attribute_names("#lease_until", "lease_until")
            .expression_attribute_values(":state", text(state))
            .expression_attribute_values(":now", number(action.at))
            .expression_attribute_values(":detail", text(reason));
        let set = "SET #state = :state, #updated_at = :now, #detail = :detail";
        let update = match change {
            Change::Done => update
                .update_expression(format!("{set} REMOVE #open, #lease_until, #reason"))
                .expression_attribute_names("#reason", "reason"),
            Change::Closed { .. } => update.update_expression(format!("{set} REMOVE #open, #lease_until")),
            Change::Nothing | Change::Free => update
                .update_expression(format!("{set}, #open = :open REMOVE #lease_until"))
                .expression_attribute_values(":open", text(&open_shard(&key.subject))),
        };
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    /// Records an operator's action where no effect can be named: on a message that names none.
    ///
    /// # Errors
    ///
    /// [`NotRecorded::Store`].
    pub async fn record_alone(&self, subject: &Subject, action: &OperatorAction) -> Result<(), NotRecorded> {
        self.write(None, subject, action).await
    }

    /// Records an operator's action on a row of another table, and changes that row, both or neither.
    ///
    /// # Errors
    ///
    /// [`NotRecorded`].
    pub async fn record_with(
        &self,
        subject: &Subject,
        action: &OperatorAction,
        change: TransactWriteItem,
    ) -> Result<(), NotRecorded> {
        self.write(Some(change), subject, action).await
    }

    /// Writes a row of its own for the action, and a change with it: both or neither.
    async fn write(
        &self,
        change: Option<TransactWriteItem>,
        subject: &Subject,
        action: &OperatorAction,
    ) -> Result<(), NotRecorded> {
        for repeat in 0..REPEATS {
            let items = change.iter().cloned().chain([self.put_action(subject, action, repeat)?]);
            let written = self.client.transact_write_items().set_transact_items(Some(items.collect()));
            let Err(error) = written.send().await else {
                return Ok(());
            };
            match Conflict::of(error.as_service_error(), change.is_some()) {
                Some(Conflict::Changed) => return Err(NotRecorded::Changed),
                Some(Conflict::NameTaken) => {}
                None => return Err(failed("record")(error.into()).into()),
            }
        }
        Err(NotRecorded::Changed)
    }

    fn put_action(
        &self,
        subject: &Subject,
        action: &OperatorAction,
        repeat: u32,
    ) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(action.item(subject, repeat)?))
            .condition_expression("attribute_not_exists(#effect)")
            .expression_attribute_names("#effect", "effect");
        let put = put.build().map_err(|error| failed("record")(error.into()))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// The cause of a cancelled transaction.
enum Conflict {
    /// The row that the operator saw, or another write was at one of the rows.
    Changed,
    /// An equal action has this name already.
    NameTaken,
}

impl Conflict {
    /// DynamoDB gives a reason for each item of a transaction, in their order; the action's row is the last.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
    fn of(error: Option<&TransactWriteItemsError>, has_change: bool) -> Option<Self> {
        let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error else {
            return None;
        };
        let codes: Vec<_> = canceled.cancellation_reasons().iter().map(|reason| reason.code()).collect();
        let (change, name) = codes.split_at(usize::from(has_change).min(codes.len()));
        let failed = |code: &Option<&str>| matches!(code, Some("ConditionalCheckFailed"));
        if change.iter().any(failed) || codes.contains(&Some("TransactionConflict")) {
            return Some(Self::Changed);
        }
        name.iter().any(failed).then_some(Self::NameTaken)
    }
}

type Names = std::collections::HashMap<String, String>;

/// The condition that a row is still as the operator saw it. Every transition writes `updated_at`.
fn as_seen(seen: Option<&EffectRow>) -> (&'static str, Names, Item) {
    let mut names = Names::from([("#state".to_owned(), "state".to_owned())]);
    let Some(seen) = seen else {
        return ("attribute_not_exists(#state)", names, Item::new());
    };
    let mut values = Item::from([(":seen".to_owned(), text(seen.state.name()))]);
    let Some(updated_at) = seen.updated_at else {
        return ("#state = :seen", names, values);
    };
    names.insert("#updated_at".to_owned(), "updated_at".to_owned());
    values.insert(":seen_at".to_owned(), AttributeValue::N(updated_at.to_string()));
    ("#state = :seen AND #updated_at = :seen_at", names, values)
}
