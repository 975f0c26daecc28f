//! What goes over the wire to DynamoDB, and what each answer means.

use fulfilment::{PaymentId, effects};
use serde_json::{Value, json};
use testkit::aws::{Endpoint, Reply};

use super::*;
use crate::{PendingSearch, Sweep};

fn journal(endpoint: &Endpoint) -> DynamoDbJournal {
    DynamoDbJournal::new(Client::new(&endpoint.sdk_config()), "journal")
}

fn refused() -> Reply {
    let refused = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
    Reply::json(400, &json!({ "__type": refused, "message": "The conditional request failed" }))
}

fn position() -> Position {
    let sweep = Sweep::new(5, 6, 7).advanced(Some("evt_1"));
    Position {
        revision: 3,
        began_at: 1,
        until: 2,
        sweep,
        proven_until: 4,
        proof: None,
        pending_search: PendingSearch::default(),
    }
}

fn missing() -> Missing {
    Missing {
        event_id: "evt_1".to_owned(),
        event_type: "checkout.session.completed".to_owned(),
        payment_id: PaymentId::new("pi_1"),
        effects: vec![effects::acquisition()],
        happened_at: 1_795_000_000,
        put_back_at: None,
        beside_parked: false,
    }
}

#[tokio::test]
async fn a_position_is_written_over_the_one_it_was_made_from() {
    let endpoint = Endpoint::start([Reply::json(200, &json!({})), refused()]);
    assert_eq!(journal(&endpoint).save(&position()).await.unwrap(), Ok(()));
    assert_eq!(
        journal(&endpoint).save(&Position { revision: 0, ..position() }).await.unwrap(),
        Err(Overtaken)
    );
    let [first, second] = &endpoint.bodies()[..] else { panic!("two calls") };
    assert_eq!(first["ConditionExpression"], "revision = :revision");
    assert_eq!(first["ExpressionAttributeValues"], json!({ ":revision": { "N": "3" } }));
    assert_eq!(first["Item"]["revision"], json!({ "N": "4" }));
    assert_eq!(second["ConditionExpression"], "attribute_not_exists(revision)");
}

#[tokio::test]
async fn what_was_written_is_read_back() {
    let endpoint = Endpoint::start([Reply::json(200, &json!({}))]);
    journal(&endpoint).save(&position()).await.unwrap().unwrap();
    let item = endpoint.bodies().remove(0)["Item"].take();
    let endpoint = Endpoint::start([Reply::json(200, &json!({ "Item": item }))]);
    let expected = Position { revision: 4, ..position() };
    assert_eq!(journal(&endpoint).position().await.unwrap(), Some(expected));
    let endpoint = Endpoint::start([Reply::json(200, &json!({}))]);
    assert_eq!(journal(&endpoint).position().await.unwrap(), None);
}

/// The row says that an event was put back only once it was.
#[tokio::test]
async fn an_event_is_put_back_by_one_caller_and_marked_afterwards() {
    let endpoint = Endpoint::start([Reply::json(200, &json!({})), refused(), Reply::json(200, &json!({}))]);
    assert!(journal(&endpoint).record(&missing(), 6400, 10_000).await.unwrap());
    assert!(!journal(&endpoint).record(&missing(), 6401, 10_001).await.unwrap());
    journal(&endpoint).put_back(&missing(), 10_002).await.unwrap();
    let bodies = endpoint.bodies();
    assert_eq!(
        bodies[0]["ConditionExpression"],
        "(attribute_not_exists(put_back_at) OR put_back_at <= :not_after) \
         AND (attribute_not_exists(putting_back_until) OR putting_back_until < :now)"
    );
    let values = json!({ ":not_after": { "N": "6400" }, ":now": { "N": "10000" } });
    assert_eq!(bodies[0]["ExpressionAttributeValues"], values);
    let (claimed, marked) = (&bodies[0]["Item"], &bodies[2]["Item"]);
    assert_eq!(claimed["putting_back_until"], json!({ "N": "10120" }));
    // Not even as NULL, for which the condition would never hold again.
    assert_eq!(claimed.get("put_back_at"), None);
    let row = json!({
        "kind": { "S": "missing" }, "name": { "S": "evt_1" }, "event_id": { "S": "evt_1" },
        "event_type": { "S": "checkout.session.completed" }, "payment_id": { "S": "pi_1" },
        "effects": { "L": [{ "S": "acquisition" }] }, "happened_at": { "N": "1795000000" },
        "put_back_at": { "N": "10002" }
    });
    assert_eq!(*marked, row);
}

#[tokio::test]
async fn lists_what_is_missing_over_all_pages_the_oldest_first() {
    let endpoint = Endpoint::start([Reply::json(200, &json!({}))]);
    journal(&endpoint).put_back(&missing(), 7).await.unwrap();
    let newer = endpoint.bodies().remove(0)["Item"].take();
    let older = |newer: &Value| {
        let mut older = newer.clone();
        older["happened_at"] = json!({ "N": "5" });
        older
    };
    let key = json!({ "kind": { "S": "missing" }, "name": { "S": "evt_1" } });
    let endpoint = Endpoint::start([
        Reply::json(200, &json!({ "Items": [newer], "LastEvaluatedKey": key })),
        Reply::json(200, &json!({ "Items": [older(&newer)] })),
    ]);
    let listed = journal(&endpoint).missing().await.unwrap();
    assert_eq!(listed[1], Missing { put_back_at: Some(7), ..missing() });
    assert_eq!(listed[0].happened_at, 5);
    assert_eq!(endpoint.bodies()[1]["ExclusiveStartKey"], key);
}

#[tokio::test]
async fn a_journal_that_does_not_answer_is_an_error_that_says_which_call() {
    let journal = journal(&Endpoint::unreachable());
    assert_eq!(journal.position().await.unwrap_err().operation, "position");
    assert_eq!(journal.record(&missing(), 1, 1).await.unwrap_err().operation, "record");
}
