use catalogue::Task;
use effect_ledger::{Effect, EffectState};
use fulfilment::effects;
use stripe_events::{Delivered, Resend};
use testkit::stripe::SessionEvent;

use super::*;
use crate::page::plain;
use crate::page::{Report as _, Verdict};
use crate::test_stage::Stage;

#[test]
fn a_message_is_settled_when_nothing_it_asks_for_is_open() {
    let sent = |body: String| {
        let message = aws_sdk_sqs::types::Message::builder().body(body).message_id("m").receipt_handle("r");
        DeadLetter::of(message.build()).unwrap()
    };
    let event = SessionEvent::paid().to_json();
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(&event.to_string()).unwrap();
    let resend = Resend { id: "r-1".to_owned(), to: None };
    let first = sent(Delivered::replay_json(&raw, "checkout.session.completed").unwrap());
    let second = sent(Delivered::resend_json(&raw, &resend, None).unwrap());
    let mail = effects::email("thank-you");
    let unknown = EffectState::Unknown { reason: "x".to_owned() };
    let parked = |reason: &str| EffectState::Parked { reason: reason.to_owned() };
    let rows = |states: &[(&Effect, EffectState)]| -> Vec<EffectRow> {
        states.iter().map(|(effect, state)| EffectRow::new((*effect).clone(), state.clone())).collect()
    };
    let files = effects::email("files-ready");
    let again = effects::resent(&mail, "r-1");
    for (message, rows, expected) in [
        (&first, rows(&[]), false),
        (&first, rows(&[(&mail, EffectState::Done)]), true),
        (&first, rows(&[(&mail, unknown.clone())]), true),
        (&first, rows(&[(&mail, parked("no_recipient"))]), false),
        (&first, rows(&[(&mail, EffectState::Done), (&files, parked("file_missing"))]), false),
        (&second, rows(&[(&mail, EffectState::Done)]), false),
        (&second, rows(&[(&mail, EffectState::Done), (&again, unknown)]), true),
    ] {
        assert_eq!(message.is_settled(Task::ThankYouEmail, &rows, false), expected, "{rows:?}");
    }
}

fn report(acted: bool) -> Redriven {
    let reason = |messages, oldest, example: Option<&str>| Reason {
        messages,
        oldest: Some(Time(oldest)),
        example: example.map(str::to_owned),
    };
    let reasons = BTreeMap::from([
        ("no_recipient".to_owned(), reason(2, 0, Some("the customer has no usable email address"))),
        ("tries used up".to_owned(), reason(1, 500_000, None)),
    ]);
    Redriven {
        task: Task::ThankYouEmail.name(),
        acted,
        messages: 3,
        settled: 0,
        reasons,
        list: Vec::new(),
        problems: Vec::new(),
        other_reasons: BTreeMap::new(),
        came_back: 0,
        in_other_hands: 0,
        interrupted: false,
    }
}

#[test]
fn reports_the_plan_and_the_result() {
    insta::assert_snapshot!(plain(&report(false), 1_000_000), @r#"
      reason         messages  oldest  one cause
      no_recipient   2         16 min  the customer has no usable email address
      tries used up  1         8 min   the function never answered for it

    A dry run: 3 messages would go back to thank-you-email. With --yes and --because they do.
    Those without a reason were never answered for: docs/runbooks/function-errors.md. `afterlink doctor` says whether thank-you-email runs.
    "#);
    insta::assert_snapshot!(plain(&report(true), 1_000_000).lines().last().unwrap(), @"Those without a reason were never answered for: docs/runbooks/function-errors.md. `afterlink doctor` says whether thank-you-email runs.");
    let settled = plain(&Redriven { settled: 2, ..report(true) }, 1_000_000);
    assert!(settled.contains("2 of them for effects that are done, left out or unknown"), "{settled}");
}

#[test]
fn an_empty_look_says_whether_the_queue_is_empty() {
    let nothing = || Redriven { messages: 0, reasons: BTreeMap::new(), ..report(false) };
    assert_eq!(plain(&nothing(), 0).trim(), "The dead-letter queue of thank-you-email is empty.");
    assert_eq!(nothing().verdict(), Verdict::Fine);
    let others = Redriven { other_reasons: [("no_recipient".to_owned(), 40)].into(), ..nothing() };
    assert!(plain(&others, 0).contains("It has others: no_recipient (40)"), "{}", plain(&others, 0));
    let hidden = Redriven { in_other_hands: 257, ..nothing() };
    assert!(plain(&hidden, 0).contains("257 messages are in other hands"), "{}", plain(&hidden, 0));
    let came_back = Redriven { came_back: 2, ..report(true) };
    assert!(plain(&came_back, 0).contains("2 more asking for the same stay"), "{}", plain(&came_back, 0));
    for report in [others, hidden, came_back, report(false), Redriven { interrupted: true, ..report(true) }] {
        assert_eq!(report.verdict(), Verdict::NeedsYou, "{}", plain(&report, 0));
    }
    assert_eq!(report(true).verdict(), Verdict::Fine);
}

fn run<'a>(stage: &'a Stage, operator: Option<Operator>) -> Run<'a> {
    Run {
        deployment: &stage.here,
        sqs: aws_sdk_sqs::Client::new(&stage.here.sdk),
        ledger: stage.here.ledger().unwrap(),
        livemode: false,
        task: Task::ThankYouEmail.function(),
        stripe: None,
        operator,
    }
}

const ARGUMENTS: Arguments = Arguments {
    task: Task::ThankYouEmail.function(),
    reason: None,
    from_session: false,
    list: true,
    acting: Acting { yes: false, because: None },
};

#[tokio::test]
async fn a_queue_is_read_from_end_to_end_and_an_interrupt_leaves_the_rest() {
    let stage = Stage::new();
    let (queue_url, dlq_url) = (
        stage.here.queue_url(Task::ThankYouEmail).unwrap(),
        stage.here.dlq_url(Task::ThankYouEmail).unwrap(),
    );
    for payment in 0..25 {
        let event = SessionEvent::paid().payment(&format!("P{payment}")).to_json();
        stage.send(dlq_url, &testkit::queue::envelope("afterlink.webhook", &event), Some("sender_refused"));
    }
    let dry = run(&stage, None).through(&ARGUMENTS, &Interrupt::default()).await.unwrap();
    assert_eq!((dry.messages, dry.list.len(), dry.in_other_hands), (25, 25, 0));
    assert_eq!((stage.depth(dlq_url), stage.depth(queue_url)), (25, 0));
    let operator = || Some(Operator::named("arn:aws:iam::1:user/ops", 1, "verified again"));
    let interrupt = Interrupt::default();
    interrupt.come();
    let none = run(&stage, operator()).through(&ARGUMENTS, &interrupt).await.unwrap();
    assert_eq!((none.messages, none.interrupted, stage.depth(queue_url)), (0, true, 0));
    // A task whose cause is not fixed parks a message again before the end is reached: it must not be an endless tale.
    let again = SessionEvent::paid().payment("P0").to_json();
    stage.send(dlq_url, &testkit::queue::envelope("afterlink.webhook", &again), Some("sender_refused"));
    let done = run(&stage, operator()).through(&ARGUMENTS, &Interrupt::default()).await.unwrap();
    assert_eq!((done.came_back, done.verdict()), (1, Verdict::NeedsYou));
    assert_eq!((done.messages, stage.depth(dlq_url), stage.depth(queue_url)), (25, 1, 25));
    assert_eq!(stage.here.ledger().unwrap().deeds(0).await.unwrap().len(), 25);
}
