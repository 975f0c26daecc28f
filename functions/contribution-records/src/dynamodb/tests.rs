//! What goes over the wire to DynamoDB, and what its answers mean.

use effect_ledger::MovedMoney;
use fulfilment::{DisputeEvent, Policy, RefundEvent, SessionEvent, SupporterId, SupporterRow, effects};
use serde_json::{Value, json};
use stripe_access::StripeConfig;
use stripe_events::Event;
use testkit::aws::{Endpoint, Reply};
use testkit::stripe::{CorrectionEvent, SessionEvent as StripeEvent};

use super::*;

const NAMESPACE: Uuid = Uuid::from_u128(7);

fn records(dynamodb: &Endpoint) -> DynamoDbRecords {
    let config = Config {
        livemode: false,
        contributions_table: "contributions".to_owned(),
        supporters_table: "supporters".to_owned(),
        effects_table: "effects".to_owned(),
        supporter_namespace: NAMESPACE,
        stripe: StripeConfig { key_secret_name: "stripe-key".to_owned(), api_base_url: None },
    };
    DynamoDbRecords::new(Client::new(&dynamodb.sdk_config()), &config)
}

fn contribution() -> (SessionEvent, Contribution) {
    let event = Event::from_value(StripeEvent::paid().to_json()).unwrap();
    let event = SessionEvent::from_event(&event, false).unwrap();
    let read = |json| Event::from_value(json).unwrap();
    let refund = read(CorrectionEvent::refund("Example", "re_1", "created").to_json());
    let dispute = read(CorrectionEvent::dispute("Example", "dp_1", "funds_withdrawn").to_json());
    let contribution = Contribution::new(event.payment_id.clone())
        .with_event(&RefundEvent::from_event(&refund, false).unwrap().into(), &NAMESPACE)
        .with_event(&DisputeEvent::from_event(&dispute, false).unwrap().into(), &NAMESPACE)
        .with_session_event(&event, &NAMESPACE);
    (event, contribution)
}

async fn save(reply: Reply, revision: Option<&Revision>) -> (Result<Saved, RecordsError>, Endpoint) {
    // An answer for every retry the SDK might make.
    let dynamodb = Endpoint::start(std::iter::repeat_n(reply, 4));
    let policy = Policy::compiled_in().unwrap();
    let (event, contribution) = contribution();
    let refunded = contribution.refunds["re_1"].returned();
    let change = RecordChange {
        revision,
        unless_settled: revision.is_none(),
        contract: None,
        raises: revision.map(|_| RaisedVersion {
            key: EffectKey::new(&event.payment_id, effects::email_about(event.outcome)),
            expires_at: Some(1_795_605_400),
        }),
        supporter: SupporterRow::of(&contribution, &policy),
        left_supporter: revision.map(|_| SupporterId::of_email(&NAMESPACE, "earlier@example.org")),
        expires_at: Some(contribution.expires_at(&policy, 1_795_000_000)),
        contribution,
        entries: vec![
            LedgerEntry {
                effect: effects::contribution(event.outcome),
                event_id: "evt_1".to_owned(),
                moved: None,
                expires_at: None,
            },
            // A refund that waited for this payment.
            LedgerEntry {
                effect: effects::contribution_refund("re_1"),
                event_id: "evt_re_1_created".to_owned(),
                moved: Some(MovedMoney { amount: refunded, occurred_at: 1_795_000_600 }),
                expires_at: None,
            },
        ],
        now: 1_795_000_000_000,
    };
    let saved = records(&dynamodb).save(change).await;
    (saved, dynamodb)
}

fn canceled(reasons: &Value) -> Reply {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": "Transaction cancelled", "CancellationReasons": reasons
    });
    Reply::json(400, &body)
}

/// The SDK writes maps in no particular order, and makes up a token for its own retries.
fn assert_transaction(name: &str, dynamodb: &Endpoint) {
    let mut bodies = dynamodb.bodies();
    for body in &mut bodies {
        body["ClientRequestToken"] = json!("[token]");
    }
    insta::with_settings!({ sort_maps => true }, { insta::assert_json_snapshot!(name, bodies) });
}

#[tokio::test]
async fn a_new_record_is_one_transaction_that_wants_none_there() {
    let (saved, dynamodb) = save(Reply::json(200, &json!({})), None).await;
    assert!(matches!(saved.unwrap(), Saved::Written));
    assert_transaction("new_record", &dynamodb);
}

#[tokio::test]
async fn a_changed_record_must_be_the_one_it_was_made_from_and_takes_the_old_supporters_row_away() {
    let revision = Revision("rev-1".to_owned());
    let (saved, dynamodb) = save(Reply::json(200, &json!({})), Some(&revision)).await;
    assert!(matches!(saved.unwrap(), Saved::Written));
    assert_transaction("changed_record", &dynamodb);
}

#[tokio::test]
async fn a_failed_condition_brings_the_record_that_is_there() {
    let (saved, dynamodb) = save(Reply::json(200, &json!({})), None).await;
    assert!(matches!(saved.unwrap(), Saved::Written));
    // The written record is read back.
    let written = &dynamodb.bodies()[0]["TransactItems"][0]["Put"]["Item"];
    let reasons = json!([
        { "Code": "ConditionalCheckFailed", "Item": written }, { "Code": "None" }, { "Code": "None" }
    ]);
    let (saved, dynamodb) = save(canceled(&reasons), None).await;
    let Saved::Refused(CurrentRows { record: Some(stored), already_settled: false, .. }) = saved.unwrap()
    else {
        panic!("no record")
    };
    assert_eq!(stored.contribution, contribution().1);
    assert_eq!(stored.revision.0, written["revision"]["S"]);
    assert_eq!(dynamodb.count(), 1);
}

#[tokio::test]
async fn a_record_in_another_transaction_is_read_again() {
    let reasons = json!([{ "Code": "None" }, { "Code": "TransactionConflict" }, { "Code": "None" }]);
    let (saved, _) = save(canceled(&reasons), None).await;
    assert!(matches!(
        saved.unwrap(),
        Saved::Refused(CurrentRows {
            record: None,
            is_absent: false,
            already_settled: false,
            is_ours: false
        })
    ));
}

#[tokio::test]
async fn a_failed_condition_returns_the_ledgers_row() {
    let failed = "ConditionalCheckFailed";
    let revision = Revision("rev-1".to_owned());
    for (codes, revision, expected) in [
        (["None", failed, "None"], None, (true, false)),
        (["None", failed, "None"], Some(&revision), (false, true)),
        (["None", "None", failed], Some(&revision), (true, false)),
    ] {
        let reasons: Vec<_> = codes.iter().map(|code| json!({ "Code": code })).collect();
        let (saved, _) = save(canceled(&json!(reasons)), revision).await;
        let Saved::Refused(CurrentRows { record: None, is_absent: false, already_settled, is_ours }) =
            saved.unwrap()
        else {
            panic!("{codes:?}")
        };
        assert_eq!((already_settled, is_ours), expected, "{codes:?}");
    }
}

#[tokio::test]
async fn whatever_else_is_an_error_that_says_nothing_of_the_customer() {
    let denied = json!({ "__type": "AccessDeniedException", "message": "not authorized" });
    for reply in [Reply::json(400, &denied), canceled(&json!([{ "Code": "ValidationError" }]))] {
        let (saved, _) = save(reply, None).await;
        let error = aws::cause_chain(&saved.unwrap_err());
        assert!(error.starts_with("the records did not answer"), "{error}");
        assert!(!error.contains("example.org"), "{error}");
    }
}

#[tokio::test]
async fn a_warning_about_what_may_be_anothers_goes_away_with_its_record() {
    let dynamodb = Endpoint::start([Reply::json(200, &json!({}))]);
    let expires_at = Some(1_795_605_400);
    let change = RecordChange {
        revision: None,
        unless_settled: true,
        contract: None,
        raises: None,
        supporter: None,
        left_supporter: None,
        expires_at,
        contribution: Contribution::new(fulfilment::PaymentId::new("in_1")),
        entries: vec![LedgerEntry {
            effect: effects::contribution_fraud_warning("issfr_1"),
            event_id: "evt_1".to_owned(),
            moved: None,
            expires_at,
        }],
        now: 1_795_000_000_000,
    };
    assert!(matches!(records(&dynamodb).save(change).await, Ok(Saved::Written)));
    let entry = &dynamodb.bodies()[0]["TransactItems"][1]["Update"];
    assert_eq!(entry["ExpressionAttributeValues"][":expires_at"]["N"], "1795605400", "{entry}");
    assert!(entry["UpdateExpression"].as_str().unwrap().contains("#expires_at = :expires_at"), "{entry}");
}
