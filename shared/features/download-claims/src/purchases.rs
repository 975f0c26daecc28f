use aws::Clock;
use aws_types::SdkConfig;
use fulfilment::{FulfilmentKind, PaymentId, Policy, file_keys, object_key};
use futures_util::future::try_join_all;

use crate::bought::sold_items;
use crate::spelling::spellings;
use crate::{
    BoughtFile, BucketError, DynamoDbDownloads, FOLDER, FilesBucket, PurchasesConfig, SessionsError,
    SoldItem, StripeSessions, TableError,
};

/// Determines the files of a purchase, and which of them are there.
pub trait Purchases {
    /// What a purchase offers.
    fn offer(&self, purchase: &Purchase<'_>) -> impl Future<Output = Result<Offer, PurchasesError>>;
}

/// What a purchase offers, and by which of its links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// In the order of the purchase. None at all when nothing names a file.
    pub files: Vec<OfferedFile>,
    /// How often the purchase's link was renewed: links of earlier generations offer nothing.
    pub generation: u32,
    /// What was sold, where Stripe had to be asked for the files.
    pub sold: Vec<SoldItem>,
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
    /// The purchase.
    pub file: BoughtFile,
    /// In bytes; `None` while there is no such file in the bucket.
    pub size: Option<i64>,
}

/// It cannot be determined now. Worth another try.
#[derive(Debug, thiserror::Error)]
pub enum PurchasesError {
    /// The table of downloads does not answer.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Stripe does not name the purchase.
    #[error("Stripe does not say what was bought")]
    Stripe(#[from] SessionsError),
    /// The bucket does not answer.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// What Stripe, the table and the bucket say.
#[derive(Debug)]
pub struct AwsPurchases<C> {
    table: DynamoDbDownloads,
    stripe: StripeSessions<C>,
    files: FilesBucket,
    /// The name of the files bucket.
    bucket: String,
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
        Ok(Self {
            table: DynamoDbDownloads::new(aws_sdk_dynamodb::Client::new(sdk), &config.downloads_table),
            stripe: StripeSessions::new(&config.stripe, sdk, network, clock.clone())?,
            files: FilesBucket::new(sdk, &config.files_bucket)?,
            bucket: config.files_bucket.clone(),
            retention_seconds: policy.kind(FulfilmentKind::Download).retention_days * SECONDS_A_DAY,
            clock,
        })
    }

    /// For pages that anybody can open: see [`StripeSessions::paced`].
    #[must_use]
    pub fn paced(self) -> Self {
        Self { stripe: self.stripe.paced(), ..self }
    }

    /// The table of downloads.
    pub const fn table(&self) -> &DynamoDbDownloads {
        &self.table
    }

    /// The files bucket.
    pub const fn files(&self) -> &FilesBucket {
        &self.files
    }

    /// Stripe's API.
    pub const fn stripe(&self) -> &StripeSessions<C> {
        &self.stripe
    }

    /// What was bought in a session, for the words of a mail: within a few seconds, or not at all.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked, or takes longer.
    pub async fn sold(&self, session_id: &str) -> Result<Vec<SoldItem>, PurchasesError> {
        Ok(self.stripe.sold(session_id).await?)
    }

    /// The purchase, the generation of its link, and what was sold where Stripe was asked for it.
    async fn bought(
        &self,
        purchase: &Purchase<'_>,
    ) -> Result<(Vec<BoughtFile>, u32, Vec<SoldItem>), PurchasesError> {
        if let Some(decided) = self.table.of_payment(purchase.payment_id).await? {
            return Ok((decided.files, decided.generation, Vec::new()));
        }
        let (promised, sold) = self.promised(purchase).await?;
        let files = by_their_keys(promised, &self.bucket);
        if files.is_empty() {
            return Ok((files, 0, sold));
        }
        let now = self.clock.now_ms() / 1000;
        let keep_until = now.saturating_add(self.retention_seconds);
        let decided = self.table.decide(purchase.payment_id, files, now, keep_until).await?;
        Ok((decided, 0, sold))
    }

    /// What the link says, else what Stripe says of the products.
    async fn promised(
        &self,
        purchase: &Purchase<'_>,
    ) -> Result<(Vec<BoughtFile>, Vec<SoldItem>), PurchasesError> {
        let of_link = match purchase.of_link {
            Some(keys) => keys.to_vec(),
            None => self.of_session(purchase.session_id).await?,
        };
        if !of_link.is_empty() {
            return Ok((BoughtFile::of_link(&of_link), Vec::new()));
        }
        let items = self.stripe.line_items(purchase.session_id).await?;
        Ok((BoughtFile::of_line_items(&items), sold_items(&items)))
    }

    async fn of_session(&self, session_id: &str) -> Result<Vec<String>, PurchasesError> {
        let Some(session) = self.stripe.session(session_id).await? else {
            return Ok(Vec::new());
        };
        let session = session.object.session().map_err(SessionsError::from)?;
        Ok(file_keys(&session.metadata))
    }
}

impl<C: Clock + Clone> Purchases for AwsPurchases<C> {
    async fn offer(&self, purchase: &Purchase<'_>) -> Result<Offer, PurchasesError> {
        let (bought, generation, sold) = self.bought(purchase).await?;
        let files = try_join_all(bought.into_iter().map(|file| self.offered(file))).await?;
        Ok(Offer { files, generation, sold })
    }
}

impl<C: Clock + Clone> AwsPurchases<C> {
    /// The file as it lies in the bucket, whose name may be written in another form than the purchase has it.
    async fn offered(&self, file: BoughtFile) -> Result<OfferedFile, PurchasesError> {
        // Files that are not ours, or could not be fetched, are not looked for.
        if let Ok(key) = object_key(&file.key, &self.bucket) {
            for key in spellings(&key) {
                if let Some(size) = self.files.size(&format!("{FOLDER}{key}")).await? {
                    return Ok(OfferedFile { file: BoughtFile { key, ..file }, size: Some(size) });
                }
            }
        }
        Ok(OfferedFile { file, size: None })
    }
}

/// The files by their keys in the bucket, where a URI, a URL or an ARN was given. What names no file of the bucket
/// stays as it was given, so that messages show it. A file that was given in two ways is one.
fn by_their_keys(given: Vec<BoughtFile>, bucket: &str) -> Vec<BoughtFile> {
    let mut files: Vec<BoughtFile> = Vec::new();
    for file in given {
        let key = object_key(&file.key, bucket).unwrap_or_else(|_| file.key.clone());
        match files.iter_mut().find(|known| known.key == key) {
            // A link names each file once; products are counted.
            Some(known) if known.product.is_some() => {
                known.quantity = known.quantity.saturating_add(file.quantity);
            }
            Some(_) => {}
            None => files.push(BoughtFile { key, ..file }),
        }
    }
    files
}

#[cfg(test)]
mod tests;
