use aws::Clock;
use stripe_access::{Began, StripeAccess, StripeAccessError};
use stripe_events::Invoice;

/// The questions to Stripe.
pub trait Stripe {
    /// The invoice that a payment intent pays; `None` when it pays none.
    fn invoice_paid_by(
        &self,
        payment_intent: &str,
    ) -> impl Future<Output = Result<Option<Invoice>, StripeAccessError>>;

    /// The session that began a subscription; `None` when none did.
    fn began(&self, subscription_id: &str) -> impl Future<Output = Result<Option<Began>, StripeAccessError>>;
}

impl<C: Clock> Stripe for StripeAccess<C> {
    async fn invoice_paid_by(&self, payment_intent: &str) -> Result<Option<Invoice>, StripeAccessError> {
        Self::invoice_paid_by(self, payment_intent).await
    }

    async fn began(&self, subscription_id: &str) -> Result<Option<Began>, StripeAccessError> {
        Self::began(self, subscription_id).await
    }
}
