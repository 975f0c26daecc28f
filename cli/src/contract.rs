//! Link contracts that an operator corrected: the kind that the payments over a mistyped link are completed with.

use effect_ledger::{History, Verb};
use fulfilment::{FulfilmentKind, LinkContract};
use stripe_events::CorrectedContract;

/// What begins the words in the ledger that say which kind a payment was completed with.
const COMPLETED_AS: &str = "as ";

/// How the ledger says which kind a payment is completed with.
pub(crate) fn completed_as(kind: FulfilmentKind) -> String {
    format!("{COMPLETED_AS}{kind}")
}

/// The kind that a payment was last completed with. The ledger remembers it, so that a later retry or mail of the
/// payment reads its session as the operator decided.
pub(crate) fn remembered_kind(history: &History) -> Option<FulfilmentKind> {
    let completions = history.actions.iter().filter(|action| action.verb == Verb::Complete);
    let last = completions.max_by_key(|action| action.at)?;
    FulfilmentKind::from_typed(last.after.strip_prefix(COMPLETED_AS)?)
}

/// The contract of the kind that a payment was last completed with. What an operator completed is read as they decided,
/// also when another operator delivers it again.
pub(crate) fn remembered_contract(history: &History) -> Option<CorrectedContract> {
    remembered_kind(history).map(contract_of)
}

/// The metadata that makes a session one of that kind.
pub(crate) fn contract_of(kind: FulfilmentKind) -> CorrectedContract {
    CorrectedContract::new(LinkContract::MARKER, kind.as_str())
}

#[cfg(test)]
mod tests {
    use effect_ledger::OperatorAction;

    use super::*;

    fn action(verb: Verb, at: i64, after: &str) -> OperatorAction {
        let by = "arn".to_owned();
        let because = None;
        let about = None;
        OperatorAction { verb, at, by, because, about, before: String::new(), after: after.to_owned() }
    }

    #[test]
    fn the_last_completion_says_the_kind() {
        let history = |actions: Vec<OperatorAction>| History { actions, ..History::default() };
        let download = completed_as(FulfilmentKind::Download);
        let actions = vec![
            action(Verb::Complete, 1, "as contribution"),
            action(Verb::Complete, 3, &download),
            action(Verb::Retry, 4, "as membership"),
        ];
        assert_eq!(remembered_kind(&history(actions)), Some(FulfilmentKind::Download));
        assert_eq!(remembered_kind(&history(vec![action(Verb::Retry, 4, "as membership")])), None);
        assert_eq!(remembered_kind(&history(vec![action(Verb::Complete, 4, "as donation")])), None);
    }
}
