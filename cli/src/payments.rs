//! Which payments an operator means: by an id of Stripe's, a page of its Dashboard, a reference or an email address.

use std::collections::BTreeMap;
use std::io::BufRead as _;

use anyhow::{Context as _, Result, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use fulfilment::{PaymentId, SupporterId, SupporterRow};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stripe_client::{ApiObject, Request, StripeClient};
use stripe_events::{CheckoutSession, Event, Invoice, InvoicePayment};

use crate::deployment::Deployment;
use crate::stripe;

/// What every command that takes a payment says of it.
pub(crate) const PAYMENT: &str = "pi_…, in_…, cs_…, ch_…, sub_… or another id of Stripe's, an address of its Dashboard, \
                                  ref_…, or an email address; - reads it from standard input";

/// The accepted forms, for an error.
const ACCEPTED: &str = "give pi_…, in_…, cs_…, sub_…, cus_…, ch_…, py_…, re_…, pyr_…, dp_…, du_…, evt_…, ref_…, the address of \
                        such a page of Stripe's Dashboard, or an email address";

/// Nothing is known by the name that was given.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotFound(pub(crate) String);

/// What an operator typed, as what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    /// An email address.
    Address(String),
    /// What customers of purchases without a payment quote.
    Reference(String),
    /// An object of Stripe's, by its id.
    Object(Kind, String),
}

/// A kind of Stripe's objects that leads to payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    PaymentIntent,
    Invoice,
    Session,
    Subscription,
    Customer,
    Charge,
    Refund,
    Dispute,
    Event,
}

impl Kind {
    /// By the prefix of the id. Payments and refunds that are no card's are `py_…` and `pyr_…`.
    fn of(id: &str) -> Option<Self> {
        let (prefix, rest) = id.split_once('_')?;
        let kind = match prefix {
            "pi" => Self::PaymentIntent,
            "in" => Self::Invoice,
            "cs" => Self::Session,
            "sub" => Self::Subscription,
            "cus" => Self::Customer,
            "ch" | "py" => Self::Charge,
            "re" | "pyr" => Self::Refund,
            "dp" | "du" => Self::Dispute,
            "evt" => Self::Event,
            _ => return None,
        };
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!rest.is_empty() && rest.chars().all(is_id)).then_some(kind)
    }
}

impl Named {
    /// # Errors
    ///
    /// The accepted forms, when it is something else.
    fn read(typed: &str) -> Result<Self, String> {
        let around =
            |c: char| c.is_whitespace() || c.is_control() || "<>\"'\u{200b}\u{feff}\u{2060}".contains(c);
        let typed = typed.trim_matches(around);
        if typed.contains("://") || typed.starts_with("dashboard.stripe.com/") {
            return Self::of_page(typed);
        }
        if typed.contains('@') {
            return Ok(Self::Address(typed.strip_prefix("mailto:").unwrap_or(typed).to_owned()));
        }
        if typed.starts_with("ref_") {
            return Ok(Self::Reference(typed.to_owned()));
        }
        if let Some(kind) = Kind::of(typed) {
            return Ok(Self::Object(kind, typed.to_owned()));
        }
        Err(if typed.starts_with("plink_") {
            format!("{typed} is a Payment Link, over which many payments come. Say which payment: {ACCEPTED}")
        } else if typed.is_empty() {
            format!("nothing was given: {ACCEPTED}")
        } else {
            format!("{typed} names no payment: {ACCEPTED}")
        })
    }

    /// The object that a page of the Dashboard is about: the last id in its address.
    fn of_page(address: &str) -> Result<Self, String> {
        let parts = address.split(['/', '?', '#', '&', '=']);
        let mut ids = parts.filter_map(|part| Some(Self::Object(Kind::of(part)?, part.to_owned())));
        ids.next_back().ok_or_else(|| format!("{address} is the address of no payment's page: {ACCEPTED}"))
    }
}

/// The argument, or the first line of standard input for `-`: a shell keeps its arguments in its history.
pub(crate) fn typed(argument: &str) -> Result<String> {
    if argument.trim() != "-" {
        return Ok(argument.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("standard input cannot be read")?;
    Ok(line)
}

/// The one payment that is meant.
///
/// # Errors
///
/// When it names none or several, or a place does not answer.
pub(crate) async fn one(deployment: &Deployment, argument: &str) -> Result<PaymentId> {
    let typed = typed(argument)?;
    let mut payments = all(deployment, &typed).await?;
    let Some(payment_id) = payments.pop() else {
        return Err(NotFound("no payment of it is known".to_owned()).into());
    };
    if payments.is_empty() {
        return Ok(payment_id);
    }
    payments.push(payment_id);
    // An address that came from standard input does not go to the terminal.
    let typed = typed.trim();
    let whose = if typed.contains('@') { "the address" } else { typed };
    let ids: Vec<_> = payments.iter().map(|payment_id| payment_id.reference()).collect();
    bail!(
        "{whose} has {} payments: {}. Give one of them; `afterlink explain` tells about each",
        ids.len(),
        ids.join(", ")
    )
}

/// Every payment that is meant, oldest first where there are several.
///
/// # Errors
///
/// When it names none, or a place does not answer.
pub(crate) async fn all(deployment: &Deployment, typed: &str) -> Result<Vec<PaymentId>> {
    match Named::read(typed).map_err(anyhow::Error::msg)? {
        Named::Address(address) => of_address(deployment, &address).await,
        Named::Reference(reference) => Ok(vec![of_reference(deployment, &reference).await?]),
        Named::Object(kind, id) => of_object(deployment, kind, &id).await,
    }
}

async fn of_object(deployment: &Deployment, kind: Kind, id: &str) -> Result<Vec<PaymentId>> {
    let client = async || stripe::client(deployment, stripe::BUDGET).await;
    let payment_id = match kind {
        Kind::PaymentIntent => of_payment_intent(deployment, id).await?,
        Kind::Invoice => of_invoice(deployment, id).await?,
        Kind::Session => of_session(deployment, id).await?,
        Kind::Subscription | Kind::Customer => return of_many(&client().await?, kind, id).await,
        Kind::Charge | Kind::Refund | Kind::Dispute => {
            of_payment_intent(deployment, &intent_of(&client().await?, id).await?).await?
        }
        Kind::Event => {
            let payment_id = of_event(&client().await?, id).await?;
            if payment_id.is_payment_intent() {
                of_payment_intent(deployment, payment_id.as_str()).await?
            } else {
                payment_id
            }
        }
    };
    Ok(vec![payment_id])
}

/// The payment intent of a charge, a refund or a dispute.
async fn intent_of(stripe: &StripeClient, id: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct OfPayment {
        #[serde(default)]
        payment_intent: Option<String>,
    }
    let request = match id.split('_').next() {
        Some("re" | "pyr") => Request::refund(id),
        Some("dp" | "du") => Request::dispute(id),
        _ => Request::charge(id),
    };
    let object: OfPayment = stripe.one(&request).await?.read()?;
    object
        .payment_intent
        .with_context(|| format!("{id} belongs to no payment intent, so no Payment Link was paid"))
}

async fn of_event(stripe: &StripeClient, id: &str) -> Result<PaymentId> {
    let found = stripe::event(stripe, id).await?;
    let found =
        found.ok_or_else(|| NotFound(format!("Stripe has no event {id}; it keeps them for 30 days")))?;
    match &found.event {
        Event::Snapshot(event) => {
            PaymentId::of_event(event).with_context(|| format!("{id} is about no payment"))
        }
        Event::Thin(_) => bail!("{id} is a thin event, which carries no payment"),
    }
}

/// A payment intent is the key itself, unless it pays a subscription's invoice: the ledger says so, or Stripe.
async fn of_payment_intent(deployment: &Deployment, id: &str) -> Result<PaymentId> {
    let itself = PaymentId::new(id);
    let rows = deployment.ledger()?.history(&itself).await?.effects;
    if let Some(invoice) = payment_ledger::alias(&rows) {
        return Ok(invoice);
    }
    if payment_ledger::is_ours(&rows) {
        return Ok(itself);
    }
    // Without Stripe's answer the payment intent is the best that is known, and what waits is under it.
    let Ok(stripe) = stripe::client(deployment, stripe::BUDGET).await else { return Ok(itself) };
    let request = Request::invoice_payments_of(id).limit(1).expand("data.invoice");
    let paid = stripe.page(&request).await.ok().and_then(|page| page.items.into_iter().next());
    let invoice = paid.and_then(|object| invoice_of(&object));
    Ok(invoice.unwrap_or(itself))
}

/// The subscription's invoice that a payment of an invoice pays. That of a one-off purchase is not its key.
fn invoice_of(paid: &ApiObject) -> Option<PaymentId> {
    #[derive(Deserialize)]
    struct Paid {
        invoice: Invoice,
    }
    let invoice = paid.read::<Paid>().ok()?.invoice;
    invoice.subscription_id().map(|_| PaymentId::new(invoice.id.clone()))
}

/// A subscription's invoice is the key itself. A one-off purchase for which Stripe made an invoice has its payment
/// intent as the key.
async fn of_invoice(deployment: &Deployment, id: &str) -> Result<PaymentId> {
    let ledger = deployment.ledger()?;
    let itself = PaymentId::new(id);
    if !ledger.history(&itself).await?.effects.is_empty() {
        return Ok(itself);
    }
    let Ok(stripe) = stripe::client(deployment, stripe::BUDGET).await else { return Ok(itself) };
    let Ok(paid) = stripe.page(&Request::payments_of_invoice(id)).await else { return Ok(itself) };
    for paid in paid.items {
        let payment: InvoicePayment = paid.read()?;
        let Some(intent) = payment.payment_intent().map(PaymentId::new) else { continue };
        if payment_ledger::is_ours(&ledger.history(&intent).await?.effects) {
            return Ok(intent);
        }
    }
    Ok(itself)
}

/// A session's own id is the key where it has no payment intent and no invoice: then Stripe need not be asked.
async fn of_session(deployment: &Deployment, id: &str) -> Result<PaymentId> {
    let itself = PaymentId::new(id);
    if !deployment.ledger()?.history(&itself).await?.effects.is_empty() {
        return Ok(itself);
    }
    let session = stripe::client(deployment, stripe::BUDGET).await?.one(&Request::session(id)).await?;
    Ok(PaymentId::of_session(&session.session()?))
}

/// Every payment of a subscription or a customer: what finished sessions began, and each paid invoice of a
/// subscription.
async fn of_many(stripe: &StripeClient, kind: Kind, id: &str) -> Result<Vec<PaymentId>> {
    let of = |request: Request| {
        if kind == Kind::Subscription { request.of_subscription(id) } else { request.of_customer(id) }
    };
    let sessions = stripe.all(of(Request::completed_sessions())).await?;
    let invoices = stripe.all(of(Request::paid_invoices())).await?;
    let sessions = sessions.iter().map(|object| Ok((object.created, object.session()?)));
    let invoices = invoices.iter().map(|object| Ok((object.created, object.read::<Invoice>()?)));
    let payments = in_order(sessions.collect::<Result<_>>()?, invoices.collect::<Result<_>>()?);
    if payments.is_empty() {
        let guests = if kind == Kind::Customer {
            ". Stripe makes no customer of a guest: give the email address"
        } else {
            ""
        };
        return Err(NotFound(format!("Stripe has no payment of {id}{guests}")).into());
    }
    Ok(payments)
}

/// The payments of sessions and of subscriptions' invoices, each once, oldest first. The first invoice of a
/// subscription and its session are one payment.
fn in_order(sessions: Vec<(i64, CheckoutSession)>, invoices: Vec<(i64, Invoice)>) -> Vec<PaymentId> {
    let sessions = sessions.into_iter().map(|(created, session)| (PaymentId::of_session(&session), created));
    let invoices = invoices.into_iter().filter(|(_, invoice)| invoice.subscription_id().is_some());
    let invoices = invoices.map(|(created, invoice)| (PaymentId::new(invoice.id), created));
    let mut payments = BTreeMap::new();
    for (payment_id, created) in sessions.chain(invoices) {
        let known: &mut i64 = payments.entry(payment_id).or_insert(created);
        *known = created.min(*known);
    }
    let mut payments: Vec<_> =
        payments.into_iter().map(|(payment_id, created)| (created, payment_id)).collect();
    payments.sort();
    payments.into_iter().map(|(_, payment_id)| payment_id).collect()
}

async fn of_address(deployment: &Deployment, address: &str) -> Result<Vec<PaymentId>> {
    let supporter_id = SupporterId::of_email(&deployment.supporter_namespace()?, address);
    let table = deployment.output("SupportersTableName")?;
    let rows: Vec<SupporterRow> =
        query(&Client::new(&deployment.sdk), table, "supporter_id", supporter_id.as_str()).await?;
    if rows.is_empty() {
        return Err(NotFound("no payment of this address is on record".to_owned()).into());
    }
    Ok(rows.into_iter().map(|row| row.payment_id).collect())
}

/// The purchase that a customer quotes by its reference. Only purchases without a payment have one, and no index leads
/// from it to them: every record is passed, and no more than the ids is read.
async fn of_reference(deployment: &Deployment, reference: &str) -> Result<PaymentId> {
    let table = deployment.output("ContributionsTableName")?;
    let dynamodb = Client::new(&deployment.sdk);
    let mut start = None;
    loop {
        let page = dynamodb
            .scan()
            .table_name(table)
            .filter_expression("begins_with(payment_id, :session)")
            .expression_attribute_values(":session", AttributeValue::S("cs_".to_owned()))
            .projection_expression("payment_id")
            .set_exclusive_start_key(start)
            .send()
            .await
            .with_context(|| format!("{table} does not answer (dynamodb:Scan)"))?;
        let ids = page.items.unwrap_or_default().into_iter();
        let ids = ids.filter_map(|item| item.get("payment_id")?.as_s().ok().map(PaymentId::new));
        if let Some(found) = ids.into_iter().find(|id| id.reference() == reference) {
            return Ok(found);
        }
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            bail!("no purchase on record has the reference {reference}");
        }
    }
}

/// Every row of a partition.
pub(crate) async fn query<T: DeserializeOwned>(
    dynamodb: &Client,
    table: &str,
    key: &str,
    value: &str,
) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    let mut start = None;
    loop {
        let page = dynamodb
            .query()
            .table_name(table)
            .key_condition_expression("#key = :key")
            .expression_attribute_names("#key", key)
            .expression_attribute_values(":key", AttributeValue::S(value.to_owned()))
            .set_exclusive_start_key(start)
            .send()
            .await
            .with_context(|| format!("{table} does not answer"))?;
        for item in page.items.unwrap_or_default() {
            rows.push(
                serde_dynamo::from_item(item)
                    .with_context(|| format!("{table} holds a row that cannot be read"))?,
            );
        }
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            return Ok(rows);
        }
    }
}

#[cfg(test)]
mod tests;
