//! What goes over the wire to DynamoDB, and what its answers mean.

use std::time::Duration;

use aws_in_memory::{Cloud, sdk_config};
use aws_sdk_dynamodb::Client;
use effect_ledger::{
    Change, Claim, Disposition, DynamoDbEffects, Effect, EffectKey, EffectRow, EffectState, EffectStore,
    Executor, Guarantee, MovedMoney, NotGranted, NotRecorded, OperatorAction, Refused, Settlement, Subject,
    Verb,
};
use serde_json::{Value, json};
use stripe_events::{Currency, Money};
use testkit::aws::{Endpoint, Reply};
use testkit::clock::ManualClock;
use testkit::silence::SilentAws;

/// One effect, under each guarantee. The store sees the same key.
fn key_with(guarantee: Guarantee) -> EffectKey {
    EffectKey::new(
        "pi_1",
        match guarantee {
            Guarantee::AtMostOnce => Effect::at_most_once("email#thank-you"),
            Guarantee::AtLeastOnce => Effect::at_least_once("email#thank-you"),
        },
    )
}

fn key() -> EffectKey {
    key_with(Guarantee::AtMostOnce)
}

const EXECUTOR: Executor<'_> =
    Executor { owner: "req/m0", lease_until: 2000, event_id: "evt_1", detail: None, expected_version: 0 };

fn claim() -> Claim {
    Claim { owner: "req/m0".to_owned(), attempt: 1, lease_until: 2000 }
}

/// A ledger whose table gives these answers, in this order.
fn ledger(answers: &[(u16, Value)]) -> (DynamoDbEffects, Endpoint) {
    let endpoint = Endpoint::start(answers.iter().map(|(status, body)| Reply::json(*status, body)));
    (DynamoDbEffects::new(Client::new(&endpoint.sdk_config()), "effects"), endpoint)
}

/// The SDK writes maps in no particular order.
macro_rules! assert_requests {
    ($($arguments:expr),+) => {
        insta::with_settings!({ sort_maps => true }, { insta::assert_json_snapshot!($($arguments),+) })
    };
}

fn refused(row: Value) -> (u16, Value) {
    (
        400,
        json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
            "message": "The conditional request failed", "Item": row
        }),
    )
}

fn row(state: &str, owner: &str, attempt: u32) -> Value {
    json!({
        "payment_id": { "S": "pi_1" }, "effect": { "S": "email#thank-you" }, "state": { "S": state },
        "owner": { "S": owner }, "attempt": { "N": attempt.to_string() }, "lease_until": { "N": "2000" },
        "reason": { "S": "why" }
    })
}

#[tokio::test]
async fn a_claim_is_one_conditional_write() {
    let (ledger, dynamodb) = ledger(&[(200, json!({ "Attributes": row("claimed", "req/m0", 1) }))]);
    let granted = ledger.claim(&key(), &EXECUTOR, 1000).await.unwrap();
    assert_eq!(granted, Ok(claim()));
    assert_requests!(dynamodb.bodies());
}

#[tokio::test]
async fn only_at_least_once_claims_what_has_expired() {
    let (ledger, dynamodb) = ledger(&[(200, json!({ "Attributes": row("claimed", "req/m0", 2) }))]);
    ledger.claim(&key_with(Guarantee::AtLeastOnce), &EXECUTOR, 1000).await.unwrap().unwrap();
    assert_eq!(
        dynamodb.bodies()[0]["ConditionExpression"],
        "attribute_not_exists(#state) OR #state IN (:retry, :parked) OR (#state = :claimed AND #lease_until < :now)"
    );
}

#[tokio::test]
async fn a_refused_claim_brings_the_row_that_stands_in_the_way() {
    for (state, expected) in [
        ("done", EffectState::Done),
        ("skipped", EffectState::Skipped { reason: "why".to_owned() }),
        ("unknown", EffectState::Unknown { reason: "why".to_owned() }),
        ("of a later version", EffectState::Unknown { reason: "why".to_owned() }),
    ] {
        let (ledger, _dynamodb) = ledger(&[refused(row(state, "another", 3))]);
        let refused = ledger.claim(&key(), &EXECUTOR, 1000).await.unwrap().unwrap_err();
        let NotGranted::InTheWay(row) = refused else { panic!("{refused:?}") };
        assert_eq!((row.state, row.last_claim), (expected, Some(("another".to_owned(), 3))));
    }
}

#[tokio::test]
async fn at_most_once_is_claimed_only_with_the_expected_version() {
    let raised = json!({
        "payment_id": { "S": "pi_1" }, "effect": { "S": "email#thank-you" }, "news": { "N": "2" },
        "expires_at": { "N": "1795605400" }
    });
    let granted = json!({ "Attributes": row("claimed", "req/m0", 1) });
    let (ledger, dynamodb) = ledger(&[refused(raised), (200, granted)]);
    let claim = ledger.claim(&key(), &EXECUTOR, 1000).await.unwrap();
    assert_eq!(claim, Err(NotGranted::Stale(2)));
    let informed = Executor { expected_version: 2, ..EXECUTOR };
    ledger.claim(&key(), &informed, 1000).await.unwrap().unwrap();
    let bodies = dynamodb.bodies();
    let free = "(attribute_not_exists(#state) OR #state IN (:retry, :parked))";
    assert_eq!(bodies[0]["ConditionExpression"], format!("{free} AND attribute_not_exists(#news)"));
    assert_eq!(bodies[1]["ConditionExpression"], format!("{free} AND #news = :version"));
    assert_eq!(bodies[1]["ExpressionAttributeValues"][":version"]["N"], "2");
}

#[tokio::test]
async fn the_version_of_an_effect_that_is_not_begun_expires() {
    let (ledger, dynamodb) = ledger(&[
        (200, json!({})),
        refused(row("claimed", "another", 1)),
        (200, json!({ "Attributes": row("done", "another", 1) })),
    ]);
    assert_eq!(ledger.raise_version(&key(), 1_795_605_400).await.unwrap(), None);
    assert_eq!(ledger.raise_version(&key(), 1_795_605_400).await.unwrap(), Some(EffectState::Done));
    assert_requests!(dynamodb.bodies());
}

#[tokio::test]
async fn its_own_claim_whose_reply_was_lost_is_granted() {
    let (ledger, _dynamodb) = ledger(&[refused(row("claimed", "req/m0", 1))]);
    assert_eq!(ledger.claim(&key(), &EXECUTOR, 1000).await.unwrap(), Ok(claim()));
}

#[tokio::test]
async fn every_settlement_is_fenced_by_owner_and_attempt() {
    let reason = || "why".to_owned();
    for settlement in [
        Settlement::Done { reference: "ses-1".to_owned() },
        Settlement::Retry { reason: reason() },
        Settlement::Parked { reason: reason() },
        Settlement::Unknown { reason: reason() },
    ] {
        let (ledger, dynamodb) = ledger(&[(200, json!({}))]);
        ledger.settle(&key(), &claim(), &settlement, 1500).await.unwrap().unwrap();
        assert_requests!(format!("settle_{}", settlement.state_name()), dynamodb.bodies());
    }
}

#[tokio::test]
async fn a_refused_settlement_is_its_own_only_if_the_row_says_so() {
    let done = Settlement::Done { reference: "ses-1".to_owned() };
    for (row, expected) in [
        (row("done", "req/m0", 1), Ok(0)),
        (row("done", "another", 1), Err(Refused)),
        (row("done", "req/m0", 2), Err(Refused)),
        (row("unknown", "req/m0", 1), Err(Refused)),
    ] {
        let (ledger, _dynamodb) = ledger(&[refused(row.clone())]);
        assert_eq!(ledger.settle(&key(), &claim(), &done, 1500).await.unwrap(), expected, "{row}");
    }
}

#[tokio::test]
async fn setting_aside_is_one_conditional_write() {
    let (ledger, dynamodb) = ledger(&[(200, json!({})), refused(row("done", "another", 1))]);
    let park = Disposition::Park { reason: "no_recipient", detail: "the customer gave no address" };
    assert_eq!(ledger.write_disposition(&key(), park, "evt_1", 9).await.unwrap(), Ok(()));
    let skipped = ledger.write_disposition(&key(), Disposition::Skip("overtaken"), "evt_1", 9).await.unwrap();
    assert!(skipped.is_err_and(|row| row.state == EffectState::Done));
    assert_requests!(dynamodb.bodies());
}

#[tokio::test]
async fn a_claim_in_the_way_is_noted_under_its_own_fence() {
    let (ledger, dynamodb) = ledger(&[(200, json!({})), refused(row("done", "req/m0", 1))]);
    for _settled_meanwhile in [false, true] {
        ledger.mark_contended(&key(), &claim()).await.unwrap();
    }
    let body = &dynamodb.bodies()[0];
    assert_eq!(body["UpdateExpression"], "SET #open = :open");
    assert_eq!(body["ConditionExpression"], "#state = :claimed AND #owner = :owner AND #attempt = :attempt");
}

#[tokio::test]
async fn what_is_open_is_asked_of_every_shard_and_page_by_page() {
    let mut open = row("parked", "another", 1);
    open["open"] = json!({ "S": "02" });
    let key = json!({ "payment_id": { "S": "pi_1" } });
    let first = json!({ "Items": [open], "ScannedCount": 1, "LastEvaluatedKey": key });
    let rest = std::iter::repeat_n((200, json!({ "Items": [], "ScannedCount": 0 })), 16);
    let answers: Vec<_> = std::iter::once((200, first)).chain(rest).collect();
    let (ledger, dynamodb) = ledger(&answers);
    let found = ledger.open_effects("email#").await.unwrap();
    assert_eq!((found.pages, found.scanned, found.rows.len()), (17, 1, 1));
    assert_eq!(found.rows[0].0.subject.as_str(), "pi_1");
    assert!(found.rows[0].1.open);
    let bodies = dynamodb.bodies();
    assert!(bodies.iter().all(|body| body["IndexName"] == "open-effects"));
    let continued = bodies.iter().filter(|body| body["ExclusiveStartKey"] == key).count();
    assert_eq!(continued, 1, "a page is followed by the next");
    let mut shards: Vec<_> =
        bodies.iter().map(|body| body["ExpressionAttributeValues"][":shard"]["S"].to_string()).collect();
    shards.sort();
    shards.dedup();
    assert_eq!(shards.len(), 16);
}

fn action() -> OperatorAction {
    OperatorAction {
        verb: Verb::Resolve,
        at: 1_795_000_600_123,
        by: "arn:aws:iam::123456789012:user/ada".to_owned(),
        because: Some("the customer has it".to_owned()),
        about: Some(key().effect),
        before: "unknown".to_owned(),
        after: "done".to_owned(),
    }
}

#[tokio::test]
async fn an_operators_action_and_its_change_are_one_transaction() {
    let seen = EffectState::Unknown { reason: "lease_expired".to_owned() };
    let seen = EffectRow { updated_at: Some(7), ..EffectRow::new(key().effect, seen) };
    for (name, change, seen) in [
        ("Done", Change::Done, Some(&seen)),
        ("Free", Change::Free, Some(&seen)),
        ("Closed", Change::Closed { reason: "not_sent" }, Some(&seen)),
        ("Nothing", Change::Nothing, Some(&seen)),
        ("Nothing", Change::Nothing, None),
    ] {
        let (ledger, dynamodb) = ledger(&[(200, json!({}))]);
        ledger.record(&key(), seen, &action(), change).await.unwrap();
        let mut bodies = dynamodb.bodies();
        bodies[0].as_object_mut().unwrap().remove("ClientRequestToken");
        let seen = if seen.is_some() { "seen" } else { "unseen" };
        assert_requests!(format!("record_{name}_{seen}"), bodies);
    }
}

#[tokio::test]
async fn nothing_is_recorded_about_an_effect_that_has_changed_meanwhile() {
    for (code, expected) in [("ConditionalCheckFailed", true), ("ThrottlingError", false)] {
        let canceled = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "message": "cancelled",
            "CancellationReasons": [{ "Code": code }, { "Code": "None" }]
        });
        let (ledger, _dynamodb) = ledger(&[(400, canceled)]);
        let error = ledger.record(&key(), None, &action(), Change::Nothing).await.unwrap_err();
        assert_eq!(matches!(error, NotRecorded::Changed), expected, "{code}");
    }
}

/// A command does many things at one time: `redrive` sends back a whole queue.
#[tokio::test]
async fn every_action_of_one_time_has_a_row_of_its_own() {
    let cloud = Cloud::with_tables();
    let client = Client::new(&sdk_config(&cloud, ManualClock::default()));
    let ledger = DynamoDbEffects::new(client, "effects");
    let payment_id = Subject::new("operator");
    let redriven = |message: &str| OperatorAction {
        verb: Verb::Redrive,
        about: None,
        before: format!("{message} in the DLQ"),
        ..action()
    };
    // Two of them are equal in every word.
    for message in ["evt_1", "evt_2", "a message", "a message"] {
        ledger.record_alone(&payment_id, &redriven(message)).await.unwrap();
    }
    let mut before: Vec<_> =
        ledger.history(&payment_id).await.unwrap().actions.into_iter().map(|action| action.before).collect();
    before.sort();
    assert_eq!(before, ["a message", "a message", "evt_1", "evt_2"].map(|what| format!("{what} in the DLQ")));
}

/// Also where the second action's change is refused: it is not taken for a name that is taken.
#[tokio::test]
async fn an_action_whose_effect_has_changed_leaves_no_row() {
    let cloud = Cloud::with_tables();
    let client = Client::new(&sdk_config(&cloud, ManualClock::default()));
    let ledger = DynamoDbEffects::new(client, "effects");
    cloud.put_row(
        "effects",
        &json!({ "payment_id": "pi_1", "effect": "email#thank-you", "state": "unknown", "updated_at": 7 }),
    );
    let unknown = EffectState::Unknown { reason: "lease_expired".to_owned() };
    let seen = EffectRow { updated_at: Some(7), ..EffectRow::new(key().effect, unknown) };
    let close = Change::Closed { reason: "not_sent" };
    ledger.record(&key(), Some(&seen), &action(), close).await.unwrap();
    let again = ledger.record(&key(), Some(&seen), &action(), close).await;
    assert!(matches!(again, Err(NotRecorded::Changed)), "{again:?}");
    let history = ledger.history(&key().subject).await.unwrap();
    assert_eq!(history.actions.len(), 1);
    assert_eq!(history.effects[0].state, EffectState::Skipped { reason: "not_sent".to_owned() });
    assert!(!history.effects[0].open);
}

#[tokio::test]
async fn what_operators_did_is_told_apart_from_effects() {
    let mut taken = json!({ "payment_id": { "S": "pi_1" }, "state": { "S": "done" },
        "effect": { "S": "operator#2026-11-18T11:16:40.123Z#resolve" } });
    for (name, value) in [
        ("verb", json!({ "S": "resolve" })),
        ("at", json!({ "N": "1795000600123" })),
        ("by", json!({ "S": "arn:aws:iam::123456789012:user/ada" })),
        ("because", json!({ "S": "the customer has it" })),
        ("about", json!({ "S": "email#thank-you" })),
        ("before", json!({ "S": "unknown" })),
        ("after", json!({ "S": "done" })),
    ] {
        taken[name] = value;
    }
    let items = json!({ "Items": [row("done", "another", 1), taken] });
    let (ledger, _dynamodb) = ledger(&[(200, items.clone()), (200, items)]);
    let history = ledger.history(&key().subject).await.unwrap();
    assert_eq!((history.effects.len(), &history.actions[..]), (1, &[action()][..]));
    assert_eq!(ledger.of_subject(&key().subject).await.unwrap(), history.effects, "tasks see effects only");
}

fn moved() -> MovedMoney {
    let amount = Money::new(500, Currency::try_from("gbp").expect("a currency"));
    MovedMoney { amount, occurred_at: 1_795_000_600 }
}

#[tokio::test]
async fn waiting_for_a_payment_keeps_the_money_and_goes_away_by_itself() {
    let (ledger, dynamodb) = ledger(&[(200, json!({}))]);
    let waiting = Disposition::AwaitPayment {
        reason: "payment_unknown",
        moved: moved(),
        moved_reason: Some("fraudulent"),
        expires_at: Some(1_795_605_400),
    };
    assert_eq!(ledger.write_disposition(&key(), waiting, "evt_1", 9).await.unwrap(), Ok(()));
    assert_requests!(dynamodb.bodies());
}

#[tokio::test]
async fn reads_rows_with_and_without_money() {
    let mut with_money = row("done", "another", 1);
    for (name, value) in [
        ("amount", json!({ "N": "500" })),
        ("currency", json!({ "S": "gbp" })),
        ("occurred_at", json!({ "N": "1795000600" })),
        ("expires_at", json!({ "N": "1795605400" })),
    ] {
        with_money[name] = value;
    }
    let (ledger, _dynamodb) = ledger(&[(200, json!({ "Items": [with_money, row("done", "another", 1)] }))]);
    let rows = ledger.of_subject(&key().subject).await.unwrap();
    let read: Vec<_> = rows.iter().map(|row| (row.moved, row.expires_at)).collect();
    assert_eq!(read, [(Some(moved()), Some(1_795_605_400)), (None, None)]);
}

/// These are parts of another crate's transaction, so only the expression is looked at here.
#[test]
fn money_that_moved_expires_only_while_its_payment_is_unknown() {
    let endpoint = Endpoint::unreachable();
    let ledger = DynamoDbEffects::new(Client::new(&endpoint.sdk_config()), "effects");
    for (expires_at, expected) in [
        (Some(9), "#occurred_at = :occurred_at, #expires_at = :expires_at REMOVE #reason, #detail, #open"),
        (None, "#occurred_at = :occurred_at REMOVE #reason, #detail, #open, #expires_at"),
    ] {
        let update = ledger.done_moving(&key(), "evt_1", &moved(), expires_at, 9).unwrap();
        assert!(update.update_expression().ends_with(expected), "{}", update.update_expression());
    }
}

#[test]
fn a_version_raised_in_a_transaction_expires_only_on_an_unclaimed_row() {
    let endpoint = Endpoint::unreachable();
    let ledger = DynamoDbEffects::new(Client::new(&endpoint.sdk_config()), "effects");
    let count = "SET #news = if_not_exists(#news, :zero) + :one";
    for (expires_at, expected, condition) in [
        (Some(9), ", #expires_at = :expires_at", Some("attribute_not_exists(#state)")),
        (None, " REMOVE #expires_at", None),
    ] {
        let update = ledger.version_raised(&key(), expires_at).unwrap();
        assert_eq!(update.update_expression(), format!("{count}{expected}"));
        assert_eq!(update.condition_expression(), condition);
    }
}

#[tokio::test]
async fn a_silent_ledger_is_given_up_after_nine_seconds_and_two_tries() {
    let dynamodb = SilentAws::start();
    let ledger = DynamoDbEffects::new(Client::new(&dynamodb.sdk_config()), "effects");
    let key = key();
    let claim = ledger.claim(&key, &EXECUTOR, 1000);
    let (claimed, waited) = dynamodb.wait(Duration::from_secs(2), claim).await;
    assert_eq!(claimed.unwrap_err().operation, "claim");
    assert_eq!(waited.elapsed, Duration::from_secs(9));
    // The remaining time after two tries and short pauses may begin a third.
    assert!((2..=3).contains(&waited.requests), "{waited:?}");
}

#[tokio::test]
async fn a_ledger_that_does_not_answer_is_an_error_that_says_which_call() {
    let denied = json!({ "__type": "AccessDeniedException", "message": "not authorized" });
    let (ledger, _dynamodb) = ledger(&[(400, denied)]);
    let error = ledger.claim(&key(), &EXECUTOR, 1000).await.unwrap_err();
    assert_eq!(error.to_string(), "the effect ledger did not answer (claim)");
}
