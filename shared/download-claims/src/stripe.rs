use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use effect_ledger::Clock;
use fulfilment::PaymentId;
use stripe_client::{
    ApiKey, ApiObject, NotAClient, NotAKey, NotReadable, Request, STRIPE_API, StripeClient, StripeError,
};

use crate::bought::LineItem;
use crate::{CachedSecret, SecretError};

/// Stripe's API, asked with the restricted key of the stage.
#[derive(Debug)]
pub struct StripeAccess<C> {
    key: CachedSecret<C>,
    base_url: String,
    http: SharedHttpClient,
    sleep: SharedAsyncSleep,
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

/// Requests for one question, attempts included. A page of line items is a request, and links have 20 items at most.
const BUDGET: u32 = 8;

impl<C: Clock> StripeAccess<C> {
    /// Stripe itself, or at `base_url` a fake of it, over the connection of `sdk`.
    ///
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub fn new(sdk: &SdkConfig, key: CachedSecret<C>, base_url: Option<&str>) -> Result<Self, BoxError> {
        Ok(Self {
            key,
            base_url: base_url.unwrap_or(STRIPE_API).to_owned(),
            http: sdk.http_client().ok_or("no HTTP client")?,
            sleep: sdk.sleep_impl().ok_or("no timer")?,
        })
    }

    /// A session by its id; `None` when this key's account and mode have no such session.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn session(&self, session_id: &str) -> Result<Option<ApiObject>, StripeAccessError> {
        match self.client().await?.one(&Request::session(session_id)).await {
            Ok(session) => Ok(Some(session)),
            Err(StripeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The session of a payment.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn session_of(&self, payment_id: &PaymentId) -> Result<Option<ApiObject>, StripeAccessError> {
        let id = payment_id.as_str();
        if id.starts_with("cs_") {
            return self.session(id).await;
        }
        let sessions = self.client().await?.all(Request::sessions().of_payment_intent(id)).await?;
        Ok(sessions.into_iter().next())
    }

    /// Everything that was bought in a session, with the products.
    pub(crate) async fn line_items(&self, session_id: &str) -> Result<Vec<LineItem>, StripeAccessError> {
        let request = Request::line_items(session_id).expand("data.price.product");
        let items = self.client().await?.all(request).await?;
        Ok(items.iter().map(ApiObject::read).collect::<Result<_, _>>()?)
    }

    async fn client(&self) -> Result<StripeClient, StripeAccessError> {
        let key = ApiKey::new(&self.key.current().await?)?;
        Ok(StripeClient::new(&self.base_url, key, self.http.clone(), self.sleep.clone(), BUDGET)?)
    }
}
