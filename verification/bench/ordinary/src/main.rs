//! A Lambda function as the documentation of its crates writes one: every default, no choice.
//!
//! It records each event once, which is one call, as `soft-opt-ins` and `contribution-records` make for a payment.

use anyhow::{Context as _, Result};
use aws_config::BehaviorVersion;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = Client::new(&config);
    let table = std::env::var("TABLE_NAME")?;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        for message in &event.payload.records {
            record(&client, &table, message).await?;
        }
        Ok::<(), Error>(())
    }))
    .await
}

/// Puts a row for the event in a message, unless there is one.
async fn record(client: &Client, table: &str, message: &SqsMessage) -> Result<()> {
    let body = message.body.as_deref().context("a message without a body")?;
    let envelope: Value = serde_json::from_str(body)?;
    let event = &envelope["detail"];
    let session = &event["data"]["object"];
    let id = event["id"].as_str().context("an event without an id")?;
    let text = |value: &Value| AttributeValue::S(value.as_str().unwrap_or_default().to_owned());
    let result = client
        .put_item()
        .table_name(table)
        .item("event_id", AttributeValue::S(id.to_owned()))
        .item("type", text(&event["type"]))
        .item("payment", text(&session["payment_intent"]))
        .item("amount", AttributeValue::N(session["amount_total"].as_i64().unwrap_or_default().to_string()))
        .item("currency", text(&session["currency"]))
        .condition_expression("attribute_not_exists(event_id)")
        .send()
        .await
        .map_err(aws_sdk_dynamodb::Error::from);
    match result {
        Ok(_) => tracing::info!(event_id = id, "recorded"),
        Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => {
            tracing::info!(event_id = id, "already recorded");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
