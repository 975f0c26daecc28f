//! Batches as SQS delivers them, and a queue that remembers its calls.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use aws::Clock;
use aws_lambda_events::sqs::SqsEvent;
use serde_json::{Value, json};
use task_runtime::{Backoff, Invocation, Queue, QueueError, Tally, Task, handle_batch};

/// The calls of a queue; clones share them.
#[derive(Debug, Clone, Default)]
pub struct InMemoryQueue {
    /// Bodies in the DLQ, with their reasons.
    pub dead_letters: Rc<RefCell<Vec<(String, String)>>>,
    /// Why, in sentences, for each body in the DLQ.
    pub causes: Rc<RefCell<Vec<String>>>,
    /// Receipt handles that were delayed, and for how long.
    pub delayed: Rc<RefCell<Vec<(String, Duration)>>>,
    /// Makes every call fail.
    pub out_of_order: bool,
}

impl InMemoryQueue {
    fn answer(&self, operation: &'static str) -> Result<(), QueueError> {
        if self.out_of_order { Err(QueueError { operation, source: "out of order".into() }) } else { Ok(()) }
    }
}

impl Queue for InMemoryQueue {
    async fn delay(&self, receipt_handle: &str, delay: Duration) -> Result<(), QueueError> {
        self.answer("ChangeMessageVisibility")?;
        self.delayed.borrow_mut().push((receipt_handle.to_owned(), delay));
        Ok(())
    }

    async fn dead_letter(
        &self,
        body: &str,
        _task: &str,
        reason: &str,
        cause: &str,
    ) -> Result<(), QueueError> {
        self.answer("SendMessage")?;
        self.dead_letters.borrow_mut().push((body.to_owned(), reason.to_owned()));
        self.causes.borrow_mut().push(cause.to_owned());
        Ok(())
    }
}

/// A batch of bodies. The message of `bodies[i]` is `m<i>`, its receipt handle `r<i>`; first delivery.
pub fn batch(bodies: &[String]) -> SqsEvent {
    let records: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(i, body)| {
            json!({
                "messageId": format!("m{i}"), "receiptHandle": format!("r{i}"), "body": body,
                "attributes": { "ApproximateReceiveCount": "1" }, "messageAttributes": {},
                "eventSource": "aws:sqs", "awsRegion": "us-east-1"
            })
        })
        .collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

/// Delivers events to a task as one batch, from the source of that name, in an invocation with half a
/// minute left. The outcome, and the calls of the queue.
pub async fn deliver<T: Task>(
    name: &'static str,
    task: &T,
    clock: &impl Clock,
    source: &str,
    events: &[Value],
) -> (Tally, InMemoryQueue) {
    let queue = InMemoryQueue::default();
    let bodies: Vec<_> = events.iter().map(|event| envelope(source, event)).collect();
    let invocation = Invocation { request_id: "req".to_owned(), deadline_ms: clock.now_ms() + 30_000 };
    let backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
    let (_, tally) = handle_batch(name, task, &queue, clock, backoff, batch(&bodies), &invocation).await;
    (tally, queue)
}

/// The same, one message after the other. In one batch they would be handled at once, and all but the first that need
/// the same answer of Stripe's would come back.
pub async fn deliver_in_turn<T: Task>(
    name: &'static str,
    task: &T,
    clock: &impl Clock,
    source: &str,
    events: &[Value],
) -> (Tally, InMemoryQueue) {
    let mut tally = Tally::default();
    let queue = InMemoryQueue::default();
    for event in events {
        let (one, its_queue) = deliver(name, task, clock, source, std::slice::from_ref(event)).await;
        tally.done += one.done;
        tally.retried += one.retried;
        tally.parked += one.parked;
        tally.unknown += one.unknown;
        for (reason, count) in one.skipped {
            *tally.skipped.entry(reason).or_default() += count;
        }
        queue.dead_letters.borrow_mut().extend(its_queue.dead_letters.take());
    }
    (tally, queue)
}

/// An event in the envelope EventBridge puts around it, as a message body.
pub fn envelope(source: &str, event: &Value) -> String {
    json!({
        "version": "0", "id": "17e8dff5-0000-4000-8000-aeac02b6ac3f", "source": source,
        "detail-type": event["type"], "account": "123456789012", "region": "us-east-1", "resources": [],
        "time": "2026-11-18T11:06:40Z", "detail": event
    })
    .to_string()
}
