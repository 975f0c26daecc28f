use std::time::Duration;

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use effect_ledger::Clock;
use fulfilment::PaymentId;
use serde_json::Value;
use stripe_client::{
    ApiKey, ApiObject, NotAClient, NotAKey, NotReadable, Patience, Request, STRIPE_API, StripeClient,
    StripeError,
};
use stripe_events::Invoice;

use crate::bought::LineItem;
use crate::pace::Pace;
use crate::{CachedSecret, SecretError};

/// Stripe's API, asked with the restricted key of the stage.
#[derive(Debug)]
pub struct StripeAccess<C> {
    key: CachedSecret<C>,
    base_url: String,
    http: SharedHttpClient,
    sleep: SharedAsyncSleep,
    clock: C,
    /// There where a customer waits for the answer.
    pace: Option<Pace>,
}

/// A session as Stripe has it now, and what became of its money.
#[derive(Debug, Clone)]
pub struct StripeSession {
    /// The session, with its payment intent as an id.
    pub object: ApiObject,
    /// What Stripe says of the charge.
    pub charge: ChargeState,
}

/// What Stripe says of a payment's charge.
///
/// <https://docs.stripe.com/api/charges/object>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeState {
    /// Nothing, because there is no charge: a free purchase, a subscription, money that has not come.
    None,
    /// The money is there, at least a part of it.
    Kept,
    /// All of it was refunded.
    Refunded,
    /// The customer's bank was asked for it. Stripe keeps saying so after its decision.
    Disputed,
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
    /// A page waited for Stripe as long as a customer waits.
    #[error("Stripe took too long for a page")]
    TooSlow,
    /// This instance has made as many calls as strangers may cause.
    #[error("pages have made as many calls to Stripe as they may for now")]
    PaceExceeded,
}

/// Requests for one question, attempts included. A page of line items is a request, and links have 20 items at most.
const BUDGET: u32 = 8;

impl<C: Clock> StripeAccess<C> {
    /// Stripe itself, or at `base_url` a fake of it, over the connection of `sdk`.
    ///
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub fn new(
        sdk: &SdkConfig,
        key: CachedSecret<C>,
        base_url: Option<&str>,
        clock: C,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            key,
            base_url: base_url.unwrap_or(STRIPE_API).to_owned(),
            http: sdk.http_client().ok_or("no HTTP client")?,
            sleep: sdk.sleep_impl().ok_or("no timer")?,
            clock,
            pace: None,
        })
    }

    /// For pages that anybody can open: few attempts, little time, and a limit of calls that strangers can cause.
    #[must_use]
    pub fn paced(self) -> Self {
        let pace = Some(Pace::new(self.clock.now_ms()));
        Self { pace, ..self }
    }

    /// A page is begun: its time for Stripe counts from now.
    pub fn begin_page(&self) {
        if let Some(pace) = &self.pace {
            pace.begin_page(self.clock.now_ms());
        }
    }

    /// A session by its id; `None` when this key's account and mode have no such session.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn session(&self, session_id: &str) -> Result<Option<StripeSession>, StripeAccessError> {
        let request = Request::session(session_id).expand("payment_intent.latest_charge");
        let client = self.client().await?;
        match self.in_time(client.one(&request)).await? {
            Ok(session) => Ok(Some(StripeSession::from_expanded(&session)?)),
            Err(StripeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A session that a stranger may have invented, which [`StripeAccess::paced`] therefore limits.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked, or was asked too often for now.
    pub async fn session_of_stranger(
        &self,
        session_id: &str,
    ) -> Result<Option<StripeSession>, StripeAccessError> {
        let now_ms = self.clock.now_ms();
        if self.pace.as_ref().is_some_and(|pace| !pace.allows_call(now_ms)) {
            return Err(StripeAccessError::PaceExceeded);
        }
        self.session(session_id).await
    }

    /// The session of a payment.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn session_of(
        &self,
        payment_id: &PaymentId,
    ) -> Result<Option<StripeSession>, StripeAccessError> {
        let id = payment_id.as_str();
        if id.starts_with("cs_") {
            return self.session(id).await;
        }
        if id.starts_with("in_") {
            return self.session_of_invoice(id).await;
        }
        let request = Request::sessions().of_payment_intent(id).expand("data.payment_intent.latest_charge");
        let client = self.client().await?;
        let sessions = self.in_time(client.all(request)).await??;
        Ok(sessions.first().map(StripeSession::from_expanded).transpose()?)
    }

    /// The session of a subscription's first payment, by its invoice. A renewal has none: the session that began the
    /// subscription tells of the first payment only.
    async fn session_of_invoice(&self, id: &str) -> Result<Option<StripeSession>, StripeAccessError> {
        let client = self.client().await?;
        let invoice = match self.in_time(client.one(&Request::invoice(id))).await? {
            Ok(invoice) => invoice.read::<Invoice>()?,
            Err(StripeError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(subscription) = invoice.subscription_id() else {
            return Ok(None);
        };
        let sessions = self.in_time(client.all(Request::sessions().of_subscription(subscription))).await??;
        let its_own = |session: &&ApiObject| {
            session.session().is_ok_and(|session| session.invoice.as_deref() == Some(id))
        };
        Ok(sessions.iter().find(its_own).map(StripeSession::from_expanded).transpose()?)
    }

    /// Everything that was bought in a session, with the products.
    pub(crate) async fn line_items(&self, session_id: &str) -> Result<Vec<LineItem>, StripeAccessError> {
        let request = Request::line_items(session_id).expand("data.price.product");
        let client = self.client().await?;
        let items = self.in_time(client.all(request)).await??;
        Ok(items.iter().map(ApiObject::read).collect::<Result<_, _>>()?)
    }

    async fn client(&self) -> Result<StripeClient, StripeAccessError> {
        let key = ApiKey::new(&self.key.current().await?)?;
        let client = StripeClient::new(&self.base_url, key, self.http.clone(), self.sleep.clone(), BUDGET)?;
        Ok(if self.pace.is_some() { client.with_patience(Patience::PAGE) } else { client })
    }

    /// What a call gives, if the page's time suffices.
    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Result<T, StripeAccessError> {
        let Some(pace) = &self.pace else {
            return Ok(call.await);
        };
        let left = Duration::from_millis(pace.left_ms(self.clock.now_ms()));
        let call = std::pin::pin!(call);
        Timeout::new(call, self.sleep.sleep(left)).await.map_err(|_| StripeAccessError::TooSlow)
    }
}

impl StripeSession {
    /// From a session whose payment intent and its charge are written out.
    fn from_expanded(session: &ApiObject) -> Result<Self, NotReadable> {
        let mut fields: Value = session.read()?;
        let charge = ChargeState::from_intent(&fields["payment_intent"]);
        if let Some(id) = fields["payment_intent"].get("id") {
            fields["payment_intent"] = id.clone();
        }
        let object = ApiObject::from_json(&fields.to_string());
        Ok(Self { object: object.ok_or_else(|| NotReadable { id: session.id.clone() })?, charge })
    }
}

impl ChargeState {
    fn from_intent(intent: &Value) -> Self {
        let charge = &intent["latest_charge"];
        if charge["refunded"] == true {
            Self::Refunded
        } else if charge["disputed"] == true {
            Self::Disputed
        } else if charge.is_object() {
            Self::Kept
        } else {
            Self::None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_became_of_the_money_is_read_from_the_latest_charge() {
        let check = |intent: Value, expected: ChargeState| {
            let session = json!({ "id": "cs_1", "object": "checkout.session", "payment_intent": intent });
            let session = ApiObject::from_json(&session.to_string()).unwrap();
            let session = StripeSession::from_expanded(&session).unwrap();
            assert_eq!(session.charge, expected);
            let intent = session.object.session().unwrap().payment_intent;
            assert_eq!(intent.as_deref(), (expected != ChargeState::None).then_some("pi_1"));
        };
        let charge = |refunded: bool, disputed: bool| json!({ "id": "pi_1", "latest_charge": { "id": "ch_1", "refunded": refunded, "disputed": disputed } });
        check(charge(false, false), ChargeState::Kept);
        check(charge(true, false), ChargeState::Refunded);
        check(charge(false, true), ChargeState::Disputed);
        check(charge(true, true), ChargeState::Refunded);
        check(Value::Null, ChargeState::None);
    }
}
