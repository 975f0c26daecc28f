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
    /// Why the customer's bank opened it, in Stripe's word: `fraudulent`.
    #[serde(default, deserialize_with = "wire::text")]
    pub reason: Option<String>,
    /// `pi_…`: what ties the dispute to its payment.
    #[serde(default, deserialize_with = "wire::expandable")]
    pub payment_intent: Option<String>,
    /// What the dispute did to the account's balance so far: withdrawals below zero, returns above. Empty also where it
    /// cannot be read. Stripe documents "zero, one, or two"; an appeal may add more.
    #[serde(default, deserialize_with = "wire::readable_items")]
    pub balance_transactions: Vec<BalanceTransaction>,
    /// How the payment was made, with what its network says of the dispute.
    #[serde(default, deserialize_with = "wire::readable")]
    pub payment_method_details: Option<DisputedPaymentMethod>,
}

impl Dispute {
    /// The kind of the card network's case; `None` for other payments, or where it does not say.
    pub fn case_type(&self) -> Option<&CaseType> {
        self.payment_method_details.as_ref()?.card.as_ref()?.case_type.as_ref()
    }
}

/// Money that a dispute moved. <https://docs.stripe.com/api/balance_transactions/object>
#[derive(Debug, Clone, Deserialize)]
pub struct BalanceTransaction {
    /// Minor units of `currency`, without fees. Below zero for money that left the account.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Three lower-case letters: the currency of the balance, which may differ from the dispute's.
    #[serde(default)]
    pub currency: Option<String>,
    /// When it was made, in Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}

/// A dispute's `payment_method_details`.
#[derive(Debug, Clone, Deserialize)]
pub struct DisputedPaymentMethod {
    /// There when the payment was made by card.
    #[serde(default, deserialize_with = "wire::readable")]
    pub card: Option<DisputedCard>,
}

/// What a card network says of a dispute.
#[derive(Debug, Clone, Deserialize)]
pub struct DisputedCard {
    /// What kind of case it is.
    #[serde(default)]
    pub case_type: Option<CaseType>,
}

open_enum! {
    /// The kind of a card network's case.
    /// <https://docs.stripe.com/changelog/basil/2025-08-27/add-preventions-to-dispute>
    CaseType {
        /// A question before a dispute.
        Inquiry = "inquiry",
        /// A dispute.
        Chargeback = "chargeback",
        /// A dispute about a network's rules.
        Compliance = "compliance",
        /// Prevented by evidence: the dispute was not made, and no money moves.
        Block = "block",
        /// Prevented by giving the cardholder the money back, by a rule of the account's.
        Resolution = "resolution",
    }
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
        /// Stopped before it began, by a block or by giving the money back: see [`CaseType`].
        Prevented = "prevented",
        /// Decided against us, and an appeal wants evidence.
        AppealNeedsResponse = "appeal_needs_response",
        /// Decided against us, and the appeal is being looked at.
        AppealUnderReview = "appeal_under_review",
    }
}
