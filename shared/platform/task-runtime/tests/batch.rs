//! What becomes of each message of a batch.

use std::cell::RefCell;
use std::time::Duration;

use aws::Clock;
use effect_ledger::Subject;
use stripe_events::{Event, Object};
use task_runtime::{
    About, Backoff, Consumer, Counted, Delivery, FailureClass, Invocation, Outcome, Receipt, Tally, Task,
    TaskError, consume_batch, handle_batch,
};
use testkit::clock::ManualClock;
use testkit::queue::{InMemoryQueue, batch, envelope};
use testkit::stripe::SessionEvent;

/// Does what the payment's name says, and remembers which events it saw.
#[derive(Default)]
struct Obedient {
    seen: RefCell<Vec<String>>,
}

/// The payment intent or the session, as the domain would say.
fn subject_of(event: &Event) -> Option<Subject> {
    let Some(Object::Session(session)) = event.object() else { return None };
    Some(Subject::new(session.payment_intent.as_ref().unwrap_or(&session.id)))
}

#[derive(Debug, thiserror::Error)]
#[error("told to fail")]
struct ToldTo(FailureClass);

impl TaskError for ToldTo {
    fn class(&self) -> FailureClass {
        self.0
    }

    fn reason(&self) -> &'static str {
        "told_to"
    }
}

impl Task for Obedient {
    type Error = ToldTo;

    fn subject(&self, event: &Event) -> Option<Subject> {
        subject_of(event)
    }

    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, ToldTo> {
        let id = delivery.event.id().to_owned();
        self.seen.borrow_mut().push(id.clone());
        match id.split('_').nth(1).unwrap_or_default() {
            "skip" => Ok(Outcome::Skipped("told_to")),
            "unknown" => Ok(Outcome::Unknown("told_to")),
            "retry" => Err(ToldTo(FailureClass::Retryable)),
            "throttled" => Err(ToldTo(FailureClass::Throttled)),
            "park" => Err(ToldTo(FailureClass::Permanent)),
            "panic" => panic!("ada@example.org"),
            "hang" => std::future::pending().await,
            "count" => {
                delivery.count("Counted");
                Err(ToldTo(FailureClass::Retryable))
            }
            _ => {
                // Gives every other payment's messages a chance to overtake.
                tokio::task::yield_now().await;
                Ok(Outcome::Done)
            }
        }
    }
}

fn body(payment: &str) -> String {
    envelope("afterlink.webhook", &SessionEvent::paid().payment(payment).to_json())
}

async fn handle(bodies: &[String], queue: &InMemoryQueue) -> (Vec<String>, Tally, Vec<String>) {
    handle_within(30_000, bodies, queue).await
}

async fn handle_within(
    time_left_ms: i64,
    bodies: &[String],
    queue: &InMemoryQueue,
) -> (Vec<String>, Tally, Vec<String>) {
    let clock = ManualClock::default();
    let invocation = Invocation { request_id: "req".to_owned(), deadline_ms: clock.now_ms() + time_left_ms };
    let task = Obedient::default();
    let backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
    let (response, tally) =
        handle_batch("obedient", &task, queue, &clock, backoff, batch(bodies), &invocation).await;
    let failed = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    (failed, tally, task.seen.take())
}

#[tokio::test]
async fn every_message_meets_its_own_fate() {
    let queue = InMemoryQueue::default();
    let bodies: Vec<_> =
        ["a", "skip", "retry", "park", "panic", "unknown", "b"].iter().map(|p| body(p)).collect();
    let (failed, tally, seen) = handle(&bodies, &queue).await;
    let mut failed = failed;
    failed.sort();
    assert_eq!(failed, ["m2", "m4"], "retry and panic come back");
    assert_eq!((tally.done, tally.retried, tally.parked, tally.unknown), (2, 2, 1, 1));
    assert_eq!(tally.skipped, [("told_to", 1)].into());
    assert_eq!(tally.durations_ms.len(), 7);
    assert_eq!(seen.len(), 7);
    assert_eq!(*queue.dead_letters.borrow(), [(bodies[3].clone(), "told_to".to_owned())]);
    let delayed = queue.delayed.borrow();
    assert_eq!(delayed.len(), 2);
    assert!(delayed.iter().all(|(_, delay)| (24..=36).contains(&delay.as_secs())), "{delayed:?}");
}

#[tokio::test]
async fn what_a_task_notes_is_counted_whatever_becomes_of_the_message() {
    let queue = InMemoryQueue::default();
    let (_, tally, _) = handle(&[body("count"), body("a"), body("count")], &queue).await;
    assert_eq!((tally.counted, tally.retried), ([("Counted", 2)].into(), 2));
}

/// Otherwise Lambda would end the function, and the whole batch would be received again.
#[tokio::test]
async fn a_message_that_hangs_comes_back_while_the_others_are_still_answered() {
    let queue = InMemoryQueue::default();
    let (failed, tally, _) = handle_within(0, &[body("skip"), body("hang")], &queue).await;
    assert_eq!(failed, ["m1"]);
    assert_eq!((tally.retried, tally.skipped), (1, [("told_to", 1)].into()));
}

#[tokio::test]
async fn a_poison_body_is_parked_and_its_batch_mates_are_done() {
    let queue = InMemoryQueue::default();
    let mut bodies: Vec<_> = (0..9).map(|i| body(&format!("p{i}"))).collect();
    bodies.insert(4, "{\"detail\": \"ada@example.org\"}".to_owned());
    let (failed, tally, _) = handle(&bodies, &queue).await;
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!((tally.done, tally.parked), (9, 1));
    assert_eq!(*queue.dead_letters.borrow(), [(bodies[4].clone(), "undecodable_event".to_owned())]);
}

#[tokio::test]
async fn what_cannot_be_parked_comes_back() {
    let queue = InMemoryQueue { out_of_order: true, ..InMemoryQueue::default() };
    let (failed, tally, _) = handle(&[body("park"), body("retry")], &queue).await;
    assert_eq!(failed.len(), 2);
    assert_eq!((tally.parked, tally.retried), (0, 2));
}

#[tokio::test]
async fn messages_of_one_payment_keep_their_order() {
    let queue = InMemoryQueue::default();
    let event = |what: SessionEvent, payment: &str| envelope("x", &what.payment(payment).to_json());
    let bodies = [
        event(SessionEvent::unpaid(), "slow"),
        event(SessionEvent::paid(), "other"),
        event(SessionEvent::async_succeeded(), "slow"),
    ];
    let (_, _, seen) = handle(&bodies, &queue).await;
    let place = |id: &str| seen.iter().position(|seen| seen == id).unwrap();
    assert!(place("evt_slow_completed") < place("evt_slow_async_payment_succeeded"), "{seen:?}");
    // Those of another payment do not wait for them.
    assert!(place("evt_other_completed") < place("evt_slow_async_payment_succeeded"), "{seen:?}");
}

#[tokio::test]
async fn every_delivery_has_its_own_owner_and_a_lease_past_the_deadline() {
    struct Leases(RefCell<Vec<(String, i64)>>);
    impl Task for Leases {
        type Error = ToldTo;

        fn subject(&self, event: &Event) -> Option<Subject> {
            subject_of(event)
        }
        async fn handle(&self, delivery: &Delivery) -> Result<Outcome, ToldTo> {
            assert!(matches!(delivery.event, Event::Snapshot(_)));
            let executor = delivery.executor();
            self.0.borrow_mut().push((executor.owner.to_owned(), executor.lease_until));
            Ok(Outcome::Done)
        }
    }
    let clock = ManualClock::default();
    let deadline_ms = clock.now_ms() + 5_000;
    let invocation = Invocation { request_id: "req".to_owned(), deadline_ms };
    let task = Leases(RefCell::default());
    let backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
    let twice = batch(&[body("same"), body("same")]);
    handle_batch("leases", &task, &InMemoryQueue::default(), &clock, backoff, twice, &invocation).await;
    let leases = task.0.take();
    assert_eq!(leases[0].0, "req/m0");
    assert_eq!(leases[1].0, "req/m1");
    let margin = Duration::from_millis((leases[0].1 - deadline_ms).try_into().unwrap());
    assert!(margin >= Duration::from_secs(10), "{margin:?}");
}

/// A batch whose messages have been received that often, first that many seconds ago.
async fn handle_old(
    bodies: &[String],
    receives: u32,
    age: Duration,
    queue: &InMemoryQueue,
) -> (Vec<String>, Tally, Vec<String>) {
    let clock = ManualClock::default();
    let invocation = Invocation { request_id: "req".to_owned(), deadline_ms: clock.now_ms() + 30_000 };
    let task = Obedient::default();
    let backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
    let sent_at = clock.now_ms() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let mut batch = batch(bodies);
    for record in &mut batch.records {
        let mut set = |name: &str, value: String| record.attributes.insert(name.to_owned(), value);
        set("ApproximateReceiveCount", receives.to_string());
        set("SentTimestamp", sent_at.to_string());
        set("ApproximateFirstReceiveTimestamp", sent_at.to_string());
    }
    let (response, tally) = handle_batch("obedient", &task, queue, &clock, backoff, batch, &invocation).await;
    let failed = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    (failed, tally, task.seen.take())
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_message_that_still_fails_after_ten_hours_is_in_the_dlq_with_its_reason() {
    let queue = InMemoryQueue::default();
    let (failed, tally, _) = handle_old(&[body("retry"), body("a")], 17, 10 * HOUR, &queue).await;
    assert_eq!((failed, tally.parked, tally.done), (Vec::new(), 1, 1));
    assert_eq!(*queue.dead_letters.borrow(), [(body("retry"), "told_to".to_owned())]);
    assert_eq!(*queue.causes.borrow(), ["given up after 10 hours: told to fail"]);
}

#[tokio::test]
async fn a_message_that_is_only_throttled_is_not_given_up_after_ten_hours() {
    let queue = InMemoryQueue::default();
    let (failed, tally, _) = handle_old(&[body("throttled")], 20, 14 * HOUR, &queue).await;
    assert_eq!((failed, tally.retried), (vec!["m0".to_owned()], 1));
    let (failed, tally, _) = handle_old(&[body("throttled")], 90, 72 * HOUR, &queue).await;
    assert_eq!((failed, tally.parked), (Vec::new(), 1));
}

#[tokio::test]
async fn how_often_a_message_was_received_does_not_give_it_up() {
    let queue = InMemoryQueue::default();
    let (failed, tally, _) = handle_old(&[body("retry")], 150, 8 * HOUR, &queue).await;
    assert_eq!((failed, tally.parked), (vec!["m0".to_owned()], 0));
}

/// The process cannot say which message kills it: all that came back unanswered are tried alone, and the pause is
/// asked for first, so that it holds when the process dies.
#[tokio::test]
async fn what_came_back_unanswered_is_tried_last_and_only_after_its_pause_is_set() {
    struct Watching<'a>(&'a InMemoryQueue, RefCell<Vec<(String, usize)>>);
    impl Task for Watching<'_> {
        type Error = ToldTo;

        fn subject(&self, event: &Event) -> Option<Subject> {
            subject_of(event)
        }
        async fn handle(&self, delivery: &Delivery) -> Result<Outcome, ToldTo> {
            let delayed = self.0.delayed.borrow().len();
            self.1.borrow_mut().push((delivery.event.id().to_owned(), delayed));
            tokio::task::yield_now().await;
            Ok(Outcome::Done)
        }
    }
    let clock = ManualClock::default();
    let queue = InMemoryQueue::default();
    let mut batch = batch(&[body("unanswered1"), body("new"), body("unanswered2")]);
    let first_received = clock.now_ms() - 8 * 180_000;
    for index in [0, 2] {
        let attributes = &mut batch.records[index].attributes;
        attributes.insert("ApproximateReceiveCount".to_owned(), "9".to_owned());
        attributes.insert("SentTimestamp".to_owned(), first_received.to_string());
        attributes.insert("ApproximateFirstReceiveTimestamp".to_owned(), first_received.to_string());
    }
    let invocation = Invocation { request_id: "req".to_owned(), deadline_ms: clock.now_ms() + 30_000 };
    let backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
    let task = Watching(&queue, RefCell::default());
    let (response, tally) =
        handle_batch("watching", &task, &queue, &clock, backoff, batch, &invocation).await;
    assert_eq!((response.batch_item_failures.len(), tally.done), (0, 3));
    let seen = task.1.take();
    assert_eq!(seen[0], ("evt_new_completed".to_owned(), 0));
    assert_eq!([seen[1].1, seen[2].1], [1, 2], "{seen:?}");
    // Half an hour and more: they are not received again together with their batch mates.
    assert!(queue.delayed.borrow().iter().all(|(_, delay)| *delay >= Duration::from_secs(1800)));
}

#[tokio::test]
async fn what_was_never_answered_for_ten_hours_is_not_tried_again() {
    let queue = InMemoryQueue::default();
    let (failed, tally, seen) = handle_old(&[body("a")], 180, 10 * HOUR, &queue).await;
    assert_eq!((failed, tally.parked, seen), (Vec::new(), 1, Vec::new()));
    assert_eq!(*queue.dead_letters.borrow(), [(body("a"), "function_died".to_owned())]);
}

/// Takes texts: `subject number`, or `poison`.
#[derive(Default)]
struct Texts {
    handled: RefCell<Vec<String>>,
}

impl Consumer for Texts {
    type Message = (String, Counted);
    type Error = ToldTo;

    const UNDECODABLE: &'static str = "no_text";

    fn read(&self, body: &[u8], receipt: Receipt) -> Result<Self::Message, String> {
        match std::str::from_utf8(body) {
            Ok("poison") | Err(_) => Err("it is poison".to_owned()),
            Ok(text) => Ok((text.to_owned(), receipt.counted)),
        }
    }

    fn about(&self, (text, _): &Self::Message) -> About {
        About { subject: text.split(' ').next().map(str::to_owned), ..About::default() }
    }

    async fn handle(&self, (text, counted): &Self::Message) -> Result<Outcome, ToldTo> {
        tokio::task::yield_now().await;
        self.handled.borrow_mut().push(text.clone());
        counted.count("Texts");
        if text.ends_with("fails") { Err(ToldTo(FailureClass::Retryable)) } else { Ok(Outcome::Done) }
    }
}

#[tokio::test]
async fn messages_that_are_no_events_are_read_by_their_consumer_and_treated_alike() {
    let (queue, clock, texts) = (InMemoryQueue::default(), ManualClock::default(), Texts::default());
    let invocation = Invocation { request_id: "req".to_owned(), deadline_ms: clock.now_ms() + 30_000 };
    let backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
    let bodies = ["a 1", "b 1", "poison", "a fails", "a 2", "b 2"].map(str::to_owned);
    let (response, tally) =
        consume_batch("texts", &texts, &queue, &clock, backoff, batch(&bodies), &invocation).await;
    let failed: Vec<_> =
        response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    assert_eq!(failed, ["m3"]);
    assert_eq!((tally.done, tally.retried, tally.parked), (4, 1, 1));
    assert_eq!(tally.counted, [("Texts", 5)].into());
    assert_eq!(*queue.dead_letters.borrow(), [("poison".to_owned(), "no_text".to_owned())]);
    assert_eq!(*queue.causes.borrow(), ["it is poison"]);
    let of = |subject: &str| {
        let handled = texts.handled.borrow();
        handled.iter().filter(|text| text.starts_with(subject)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        (of("a"), of("b")),
        (vec!["a 1".into(), "a fails".into(), "a 2".into()], vec!["b 1".into(), "b 2".into()])
    );
}
