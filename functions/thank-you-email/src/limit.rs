//! How many mails that cost nothing one address gets in a day.
//!
//! A free link, a discount of 100 % or a bank debit that will bounce makes a mail for any address that anybody types,
//! as often as they like. Paid mails limit themselves and are not counted, so the ordinary mail costs no call more.

use aws::{CachedSecret, Clock, SecretError};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_types::SdkConfig;
use download_claims::{NoKeys, TokenKeys};
use effect_ledger::EffectKey;

use crate::Config;

/// Counts mails by address.
pub(crate) trait AddressLimit {
    /// Counts a mail to an address, once however often it is tried.
    fn admit(&self, to: &str, mail: &EffectKey) -> impl Future<Output = Result<Admission, LimitError>>;
}

/// Whether a mail may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is counted, and not above the limit.
    Admitted,
    /// The address has had its mails of the day.
    OverLimit,
}

/// The count cannot be had now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitError {
    #[error(transparent)]
    NoSecret(#[from] SecretError),
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
    #[error("the ledger's table does not count the mail")]
    Table(#[source] Box<dyn std::error::Error + Send + Sync>),
}

const DAY: i64 = 86_400;

/// Counts in the ledger's table, in a row for each address that DynamoDB deletes after two days.
///
/// The row is keyed by an HMAC of the address under the newest key of the customers' links, which no table holds: the
/// ledger stays free of personal data. It lists the mails of one window of 24 hours, which begins with the first one,
/// by payment and effect, so that a mail that is tried again counts once.
pub(crate) struct DynamoDbAddressLimit<C> {
    client: Client,
    table: String,
    keys: CachedSecret<C>,
    most: i64,
    clock: C,
}

impl<C: Clock + Clone> DynamoDbAddressLimit<C> {
    pub(crate) fn new(config: &Config, sdk: &SdkConfig, most: i64, clock: C) -> Self {
        Self {
            client: Client::new(sdk),
            table: config.effects_table.clone(),
            keys: CachedSecret::stored(sdk, &config.purchases.token_keys_secret_name, clock.clone()),
            most,
            clock,
        }
    }
}

impl<C: Clock + Clone> AddressLimit for DynamoDbAddressLimit<C> {
    async fn admit(&self, to: &str, mail: &EffectKey) -> Result<Admission, LimitError> {
        let keys = TokenKeys::parse(&self.keys.current().await?)?;
        let row = format!("mail-limit#{}", keys.opaque("mail-limit", &to.to_lowercase()));
        let mail = format!("{} {}", mail.subject, mail.effect);
        let now = self.clock.now_ms() / 1000;
        Ok(match self.count(&row, &mail, now).await? {
            Counted::Yes => Admission::Admitted,
            Counted::Full => Admission::OverLimit,
            Counted::WindowOver => match self.begin_window(&row, &mail, now).await? {
                true => Admission::Admitted,
                // Another mail began it in between.
                false => match self.count(&row, &mail, now).await? {
                    Counted::Yes => Admission::Admitted,
                    Counted::Full | Counted::WindowOver => Admission::OverLimit,
                },
            },
        })
    }
}

/// The outcome of counting a mail in the window that the row has.
enum Counted {
    Yes,
    Full,
    WindowOver,
}

impl<C> DynamoDbAddressLimit<C> {
    async fn count(&self, row: &str, mail: &str, now: i64) -> Result<Counted, LimitError> {
        let counted = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("payment_id", text(row))
            .key("effect", text("window"))
            .update_expression(
                "SET #mails = list_append(if_not_exists(#mails, :none), :mails), \
                 #counted = if_not_exists(#counted, :zero) + :one, \
                 #window_ends = if_not_exists(#window_ends, :window_ends), \
                 #expires_at = if_not_exists(#expires_at, :expires_at)",
            )
            .condition_expression(
                "attribute_not_exists(#window_ends) \
                 OR (#window_ends > :now AND #counted < :most AND NOT contains(#mails, :mail))",
            )
            .expression_attribute_names("#mails", "mails")
            .expression_attribute_names("#counted", "counted")
            .expression_attribute_names("#window_ends", "window_ends")
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
            .expression_attribute_values(":mails", AttributeValue::L(vec![text(mail)]))
            .expression_attribute_values(":mail", text(mail))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(self.most))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":window_ends", number(now + DAY))
            .expression_attribute_values(":expires_at", number(now + 2 * DAY))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = counted else { return Ok(Counted::Yes) };
        let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() else {
            return Err(failed(error));
        };
        let found = refused.item.clone().unwrap_or_default();
        let is_counted = found
            .get("mails")
            .and_then(|mails| mails.as_l().ok())
            .is_some_and(|mails| mails.contains(&text(mail)));
        let ends = found.get("window_ends").and_then(|ends| ends.as_n().ok()?.parse::<i64>().ok());
        Ok(if is_counted {
            Counted::Yes
        } else if ends.is_some_and(|ends| ends <= now) {
            Counted::WindowOver
        } else {
            Counted::Full
        })
    }

    /// Begins a window with this mail, unless another mail has begun one.
    async fn begin_window(&self, row: &str, mail: &str, now: i64) -> Result<bool, LimitError> {
        let begun = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("payment_id", text(row))
            .key("effect", text("window"))
            .update_expression(
                "SET #mails = :mails, #counted = :one, #window_ends = :window_ends, #expires_at = :expires_at",
            )
            .condition_expression("#window_ends <= :now")
            .expression_attribute_names("#mails", "mails")
            .expression_attribute_names("#counted", "counted")
            .expression_attribute_names("#window_ends", "window_ends")
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":mails", AttributeValue::L(vec![text(mail)]))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":window_ends", number(now + DAY))
            .expression_attribute_values(":expires_at", number(now + 2 * DAY))
            .send()
            .await;
        match begun {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(failed(error)),
            },
        }
    }
}

fn failed(error: SdkError<UpdateItemError>) -> LimitError {
    LimitError::Table(error.into())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[cfg(test)]
mod tests;
