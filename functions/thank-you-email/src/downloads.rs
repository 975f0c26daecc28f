use aws::{CachedSecret, Clock, SecretError};
use aws_types::SdkConfig;
use download_claims::{AwsPurchases, NoKeys, Purchase, Purchases as _, PurchasesError, SoldItem, TokenKeys};
use fulfilment::{Policy, SessionEvent};
use mail_rendering::Download;

use crate::Config;

/// Determines what a customer bought and may fetch.
pub(crate) trait Downloads {
    /// The files of a session's purchase, and where to fetch them.
    fn of(&self, event: &SessionEvent) -> impl Future<Output = Result<Bought, DownloadsError>>;

    /// What was sold in a session, within a few seconds or not at all: a mail goes out without it.
    fn sold(&self, event: &SessionEvent) -> impl Future<Output = Result<Vec<SoldItem>, DownloadsError>>;
}

/// A purchase of files.
pub(crate) struct Bought {
    /// The files, and where to fetch them.
    pub(crate) download: Download,
    /// What was sold, where Stripe had to be asked for the files; empty where the link names them.
    pub(crate) sold: Vec<SoldItem>,
}

/// It cannot be determined now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadsError {
    #[error(transparent)]
    Purchases(#[from] PurchasesError),
    #[error(transparent)]
    NoSecret(#[from] SecretError),
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
}

/// What the link or Stripe, the table and the bucket say.
pub(crate) struct AwsDownloads<C> {
    purchases: AwsPurchases<C>,
    keys: CachedSecret<C>,
    pages_url: String,
}

impl<C: Clock + Clone> AwsDownloads<C> {
    pub(crate) fn new(
        config: &Config,
        sdk: &SdkConfig,
        network: &SdkConfig,
        policy: &Policy,
        clock: C,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            // Over `network`, because Stripe is no service of AWS's.
            purchases: AwsPurchases::new(&config.purchases, sdk, network, policy, clock.clone())?,
            keys: CachedSecret::stored(sdk, &config.purchases.token_keys_secret_name, clock),
            pages_url: config.pages_url.trim_end_matches('/').to_owned(),
        })
    }
}

impl<C: Clock + Clone> Downloads for AwsDownloads<C> {
    async fn of(&self, event: &SessionEvent) -> Result<Bought, DownloadsError> {
        let purchase = Purchase {
            payment_id: &event.payment_id,
            session_id: &event.session_id,
            of_link: Some(&event.link.files),
        };
        let offer = self.purchases.offer(&purchase).await?;
        let keys = TokenKeys::parse(&self.keys.current().await?)?;
        let token = keys.sign(&event.payment_id, offer.generation);
        let download = Download { files: offer.files, link: format!("{}/d/{token}", self.pages_url) };
        Ok(Bought { download, sold: offer.sold })
    }

    async fn sold(&self, event: &SessionEvent) -> Result<Vec<SoldItem>, DownloadsError> {
        Ok(self.purchases.sold(&event.session_id).await?)
    }
}
