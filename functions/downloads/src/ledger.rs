use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use fulfilment::{Contribution, PaymentId};

use crate::records::{RecordsError, failed};

/// The effect ledger in DynamoDB, read.
///
/// The ledger outlives the records: it says of a payment without a record whether there was one, and of a record
/// whether it lacks a refund or a dispute that another task, or an earlier state of the table, knows of.
#[derive(Debug)]
pub(crate) struct DynamoDbLedger {
    client: Client,
    table: String,
}

/// What the ledger says of a payment that its record may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Whether a session of the payment was written into a record, ever.
    pub(crate) recorded: bool,
    /// The refunds (`re_…`) that any task has begun to act on.
    pub(crate) refunds: BTreeSet<String>,
    /// The disputes (`dp_…`, `du_…`) that any task has begun to act on.
    pub(crate) disputes: BTreeSet<String>,
}

impl DynamoDbLedger {
    pub(crate) fn new(sdk: &SdkConfig, table: &str) -> Self {
        Self { client: Client::new(sdk), table: table.to_owned() }
    }

    /// The facts of a payment. Reads effects and states, and nothing of operators.
    pub(crate) async fn of_payment(&self, payment_id: &PaymentId) -> Result<Ledger, RecordsError> {
        let mut ledger = Ledger::default();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("payment_id = :payment_id")
                .expression_attribute_values(":payment_id", AttributeValue::S(payment_id.as_str().to_owned()))
                .projection_expression("effect, #state")
                .expression_attribute_names("#state", "state")
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed("ledger"))?;
            for row in page.items.unwrap_or_default() {
                let field = |name: &str| row.get(name).and_then(|value| value.as_s().ok());
                if let (Some(effect), Some(state)) = (field("effect"), field("state")) {
                    ledger.add(effect, state);
                }
            }
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(ledger);
            }
        }
    }
}

impl Ledger {
    /// `contribution#paid`, `contribution#refund#re_1`, `acquisition#dispute#dp_1#reinstated`, …
    fn add(&mut self, effect: &str, state: &str) {
        let mut parts = effect.split('#');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("contribution" | "acquisition"), Some("refund"), Some(id)) if state != "skipped" => {
                self.refunds.insert(id.to_owned());
            }
            (Some("contribution" | "acquisition"), Some("dispute"), Some(id)) if state != "skipped" => {
                self.disputes.insert(id.to_owned());
            }
            (Some("contribution"), Some("paid" | "pending" | "failed"), None) => {
                self.recorded |= state == "done";
            }
            _ => {}
        }
    }

    /// Whether a record holds every refund and dispute that the ledger knows of.
    pub(crate) fn is_covered_by(&self, record: &Contribution) -> bool {
        self.refunds.iter().all(|id| record.refunds.contains_key(id))
            && self.disputes.iter().all(|id| record.disputes.contains_key(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(rows: &[(&str, &str)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (effect, state) in rows {
            ledger.add(effect, state);
        }
        ledger
    }

    #[test]
    fn only_a_session_that_was_recorded_means_that_there_was_a_record() {
        for effect in ["contribution#paid", "contribution#pending", "contribution#failed"] {
            assert!(ledger(&[(effect, "done")]).recorded, "{effect}");
            for state in ["parked", "retry", "claimed"] {
                assert!(!ledger(&[(effect, state)]).recorded, "{effect} {state}");
            }
        }
        for effect in ["email#thank-you", "acquisition", "consents", "contribution#refund#re_1"] {
            assert!(!ledger(&[(effect, "done")]).recorded, "{effect}");
        }
    }

    #[test]
    fn corrections_are_known_from_whichever_task_has_begun() {
        let known = ledger(&[
            ("contribution#refund#re_1", "parked"),
            ("acquisition#refund#re_2#failed", "done"),
            ("acquisition#dispute#dp_1#reinstated", "retry"),
            ("contribution#refund#re_3", "skipped"),
            ("operator#1795000000000#resend", "done"),
        ]);
        assert_eq!(known.refunds, ["re_1", "re_2"].map(str::to_owned).into());
        assert_eq!(known.disputes, ["dp_1".to_owned()].into());
        assert!(!known.is_covered_by(&Contribution::new(PaymentId::new("pi_1"))));
        assert!(Ledger::default().is_covered_by(&Contribution::new(PaymentId::new("pi_1"))));
    }
}
