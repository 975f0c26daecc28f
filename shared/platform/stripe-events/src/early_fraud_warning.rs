use serde::Deserialize;

use crate::wire;

/// A card issuer's warning that a payment may be fraud. No money moves.
///
/// <https://docs.stripe.com/api/radar/early_fraud_warnings/object>
#[derive(Debug, Clone, Deserialize)]
pub struct EarlyFraudWarning {
    /// `issfr_…`
    pub id: String,
    /// Whether a refund now can still prevent a dispute.
    #[serde(default)]
    pub actionable: Option<bool>,
    /// `ch_…`
    #[serde(default, deserialize_with = "wire::expandable")]
    pub charge: Option<String>,
    /// When the issuer gave it, in Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
    /// The issuer's word for the kind of fraud, e.g. `made_with_stolen_card`. Stripe adds words.
    #[serde(default, deserialize_with = "wire::text")]
    pub fraud_type: Option<String>,
    /// `pi_…`: what ties the warning to its payment.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub payment_intent: Option<String>,
}
