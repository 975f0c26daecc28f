use serde::Serialize;

use crate::{Answer, ConsentForm, MarketingPolicy};

/// What analysts read of a customer's answer about marketing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketingAnswer {
    /// The customer wants to be written to.
    Yes,
    /// The customer does not.
    No,
    /// The page did not ask, or the question was left open.
    NotAsked,
    /// Neither a yes nor a no by the policy.
    NotUnderstood,
}

impl MarketingAnswer {
    /// The answer of a page that may have asked several times: as in the record of consents, a no before a yes.
    pub(crate) fn of(form: &ConsentForm, policy: &MarketingPolicy) -> Self {
        let answers = policy.answers(&form.questions);
        let has = |wanted: Answer| answers.iter().any(|(_, answer)| *answer == wanted);
        if has(Answer::No) {
            Self::No
        } else if has(Answer::Yes) {
            Self::Yes
        } else if answers.is_empty() {
            Self::NotAsked
        } else {
            Self::NotUnderstood
        }
    }
}
