use aws::{CachedSecret, Clock, SecretError};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use serde::Deserialize;
use stripe_client::{
    ApiKey, ApiObject, NotAClient, NotAKey, NotReadable, Patience, Request, STRIPE_API, StripeClient,
    StripeError,
};
use stripe_events::{CheckoutSession, Invoice, InvoicePayment, InvoiceReference, Price, Recurring};

use crate::StripeConfig;

/// Stripe's API, asked with the restricted key of the stage.
#[derive(Debug)]
pub struct StripeAccess<C> {
    key: CachedSecret<C>,
    base_url: String,
    http: SharedHttpClient,
    sleep: SharedAsyncSleep,
    patience: Option<Patience>,
}

/// Stripe cannot be asked, or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StripeAccessError {
    /// The key cannot be read.
    #[error(transparent)]
    NoKey(#[from] SecretError),
    /// The secret holds something else.
    #[error("the secret holds no key of Stripe's API: docs/DEPLOY.md says how to make one")]
    NotAKey(#[from] NotAKey),
    /// The key may not be sent to this address.
    #[error(transparent)]
    NotAClient(#[from] NotAClient),
    /// Stripe does not answer, or refuses.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// Stripe answers with something else.
    #[error(transparent)]
    NotReadable(#[from] NotReadable),
}

impl StripeAccessError {
    /// Whether the same question may be answered later although nothing is changed: Stripe is down, or too busy.
    pub const fn passes(&self) -> bool {
        match self {
            Self::Stripe(error) => error.passes(),
            Self::NoKey(_) => true,
            Self::NotAKey(_) | Self::NotAClient(_) | Self::NotReadable(_) => false,
        }
    }

    /// A short name for the ledger and the metrics: `stripe_refused` where the key or the request is at fault.
    pub const fn reason(&self) -> &'static str {
        if self.passes() { "stripe_unavailable" } else { "stripe_refused" }
    }
}

/// What began a subscription.
#[derive(Debug, Clone)]
pub struct Began {
    /// The session.
    pub session: CheckoutSession,
    /// The interval of the subscription's price as it is now; `None` when Stripe does not send one.
    pub recurring: Option<Recurring>,
    /// What the subscription is for now, as far as Stripe sends it.
    pub items: Vec<SubscriptionItem>,
}

/// One of the prices that a subscription is for. <https://docs.stripe.com/api/subscription_items/object>
#[derive(Debug, Clone, Deserialize)]
pub struct SubscriptionItem {
    /// The price.
    #[serde(default)]
    pub price: Option<Price>,
    /// How many.
    #[serde(default)]
    pub quantity: Option<i64>,
}

impl Began {
    /// Reads a session that was asked for with its subscription expanded.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn of(session: &ApiObject) -> Result<Self, NotReadable> {
        let items = session.read::<WithSubscription>()?.items();
        let recurring = items.iter().find_map(|item| item.price.as_ref()?.recurring.clone());
        Ok(Self { session: session.session()?, recurring, items })
    }
}

/// The part of a session with its subscription expanded that has the interval.
#[derive(Deserialize)]
struct WithSubscription {
    subscription: Option<Subscription>,
}

#[derive(Deserialize)]
struct Subscription {
    #[serde(default)]
    items: Option<Items>,
}

#[derive(Default, Deserialize)]
struct Items {
    #[serde(default)]
    data: Vec<SubscriptionItem>,
}

impl WithSubscription {
    fn items(self) -> Vec<SubscriptionItem> {
        self.subscription.and_then(|subscription| subscription.items).unwrap_or_default().data
    }
}

/// Requests for one question, attempts included. A page of a list is a request: the line items of a Payment Link are 20
/// at most.
const BUDGET: u32 = 8;

impl<C: Clock> StripeAccess<C> {
    /// Stripe itself, or the fake that `config` names, over `network`; the key comes from Secrets Manager, over `sdk`.
    ///
    /// # Errors
    ///
    /// When `network` lacks what every client needs.
    pub fn new(
        config: &StripeConfig,
        sdk: &SdkConfig,
        network: &SdkConfig,
        clock: C,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            key: CachedSecret::stored(sdk, &config.key_secret_name, clock),
            base_url: config.api_base_url.clone().unwrap_or_else(|| STRIPE_API.to_owned()),
            http: network.http_client().ok_or("no HTTP client")?,
            sleep: network.sleep_impl().ok_or("no timer")?,
            patience: None,
        })
    }

    /// For callers that wait for another time than a task does.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// One object; `None` when this key's account and mode have no such object.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn one(&self, request: &Request) -> Result<Option<ApiObject>, StripeAccessError> {
        match self.client().await?.one(request).await {
            Ok(object) => Ok(Some(object)),
            Err(StripeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything in a list.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn all(&self, request: Request) -> Result<Vec<ApiObject>, StripeAccessError> {
        Ok(self.client().await?.all(request).await?)
    }

    /// An invoice by its id; `None` when this key's account and mode have no such invoice.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn invoice(&self, invoice_id: &str) -> Result<Option<Invoice>, StripeAccessError> {
        let invoice = self.one(&Request::invoice(invoice_id)).await?;
        Ok(invoice.map(|invoice| invoice.read()).transpose()?)
    }

    /// The invoice that a payment intent pays; `None` when it pays none.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn invoice_paid_by(&self, payment_intent: &str) -> Result<Option<Invoice>, StripeAccessError> {
        let request = Request::invoice_payments_of(payment_intent).limit(1).expand("data.invoice");
        let page = self.client().await?.page(&request).await?;
        let Some(payment) = page.items.first() else {
            return Ok(None);
        };
        match payment.read::<InvoicePayment>()?.invoice {
            Some(InvoiceReference::Whole(invoice)) => Ok(Some(*invoice)),
            Some(InvoiceReference::Id(id)) => self.invoice(&id).await,
            None => Ok(None),
        }
    }

    /// The session that began a subscription; `None` when none did.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn began(&self, subscription_id: &str) -> Result<Option<Began>, StripeAccessError> {
        let request =
            Request::sessions().of_subscription(subscription_id).limit(1).expand("data.subscription");
        let page = self.client().await?.page(&request).await?;
        let Some(session) = page.items.first() else {
            return Ok(None);
        };
        Ok(Some(Began::of(session)?))
    }

    async fn client(&self) -> Result<StripeClient, StripeAccessError> {
        let key = ApiKey::new(&self.key.current().await?)?;
        let client = StripeClient::new(&self.base_url, key, self.http.clone(), self.sleep.clone(), BUDGET)?;
        Ok(match self.patience {
            Some(patience) => client.with_patience(patience),
            None => client,
        })
    }
}

#[cfg(test)]
mod tests;
