use aws::Clock;
use effect_ledger::{EffectKey, EffectRow, EffectState, EffectStore, Executor, Subject};
use fulfilment::{
    ContractError, InvoiceEvent, PaymentFrequency, SessionBroken, SoldItem, SubscriptionContract,
    SubscriptionPayment, effects,
};
use serde::{Deserialize, Serialize};
use stripe_access::Began;

use crate::lookup::{Answer, NONE, is_abandoned, remembered};
use crate::{LookupFailed, PaymentLookup, Stripe};

/// Whose a subscription is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Ours, and what it sells.
    Ours(Box<SubscriptionContract>),
    /// Ours, and its metadata breaks the link's contract.
    Broken(ContractError),
    /// Another business's.
    AnotherBusiness,
}

impl Whose {
    /// The payment that an invoice of this subscription is, or why it cannot be acted on; `None` when it is another
    /// business's.
    pub fn payment(self, invoice: InvoiceEvent) -> Option<Result<SubscriptionPayment, SessionBroken>> {
        match self {
            Self::Ours(contract) => Some(invoice.payment(*contract)),
            Self::Broken(broken) => Some(Err(SessionBroken::Contract(broken))),
            Self::AnotherBusiness => None,
        }
    }
}

/// What the ledger remembers of a subscription that a session began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// What it sells; none when the session's contract is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contract: Option<SubscriptionContract>,
    /// What the marketer typed for what it sells, where that is nothing we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
    /// How often it is due, as far as Stripe says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frequency: Option<PaymentFrequency>,
    /// What it is for. Rows of 0.2.0 and before have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    items: Vec<SoldItem>,
}

/// What a subscription costs, as its prices were at Stripe when it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscribed {
    /// How often it is due; `None` where Stripe does not say.
    pub frequency: Option<PaymentFrequency>,
    /// What it is for; empty where Stripe does not say.
    pub items: Vec<SoldItem>,
}

impl Subscribed {
    /// What Stripe sends of a subscription.
    pub fn of(began: &Began) -> Self {
        let priced = began.items.iter().filter_map(|item| Some((item.price.as_ref()?, item.quantity)));
        Self {
            frequency: began.recurring.as_ref().map(PaymentFrequency::of_price),
            items: SoldItem::of_subscription(priced),
        }
    }
}

/// The facts of a subscription: by its session's own event, and by what Stripe was asked.
#[derive(Debug, Default)]
struct Remembered {
    contract: Option<SubscriptionContract>,
    /// `Some(None)`: Stripe was asked, and no session of ours began it.
    asked: Option<Option<Known>>,
    /// The rows that say so.
    rows: Vec<EffectRow>,
}

impl<S: Stripe, L: EffectStore, C: Clock> PaymentLookup<S, L, C> {
    /// Whose the subscription of an invoice is. Its session decides; without one its own metadata.
    ///
    /// # Errors
    ///
    /// When that cannot be found out now.
    pub async fn whose(&self, invoice: &InvoiceEvent, executor: Executor<'_>) -> Result<Whose, LookupFailed> {
        let remembered = self.remembered(&invoice.subscription_id).await?;
        if let Some(contract) = remembered.contract {
            self.finish_asking(&invoice.subscription_id, &remembered.rows, executor).await?;
            return Ok(Whose::Ours(Box::new(contract)));
        }
        let is_marked = invoice.marked.is_some();
        let known = match remembered.asked {
            Some(known) => known,
            None => self.ask_what_began(&invoice.subscription_id, is_marked, executor).await?,
        };
        Ok(match (known, invoice.marked.clone()) {
            (Some(Known { contract: Some(contract), .. }), _) | (None, Some(Ok(contract))) => {
                Whose::Ours(Box::new(contract))
            }
            (Some(Known { broken, .. }), _) => Whose::Broken(ContractError::Kind(broken.unwrap_or_default())),
            (None, Some(Err(broken))) => Whose::Broken(broken),
            (None, None) => Whose::AnotherBusiness,
        })
    }

    /// Whether the first payment of a subscription is filed under its session (`cs_…`), as version 0.1.0 did, and not
    /// under its invoice. Then the invoice adds nothing to it.
    ///
    /// # Errors
    ///
    /// When the ledger does not answer.
    pub async fn is_filed_under_session(
        &self,
        invoice: &InvoiceEvent,
        contract: &SubscriptionContract,
    ) -> Result<bool, LookupFailed> {
        match &contract.session_id {
            Some(session_id) if invoice.is_first => self.is_filed_under(session_id).await,
            Some(_) | None => Ok(false),
        }
    }

    /// `cs_…`: the session of ours that began a subscription, if one did.
    pub(crate) async fn session_that_began(
        &self,
        subscription_id: &str,
        executor: Executor<'_>,
    ) -> Result<Option<String>, LookupFailed> {
        let remembered = self.remembered(subscription_id).await?;
        if let Some(session_id) = remembered.contract.and_then(|contract| contract.session_id) {
            self.finish_asking(subscription_id, &remembered.rows, executor).await?;
            return Ok(Some(session_id));
        }
        let known = match remembered.asked {
            Some(known) => known,
            None => self.ask_what_began(subscription_id, false, executor).await?,
        };
        Ok(known.and_then(|known| known.contract?.session_id))
    }

    /// Brings a question about a subscription to its end that was begun and came to nothing before the session showed
    /// whose it is: it would stand among the open effects for ever, and the answer says more, such as how often it is
    /// due.
    ///
    /// Nothing waits for the answer, so it does not matter now whether Stripe gives one.
    pub(crate) async fn finish_asking(
        &self,
        subscription_id: &str,
        rows: &[EffectRow],
        executor: Executor<'_>,
    ) -> Result<(), LookupFailed> {
        if !is_abandoned(rows, executor, self.clock.now_ms())? {
            return Ok(());
        }
        match self.ask_what_began(subscription_id, true, executor).await {
            Ok(_) | Err(LookupFailed::Stripe(_) | LookupFailed::InFlight(_)) => Ok(()),
            Err(error @ LookupFailed::Ledger(_)) => Err(error),
        }
    }

    /// How often a subscription of ours is due, and what it is for; nothing of it when Stripe does not say, or refuses
    /// the question: a payment is published all the same.
    ///
    /// # Errors
    ///
    /// When that can be found out later.
    pub async fn subscribed(
        &self,
        subscription_id: &str,
        executor: Executor<'_>,
    ) -> Result<Subscribed, LookupFailed> {
        let known = match self.remembered(subscription_id).await?.asked {
            Some(known) => Ok(known),
            None => self.ask_what_began(subscription_id, true, executor).await,
        };
        match known {
            Ok(Some(Known { frequency, items, .. })) => Ok(Subscribed { frequency, items }),
            Ok(None) => Ok(Subscribed::default()),
            Err(LookupFailed::Stripe(error)) if !error.passes() => Ok(Subscribed::default()),
            Err(error) => Err(error),
        }
    }

    async fn remembered(&self, subscription_id: &str) -> Result<Remembered, LookupFailed> {
        let rows = self.ledger.of_subject(&Subject::new(subscription_id)).await?;
        let contract = rows.iter().find(|row| row.effect == effects::contract());
        let contract = contract.filter(|row| row.state == EffectState::Done).and_then(read_contract);
        let asked = remembered(&rows).and_then(read_answer);
        Ok(Remembered { contract, asked, rows })
    }

    /// `None` when no session of ours began it. That is kept for a while, unless the subscription is known to be ours.
    async fn ask_what_began(
        &self,
        subscription_id: &str,
        is_ours: bool,
        executor: Executor<'_>,
    ) -> Result<Option<Known>, LookupFailed> {
        let key = EffectKey::new(subscription_id, effects::lookup());
        let question = async || {
            let known = self.what_began(subscription_id).await?;
            let none =
                Answer { reference: NONE.to_owned(), expires_at: (!is_ours).then(|| self.forgotten_at()) };
            let written = known.and_then(|known| serde_json::to_string(&known).ok());
            Ok(written.map_or(none, |reference| Answer { reference, expires_at: None }))
        };
        let answer = self.ask(&key, executor, question).await?;
        Ok(read_answer(&answer).flatten())
    }

    /// What Stripe says; `None` when no session of ours began it.
    async fn what_began(&self, subscription_id: &str) -> Result<Option<Known>, LookupFailed> {
        let Some(began) = self.stripe.began(subscription_id).await.map_err(LookupFailed::Stripe)? else {
            return Ok(None);
        };
        let (contract, broken) = match SubscriptionContract::of_session(&began.session) {
            Ok(Some(contract)) => (Some(contract), None),
            Ok(None) => return Ok(None),
            Err(ContractError::Kind(typed)) => (None, Some(typed)),
            Err(ContractError::TemplateName) => (None, Some(String::new())),
        };
        let Subscribed { frequency, items } = Subscribed::of(&began);
        Ok(Some(Known { contract, broken, frequency, items }))
    }
}

fn read_contract(row: &EffectRow) -> Option<SubscriptionContract> {
    serde_json::from_str(row.reference.as_ref()?).ok()
}

/// `None` for an answer that this version cannot read: it asks again.
fn read_answer(answer: &str) -> Option<Option<Known>> {
    if answer == NONE {
        return Some(None);
    }
    serde_json::from_str(answer).ok().map(Some)
}

#[cfg(test)]
mod tests;
