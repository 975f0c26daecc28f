use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use aws::{Clock, cause_chain};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use effect_ledger::{Executor, Subject};
use futures_util::FutureExt;
use futures_util::future::{Either, join_all, select};
use stripe_events::{DecodeError, Delivered, Event, Resend, Source, shown_id};
use tracing::{error, info, warn};

use crate::{Backoff, FailureClass, Queue, Tally, TaskError};

/// One task of the pipeline: what it makes of one event.
pub trait Task {
    /// The task's errors.
    type Error: TaskError;

    /// What an event is about. Messages about one subject are handled in order, those of others at the same time.
    fn subject(&self, event: &Event) -> Option<Subject>;

    /// Handles one event. May be called again for the same event at any time, also while it is running.
    fn handle(&self, delivery: &Delivery) -> impl Future<Output = Result<Outcome, Self::Error>>;
}

/// How a task ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The effect happened now.
    Done,
    /// Nothing to do; the short name of why.
    Skipped(&'static str),
    /// The effect may or may not have happened; the ledger has it for a person to decide.
    Unknown(&'static str),
}

/// One event, as a task sees it.
#[derive(Debug)]
pub struct Delivery {
    /// The source the event came from.
    pub source: Source,
    /// The event.
    pub event: Event,
    /// What an operator asks for beyond it.
    pub resend: Option<Resend>,
    /// How often the queue has handed the message out, this time included. Beyond one, an earlier delivery ended in a
    /// retry, or its process died.
    pub receive_count: u32,
    owner: String,
    lease_until: i64,
    counted: RefCell<BTreeMap<&'static str, u32>>,
}

impl Delivery {
    /// Counts, under a metric of its own, something that did not keep the task from its effect but that an operator
    /// should hear of.
    pub fn count(&self, metric: &'static str) {
        *self.counted.borrow_mut().entry(metric).or_default() += 1;
    }

    /// Who acts on this delivery, for claims in the ledger.
    pub fn executor(&self) -> Executor<'_> {
        Executor {
            owner: &self.owner,
            lease_until: self.lease_until,
            event_id: self.event.id(),
            detail: None,
            expected_version: 0,
        }
    }
}

/// What Lambda says of an invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Unique to the invocation.
    pub request_id: String,
    /// When Lambda stops it, in Unix milliseconds.
    pub deadline_ms: i64,
}

/// The reason for skipping an event of another account, which our account is connected with.
const CONNECTED_ACCOUNT: &str = "connected_account";

/// A lease outlasts the function's deadline by this: a timeout has been seen to kill late, and clocks differ.
const LEASE_MARGIN_MS: i64 = 30_000;

/// A message gives up this long before the function's deadline, so that the rest of the batch is still answered.
const ANSWER_MARGIN_MS: i64 = 1_500;

/// Handles a batch; the answer lists the messages to be received again.
pub async fn handle_batch<T: Task, Q: Queue>(
    name: &'static str,
    task: &T,
    queue: &Q,
    clock: &impl Clock,
    backoff: Backoff,
    batch: SqsEvent,
    invocation: &Invocation,
) -> (SqsBatchResponse, Tally) {
    let shell = Shell { name, task, queue, clock, backoff, invocation };
    let mut subjects: BTreeMap<Option<Subject>, Vec<Message>> = BTreeMap::new();
    for message in batch.records.into_iter().map(|record| Message::read(record, invocation)) {
        let subject = message.delivery.as_ref().ok().and_then(|delivery| task.subject(&delivery.event));
        subjects.entry(subject).or_default().push(message);
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

struct Message {
    id: String,
    receipt_handle: String,
    receive_count: u32,
    /// When it was first sent, in Unix milliseconds.
    sent_at_ms: Option<i64>,
    first_received_ms: Option<i64>,
    body: String,
    delivery: Result<Delivery, DecodeError>,
}

impl Message {
    fn read(record: SqsMessage, invocation: &Invocation) -> Self {
        // An answer with an empty id sends the whole batch back, which is right if ids were ever missing.
        let id = record.message_id.unwrap_or_default();
        let body = record.body.unwrap_or_default();
        let number = |name: &str| record.attributes.get(name).and_then(|text| text.parse::<i64>().ok());
        let receive_count =
            number("ApproximateReceiveCount").and_then(|count| count.try_into().ok()).unwrap_or(1);
        let delivery = Delivered::from_json(body.as_bytes()).map(|delivered| Delivery {
            source: delivered.source,
            event: delivered.event,
            resend: delivered.resend,
            receive_count,
            owner: format!("{}/{id}", invocation.request_id),
            lease_until: invocation.deadline_ms.saturating_add(LEASE_MARGIN_MS),
            counted: RefCell::default(),
        });
        Self {
            id,
            receipt_handle: record.receipt_handle.unwrap_or_default(),
            receive_count,
            sent_at_ms: number("SentTimestamp"),
            first_received_ms: number("ApproximateFirstReceiveTimestamp"),
            body,
            delivery,
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
    task: &'a T,
    queue: &'a Q,
    clock: &'a C,
    backoff: Backoff,
    invocation: &'a Invocation,
}

/// The outcome of a message, how long it took in milliseconds, and what the task counted.
type Account = (Handled, i64, BTreeMap<&'static str, u32>);

impl<T: Task, Q: Queue, C: Clock> Shell<'_, T, Q, C> {
    /// Whether earlier deliveries of the message ended without an answer of the function.
    fn is_suspect(&self, message: &Message) -> bool {
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
    async fn approach_suspect(&self, message: &Message) -> Result<(), Failure> {
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
    async fn handle(&self, message: Message, is_suspect: bool) -> Account {
        let started_ms = self.clock.now_ms();
        let approached = if is_suspect { self.approach_suspect(&message).await } else { Ok(()) };
        let result = match approached {
            Ok(()) => self.attempt(&message).await,
            Err(failure) => Err(failure),
        };
        let duration_ms = self.clock.now_ms().saturating_sub(started_ms);
        let counted = message.delivery.as_ref().map(|delivery| delivery.counted.take()).unwrap_or_default();
        let (event_id, event_type, payment_id) = message.delivery.as_ref().map_or_else(
            |_| (String::new(), "", String::new()),
            |delivery| {
                let payment_id = self
                    .task
                    .subject(&delivery.event)
                    .map(|id| shown_id(id.as_str()).into_owned())
                    .unwrap_or_default();
                (shown_id(delivery.event.id()).into_owned(), delivery.event.type_name(), payment_id)
            },
        );
        macro_rules! log {
            ($level:ident, $outcome:literal, $reason:expr, $($rest:tt)*) => {
                $level!(
                    outcome = $outcome, reason = $reason, event.id = event_id, event.kind = event_type,
                    payment.id = payment_id, message.id = message.id, receive_count = message.receive_count,
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

    async fn attempt(&self, message: &Message) -> Result<Outcome, Failure> {
        let delivery = match &message.delivery {
            Ok(delivery) => delivery,
            Err(error) => {
                return Err(Failure {
                    class: FailureClass::Permanent,
                    reason: "undecodable_event",
                    cause: cause_chain(error),
                });
            }
        };
        // No task acts on these, whatever they are about: the rules leave them out, and so does this.
        if matches!(&delivery.event, Event::Snapshot(event) if event.account.is_some()) {
            return Ok(Outcome::Skipped(CONNECTED_ACCOUNT));
        }
        let left = self.invocation.deadline_ms - ANSWER_MARGIN_MS - self.clock.now_ms();
        let left = Duration::from_millis(left.try_into().unwrap_or(0));
        let task = AssertUnwindSafe(self.task.handle(delivery)).catch_unwind();
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
    async fn park(&self, message: Message, reason: &'static str, cause: &str) -> Handled {
        match self.queue.dead_letter(&message.body, self.name, reason, cause).await {
            Ok(()) => Handled::Parked,
            Err(error) => {
                warn!(message.id = message.id, "not parked, goes back instead: {}", cause_chain(&error));
                self.send_back(message).await
            }
        }
    }

    /// Back to the queue, later each time; if that cannot be said, the queue's own visibility timeout holds.
    async fn send_back(&self, message: Message) -> Handled {
        let delay = self.backoff.delay(message.receive_count, &message.id);
        if let Err(error) = self.queue.delay(&message.receipt_handle, delay).await {
            warn!(message.id = message.id, "comes back without its delay: {}", cause_chain(&error));
        }
        Handled::Retried { message_id: message.id }
    }
}
