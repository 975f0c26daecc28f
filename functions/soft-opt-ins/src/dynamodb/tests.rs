//! What goes over the wire to DynamoDB, and what its answers mean.

use effect_ledger::EffectKey;
use fulfilment::{Policy, SessionEvent, SupporterId, effects};
use serde_json::{Value, json};
use stripe_events::Event;
use testkit::aws::{Endpoint, Reply};
use testkit::stripe::SessionEvent as StripeEvent;
use uuid::Uuid;

use super::*;

const NAMESPACE: Uuid = Uuid::from_u128(7);

fn records(dynamodb: &Endpoint) -> DynamoDbConsents {
    let config = Config {
        livemode: false,
        consents_table: "consents".to_owned(),
        effects_table: "effects".to_owned(),
        supporter_namespace: NAMESPACE,
    };
    DynamoDbConsents::new(Client::new(&dynamodb.sdk_config()), &config)
}

/// A membership whose page asked, so that there are two consents with a piece of evidence each.
fn membership() -> (EffectKey, Consents) {
    let event = StripeEvent::paid().metadata(json!({ "fulfilment": "membership" })).marketing(Some("yes"));
    let event = Event::from_value(event.to_json()).unwrap();
    let event = SessionEvent::from_event(&event, false).unwrap();
    let supporter_id = SupporterId::of_email(&NAMESPACE, event.email.as_ref().unwrap().expose());
    let consents = Consents::of(&event, &Policy::compiled_in().unwrap(), &supporter_id);
    (EffectKey::new(event.payment_id, effects::consents()), consents)
}

async fn save(reply: Reply) -> (Result<Saved, RecordsError>, Endpoint) {
    // An answer for every retry the SDK might make.
    let dynamodb = Endpoint::start(std::iter::repeat_n(reply, 4));
    let (key, consents) = membership();
    let event_id = "evt_1";
    let now = 1_795_000_000_000;
    let change = ConsentChange { consents: &consents, key: &key, event_id, now };
    let saved = records(&dynamodb).save(change).await;
    (saved, dynamodb)
}

/// Two pieces of evidence, two states, the ledger's row: a code each.
fn canceled(codes: [&str; 5]) -> Reply {
    let reasons: Vec<_> = codes.iter().map(|code| json!({ "Code": code })).collect();
    Reply::json(
        400,
        &json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "message": "Transaction cancelled", "CancellationReasons": reasons
        }),
    )
}

#[tokio::test]
async fn a_payment_is_one_transaction_that_changes_no_evidence_and_lowers_no_state() {
    let (saved, dynamodb) = save(Reply::json(200, &json!({}))).await;
    assert_eq!(saved.unwrap(), Saved::Written);
    let mut bodies = dynamodb.bodies();
    // The SDK writes maps in no particular order, and makes up a token for its own retries.
    bodies[0]["ClientRequestToken"] = json!("[token]");
    insta::with_settings!({ sort_maps => true }, { insta::assert_json_snapshot!("transaction", bodies) });
}

#[tokio::test]
async fn evidence_that_is_there_means_that_all_of_it_is() {
    let codes = ["None", "ConditionalCheckFailed", "ConditionalCheckFailed", "None", "None"];
    let (saved, dynamodb) = save(canceled(codes)).await;
    assert_eq!(saved.unwrap(), Saved::AlreadyThere { is_done: false });
    assert_eq!(dynamodb.count(), 1);
}

#[tokio::test]
async fn explains_the_ledgers_rows() {
    let failed = "ConditionalCheckFailed";
    for (codes, expected) in [
        ([failed, failed, failed, failed, failed], Saved::AlreadyThere { is_done: true }),
        (["None", "None", "None", "None", failed], Saved::Gone),
    ] {
        let (saved, _) = save(canceled(codes)).await;
        assert_eq!(saved.unwrap(), expected);
    }
}

#[tokio::test]
async fn names_the_states_that_are_outranked() {
    let codes = ["None", "None", "None", "ConditionalCheckFailed", "None"];
    let (saved, _) = save(canceled(codes)).await;
    assert_eq!(saved.unwrap(), Saved::Outranked(vec!["state#supporter_newsletter".to_owned()]));
}

#[tokio::test]
async fn a_row_in_another_transaction_is_a_conflict() {
    for place in 0..5 {
        let mut codes = ["None"; 5];
        codes[place] = "TransactionConflict";
        let (saved, _) = save(canceled(codes)).await;
        assert_eq!(saved.unwrap(), Saved::Conflict, "{place}");
    }
}

#[tokio::test]
async fn whatever_else_is_an_error_that_says_nothing_of_the_customer() {
    let denied: Value = json!({ "__type": "AccessDeniedException", "message": "not authorized" });
    let invalid = ["ValidationError", "None", "None", "None", "None"];
    for reply in [Reply::json(400, &denied), canceled(invalid)] {
        let (saved, _) = save(reply).await;
        let error = aws::cause_chain(&saved.unwrap_err());
        assert!(error.starts_with("the consents did not answer"), "{error}");
        assert!(!error.contains("example.org"), "{error}");
    }
}
