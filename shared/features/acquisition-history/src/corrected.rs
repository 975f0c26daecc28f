//! Which payment a refund or a dispute is about, and whether it is ours.

use fulfilment::{LinkContract, PaymentId};
use stripe_client::{ApiObject, Request};
use stripe_events::{Invoice, InvoicePayment, InvoiceReference};

use crate::{HistoryError, Reader};

impl<P: FnMut(usize)> Reader<'_, P> {
    /// The key of the payment behind a payment intent: itself, or the invoice of a subscription that it pays. `None` for
    /// another business's. Asked once.
    pub(crate) async fn payment_behind(
        &mut self,
        payment_intent: &PaymentId,
    ) -> Result<Option<PaymentId>, HistoryError> {
        if let Some(known) = self.payments.get(payment_intent) {
            return Ok(known.clone());
        }
        let payment_id = match self.invoice_paid_by(payment_intent).await? {
            Some(invoice) => self.of_invoice(&invoice).await?,
            None => self.is_our_one_off(payment_intent).await?.then(|| payment_intent.clone()),
        };
        self.payments.insert(payment_intent.clone(), payment_id.clone());
        Ok(payment_id)
    }

    /// The subscription's invoice that a payment intent pays. <https://docs.stripe.com/api/invoice-payment/list>
    async fn invoice_paid_by(&self, payment_intent: &PaymentId) -> Result<Option<Invoice>, HistoryError> {
        let request = Request::invoice_payments_of(payment_intent.as_str()).limit(1).expand("data.invoice");
        let page = self.settings.stripe.page(&request).await?;
        let payment = page.items.first().map(ApiObject::read::<InvoicePayment>).transpose()?;
        let invoice = match payment.and_then(|payment| payment.invoice) {
            Some(InvoiceReference::Whole(invoice)) => Some(*invoice),
            Some(InvoiceReference::Id(id)) => {
                Some(self.settings.stripe.one(&Request::invoice(&id)).await?.read()?)
            }
            None => None,
        };
        // That of a one-off payment has the payment intent as its key.
        Ok(invoice.filter(|invoice| invoice.subscription_id().is_some()))
    }

    async fn of_invoice(&mut self, invoice: &Invoice) -> Result<Option<PaymentId>, HistoryError> {
        let Some(subscription_id) = invoice.subscription_id() else { return Ok(None) };
        let is_marked = invoice
            .subscription_metadata()
            .is_some_and(|metadata| LinkContract::from_metadata(metadata).transpose().is_some());
        let is_ours = is_marked || self.began(subscription_id).await?.is_some();
        Ok(is_ours.then(|| PaymentId::new(&invoice.id)))
    }

    async fn is_our_one_off(&self, payment_intent: &PaymentId) -> Result<bool, HistoryError> {
        let request = Request::sessions().of_payment_intent(payment_intent.as_str());
        let sessions = self.settings.stripe.all(request).await?;
        Ok(sessions
            .iter()
            .filter_map(|session| session.session().ok())
            .any(|session| LinkContract::from_metadata(&session.metadata).transpose().is_some()))
    }
}
