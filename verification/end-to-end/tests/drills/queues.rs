//! Days on which messages wait where nobody takes them.

use serde_json::json;
use testkit::queue::envelope;
use testkit::stripe::SessionEvent;

use crate::day::Day;
use crate::stack::of;

/// docs/runbooks/parked.md: `undecodable_event`.
#[test]
fn drill_07_poison_is_in_a_queue() {
    let day = Day::begins();
    for body in ["{ no json", "{\"detail\": 7}"] {
        let input =
            json!({ "QueueUrl": day.cloud.stack.output("SoftOptInsQueueUrl").unwrap(), "MessageBody": body });
        day.cloud.stack.aws.json("sqs", "AmazonSQS.SendMessage", &input).unwrap();
    }
    day.wait_for_dead_letters("SoftOptIns", 2);
    day.expect(3, &["status"], &["soft-opt-ins", "`afterlink redrive --task soft-opt-ins`"]);
    day.expect(3, &["doctor"], &["FAIL", "2 messages in the DLQ"]);
    day.expect(
        3,
        &["redrive", "--task", "soft-opt-ins", "--list"],
        &["undecodable_event", "no payment", "unreadable"],
    );
    // A typing error must not look like good news.
    let mistyped = ["redrive", "--task", "soft-opt-ins", "--reason", "undecodable_evnt"];
    day.expect(1, &mistyped, &["did you mean `undecodable_event`?"]);
    let discard = ["discard", "--task", "soft-opt-ins", "--reason", "undecodable_event"];
    day.expect(3, &discard, &["A dry run: 2 messages"]);
    day.does(0, &discard, &["2 messages of soft-opt-ins deleted"]);
    let deeds = day.json(&["log", "--since", "1h"]);
    let discards = deeds["deeds"].as_array().unwrap().iter().filter(|deed| deed["verb"] == "discard");
    assert!(discards.clone().count() >= 2, "one row a deed: {deeds}");
    assert!(discards.clone().all(|deed| deed["before"].as_str().unwrap().contains("sha256 ")), "{deeds}");
    day.ends_quietly();
}

/// docs/runbooks/dead-letter-queue.md, with many messages of many reasons.
#[test]
fn drill_09_a_dead_letter_queue_is_full_of_different_things() {
    let day = Day::begins();
    for number in 0..40 {
        let event = of(SessionEvent::paid(), &format!("Many{number}")).to_json();
        let reason = ["sender_refused", "mail_rejected"][number % 2];
        day.dead_letter("ThankYouEmail", &envelope("afterlink.webhook", &event), Some(reason));
    }
    day.dead_letter(
        "ThankYouEmail",
        &envelope("afterlink.webhook", &of(SessionEvent::paid(), "NoReason").to_json()),
        None,
    );
    let dry = day.json(&["redrive", "--task", "thank-you-email"]);
    assert_eq!(
        (
            &dry["messages"],
            &dry["reasons"]["sender_refused"]["messages"],
            &dry["reasons"]["tries used up"]["messages"]
        ),
        (&json!(41), &json!(20), &json!(1))
    );
    // A look hides messages for a moment: that is said, and is no empty queue.
    let redrive = ["redrive", "--task", "thank-you-email", "--reason", "sender_refused"];
    day.does(0, &redrive, &["20 messages sent back"]);
    day.expect(3, &redrive, &["No such message", "mail_rejected (20)"]);
    day.does(0, &["redrive", "--task", "thank-you-email"], &["21 messages sent back"]);
    for number in 0..40 {
        day.cloud.wait_for_effect(&format!("pi_Many{number}"), "email#thank-you done");
        day.mails(&format!("Many{number}"), 1);
    }
    day.cloud.wait_for_effect("pi_NoReason", "email#thank-you done");
    day.ends_quietly();
}

/// docs/runbooks/function-errors.md.
#[test]
fn drill_08_a_function_dies_at_start() {
    let day = Day::begins();
    let before = day.function("contribution-records", "GET", "configuration", &serde_json::Value::Null);
    let variables = before["Environment"]["Variables"].clone();
    let mut broken = variables.clone();
    broken.as_object_mut().unwrap().remove("CONTRIBUTIONS_TABLE");
    let set = |variables: &serde_json::Value| {
        day.function(
            "contribution-records",
            "PUT",
            "configuration",
            &json!({ "Environment": { "Variables": variables } }),
        );
    };
    set(&broken);
    day.paid("Died");
    day.cloud.wait_for_effect("pi_Died", "email#thank-you done");
    day.expect(
        3,
        &["doctor"],
        &["FAIL", "function contribution-records", "does not start", "function-errors.md"],
    );
    // Three of four effects are done; that the fourth is missing is said, and where it waits.
    let explained = day.says(&["explain", "pi_Died"]);
    assert!(explained.out.contains("at Stripe paid 12.50 GBP"), "{}", explained.out);
    set(&variables);
    day.cloud.wait_for_effect("pi_Died", "contribution#paid done");
    day.mails("Died", 1);
    day.ends_quietly();
}

/// docs/runbooks/backlog.md.
#[test]
fn drill_17_a_queue_is_not_being_emptied() {
    let day = Day::begins();
    let name = day.cloud.stack.function_name("thank-you-email").unwrap().to_owned();
    let path = format!("/2015-03-31/event-source-mappings/?FunctionName={name}");
    let mappings = day.cloud.stack.aws.rest("lambda", "GET", &path, None).unwrap();
    let uuid = mappings["EventSourceMappings"][0]["UUID"].as_str().unwrap().to_owned();
    let switch = |on: bool| {
        let path = format!("/2015-03-31/event-source-mappings/{uuid}");
        day.cloud.stack.aws.rest("lambda", "PUT", &path, Some(&json!({ "Enabled": on }))).unwrap();
    };
    switch(false);
    day.paid("Backlog");
    day.cloud.wait_for_effect("pi_Backlog", "contribution#paid done");
    day.wait_for_waiting("ThankYouEmail", 1);
    day.expect(
        3,
        &["doctor"],
        &["FAIL", "function thank-you-email", "is switched off", &format!("--uuid {uuid} --enabled")],
    );
    day.expect(0, &["status"], &["thank-you-email"]);
    switch(true);
    day.cloud.wait_for_effect("pi_Backlog", "email#thank-you done");
    day.mails("Backlog", 1);
    day.ends_quietly();
}
