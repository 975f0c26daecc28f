use serde::{Deserialize, Serialize};
use stripe_events::{CaseType, DisputeStatus as Wire};

/// Where a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// A question before a dispute, open or answered. No money moves.
    Inquiry,
    /// Being argued, or in a status that this version does not know. The money is gone meanwhile.
    Open,
    /// Decided for us: the money is ours.
    Won,
    /// Decided against us, or prevented by giving the customer the money back.
    Lost,
    /// Decided against us, and argued again. The money is gone meanwhile.
    Appealed,
    /// Prevented by evidence, before any money moved.
    Blocked,
    /// Prevented, and Stripe does not say how.
    Prevented,
}

impl DisputeStatus {
    /// The name that records and the ledger have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inquiry => "inquiry",
            Self::Open => "open",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Appealed => "appealed",
            Self::Blocked => "blocked",
            Self::Prevented => "prevented",
        }
    }

    /// Whether it says how the dispute ended.
    pub const fn is_verdict(self) -> bool {
        match self {
            Self::Won | Self::Lost | Self::Blocked | Self::Prevented => true,
            Self::Inquiry | Self::Open | Self::Appealed => false,
        }
    }

    /// Whether a dispute is here before it ends, and not again afterwards.
    pub const fn is_before_verdict(self) -> bool {
        match self {
            Self::Inquiry | Self::Open => true,
            Self::Won | Self::Lost | Self::Blocked | Self::Prevented | Self::Appealed => false,
        }
    }

    /// What Stripe's status means. Of `prevented` the network's case and the money show the outcome
    /// (<https://docs.stripe.com/disputes/prevention>): a resolution refunds the customer, a block moves nothing.
    pub(crate) fn of(status: Option<&Wire>, case_type: Option<&CaseType>, money_is_out: bool) -> Self {
        match (status, case_type) {
            (Some(Wire::WarningNeedsResponse | Wire::WarningUnderReview | Wire::WarningClosed), _) => {
                Self::Inquiry
            }
            (Some(Wire::NeedsResponse | Wire::UnderReview), _) => Self::Open,
            (Some(Wire::AppealNeedsResponse | Wire::AppealUnderReview), _) => Self::Appealed,
            (Some(Wire::Won), _) => Self::Won,
            (Some(Wire::Lost), _) => Self::Lost,
            (Some(Wire::Prevented), Some(CaseType::Resolution)) => Self::Lost,
            (Some(Wire::Prevented), _) if money_is_out => Self::Lost,
            (Some(Wire::Prevented), Some(CaseType::Block)) => Self::Blocked,
            (Some(Wire::Prevented), _) => Self::Prevented,
            // A status that this version does not know is never good: a person has to look at the dispute.
            (Some(Wire::Other(_)) | None, _) => Self::Open,
        }
    }
}

/// What the type of a dispute event says of our balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisputeMoved {
    /// Nothing.
    None,
    /// The disputed money left.
    Withdrawn,
    /// The disputed money came back.
    Reinstated,
}
