//! Days with two operators, or with one who changes their mind.

use std::process::{Command, Stdio};
use std::time::Duration;

use end_to_end::operator::text;
use fault_proxy::Fault;
use serde_json::Value;
use testkit::queue::envelope;
use testkit::stripe::SessionEvent;
use xtask::aws::unix_now;

use crate::day::Day;
use crate::stack::of;

fn park(day: &Day, name: &str, number: usize) {
    for number in 0..number {
        let event = of(SessionEvent::paid(), &format!("{name}{number}")).to_json();
        day.dead_letter("ThankYouEmail", &envelope("afterlink.webhook", &event), Some("mail_rejected"));
    }
}

const REDRIVE: [&str; 6] = ["redrive", "--task", "thank-you-email", "--because", "a drill", "--yes"];

/// docs/OPERATIONS.md: "safe to repeat, to interrupt, and to run beside live traffic".
#[test]
fn drill_20_two_operators_repair_the_same() {
    let day = Day::begins();
    park(&day, "Two", 20);
    let start = || {
        let mut command = day.command();
        command.args(REDRIVE).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let moved = both.iter().map(|output| {
        let said: Value = serde_json::from_str(&text(&output.stdout))
            .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        said["messages"].as_u64().unwrap()
    });
    assert_eq!(moved.sum::<u64>(), 20, "each message by one of them");
    for number in 0..20 {
        day.cloud.wait_for_effect(&format!("pi_Two{number}"), "email#thank-you done");
        day.mails(&format!("Two{number}"), 1);
    }

    // One resolves what the other has resolved.
    day.breaks_once("ses", "SendEmail", Fault::LoseReply);
    day.paid("Both");
    day.cloud.wait_for_effect("pi_Both", "email#thank-you unknown (mail_reply_lost)");
    day.does(0, &["resolve", "pi_Both", "email#thank-you", "--sent"], &["unknown → done"]);
    day.does(1, &["resolve", "pi_Both", "email#thank-you", "--not-sent"], &["is not unknown but done"]);
    day.mails("Both", 1);
    day.ends_quietly();
}

fn interrupted(mut command: Command, arguments: &[&str], after: Duration) -> (i32, String) {
    let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(after);
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

/// The same sentence, with Ctrl-C in the middle.
#[test]
fn drill_21_an_operator_is_interrupted() {
    let day = Day::begins();
    park(&day, "Ctrl", 30);
    // Slow enough that there is a middle.
    day.breaks("sqs", "SendMessage", Fault::Delay(1_000));
    let (code, said) = interrupted(day.command(), &REDRIVE, Duration::from_millis(1_500));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("Interrupted: ") && said.contains("was not read to its end"), "{said}");
    day.is_repaired();
    // Nothing is hidden, and nothing is lost.
    day.does(0, &["redrive", "--task", "thank-you-email"], &["sent back"]);
    for number in 0..30 {
        day.cloud.wait_for_effect(&format!("pi_Ctrl{number}"), "email#thank-you done");
        day.mails(&format!("Ctrl{number}"), 1);
    }

    // Reconciliation that cannot put anything back claims nothing, and the next run does it.
    let then = i64::try_from(unix_now()).unwrap() - 900;
    for number in 0..3 {
        let event = of(SessionEvent::paid(), &format!("Back{number}")).at(then + number).to_json();
        day.cloud.stack.record_event(&event.to_string()).unwrap();
    }
    day.breaks("events", "PutEvents", Fault::refuse(400, "AccessDeniedException", "not authorized"));
    day.does(1, &["reconcile", "--since", "1h"], &["reconciliation broke off"]);
    day.expect(1, &["explain", "pi_Back0"], &["no event of it has come"]);
    let log = day.json(&["log", "--since", "1h"]);
    let claimed = log["deeds"].as_array().unwrap().iter().any(|deed| deed["payment_id"] == "pi_Back0");
    assert!(!claimed, "nothing is written down that was not done: {log}");
    day.is_repaired();
    let put_back = || {
        let said = day.json(&["reconcile", "--since", "1h", "--because", "a drill", "--yes"]);
        said["put_back"].as_u64().unwrap()
    };
    // The run that broke off has its events for two minutes.
    let mut sum = 0;
    for _ in 0..20 {
        sum += put_back();
        if sum == 3 {
            break;
        }
        std::thread::sleep(Duration::from_secs(10));
    }
    assert_eq!(sum, 3);
    for number in 0..3 {
        day.cloud.wait_for_effect(&format!("pi_Back{number}"), "email#thank-you done");
        day.mails(&format!("Back{number}"), 1);
    }
    day.wait_for(0, &["reconcile", "--since", "1h"]);
    day.ends_quietly();
}
