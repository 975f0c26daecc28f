//! What rules let through, and what becomes of messages that cannot be handled.

use catalogue::Task;
use serde_json::json;
use testkit::queue::envelope;
use testkit::stripe::SessionEvent;

use crate::account::{Account, of};

#[test]
fn a_poison_body_among_nine_good_ones_is_parked_and_the_nine_are_done() {
    let account = Account::new();
    let payments: Vec<_> = (0..9).map(|i| format!("Batch{i}")).collect();
    let mut bodies: Vec<_> = payments
        .iter()
        .map(|payment| {
            envelope("aws.partner/stripe.com/ed_test_61Example", &of(SessionEvent::paid(), payment).to_json())
        })
        .collect();
    let poison = r#"{"detail":{"object":"event","id":"evt_poison"}}"#;
    bodies.insert(4, poison.to_owned());
    let entries =
        bodies.iter().enumerate().map(|(i, body)| json!({ "Id": i.to_string(), "MessageBody": body }));
    let queue = account.output("ContributionRecordsQueueUrl");
    let input = json!({ "QueueUrl": queue, "Entries": entries.collect::<Vec<_>>() });
    account.sqs("SendMessageBatch", &input);
    account.settle();
    for payment in &payments {
        assert_eq!(account.ledger(&format!("pi_{payment}")), ["contribution#paid done"]);
    }
    let parked = (poison.to_owned(), "undecodable_event".to_owned());
    assert_eq!(account.take_dead_letters("ContributionRecords"), [parked]);
}

#[test]
fn no_task_is_handed_what_is_none_of_our_business() {
    let account = Account::new();
    for event in [
        of(SessionEvent::paid(), "OtherBusiness").without_marker(),
        of(SessionEvent::paid(), "LiveMoney").livemode(),
        of(SessionEvent::paid(), "Setup").session("mode", json!("setup")),
    ] {
        // Past the webhook, which keeps some of it out: the rules are asked.
        let event = event.to_json();
        let entry = json!({
            "Source": "afterlink.webhook", "DetailType": event["type"], "Detail": event.to_string(),
            "EventBusName": account.output("FulfilmentBusName")
        });
        let put = account.aws.json("events", "AWSEvents.PutEvents", &json!({ "Entries": [entry] })).unwrap();
        assert_eq!(put["FailedEntryCount"], 0);
    }
    for task in Task::ALL.map(Task::name) {
        assert_eq!(account.receive(task, 10), Vec::<serde_json::Value>::new(), "{task}");
    }
    // The same source delivers our events.
    account.put_event(&of(SessionEvent::paid(), "Ours").to_json());
    for task in Task::ALL.map(Task::name) {
        assert_eq!(account.receive(task, 10).len(), 1, "{task}");
    }
}

#[test]
fn a_broken_link_contract_is_parked_with_its_reason() {
    let account = Account::new();
    account.post(&of(SessionEvent::paid(), "Broken").metadata(json!({ "fulfilment": "donation" })));
    let ledger = account.ledger("pi_Broken");
    for reported in ["contribution#paid", "email#thank-you"] {
        assert!(ledger.contains(&format!("{reported} parked (broken_link_contract)")), "{ledger:?}");
    }
    for task in ["ContributionRecords", "ThankYouEmail"] {
        let reasons: Vec<_> = account.take_dead_letters(task).into_iter().map(|(_, reason)| reason).collect();
        assert_eq!(reasons, ["broken_link_contract"], "{task}");
    }
    assert!(account.mails_to("Broken").is_empty());
    // The open effects are found by their index, and nothing else is there.
    let input = json!({
        "TableName": account.output("EffectsTableName"), "IndexName": "open-effects"
    });
    let open = account.aws.json("dynamodb", "DynamoDB_20120810.Scan", &input).unwrap();
    assert_eq!(open["Count"], account.rows("EffectsTableName", "pi_Broken").len());
}

#[test]
fn a_sender_that_ses_does_not_know_parks_the_mail_until_it_is_fixed() {
    let account = Account::new();
    account.aws.rest("ses", "DELETE", "/v2/email/identities/example.org", None).unwrap();
    account.post(&of(SessionEvent::paid(), "Refused"));
    let ledger = account.ledger("pi_Refused");
    assert!(ledger.contains(&"email#thank-you parked (sender_refused)".to_owned()), "{ledger:?}");
    assert!(account.mails_to("Refused").is_empty());
    let (body, reason) = account.take_dead_letters("ThankYouEmail").pop().unwrap();
    assert_eq!(reason, "sender_refused");

    let mended = json!({ "EmailIdentity": "example.org" });
    account.aws.rest("ses", "POST", "/v2/email/identities", Some(&mended)).unwrap();
    account.sqs(
        "SendMessage",
        &json!({ "QueueUrl": account.output("ThankYouEmailQueueUrl"), "MessageBody": body }),
    );
    account.settle();
    assert!(account.ledger("pi_Refused").contains(&"email#thank-you done".to_owned()));
    assert_eq!(account.mails_to("Refused").len(), 1);
}
