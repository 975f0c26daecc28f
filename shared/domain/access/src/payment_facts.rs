use fulfilment::{
    Attribution, Contribution, ContributionStatus, FulfilmentKind, PaymentEvent, PaymentId, SupporterId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is known of a payment that gives access, or keeps it up: the record of a contribution, without what names the
/// customer and where the sale came from.
///
/// Folding is that of the record: commutative and idempotent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentFacts(Contribution);

/// Where the money of a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentStanding {
    /// With us, or the larger part of it.
    Paid,
    /// On its way.
    Pending,
    /// It did not come.
    Failed,
    /// A bank decides about it, or its issuer warns of fraud.
    Contested,
    /// Back with the customer, all of it.
    Returned,
}

impl PaymentFacts {
    /// Facts of which none is known yet.
    pub fn new(payment_id: PaymentId) -> Self {
        Self(Contribution::new(payment_id))
    }

    /// Folds an event in. `namespace` is the deployment's, for supporter ids.
    #[must_use]
    pub fn with_event(self, event: &PaymentEvent, namespace: &Uuid) -> Self {
        let mut record = self.0.with_event(event, namespace);
        let session = &mut record.session;
        session.email = None;
        session.name = None;
        session.country = None;
        session.state = None;
        session.postal_code = None;
        session.locale = None;
        session.attribution = Attribution::default();
        Self(record)
    }

    /// The key.
    pub const fn payment_id(&self) -> &PaymentId {
        &self.0.payment_id
    }

    /// The kind of product; `None` while the payment may be another business's.
    pub const fn kind(&self) -> Option<FulfilmentKind> {
        self.0.session.kind
    }

    /// Who paid.
    pub const fn supporter_id(&self) -> Option<&SupporterId> {
        self.0.session.supporter_id.as_ref()
    }

    /// `cus_…`
    pub fn customer_id(&self) -> Option<&str> {
        self.0.session.customer_id.as_deref()
    }

    /// `sub_…`, of a subscription's payment.
    pub fn subscription_id(&self) -> Option<&str> {
        self.0.session.subscription_id.as_deref()
    }

    /// When the money came, in Unix seconds.
    pub const fn paid_at(&self) -> Option<i64> {
        self.0.paid_at
    }

    /// Until when it was paid for, in Unix seconds, of a subscription's payment.
    pub fn term_ends_at(&self) -> Option<i64> {
        self.0.invoice.as_ref()?.term_ends_at
    }

    /// Where the money is. A warning of fraud counts while it can still be answered; a part that went back takes
    /// nothing away.
    pub fn standing(&self) -> PaymentStanding {
        let is_warned = || self.0.fraud_warnings.values().any(|warning| warning.actionable != Some(false));
        match self.0.status() {
            ContributionStatus::Lost | ContributionStatus::Refunded => PaymentStanding::Returned,
            ContributionStatus::Disputed => PaymentStanding::Contested,
            ContributionStatus::Paid | ContributionStatus::PartRefunded if is_warned() => {
                PaymentStanding::Contested
            }
            ContributionStatus::Paid | ContributionStatus::PartRefunded => PaymentStanding::Paid,
            ContributionStatus::Pending => PaymentStanding::Pending,
            ContributionStatus::Failed => PaymentStanding::Failed,
        }
    }
}
