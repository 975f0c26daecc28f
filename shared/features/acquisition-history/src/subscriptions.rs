//! Whose a subscription is, and what it costs. Each is asked once.

use std::collections::BTreeMap;

use fulfilment::{ContractError, InvoiceEvent, PaymentFrequency, SessionEvent, SubscriptionContract};
use payment_lookup::Subscribed;
use stripe_access::Began;
use stripe_client::Request;

use crate::{HistoryError, Reader};

/// What was found out, by `sub_…`.
#[derive(Default)]
pub(crate) struct Subscriptions {
    /// The contract of the session that began it; `None` when no session of ours did.
    contracts: BTreeMap<String, Option<Result<SubscriptionContract, ContractError>>>,
    frequencies: BTreeMap<String, Option<PaymentFrequency>>,
}

impl Subscriptions {
    /// A session of ours began it.
    pub(crate) fn began(&mut self, subscription_id: &str, session: &SessionEvent) {
        let contract = SubscriptionContract::of_event(session);
        self.contracts.insert(subscription_id.to_owned(), Some(Ok(contract)));
    }
}

impl<P: FnMut(usize)> Reader<'_, P> {
    /// The contract of an invoice's subscription: its session decides, without one its own metadata. `None` for another
    /// business's.
    pub(crate) async fn whose(
        &mut self,
        invoice: &InvoiceEvent,
    ) -> Result<Option<Result<SubscriptionContract, ContractError>>, HistoryError> {
        let of_session = self.began(&invoice.subscription_id).await?;
        Ok(of_session.or_else(|| invoice.marked.clone()))
    }

    pub(crate) async fn frequency(
        &mut self,
        subscription_id: &str,
    ) -> Result<Option<PaymentFrequency>, HistoryError> {
        if !self.subscriptions.frequencies.contains_key(subscription_id) {
            self.ask(subscription_id).await?;
        }
        Ok(self.subscriptions.frequencies.get(subscription_id).copied().flatten())
    }

    /// What the session says that began a subscription; `None` when no session of ours did.
    pub(crate) async fn began(
        &mut self,
        subscription_id: &str,
    ) -> Result<Option<Result<SubscriptionContract, ContractError>>, HistoryError> {
        if !self.subscriptions.contracts.contains_key(subscription_id) {
            self.ask(subscription_id).await?;
        }
        Ok(self.subscriptions.contracts.get(subscription_id).cloned().flatten())
    }

    async fn ask(&mut self, subscription_id: &str) -> Result<(), HistoryError> {
        let request =
            Request::sessions().of_subscription(subscription_id).limit(1).expand("data.subscription");
        let page = self.settings.stripe.page(&request).await?;
        let began = page.items.first().map(Began::of).transpose()?;
        let contract =
            began.as_ref().and_then(|began| SubscriptionContract::of_session(&began.session).transpose());
        let frequency = began.as_ref().and_then(|began| Subscribed::of(began).frequency);
        let id = subscription_id.to_owned();
        self.subscriptions.contracts.insert(id.clone(), contract);
        self.subscriptions.frequencies.insert(id, frequency);
        Ok(())
    }
}
