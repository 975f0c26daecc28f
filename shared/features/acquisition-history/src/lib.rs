#![doc = include_str!("../README.md")]

mod corrected;
mod parquet;
mod subscriptions;

use std::collections::BTreeMap;

use fulfilment::{
    AcquisitionCorrection, AcquisitionEvent, Circumstances, InvoiceEvent, PaymentId, Policy, Reading,
    SessionEvent, SessionOutcome,
};
use payment_lookup::Subscribed;
use reconciliation::made_from;
use stripe_access::Began;
use stripe_client::{ApiObject, NotReadable, Request, StripeClient, StripeError};
use stripe_events::Event;
use uuid::Uuid;

use crate::subscriptions::Subscriptions;

pub use crate::parquet::{ParquetFailed, write_parquet};

/// What is read, and as whom.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Stripe, with the stage's key.
    pub stripe: &'a StripeClient,
    /// What the business decides.
    pub policy: &'a Policy,
    /// The deployment's, for supporter ids.
    pub supporter_namespace: Uuid,
    /// Real money or not.
    pub livemode: bool,
    /// Now, in Unix seconds.
    pub now: i64,
}

/// A window of time, both ends included, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From when.
    pub from: i64,
    /// Until when.
    pub to: i64,
}

/// What happened in a window.
#[derive(Debug, Default)]
pub struct AcquisitionHistory {
    /// The oldest first.
    pub events: Vec<AcquisitionEvent>,
    /// Payments of ours that nothing can be made of, by their keys: their link's contract is broken.
    pub broken: Vec<PaymentId>,
}

/// Stripe cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Stripe does not answer, or refuses.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// Stripe answers with something else.
    #[error(transparent)]
    NotReadable(#[from] NotReadable),
}

/// An invoice is drafted up to that long before it is paid: a card is tried again for two months at most.
/// <https://docs.stripe.com/billing/revenue-recovery/smart-retries>
const INVOICE_OPEN_SECONDS: i64 = 62 * 86_400;

/// Reads a window. `progress` is given how many objects of Stripe's were read so far.
///
/// # Errors
///
/// When Stripe does not answer, or its budget of requests is used up.
pub async fn read(
    settings: &Settings<'_>,
    window: Window,
    progress: impl FnMut(usize),
) -> Result<AcquisitionHistory, HistoryError> {
    let mut reader = Reader {
        settings,
        history: AcquisitionHistory::default(),
        subscriptions: Subscriptions::default(),
        payments: BTreeMap::new(),
        read: 0,
        progress,
    };
    let Window { from, to } = window;
    reader.sessions(Request::completed_sessions().created(from, to)).await?;
    reader.invoices(Request::paid_invoices().created(from - INVOICE_OPEN_SECONDS, to), window).await?;
    reader.corrections(Request::refunds().created(from, to)).await?;
    reader.corrections(Request::disputes().created(from, to)).await?;
    let mut history = reader.history;
    history.events.sort_by(|one, other| {
        (&one.occurred_at, one.kind as u8, &one.event_id).cmp(&(
            &other.occurred_at,
            other.kind as u8,
            &other.event_id,
        ))
    });
    Ok(history)
}

pub(crate) struct Reader<'a, P> {
    pub(crate) settings: &'a Settings<'a>,
    history: AcquisitionHistory,
    pub(crate) subscriptions: Subscriptions,
    /// The key of the payment behind a payment intent; `None` for another business's.
    pub(crate) payments: BTreeMap<PaymentId, Option<PaymentId>>,
    read: usize,
    progress: P,
}

impl<P: FnMut(usize)> Reader<'_, P> {
    async fn sessions(&mut self, request: Request) -> Result<(), HistoryError> {
        // With the subscription expanded, its prices cost no request of their own.
        let mut next = Some(request.expand("data.subscription"));
        while let Some(request) = next {
            let page = self.page(&request).await?;
            for object in &page.items {
                match self.reading(object) {
                    Some(Reading::Session(Ok(session))) if session.outcome == SessionOutcome::Paid => {
                        self.session(*session, object)?;
                    }
                    Some(Reading::Session(Err(broken))) if broken.intended == SessionOutcome::Paid => {
                        self.history.broken.push(broken.payment_id);
                    }
                    _ => {}
                }
            }
            next = page.next;
        }
        Ok(())
    }

    fn session(&mut self, session: SessionEvent, object: &ApiObject) -> Result<(), HistoryError> {
        let Settings { policy, supporter_namespace, .. } = self.settings;
        let mut event =
            AcquisitionEvent::of_session(&session, policy, supporter_namespace, self.circumstances());
        if let Some(subscription_id) = &session.subscription_id {
            let Subscribed { frequency, items } = Subscribed::of(&Began::of(object)?);
            event = frequency.map_or(event.clone(), |frequency| event.due(frequency)).of_items(items);
            self.subscriptions.began(subscription_id, &session);
        }
        self.payments.insert(session.payment_id.clone(), Some(session.payment_id));
        self.history.events.push(event);
        Ok(())
    }

    async fn invoices(&mut self, request: Request, window: Window) -> Result<(), HistoryError> {
        let mut next = Some(request);
        while let Some(request) = next {
            let page = self.page(&request).await?;
            for object in &page.items {
                if let Some(Reading::Invoice(invoice)) = self.reading(object)
                    && (window.from..=window.to).contains(&invoice.paid_at)
                {
                    self.invoice(*invoice).await?;
                }
            }
            next = page.next;
        }
        Ok(())
    }

    /// As the task does: a first invoice is published from its session, unless none began the subscription.
    async fn invoice(&mut self, invoice: InvoiceEvent) -> Result<(), HistoryError> {
        if invoice.is_first && invoice.marked.is_none() {
            return Ok(());
        }
        let whose = self.whose(&invoice).await?;
        let Some(contract) = whose else { return Ok(()) };
        let payment_id = invoice.payment_id.clone();
        let Ok(contract) = contract else {
            self.history.broken.push(payment_id);
            return Ok(());
        };
        if invoice.is_first && contract.session_id.is_some() {
            return Ok(());
        }
        let Ok(payment) = invoice.payment(contract) else {
            self.history.broken.push(payment_id);
            return Ok(());
        };
        let Settings { policy, supporter_namespace, .. } = self.settings;
        let mut event =
            AcquisitionEvent::of_invoice(&payment, policy, supporter_namespace, self.circumstances());
        if payment.invoice.frequency.is_none()
            && let Some(frequency) = self.frequency(&payment.invoice.subscription_id).await?
        {
            event = event.due(frequency);
        }
        self.history.events.push(event);
        Ok(())
    }

    async fn corrections(&mut self, request: Request) -> Result<(), HistoryError> {
        let mut next = Some(request);
        while let Some(request) = next {
            let page = self.page(&request).await?;
            for object in &page.items {
                let corrections = match self.reading(object) {
                    Some(Reading::Refund(Ok(refund))) => AcquisitionCorrection::of_refund(&refund),
                    Some(Reading::Dispute(Ok(dispute))) => AcquisitionCorrection::of_dispute(&dispute),
                    _ => Vec::new(),
                };
                for correction in corrections {
                    if let Some(payment_id) = self.payment_behind(&correction.payment_id).await? {
                        let correction = AcquisitionCorrection { payment_id, ..correction };
                        let event = AcquisitionEvent::of_correction(&correction, self.circumstances());
                        self.history.events.push(event);
                    }
                }
            }
            next = page.next;
        }
        Ok(())
    }

    /// What the event means that reconciliation would make of an object.
    fn reading(&self, object: &ApiObject) -> Option<Reading> {
        let made = made_from(object, self.settings.livemode, self.settings.now)?;
        let event = Event::from_json(made.as_bytes()).ok()?;
        Reading::from_event(&event, self.settings.livemode).ok()
    }

    async fn page(&mut self, request: &Request) -> Result<stripe_client::Page, HistoryError> {
        let page = self.settings.stripe.page(request).await?;
        self.read += page.items.len();
        (self.progress)(self.read);
        Ok(page)
    }

    fn circumstances(&self) -> Circumstances {
        let Settings { livemode, now, .. } = *self.settings;
        Circumstances { livemode, replayed: true, published_at: now }
    }
}
