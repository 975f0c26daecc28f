use serde::Deserialize;

use crate::open_enum::open_enum;
use crate::wire;

/// A refund, as far as Afterlink reads it. <https://docs.stripe.com/api/refunds/object>
#[derive(Debug, Clone, Deserialize)]
pub struct Refund {
    /// `re_…` or `pyr_…`.
    pub id: String,
    /// Minor units of `currency`.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// When the refund was made, in Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
    /// A refund can fail long after it succeeded.
    #[serde(default)]
    pub status: Option<RefundStatus>,
    /// Why it was made, in Stripe's word: `requested_by_customer`. The account may give none.
    #[serde(default, deserialize_with = "wire::text")]
    pub reason: Option<String>,
    /// `pi_…`: what ties the refund to its payment.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub payment_intent: Option<String>,
}

open_enum! {
    /// Where a refund stands.
    RefundStatus {
        /// On its way.
        Pending = "pending",
        /// Waits for the customer.
        RequiresAction = "requires_action",
        /// The money went back.
        Succeeded = "succeeded",
        /// The money came back to us.
        Failed = "failed",
        /// Never left.
        Canceled = "canceled",
    }
}
