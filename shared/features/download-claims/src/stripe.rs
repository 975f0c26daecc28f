use std::time::Duration;

use aws::Clock;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_types::SdkConfig;
use fulfilment::PaymentId;
use serde_json::Value;
use stripe_access::{StripeAccess, StripeAccessError, StripeConfig};
use stripe_client::{ApiObject, NotReadable, Patience, Request};

use crate::bought::{LineItem, sold_items};
use crate::pace::Pace;
use crate::sold::SoldItem;

/// How long a mail waits for the name of what was bought. It can do without.
const WORDS_PATIENCE: Duration = Duration::from_secs(3);

/// Stripe's sessions and their line items.
#[derive(Debug)]
pub struct StripeSessions<C> {
    access: StripeAccess<C>,
    sleep: SharedAsyncSleep,
    clock: C,
    /// There where a customer waits for the answer.
    pace: Option<Pace>,
}

/// A session as Stripe has it now, and the state of its charge.
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

/// Stripe does not say.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// It cannot be asked, or does not answer.
    #[error(transparent)]
    Stripe(#[from] StripeAccessError),
    /// A page waited for Stripe as long as a customer waits, or a mail as long as its words are worth.
    #[error("Stripe took too long")]
    TooSlow,
    /// This instance has made as many calls as strangers may cause.
    #[error("pages have made as many calls to Stripe as they may for now")]
    PaceExceeded,
}

impl From<NotReadable> for SessionsError {
    fn from(error: NotReadable) -> Self {
        Self::Stripe(error.into())
    }
}

impl<C: Clock> StripeSessions<C> {
    /// As [`StripeAccess::new`].
    ///
    /// # Errors
    ///
    /// When `network` lacks what every client needs.
    pub fn new(
        config: &StripeConfig,
        sdk: &SdkConfig,
        network: &SdkConfig,
        clock: C,
    ) -> Result<Self, BoxError>
    where
        C: Clone,
    {
        let access = StripeAccess::new(config, sdk, network, clock.clone())?;
        Ok(Self { access, sleep: network.sleep_impl().ok_or("no timer")?, clock, pace: None })
    }

    /// For pages that anybody can open: few attempts, little time, and a limit of calls that strangers can cause.
    #[must_use]
    pub fn paced(self) -> Self {
        let pace = Some(Pace::new(self.clock.now_ms()));
        Self { access: self.access.with_patience(Patience::PAGE), pace, ..self }
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
    pub async fn session(&self, session_id: &str) -> Result<Option<StripeSession>, SessionsError> {
        let request = Request::session(session_id).expand("payment_intent.latest_charge");
        let session = self.in_time(self.access.one(&request)).await?;
        Ok(session.as_ref().map(StripeSession::from_expanded).transpose()?)
    }

    /// A session that a stranger may have invented, which [`StripeSessions::paced`] therefore limits.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked, or was asked too often for now.
    pub async fn session_of_stranger(
        &self,
        session_id: &str,
    ) -> Result<Option<StripeSession>, SessionsError> {
        let now_ms = self.clock.now_ms();
        if self.pace.as_ref().is_some_and(|pace| !pace.allows_call(now_ms)) {
            return Err(SessionsError::PaceExceeded);
        }
        self.session(session_id).await
    }

    /// The session of a payment.
    ///
    /// # Errors
    ///
    /// When Stripe cannot be asked.
    pub async fn session_of(&self, payment_id: &PaymentId) -> Result<Option<StripeSession>, SessionsError> {
        let id = payment_id.as_str();
        if id.starts_with("cs_") {
            return self.session(id).await;
        }
        if id.starts_with("in_") {
            return self.session_of_invoice(id).await;
        }
        let request = Request::sessions().of_payment_intent(id).expand("data.payment_intent.latest_charge");
        let sessions = self.in_time(self.access.all(request)).await?;
        Ok(sessions.first().map(StripeSession::from_expanded).transpose()?)
    }

    /// The session of a subscription's first payment, by its invoice. A renewal has none: the session that began the
    /// subscription reports the first payment only.
    async fn session_of_invoice(&self, id: &str) -> Result<Option<StripeSession>, SessionsError> {
        let invoice = self.in_time(self.access.invoice(id)).await?;
        let Some(subscription) = invoice.as_ref().and_then(|invoice| invoice.subscription_id()) else {
            return Ok(None);
        };
        let request = Request::sessions().of_subscription(subscription);
        let sessions = self.in_time(self.access.all(request)).await?;
        let its_own = |session: &&ApiObject| {
            session.session().is_ok_and(|session| session.invoice.as_deref() == Some(id))
        };
        Ok(sessions.iter().find(its_own).map(StripeSession::from_expanded).transpose()?)
    }

    /// Everything that was bought in a session, with the products.
    pub(crate) async fn line_items(&self, session_id: &str) -> Result<Vec<LineItem>, SessionsError> {
        let request = Request::line_items(session_id).expand("data.price.product");
        let items = self.in_time(self.access.all(request)).await?;
        Ok(items.iter().map(ApiObject::read).collect::<Result<_, _>>()?)
    }

    /// What was bought in a session, for the words of a mail. Stripe has [`WORDS_PATIENCE`] for it, attempts included.
    pub(crate) async fn sold(&self, session_id: &str) -> Result<Vec<SoldItem>, SessionsError> {
        let items = std::pin::pin!(self.line_items(session_id));
        let items = Timeout::new(items, self.sleep.sleep(WORDS_PATIENCE)).await;
        Ok(sold_items(&items.map_err(|_| SessionsError::TooSlow)??))
    }

    /// What Stripe answers, if the page's time suffices.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, StripeAccessError>>,
    ) -> Result<T, SessionsError> {
        let Some(pace) = &self.pace else {
            return Ok(answer.await?);
        };
        let left = Duration::from_millis(pace.left_ms(self.clock.now_ms()));
        let answer = std::pin::pin!(answer);
        Ok(Timeout::new(answer, self.sleep.sleep(left)).await.map_err(|_| SessionsError::TooSlow)??)
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
