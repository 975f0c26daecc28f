use clap::Parser as _;
use fulfilment::effects;
use serde_json::{Value, json};
use testkit::queue::envelope;
use testkit::stripe::SessionEvent as Session;

use super::*;
use crate::page::plain;
use crate::test_stage::{NOW, Stage};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn arguments(line: &[&str]) -> Arguments {
    Line::parse_from([&["discard"], line].concat()).arguments
}

fn operator() -> Operator {
    Operator::named("arn:aws:iam::1:user/ops", NOW, "a test of ours")
}

async fn run(stage: &Stage, line: &[&str], act: bool) -> Discarded {
    let operator = operator();
    let operator = act.then_some(&operator);
    discard(&stage.here, &arguments(line), operator, NOW, &Interrupt::default()).await.unwrap()
}

fn row(stage: &Stage, payment_id: &str, effect: &str) -> Value {
    stage.cloud.row("effects", &[payment_id, effect]).unwrap()
}

const MAILS: [&str; 2] = ["--task", "thank-you-email"];

#[tokio::test]
async fn a_message_that_cannot_be_read_leaves_a_trace_and_the_queue() {
    let stage = Stage::new();
    let dlq_url = stage.here.dlq_url(Task::ThankYouEmail).unwrap();
    stage.send(dlq_url, "{ poison", Some("undecodable_event"));
    stage.send(dlq_url, "more poison", Some("undecodable_event"));
    let line = [&MAILS[..], &["--reason", "undecodable_event"]].concat();
    let dry = run(&stage, &line, false).await;
    assert_eq!((dry.messages.len(), dry.verdict(), stage.depth(dlq_url)), (2, Verdict::NeedsYou, 2));
    let done = run(&stage, &line, true).await;
    assert_eq!((done.messages.len(), done.verdict(), stage.depth(dlq_url)), (2, Verdict::Fine, 0));
    // One row a deed, though all are of one moment and of no payment.
    let deeds = stage.here.ledger().unwrap().deeds(0).await.unwrap();
    assert_eq!(deeds.len(), 2);
    let (subject, action) = &deeds[0];
    assert_eq!(
        (subject.as_str(), action.verb, action.because.as_deref()),
        ("operator", Verb::Discard, Some("a test of ours"))
    );
    assert!(action.before.contains("sha256 ") && !action.before.contains("poison"), "{}", action.before);
    assert!(plain(&run(&stage, &line, true).await, NOW).contains("is empty"));
}

#[tokio::test]
async fn what_a_message_asks_for_is_closed_with_it_and_nothing_else() {
    let stage = Stage::new();
    let dlq_url = stage.here.dlq_url(Task::ThankYouEmail).unwrap();
    for (payment, reason) in [("A", "no_recipient"), ("B", "no_recipient"), ("C", "sender_refused")] {
        stage.send(
            dlq_url,
            &envelope("afterlink.webhook", &Session::paid().payment(payment).to_json()),
            Some(reason),
        );
        for effect in [effects::email("thank-you"), effects::acquisition()] {
            // Without a row, which reconciliation would find missing.
            if payment == "B" && effect == effects::email("thank-you") {
                continue;
            }
            stage.cloud.put_row(
                "effects",
                &json!({ "payment_id": format!("pi_{payment}"), "effect": effect.as_str(), "state": "parked",
                    "reason": reason, "event_id": format!("evt_{payment}_completed"), "updated_at": 7, "open": "00" }),
            );
        }
    }
    let done = run(&stage, &[&MAILS[..], &["--reason", "no_recipient"]].concat(), true).await;
    assert_eq!(done.messages.iter().map(|message| message.closes.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(done.other_reasons["sender_refused"], 1);
    assert_eq!(stage.depth(dlq_url), 1);
    for payment_id in ["pi_A", "pi_B"] {
        let row = row(&stage, payment_id, "email#thank-you");
        assert_eq!(
            (&row["state"], &row["reason"], &row["open"]),
            (&json!("skipped"), &json!(DISCARDED), &Value::Null)
        );
    }
    assert_eq!(row(&stage, "pi_A", "acquisition")["state"], "parked", "another task's");
    assert_eq!(row(&stage, "pi_C", "email#thank-you")["state"], "parked");
}

#[tokio::test]
async fn what_may_have_been_done_stays() {
    let stage = Stage::new();
    let dlq_url = stage.here.dlq_url(Task::ThankYouEmail).unwrap();
    stage.send(
        dlq_url,
        &envelope("afterlink.webhook", &Session::paid().payment("A").to_json()),
        Some("function_died"),
    );
    stage.cloud.put_row(
        "effects",
        &json!({ "payment_id": "pi_A", "effect": "email#thank-you", "state": "claimed", "owner": "o", "attempt": 1,
            "lease_until": NOW - 1, "event_id": "evt_A_completed", "updated_at": 7 }),
    );
    let done = run(&stage, &[&MAILS[..], &["--reason", "function_died"]].concat(), true).await;
    assert!(done.messages[0].stays.as_ref().is_some_and(|why| why.contains("afterlink resolve")));
    assert_eq!((stage.depth(dlq_url), done.verdict()), (1, Verdict::NeedsYou));
}

#[tokio::test]
async fn events_that_reached_no_task_are_discarded_too() {
    let stage = Stage::new();
    let dlq_url = "https://sqs.example/ForwardDlq";
    stage.send(dlq_url, "{}", None);
    run(&stage, &["--task", "forward", "--reason", "tries used up"], true).await;
    assert_eq!(stage.depth(dlq_url), 0);
}
