use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use aws::{Clock, cause_chain};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::FutureExt;
use futures_util::future::{Either, join_all, select};
use tracing::{error, info, warn};

use crate::task::EventConsumer;
use crate::{
    About, Backoff, Consumer, Counted, FailureClass, Outcome, Queue, Receipt, Tally, Task, TaskError,
};

/// What Lambda says of an invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Unique to the invocation.
    pub request_id: String,
    /// When Lambda stops it, in Unix milliseconds.
    pub deadline_ms: i64,
}

/// A lease outlasts the function's deadline by this: a timeout has been seen to kill late, and clocks differ.
const LEASE_MARGIN_MS: i64 = 30_000;

/// A message gives up this long before the function's deadline, so that the rest of the batch is still answered.
const ANSWER_MARGIN_MS: i64 = 1_500;

/// Handles a batch of a task; the answer lists the messages to be received again.
pub async fn handle_batch<T: Task, Q: Queue>(
    name: &'static str,
    task: &T,
    queue: &Q,
    clock: &impl Clock,
    backoff: Backoff,
    batch: SqsEvent,
    invocation: &Invocation,
) -> (SqsBatchResponse, Tally) {
    consume_batch(name, &EventConsumer(task), queue, clock, backoff, batch, invocation).await
}

/// As [`handle_batch`], for a consumer of other messages than Stripe's events.
pub async fn consume_batch<T: Consumer, Q: Queue>(
    name: &'static str,
    consumer: &T,
    queue: &Q,
    clock: &impl Clock,
    backoff: Backoff,
    batch: SqsEvent,
    invocation: &Invocation,
) -> (SqsBatchResponse, Tally) {
    let shell = Shell { name, consumer, queue, clock, backoff, invocation };
    let mut subjects: BTreeMap<Option<String>, Vec<Message<T>>> = BTreeMap::new();
    for message in batch.records.into_iter().map(|record| Message::read(consumer, record, invocation)) {
        subjects.entry(message.about.subject.clone()).or_default().push(message);
    }
    // A message that kills the process takes its batch mates along, again and again. Whatever may be such a message
    // is handled last and alone, so that the others are done, whichever it is.
    let (suspects, others): (Vec<_>, Vec<_>) =
        subjects.into_values().partition(|messages| messages.iter().any(|message| shell.is_suspect(message)));
    let mut handled = join_all(others.into_iter().map(async |messages| {
        let mut handled = Vec::with_capacity(messages.len());
        for message in messages {
            handled.push(shell.handle(message, false).await);
        }
        handled
    }))
    .await;
    for message in suspects.into_iter().flatten() {
        handled.push(vec![shell.handle(message, true).await]);
    }
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for (handled, duration_ms, counted) in handled.into_iter().flatten() {
        tally.durations_ms.push(duration_ms);
        for (metric, count) in counted {
            *tally.counted.entry(metric).or_default() += count;
        }
        match handled {
            Handled::Ended(Outcome::Done) => tally.done += 1,
            Handled::Ended(Outcome::Skipped(reason)) => *tally.skipped.entry(reason).or_default() += 1,
            Handled::Ended(Outcome::Unknown(_)) => tally.unknown += 1,
            Handled::Parked => tally.parked += 1,
            Handled::Retried { message_id } => {
                tally.retried += 1;
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = message_id;
                failures.push(failure);
            }
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    (response, tally)
}

struct Message<T: Consumer> {
    id: String,
    receipt_handle: String,
    receive_count: u32,
    /// When it was first sent, in Unix milliseconds.
    sent_at_ms: Option<i64>,
    first_received_ms: Option<i64>,
    body: String,
    about: About,
    counted: Counted,
    content: Result<T::Message, String>,
}

impl<T: Consumer> Message<T> {
    fn read(consumer: &T, record: SqsMessage, invocation: &Invocation) -> Self {
        // An answer with an empty id sends the whole batch back, which is right if ids were ever missing.
        let id = record.message_id.unwrap_or_default();
        let body = record.body.unwrap_or_default();
        let number = |name: &str| record.attributes.get(name).and_then(|text| text.parse::<i64>().ok());
        let receive_count =
            number("ApproximateReceiveCount").and_then(|count| count.try_into().ok()).unwrap_or(1);
        let counted = Counted::default();
        let receipt = Receipt {
            receive_count,
            owner: format!("{}/{id}", invocation.request_id),
            lease_until: invocation.deadline_ms.saturating_add(LEASE_MARGIN_MS),
            counted: counted.clone(),
        };
        let content = consumer.read(body.as_bytes(), receipt);
        let about = content.as_ref().map(|content| consumer.about(content)).unwrap_or_default();
        Self {
            id,
            receipt_handle: record.receipt_handle.unwrap_or_default(),
            receive_count,
            sent_at_ms: number("SentTimestamp"),
            first_received_ms: number("ApproximateFirstReceiveTimestamp"),
            body,
            about,
            counted,
            content,
        }
    }
}

enum Handled {
    Ended(Outcome),
    Parked,
    Retried { message_id: String },
}

struct Failure {
    class: FailureClass,
    reason: &'static str,
    cause: String,
}

struct Shell<'a, T, Q, C> {
    name: &'static str,
    consumer: &'a T,
    queue: &'a Q,
    clock: &'a C,
    backoff: Backoff,
    invocation: &'a Invocation,
}

/// The outcome of a message, how long it took in milliseconds, and what the task counted.
type Account = (Handled, i64, BTreeMap<&'static str, u32>);

impl<T: Consumer, Q: Queue, C: Clock> Shell<'_, T, Q, C> {
    /// Whether earlier deliveries of the message ended without an answer of the function.
    fn is_suspect(&self, message: &Message<T>) -> bool {
        message.first_received_ms.is_some()
            && self.backoff.is_unanswered(message.receive_count, self.since(message.first_received_ms))
    }

    /// How long ago a time is; nothing for a time that is not known.
    fn since(&self, then_ms: Option<i64>) -> Duration {
        let elapsed = then_ms.map_or(0, |then| self.clock.now_ms().saturating_sub(then));
        Duration::from_millis(elapsed.try_into().unwrap_or(0))
    }

    /// Prepares to try a message that may be why the process died before, or says why not to try it any more.
    ///
    /// Its pause is asked for before it is tried: if the process dies again, the message stays away for longer each
    /// time, and does not meet the same batch mates.
    async fn approach_suspect(&self, message: &Message<T>) -> Result<(), Failure> {
        if !self.is_suspect(message) {
            // It shares a payment with one.
            return Ok(());
        }
        let age = self.since(message.sent_at_ms);
        if self.backoff.gives_up(FailureClass::Retryable, age, message.receive_count) {
            return Err(Failure {
                class: FailureClass::Retryable,
                reason: "function_died",
                cause: "the function was throttled, timed out or died at most of its receives".to_owned(),
            });
        }
        let left_ms = self.invocation.deadline_ms.saturating_sub(self.clock.now_ms()) + LEASE_MARGIN_MS;
        let delay = self.backoff.delay(message.receive_count, &message.id);
        let delay = delay.max(Duration::from_millis(left_ms.try_into().unwrap_or(0)));
        if let Err(error) = self.queue.delay(&message.receipt_handle, delay).await {
            warn!(message.id = message.id, "tried without its delay: {}", cause_chain(&error));
        }
        Ok(())
    }

    /// Handles one message and logs the outcome once.
    async fn handle(&self, message: Message<T>, is_suspect: bool) -> Account {
        let started_ms = self.clock.now_ms();
        let approached = if is_suspect { self.approach_suspect(&message).await } else { Ok(()) };
        let result = match approached {
            Ok(()) => self.attempt(&message).await,
            Err(failure) => Err(failure),
        };
        let duration_ms = self.clock.now_ms().saturating_sub(started_ms);
        let counted = message.counted.take();
        let About { event_id, event_kind, payment_id, template, subject: _ } = &message.about;
        macro_rules! log {
            ($level:ident, $outcome:literal, $reason:expr, $($rest:tt)*) => {
                $level!(
                    outcome = $outcome, reason = $reason, event.id = event_id, event.kind = event_kind,
                    payment.id = payment_id.as_deref(), template = template.as_deref(), message.id = message.id, receive_count = message.receive_count,
                    duration_ms, $($rest)*
                )
            };
        }
        let handled = match result {
            Ok(outcome) => {
                match outcome {
                    Outcome::Done => log!(info, "done", "", "done"),
                    Outcome::Skipped(reason) => log!(info, "skipped", reason, "skipped: {reason}"),
                    Outcome::Unknown(reason) => log!(error, "unknown", reason, "unknown: {reason}"),
                }
                Handled::Ended(outcome)
            }
            Err(failure) => {
                let Failure { class, reason, mut cause } = failure;
                let age = self.since(message.sent_at_ms);
                if self.backoff.gives_up(class, age, message.receive_count) {
                    if class != FailureClass::Permanent {
                        cause = format!("given up after {} hours: {cause}", age.as_secs() / 3600);
                    }
                    log!(error, "parked", reason, cause, "parked: {cause}");
                    self.park(message, reason, &cause).await
                } else {
                    log!(warn, "retried", reason, cause, "will be tried again: {cause}");
                    self.send_back(message).await
                }
            }
        };
        (handled, duration_ms, counted)
    }

    async fn attempt(&self, message: &Message<T>) -> Result<Outcome, Failure> {
        let content = match &message.content {
            Ok(content) => content,
            Err(cause) => {
                return Err(Failure {
                    class: FailureClass::Permanent,
                    reason: T::UNDECODABLE,
                    cause: cause.clone(),
                });
            }
        };
        let left = self.invocation.deadline_ms - ANSWER_MARGIN_MS - self.clock.now_ms();
        let left = Duration::from_millis(left.try_into().unwrap_or(0));
        let task = AssertUnwindSafe(self.consumer.handle(content)).catch_unwind();
        match select(pin!(task), pin!(self.clock.sleep(left))).await {
            Either::Left((Ok(Ok(outcome)), _)) => Ok(outcome),
            Either::Left((Ok(Err(error)), _)) => {
                Err(Failure { class: error.class(), reason: error.reason(), cause: cause_chain(&error) })
            }
            Either::Left((Err(_panic), _)) => Err(Failure {
                class: FailureClass::Retryable,
                reason: "panic",
                cause: "the task panicked; the line before says where".to_owned(),
            }),
            Either::Right(((), _)) => Err(Failure {
                class: FailureClass::Retryable,
                reason: "deadline",
                cause: "the function's time was up".to_owned(),
            }),
        }
    }

    /// To the DLQ with its reason; if that fails, back to the queue, so that nothing is lost.
    async fn park(&self, message: Message<T>, reason: &'static str, cause: &str) -> Handled {
        match self.queue.dead_letter(&message.body, self.name, reason, cause).await {
            Ok(()) => Handled::Parked,
            Err(error) => {
                warn!(message.id = message.id, "not parked, goes back instead: {}", cause_chain(&error));
                self.send_back(message).await
            }
        }
    }

    /// Back to the queue, later each time; if that cannot be said, the queue's own visibility timeout holds.
    async fn send_back(&self, message: Message<T>) -> Handled {
        let delay = self.backoff.delay(message.receive_count, &message.id);
        if let Err(error) = self.queue.delay(&message.receipt_handle, delay).await {
            warn!(message.id = message.id, "comes back without its delay: {}", cause_chain(&error));
        }
        Handled::Retried { message_id: message.id }
    }
}
