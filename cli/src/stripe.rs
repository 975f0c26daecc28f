//! What Stripe has: the event behind an effect, the session of a payment.

use anyhow::{Context as _, Result, bail};
use aws::{Clock as _, SystemClock};
use effect_ledger::{Effect, EffectKey};
use fulfilment::{InvoiceEvent, Money, PaymentId, SessionEvent, SessionOutcome, effects};
use reconciliation::made_from;
use serde::Deserialize;
use serde_json::value::RawValue;
use stripe_client::{ApiKey, ApiObject, Request, STRIPE_API, StripeClient, StripeError};
use stripe_events::{CorrectedContract, Delivered, Event, Invoice, Object, Personal, shown_id};

use crate::deployment::Deployment;

/// How many requests a command makes at most that looks at single payments.
pub(crate) const BUDGET: u32 = 200;

/// The same for many payments. Stripe lists a hundred sessions a request, and may be asked for an event of each.
pub(crate) const LONG_BUDGET: u32 = 5_000;

/// A client with the restricted key of the stage, that makes so many requests at most.
///
/// # Errors
///
/// When the key cannot be read or is none.
pub(crate) async fn client(deployment: &Deployment, budget: u32) -> Result<StripeClient> {
    let name = deployment.output("StripeKeyName")?;
    let secrets = aws_sdk_secretsmanager::Client::new(&deployment.sdk);
    let secret = secrets.get_secret_value().secret_id(name).send().await;
    let secret = secret.with_context(|| format!("the secret {name} cannot be read"))?;
    let key = ApiKey::new(secret.secret_string().unwrap_or_default())
        .with_context(|| format!("the secret {name} holds no key: docs/DEPLOY.md says how to make one"))?;
    client_with(deployment, key, budget)
}

/// A client with another key than the stage's own, which only reads.
///
/// # Errors
///
/// When the key may not be sent to where this stage's Stripe is.
pub(crate) fn client_with(deployment: &Deployment, key: ApiKey, budget: u32) -> Result<StripeClient> {
    // The local cloud has a Stripe of its own beside it.
    let base_url = deployment.optional("stripe_api").filter(|_| deployment.local).unwrap_or(STRIPE_API);
    let http = deployment.sdk.http_client().context("no HTTP client")?;
    let sleep = deployment.sdk.sleep_impl().context("no timer")?;
    Ok(StripeClient::new(base_url, key, http, sleep, budget)?)
}

/// An event that Stripe made, or that says what one would have said.
pub(crate) struct Found {
    /// As it came, byte for byte.
    pub(crate) json: Box<RawValue>,
    /// The event, with the corrected contract in its session where there is one.
    pub(crate) event: Event,
    /// What an operator decided that the link's metadata should have been.
    pub(crate) contract: Option<CorrectedContract>,
}

impl Found {
    pub(crate) fn of(json: &str) -> Result<Self> {
        let json: Box<RawValue> = serde_json::from_str(json)?;
        let event = Event::from_json(json.get().as_bytes())?;
        Ok(Self { json, event, contract: None })
    }

    /// The event in a message: as the bus delivered it, or in an operator's request. Without the contract of such a
    /// request.
    pub(crate) fn of_message(body: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Envelope {
            #[serde(default)]
            detail: Option<Box<RawValue>>,
        }
        #[derive(Deserialize)]
        struct Request {
            #[serde(default)]
            event: Option<Box<RawValue>>,
        }
        let envelope: Envelope = serde_json::from_str(body)?;
        let detail = envelope.detail.as_deref().map_or(body, RawValue::get);
        let request: Request = serde_json::from_str(detail)?;
        Self::of(request.event.as_deref().map_or(detail, RawValue::get))
    }

    /// The same event with a contract.
    pub(crate) fn corrected(&self, contract: Option<CorrectedContract>) -> Self {
        let event = match &contract {
            Some(contract) => contract.applied_to(self.event.clone()),
            None => self.event.clone(),
        };
        Self { json: self.json.clone(), event, contract }
    }

    /// The message that brings it to a task's queue.
    pub(crate) fn message(&self) -> Result<String> {
        Ok(match &self.contract {
            Some(contract) => Delivered::complete_json(&self.json, contract)?,
            None => Delivered::replay_json(&self.json, self.event.type_name())?,
        })
    }
}

/// The event of that id, if Stripe still has it: it keeps them for 30 days.
///
/// # Errors
///
/// When Stripe does not answer, or its reply cannot be read.
pub(crate) async fn event(stripe: &StripeClient, event_id: &str) -> Result<Option<Found>> {
    match stripe.one(&Request::event(event_id)).await {
        Ok(object) => Found::of(object.json()).map(Some),
        Err(StripeError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The event of an effect, made again from what Stripe has now: for when it no longer has the event itself, or the
/// state of a refund or a dispute is wanted as it is now. That of a renewal, and of the term of a first payment, is
/// made of the invoice, which alone reports them.
///
/// # Errors
///
/// When Stripe has nothing of it, or what it has calls for nothing. A warning of fraud cannot be made again.
pub(crate) async fn event_again(stripe: &StripeClient, key: &EffectKey, livemode: bool) -> Result<Found> {
    if key.effect.as_str().contains("#issfr_") {
        bail!("Stripe no longer has the event of {} of {}", key.effect, key.subject);
    }
    let object = match correction_id(&key.effect) {
        Some(id) if id.starts_with('d') => stripe.one(&Request::dispute(id)).await?,
        Some(id) => stripe.one(&Request::refund(id)).await?,
        None => session_or_invoice(stripe, key).await?.with_context(|| {
            let reference = shown_id(key.subject.as_str());
            format!(
                "Stripe has neither a session nor an invoice of {reference} and no longer its event, so the event cannot \
                 be made again"
            )
        })?,
    };
    made_now(&object, livemode)
}

/// The same event, made again from its object as Stripe has it now.
///
/// # Errors
///
/// When Stripe has no such object any more, or what it has calls for nothing.
pub(crate) async fn object_again(stripe: &StripeClient, event: &Event, livemode: bool) -> Result<Found> {
    let request = match event.object() {
        Some(Object::Session(session)) => Request::session(&session.id),
        Some(Object::Invoice(invoice)) => Request::invoice(&invoice.id),
        Some(Object::Refund(refund)) => Request::refund(&refund.id),
        Some(Object::Dispute(dispute)) => Request::dispute(&dispute.id),
        _ => bail!("its event is about nothing that can be read again at Stripe"),
    };
    made_now(&stripe.one(&request).await?, livemode)
}

fn made_now(object: &ApiObject, livemode: bool) -> Result<Found> {
    let made = made_from(object, livemode, SystemClock.now_ms() / 1000);
    Found::of(&made.with_context(|| format!("as {} stands now it calls for nothing", shown_id(&object.id)))?)
}

/// The object that reports a payment: its session where there is one, else its invoice.
async fn session_or_invoice(stripe: &StripeClient, key: &EffectKey) -> Result<Option<ApiObject>> {
    if key.effect != effects::contribution_term()
        && let Some(session) = session(stripe, &PaymentId::from(key.subject.clone())).await?
    {
        return Ok(Some(session));
    }
    let id = key.subject.as_str();
    if id.starts_with("in_") { found(stripe.one(&Request::invoice(id)).await) } else { Ok(None) }
}

/// The refund or the dispute that an effect is about: a part of its name.
pub(crate) fn correction_id(effect: &Effect) -> Option<&str> {
    let is_one = |part: &&str| ["re_", "pyr_", "dp_", "du_"].iter().any(|prefix| part.starts_with(prefix));
    effect.as_str().split('#').find(is_one)
}

/// The checkout session of a payment, if Stripe has one: a renewal has none.
///
/// # Errors
///
/// When Stripe does not answer.
pub(crate) async fn session(stripe: &StripeClient, payment_id: &PaymentId) -> Result<Option<ApiObject>> {
    let id = payment_id.as_str();
    if id.starts_with("cs_") {
        return found(stripe.one(&Request::session(id)).await);
    }
    if id.starts_with("in_") {
        return session_of_invoice(stripe, id).await;
    }
    let sessions = stripe.all(Request::sessions().of_payment_intent(id)).await?;
    Ok(sessions.into_iter().next())
}

/// The session whose subscription began with an invoice.
async fn session_of_invoice(stripe: &StripeClient, id: &str) -> Result<Option<ApiObject>> {
    let Some(invoice) = found(stripe.one(&Request::invoice(id)).await)? else { return Ok(None) };
    let invoice: Invoice = invoice.read()?;
    let Some(subscription) = invoice.subscription_id() else { return Ok(None) };
    for session in stripe.all(Request::sessions().of_subscription(subscription)).await? {
        if PaymentId::of_session(&session.session()?).as_str() == id {
            return Ok(Some(session));
        }
    }
    Ok(None)
}

fn found(object: Result<ApiObject, StripeError>) -> Result<Option<ApiObject>> {
    match object {
        Ok(object) => Ok(Some(object)),
        Err(StripeError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A payment that is thanked for.
pub(crate) struct Paid {
    pub(crate) payment_id: PaymentId,
    /// The booked amount.
    pub(crate) amount: Money,
    /// Where the mail goes.
    pub(crate) email: Option<Personal<String>>,
}

/// What an event says of a payment whose money is there: that of its session, or of the invoice of a renewal.
///
/// # Errors
///
/// When it says something else.
pub(crate) fn paid(event: &Event, livemode: bool) -> Result<Paid> {
    if let Some(Object::Invoice(_)) = event.object() {
        let invoice = InvoiceEvent::from_event(event, livemode).context("the invoice cannot be acted on")?;
        let InvoiceEvent { payment_id, amount, email, .. } = invoice;
        let amount = amount.with_context(|| format!("{payment_id} has no amount"))?;
        return Ok(Paid { payment_id, amount, email });
    }
    let session =
        SessionEvent::from_event(event, livemode).context("the payment's session cannot be acted on")?;
    if session.outcome != SessionOutcome::Paid {
        bail!("{} is not paid", session.payment_id);
    }
    let SessionEvent { payment_id, amount, email, .. } = session;
    Ok(Paid { payment_id, amount, email })
}

#[cfg(test)]
mod tests {
    use fulfilment::Movement;
    use serde_json::Value;
    use testkit::stripe::{InvoiceEvent, SessionEvent as Session};

    use super::*;

    #[test]
    fn an_event_is_found_in_every_message_that_holds_one() {
        let event = Session::paid().to_json().to_string();
        let plain = Found::of(&event).unwrap();
        let contract = CorrectedContract::new("fulfilment", "download");
        let corrected = plain.corrected(Some(contract.clone()));
        for body in [&event, &plain.message().unwrap(), &corrected.message().unwrap()] {
            let found = Found::of_message(body).unwrap();
            assert_eq!((found.json.get(), found.event.id()), (event.as_str(), plain.event.id()));
        }
        let delivered = Delivered::from_json(corrected.message().unwrap().as_bytes()).unwrap();
        assert_eq!(delivered.contract, Some(contract));
    }

    #[test]
    fn a_session_and_an_invoice_say_what_was_paid() {
        let of = |event: Value| {
            let paid = paid(&Event::from_value(event).unwrap(), false);
            paid.map(|paid| (paid.payment_id.to_string(), paid.amount.minor()))
                .map_err(|error| error.to_string())
        };
        let is = |id: &str, minor| Ok((id.to_owned(), minor));
        let session = Session::paid().subscription("M");
        let renewal = InvoiceEvent::renewal("M", "Second");
        assert_eq!(of(session.to_json()), is("in_MFirst", 500));
        assert_eq!(of(renewal.to_json()), is("in_MSecond", 500));
        assert_eq!(of(Session::unpaid().to_json()), Err("pi_Example is not paid".to_owned()));
        let void = renewal.object("status", "void".into()).to_json();
        assert_eq!(of(void), Err("the invoice cannot be acted on".to_owned()));
    }

    #[test]
    fn a_corrections_name_says_what_it_is_about() {
        for (effect, expected) in [
            (effects::contribution_refund("re_1"), Some("re_1")),
            (effects::contribution_dispute("du_1"), Some("du_1")),
            (effects::acquisition_correction(&Movement::Refund("pyr_1".to_owned())), Some("pyr_1")),
            (effects::acquisition(), None),
            (effects::email("thank-you"), None),
        ] {
            assert_eq!(correction_id(&effect), expected, "{effect}");
        }
    }
}
