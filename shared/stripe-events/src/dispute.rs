use serde::Deserialize;

use crate::open_enum::open_enum;
use crate::wire;

/// A dispute, as far as Afterlink reads it. <https://docs.stripe.com/api/disputes/object>
#[derive(Debug, Clone, Deserialize)]
pub struct Dispute {
    /// `dp_…` or `du_…`.
    pub id: String,
    /// Minor units of `currency`.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// When the dispute was opened, in Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
    /// `warning_*` are inquiries: no money moves.
    #[serde(default)]
    pub status: Option<DisputeStatus>,
    /// `pi_…`: what ties the dispute to its payment.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub payment_intent: Option<String>,
}

open_enum! {
    /// Where a dispute stands.
    DisputeStatus {
        /// An inquiry that wants an answer.
        WarningNeedsResponse = "warning_needs_response",
        /// An inquiry being looked at.
        WarningUnderReview = "warning_under_review",
        /// An inquiry that ended without a dispute.
        WarningClosed = "warning_closed",
        /// Wants an answer; the money is gone meanwhile.
        NeedsResponse = "needs_response",
        /// Being looked at; the money is gone meanwhile.
        UnderReview = "under_review",
        /// Decided for us.
        Won = "won",
        /// Decided against us.
        Lost = "lost",
        /// Stopped before it began.
        Prevented = "prevented",
        /// Decided against us, and an appeal wants evidence.
        AppealNeedsResponse = "appeal_needs_response",
        /// Decided against us, and the appeal is being looked at.
        AppealUnderReview = "appeal_under_review",
    }
}
