//! Which payment an event is about, and whether it is ours.
//!
//! The ledger is asked first, also for what the tasks' look-ups left in it (`payment-lookup`). Where it has no answer,
//! Stripe is asked, each question once in a run. Nothing is written to the ledger.

use std::collections::BTreeMap;

use aws::Clock;
use effect_ledger::{EffectRow, EffectStore, StoreError};
use fulfilment::{ExpectedEffects, LinkContract, PaymentId};
use stripe_client::{ApiObject, NotReadable, Request, StripeError};
use stripe_events::{BillingReason, Invoice, InvoicePayment, InvoiceReference};

use crate::RunError;
use crate::answers::PaidInvoice;
use crate::run::Work;
use crate::{FulfilmentBus, Journal, Reconciliation};

/// A payment by its key, with its rows.
#[derive(Clone)]
pub(crate) struct Payment {
    pub(crate) payment_id: PaymentId,
    pub(crate) rows: Vec<EffectRow>,
    /// Whether the ledger has Stripe's answer that the payment intent pays no subscription's invoice.
    is_one_off: bool,
}

impl<L: EffectStore, J: Journal, B: FulfilmentBus, C: Clock> Reconciliation<'_, L, J, B, C> {
    /// Payments by the ids that their events carry. A payment intent leads to the invoice that the ledger remembers.
    pub(crate) async fn payments(
        &self,
        ids: impl Iterator<Item = &PaymentId>,
    ) -> Result<BTreeMap<PaymentId, Payment>, StoreError> {
        let rows = self.rows_of(ids).await?;
        let invoices: BTreeMap<_, _> =
            rows.iter().filter_map(|(id, rows)| Some((id.clone(), remembered_invoice(id, rows)?))).collect();
        let of_invoices = self.rows_of(invoices.values()).await?;
        let payments = rows.into_iter().map(|(id, rows)| {
            let payment = match invoices.get(&id) {
                Some(invoice) => {
                    let rows = of_invoices.get(invoice).cloned().unwrap_or_default();
                    Payment { payment_id: invoice.clone(), rows, is_one_off: false }
                }
                None => {
                    let is_one_off = payment_ledger::is_looked_up(&rows);
                    Payment { payment_id: id.clone(), rows, is_one_off }
                }
            };
            (id, payment)
        });
        Ok(payments.collect())
    }

    /// The payment that something is missing of, if it is ours; `None` for another business's.
    pub(crate) async fn if_ours(
        &self,
        expected: &ExpectedEffects,
        payment: Payment,
        work: &mut Work,
    ) -> Result<Option<Payment>, RunError> {
        // Only sessions of ours call for anything.
        if expected.outcome.is_some() || payment_ledger::is_ours(&payment.rows) {
            return Ok(Some(payment));
        }
        let id = &expected.payment_id;
        if id.as_str().starts_with("in_") {
            let ours = match &expected.if_ours {
                Some(subscription_id) => self.is_our_subscription(subscription_id, work).await?,
                None => true,
            };
            return Ok(ours.then_some(payment));
        }
        if id.is_payment_intent()
            && !payment.is_one_off
            && let Some(invoice) = self.invoice_of(id, work).await?
        {
            return self.payment_of(invoice, work).await;
        }
        Ok(self.is_our_one_off(id, work).await?.then_some(payment))
    }

    /// The payment of a subscription's invoice, if it is ours.
    async fn payment_of(&self, invoice: PaidInvoice, work: &mut Work) -> Result<Option<Payment>, RunError> {
        let PaidInvoice { payment_id, subscription_id, is_marked, is_first } = invoice;
        let rows = self.ledger.of_subject(&payment_id).await?;
        let payment = Payment { payment_id, rows, is_one_off: false };
        if payment_ledger::is_filed(&payment.rows) {
            return Ok(Some(payment));
        }
        let ours = payment_ledger::is_ours(&payment.rows)
            || is_marked
            || self.is_our_subscription(&subscription_id, work).await?;
        if ours && is_first {
            // Version 0.1.0 filed it under its session.
            for session in self.stripe.all(Request::sessions().of_subscription(&subscription_id)).await? {
                let payment_id = PaymentId::new(&session.id);
                let rows = self.ledger.of_subject(&payment_id).await?;
                if payment_ledger::is_filed(&rows) {
                    return Ok(Some(Payment { payment_id, rows, is_one_off: false }));
                }
            }
        }
        Ok(ours.then_some(payment))
    }

    /// The subscription's invoice that a payment intent pays. <https://docs.stripe.com/api/invoice-payment/list>
    async fn invoice_of(
        &self,
        payment_intent: &PaymentId,
        work: &mut Work,
    ) -> Result<Option<PaidInvoice>, RunError> {
        if let Some(known) = work.answers.invoices.get(payment_intent) {
            return Ok(known.clone());
        }
        let request = Request::invoice_payments_of(payment_intent.as_str()).limit(1).expand("data.invoice");
        let page = self.stripe.page(&request).await?;
        let payment = page.items.first().map(ApiObject::read::<InvoicePayment>).transpose();
        let invoice = match payment.map_err(unreadable)?.and_then(|payment| payment.invoice) {
            Some(InvoiceReference::Whole(invoice)) => PaidInvoice::read(&invoice),
            Some(InvoiceReference::Id(id)) => match self.stripe.one(&Request::invoice(&id)).await {
                Ok(invoice) => PaidInvoice::read(&invoice.read().map_err(unreadable)?),
                Err(StripeError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        work.answers.invoices.insert(payment_intent.clone(), invoice.clone());
        Ok(invoice)
    }

    /// Whether a subscription was begun over a link of ours.
    async fn is_our_subscription(&self, id: &str, work: &mut Work) -> Result<bool, RunError> {
        if let Some(ours) = work.answers.of_subscriptions.get(id) {
            return Ok(*ours);
        }
        let rows = self.ledger.of_subject(&PaymentId::new(id)).await?;
        let ours = match payment_ledger::subscription_is_ours(&rows) {
            Some(ours) => ours,
            None => self.any_is_marked(Request::sessions().of_subscription(id)).await?,
        };
        work.answers.of_subscriptions.insert(id.to_owned(), ours);
        Ok(ours)
    }

    /// Whether a payment that the ledger does not know was made over a link of ours.
    async fn is_our_one_off(&self, payment_id: &PaymentId, work: &mut Work) -> Result<bool, RunError> {
        if let Some(ours) = work.answers.of_payments.get(payment_id) {
            return Ok(*ours);
        }
        let ours = self.any_is_marked(Request::sessions().of_payment_intent(payment_id.as_str())).await?;
        work.answers.of_payments.insert(payment_id.clone(), ours);
        Ok(ours)
    }

    async fn any_is_marked(&self, sessions: Request) -> Result<bool, RunError> {
        let is_marked = |session: &ApiObject| {
            session
                .session()
                .is_ok_and(|session| LinkContract::from_metadata(&session.metadata).transpose().is_some())
        };
        Ok(self.stripe.all(sessions).await?.iter().any(is_marked))
    }
}

impl PaidInvoice {
    /// `None` for the invoice of a one-off payment, whose key is the payment intent.
    fn read(invoice: &Invoice) -> Option<Self> {
        let is_marked = |metadata| LinkContract::from_metadata(metadata).transpose().is_some();
        Some(Self {
            payment_id: PaymentId::new(&invoice.id),
            subscription_id: invoice.subscription_id()?.to_owned(),
            is_marked: invoice.subscription_metadata().is_some_and(is_marked),
            is_first: invoice.billing_reason == Some(BillingReason::SubscriptionCreate),
        })
    }
}

/// The key that the ledger remembers for a payment intent, unless the payment intent itself is the key.
fn remembered_invoice(id: &PaymentId, rows: &[EffectRow]) -> Option<PaymentId> {
    payment_ledger::alias(rows).filter(|_| id.is_payment_intent() && !payment_ledger::is_ours(rows))
}

fn unreadable(error: NotReadable) -> RunError {
    StripeError::Unreadable { path: error.id }.into()
}
