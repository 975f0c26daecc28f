use serde::{Deserialize, Serialize};

use crate::{Contribution, ContributionStatus, PaymentId, Policy, SupporterId};

/// One payment in a supporter's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupporterRow {
    /// Partition key.
    pub supporter_id: SupporterId,
    /// Sort key.
    pub payment_id: PaymentId,
    /// The product, as `policy.toml` names it.
    pub product: String,
    /// Minor units of `currency`.
    pub amount: i64,
    /// Three lower-case letters.
    pub currency: String,
    /// As in the contribution.
    pub status: ContributionStatus,
    /// When it was paid, in Unix seconds.
    pub paid_at: Option<i64>,
    /// When a term ends, in Unix seconds; null for what has none.
    pub term_ends_at: Option<i64>,
    /// When the row may be deleted, in Unix seconds.
    pub expires_at: i64,
}

impl SupporterRow {
    /// The row that follows from a contribution; none while its payer is not known.
    pub fn of(contribution: &Contribution, policy: &Policy) -> Option<Self> {
        let session = &contribution.session;
        Some(Self {
            supporter_id: session.supporter_id.clone()?,
            payment_id: contribution.payment_id.clone(),
            product: policy.kind(session.kind?).product.clone(),
            amount: session.amount?,
            currency: session.currency.clone()?,
            status: contribution.status(),
            paid_at: contribution.paid_at,
            term_ends_at: contribution.invoice.as_ref().and_then(|invoice| invoice.term_ends_at),
            expires_at: contribution.retained_until(policy)?,
        })
    }
}
