//! Days on which AWS does not answer as it should.

use fault_proxy::Fault;
use serde_json::json;

use crate::day::Day;

/// docs/runbooks/throttled.md.
#[test]
fn drill_18_dynamodb_throttles() {
    let day = Day::begins();
    let throttled = Fault::refuse(400, "ProvisionedThroughputExceededException", "too fast");
    day.breaks("dynamodb", "*", throttled);
    day.paid("Throttled");
    // What is known is said, and what is not is said too.
    let status = day.expect(1, &["status"], &["thank-you-email", "Could not be looked at", "the ledger"]);
    assert!(!status.contains("Open in the ledger\n  nothing"), "{status}");
    let explained = day.says(&["explain", "pi_Throttled"]);
    assert_eq!(explained.code, 1);
    assert!(!explained.errors.contains("no event of it has come"), "{}", explained.errors);
    day.is_repaired();
    day.cloud.wait_for_effect("pi_Throttled", "contribution#paid done");
    day.cloud.wait_for_effect("pi_Throttled", "email#thank-you done");
    day.mails("Throttled", 1);
    day.ends_quietly();
}

/// docs/OPERATIONS.md: the commands take as long with many payments as with few.
#[test]
fn drill_22_the_ledger_is_large() {
    let day = Day::begins();
    let table = day.cloud.stack.output("EffectsTableName").unwrap().to_owned();
    for batch in 0..40 {
        let put = |number: usize| {
            json!({ "PutRequest": { "Item": {
                "payment_id": { "S": format!("pi_Large{batch}x{number}") }, "effect": { "S": "acquisition" },
                "state": { "S": "done" }, "updated_at": { "N": "1795000000000" }
            } } })
        };
        let input = json!({ "RequestItems": { table.as_str(): (0..25).map(put).collect::<Vec<_>>() } });
        day.cloud.stack.aws.json("dynamodb", "DynamoDB_20120810.BatchWriteItem", &input).unwrap();
    }
    let tasks = day.json(&["tasks"]);
    assert_eq!((&tasks["scanned"], &tasks["tasks"]), (&json!(0), &json!([])), "what is done is not read");
    day.ends_quietly();
}
