use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Contribution, ContributionStatus, PaymentId, Policy, without_invisible};

/// A supporter, without their address: UUIDv5 of the trimmed (also of what cannot be seen), lower-cased email in a
/// namespace that each deployment has for itself.
///
/// Guests and customers with an account get the same id, and two deployments cannot be joined by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SupporterId(String);

impl SupporterId {
    /// The id of the supporter with this address.
    pub fn of_email(namespace: &Uuid, email: &str) -> Self {
        let email = without_invisible(email).unwrap_or_default();
        Self(Uuid::new_v5(namespace, email.to_lowercase().as_bytes()).to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SupporterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_person_has_one_id_however_the_address_is_typed() {
        let namespace = Uuid::from_u128(1);
        let id = SupporterId::of_email(&namespace, "ada@example.org");
        assert_eq!(SupporterId::of_email(&namespace, "  Ada@Example.ORG\n"), id);
        assert_eq!(SupporterId::of_email(&namespace, "\u{200b}ada@example.org \u{feff}"), id);
        assert_ne!(SupporterId::of_email(&namespace, "ada@example.com"), id);
        assert_ne!(SupporterId::of_email(&Uuid::from_u128(2), "ada@example.org"), id);
    }
}
