use aws_types::SdkConfig;
use effect_ledger::Clock;
use fulfilment::{FulfilmentKind, PaymentId, Policy, file_keys};
use futures_util::future::try_join_all;
use s3_objects::{ObjectsError, S3Objects};

use crate::{
    BoughtFile, CachedSecret, DynamoDbDownloads, FOLDER, PurchasesConfig, StripeAccess, StripeAccessError,
    TableError,
};

/// Tells what was bought, and what of it is there.
pub trait Purchases {
    /// The files of a purchase, in the order of the purchase. None at all when nothing names a file.
    fn files(
        &self,
        purchase: &Purchase<'_>,
    ) -> impl Future<Output = Result<Vec<OfferedFile>, PurchasesError>>;
}

/// A payment that files were bought with.
#[derive(Debug, Clone, Copy)]
pub struct Purchase<'a> {
    /// The payment.
    pub payment_id: &'a PaymentId,
    /// `cs_…`
    pub session_id: &'a str,
    /// The files the session's own metadata names; `None` where the session is not at hand.
    pub of_link: Option<&'a [String]>,
}

/// A file that was bought, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedFile {
    /// What was bought.
    pub file: BoughtFile,
    /// In bytes; `None` while there is no such file in the bucket.
    pub size: Option<i64>,
}

/// Nobody can tell just now. Worth another try.
#[derive(Debug, thiserror::Error)]
pub enum PurchasesError {
    /// The table of downloads does not answer.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Stripe does not say what was bought.
    #[error("Stripe does not say what was bought")]
    Stripe(#[from] StripeAccessError),
    /// The bucket does not say what is there.
    #[error("nobody can tell whether the files are there")]
    Bucket(#[from] ObjectsError),
}

/// What Stripe, the table and the bucket say.
#[derive(Debug)]
pub struct AwsPurchases<C> {
    table: DynamoDbDownloads,
    stripe: StripeAccess<C>,
    /// The files bucket.
    objects: S3Objects,
    retention_seconds: i64,
    clock: C,
}

const SECONDS_A_DAY: i64 = 86_400;

impl<C: Clock + Clone> AwsPurchases<C> {
    /// Over AWS's own clients, and over `network` for Stripe.
    ///
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub fn new(
        config: &PurchasesConfig,
        sdk: &SdkConfig,
        network: &SdkConfig,
        policy: &Policy,
        clock: C,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let key = CachedSecret::new(sdk, &config.stripe_key_secret_name, clock.clone());
        Ok(Self {
            table: DynamoDbDownloads::new(aws_sdk_dynamodb::Client::new(sdk), &config.downloads_table),
            stripe: StripeAccess::new(network, key, config.stripe_api_base_url.as_deref())?,
            objects: S3Objects::new(sdk, &config.files_bucket)?,
            retention_seconds: policy.kind(FulfilmentKind::Download).retention_days * SECONDS_A_DAY,
            clock,
        })
    }

    /// The table of downloads.
    pub const fn table(&self) -> &DynamoDbDownloads {
        &self.table
    }

    /// The files bucket.
    pub const fn objects(&self) -> &S3Objects {
        &self.objects
    }

    /// Stripe's API.
    pub const fn stripe(&self) -> &StripeAccess<C> {
        &self.stripe
    }

    async fn bought(&self, purchase: &Purchase<'_>) -> Result<Vec<BoughtFile>, PurchasesError> {
        if let Some(decided) = self.table.of_payment(purchase.payment_id).await? {
            return Ok(decided.files);
        }
        let files = self.told(purchase).await?;
        if files.is_empty() {
            return Ok(files);
        }
        let now = self.clock.now_ms() / 1000;
        let keep_until = now.saturating_add(self.retention_seconds);
        Ok(self.table.decide(purchase.payment_id, files, now, keep_until).await?)
    }

    /// What the link says, else what Stripe says of the products.
    async fn told(&self, purchase: &Purchase<'_>) -> Result<Vec<BoughtFile>, PurchasesError> {
        let of_link = match purchase.of_link {
            Some(keys) => keys.to_vec(),
            None => self.of_session(purchase.session_id).await?,
        };
        if !of_link.is_empty() {
            return Ok(BoughtFile::of_link(&of_link));
        }
        Ok(BoughtFile::of_line_items(&self.stripe.line_items(purchase.session_id).await?))
    }

    async fn of_session(&self, session_id: &str) -> Result<Vec<String>, PurchasesError> {
        let Some(session) = self.stripe.session(session_id).await? else {
            return Ok(Vec::new());
        };
        let session = session.session().map_err(StripeAccessError::from)?;
        Ok(file_keys(&session.metadata))
    }
}

impl<C: Clock + Clone> Purchases for AwsPurchases<C> {
    async fn files(&self, purchase: &Purchase<'_>) -> Result<Vec<OfferedFile>, PurchasesError> {
        let bought = self.bought(purchase).await?;
        let offered = bought.into_iter().map(async |file| {
            let size = self.objects.size(&format!("{FOLDER}{}", file.key)).await?;
            Ok(OfferedFile { file, size })
        });
        try_join_all(offered).await
    }
}

#[cfg(test)]
mod tests;
