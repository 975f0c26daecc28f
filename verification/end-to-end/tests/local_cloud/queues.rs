//! What becomes of messages.

use serde_json::json;
use testkit::queue::envelope;
use testkit::stripe::SessionEvent;

use crate::stack::{Cloud, of};

#[test]
fn a_poison_body_among_nine_good_ones_is_parked_and_the_nine_are_done() {
    let cloud = Cloud::shared();
    let payments: Vec<_> = (0..9).map(|i| format!("Batch{i}")).collect();
    let mut bodies: Vec<_> = payments
        .iter()
        .map(|payment| envelope("afterlink.webhook", &of(SessionEvent::paid(), payment).to_json()))
        .collect();
    let poison = r#"{"detail":{"object":"event","id":"evt_poison"}}"#;
    bodies.insert(4, poison.to_owned());
    let entries: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(i, body)| json!({ "Id": i.to_string(), "MessageBody": body }))
        .collect();
    let queue = cloud.stack.output("ContributionRecordsQueueUrl").unwrap();
    let input = json!({ "QueueUrl": queue, "Entries": entries });
    cloud.stack.aws.json("sqs", "AmazonSQS.SendMessageBatch", &input).unwrap();
    for payment in &payments {
        cloud.wait_for_ledger(&format!("pi_{payment}"), &["contribution#paid done"]);
    }
    let parked = (poison.to_owned(), "undecodable_event".to_owned());
    cloud.wait_until(vec![parked], || cloud.dead_letters("ContributionRecords", "evt_poison"));
}

#[test]
fn events_of_a_partner_source_are_handled_like_any_other() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "Partner").to_json();
    let body = envelope("aws.partner/stripe.com/ed_test_61Example", &event);
    for task in ["ContributionRecords", "ThankYouEmail"] {
        let queue = cloud.stack.output(&format!("{task}QueueUrl")).unwrap();
        let input = json!({ "QueueUrl": queue, "MessageBody": body });
        cloud.stack.aws.json("sqs", "AmazonSQS.SendMessage", &input).unwrap();
    }
    cloud.wait_for_ledger("pi_Partner", &["contribution#paid done", "email#thank-you done"]);
}
