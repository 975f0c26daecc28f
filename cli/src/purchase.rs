//! A customer's purchase of files, and what an operator changes about it.

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use clap::Args;
use download_claims::{Downloads, DynamoDbDownloads};
use effect_ledger::Verb;
use fulfilment::PaymentId;

use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::payments::{self, PAYMENT};

/// The arguments of what changes a purchase.
#[derive(Debug, Args)]
pub(crate) struct OfPurchase {
    #[arg(help = PAYMENT)]
    payment: String,
    #[command(flatten)]
    pub(crate) acting: Acting,
}

/// The stored row of a purchase.
pub(crate) struct Purchase {
    pub(crate) payment_id: PaymentId,
    pub(crate) seen: Downloads,
    table: DynamoDbDownloads,
}

/// A change in the table of downloads, on condition that the purchase is as it was seen.
type Change = fn(&DynamoDbDownloads, &PaymentId, &Downloads) -> Result<TransactWriteItem, BuildError>;

/// The table of downloads.
///
/// # Errors
///
/// When the deployed stacks have none.
pub(crate) fn downloads(deployment: &Deployment) -> Result<DynamoDbDownloads> {
    let client = aws_sdk_dynamodb::Client::new(&deployment.sdk);
    Ok(DynamoDbDownloads::new(client, deployment.output("DownloadsTableName")?))
}

impl OfPurchase {
    /// # Errors
    ///
    /// When no request has determined the files of the payment yet.
    pub(crate) async fn find(&self, deployment: &Deployment) -> Result<Purchase> {
        let payment_id = payments::one(deployment, &self.payment).await?;
        let table = downloads(deployment)?;
        let seen = table.of_payment(&payment_id).await?;
        let seen = seen.with_context(|| {
            format!("nobody has asked for files of {payment_id} yet; `afterlink explain` tells what it is")
        })?;
        Ok(Purchase { payment_id, seen, table })
    }

    /// Changes a purchase and writes down who did it, both or neither.
    ///
    /// # Errors
    ///
    /// When the purchase is not as it was seen any more, or AWS does not answer.
    pub(crate) async fn change(
        &self,
        deployment: &Deployment,
        purchase: &Purchase,
        operator: &Operator,
        (verb, before, after): (Verb, String, String),
        change: Change,
    ) -> Result<()> {
        let Purchase { payment_id, seen, table } = purchase;
        let action = operator.action(verb, None, before, after);
        let change = change(table, payment_id, seen)?;
        Ok(deployment.ledger()?.record_with(payment_id, &action, change).await?)
    }
}

impl Purchase {
    /// The files by their keys.
    pub(crate) fn files(&self) -> Vec<String> {
        self.seen.files.iter().map(|file| file.key.clone()).collect()
    }
}
