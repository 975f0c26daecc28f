//! A world: AWS, the functions in it, and time.
//!
//! Long because time, faults and delivery decide together what happens next.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use aws::MetricsContext;
use aws_in_memory::{Cloud, Message, QueueDefinition, Redrive, Request, Response, Service};
use aws_lambda_events::sqs::SqsBatchResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use catalogue::Task;
use fulfilment::FulfilmentKind;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};
use task_runtime::{Invocation, Tally};
use testkit::policy::with_renewals_thanked;

use crate::fault::{Director, Fault, Step};
use crate::function::{
    ACQUISITION_BUS, EFFECTS_TABLE, FILES_BUCKET, FUNCTION_TIMEOUT_MS, Function, LARGEST_BATCH,
    MAX_RECEIVE_COUNT, STRIPE_KEY_SECRET, TEMPLATES_BUCKET, TOKEN_KEYS_SECRET, VISIBILITY_TIMEOUT_MS, start,
};
use crate::function::{dlq_url, queue_url};
use crate::ledger::{LedgerWatch, Transition};
use crate::logs::Logs;
use crate::time::{InstanceClock, Time};
use crate::wire::{Call, CallId, InstanceId, Wires};

/// When every world begins, in Unix milliseconds.
pub const BEGINNING_MS: i64 = 1_795_000_000_000;

/// Lambda has been seen to kill this late.
const KILLED_LATE_MS: i64 = 700;

/// When a call that hangs takes effect after all.
const LATE_MS: i64 = 60_000;

/// Distinguishes the worlds of this process.
static WORLDS: AtomicU64 = AtomicU64::new(0);

/// AWS, the functions that run in it, and everything that was seen.
pub struct World<D> {
    /// AWS.
    pub cloud: Cloud,
    /// What decides.
    pub director: D,
    /// How many instances of one function may run at once.
    pub concurrency: usize,
    /// Whether members are thanked for renewals.
    pub thanks_renewals: bool,
    number: u64,
    time: Time,
    wires: Wires,
    instances: BTreeMap<InstanceId, Instance>,
    started: InstanceId,
    invocations: u64,
    /// When, by which invocation of which instance, and what.
    late: Vec<Late>,
    watch: LedgerWatch,
    script: Vec<String>,
    metrics: Vec<u8>,
    logs: Logs,
    calls: u64,
    calls_of: BTreeMap<InstanceId, u32>,
    tallies: Vec<(Task, Tally)>,
    /// Whether Stripe's API answers.
    stripe_is_down: bool,
    /// What Stripe was asked although the ledger remembered the answer.
    asked_again: Vec<String>,
}

struct Instance {
    task: Task,
    function: Rc<dyn Function>,
    running: Option<Running>,
}

struct Running {
    future: LocalBoxFuture<'static, (SqsBatchResponse, Tally)>,
    woken: Arc<Woken>,
    request_id: String,
    killed_at_ms: i64,
    /// Message ids and receipt handles.
    messages: Vec<(String, String)>,
}

type Late = (i64, InstanceId, Option<String>, Request);

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

enum Doable {
    Answer(CallId, InstanceId),
    Invoke(Task),
}

impl<D: Director> World<D> {
    /// A world in which nothing has happened yet.
    pub fn new(director: D) -> Self {
        let cloud = Cloud::with_tables();
        cloud.create_bus(ACQUISITION_BUS);
        cloud.create_bucket(TEMPLATES_BUCKET);
        cloud.create_bucket(FILES_BUCKET);
        cloud.put_object(FILES_BUCKET, "files/guide.pdf", b"the guide");
        cloud.put_secret(TOKEN_KEYS_SECRET, "0123456789abcdef0123456789abcdef0123456789");
        cloud.put_secret(STRIPE_KEY_SECRET, "rk_test_simulated");
        for task in Task::ALL {
            let url = queue_url(task);
            let dlq_url = dlq_url(task);
            let visibility_ms = VISIBILITY_TIMEOUT_MS;
            cloud.create_queue(QueueDefinition { url: dlq_url.clone(), visibility_ms, redrive: None });
            let redrive = Some(Redrive { dlq_url, max_receive_count: MAX_RECEIVE_COUNT });
            cloud.create_queue(QueueDefinition { url, visibility_ms, redrive });
        }
        Self {
            cloud,
            director,
            concurrency: 2,
            thanks_renewals: false,
            number: WORLDS.fetch_add(1, Ordering::Relaxed),
            time: Time::starting_at(BEGINNING_MS),
            wires: Wires::default(),
            instances: BTreeMap::new(),
            started: 0,
            invocations: 0,
            late: Vec::new(),
            watch: LedgerWatch::default(),
            script: Vec::new(),
            metrics: Vec::new(),
            logs: Logs::capture(),
            calls: 0,
            calls_of: BTreeMap::new(),
            tallies: Vec::new(),
            stripe_is_down: false,
            asked_again: Vec::new(),
        }
    }

    /// Unix milliseconds, truly.
    pub fn now_ms(&self) -> i64 {
        self.time.now_ms()
    }

    /// How many calls were made to AWS.
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// How many calls an instance has made.
    pub fn calls_of(&self, instance: InstanceId) -> u32 {
        self.calls_of.get(&instance).copied().unwrap_or_default()
    }

    /// What happened, a line each step.
    pub fn script(&self) -> &[String] {
        &self.script
    }

    /// What the ledger's rows went through, where that was against the rules.
    pub fn broken_rules(&self) -> &[String] {
        self.watch.broken()
    }

    /// Each attempt at a thank-you: the payment, and what the ledger had as refunded.
    pub fn thanked(&self) -> &[(String, i64)] {
        self.watch.thanked()
    }

    /// What Stripe was asked although the ledger remembered the answer.
    pub fn asked_again(&self) -> &[String] {
        &self.asked_again
    }

    /// Stripe's API goes down, or comes back.
    pub fn set_stripe_down(&mut self, is_down: bool) {
        self.log(if is_down { "Stripe: the API is down" } else { "Stripe: the API is back" });
        self.stripe_is_down = is_down;
    }

    /// Everything the functions wrote as metrics.
    pub fn metrics(&self) -> String {
        String::from_utf8_lossy(&self.metrics).into_owned()
    }

    /// The outcomes of the messages of every invocation that ended.
    pub fn tallies(&self) -> &[(Task, Tally)] {
        &self.tallies
    }

    /// Everything the functions logged.
    pub fn logs(&self) -> String {
        self.logs.text()
    }

    /// The instance that will be started next.
    pub const fn next_instance(&self) -> InstanceId {
        self.started
    }

    /// Lambda takes away the instances that have nothing to do.
    pub fn scale_in(&mut self) {
        self.instances.retain(|_, instance| instance.running.is_some());
    }

    /// Adds a line to the script.
    pub fn log(&mut self, what: impl AsRef<str>) {
        let seconds = (self.now_ms() - BEGINNING_MS) as u64;
        self.script.push(format!("{:>10}.{:03} s  {}", seconds / 1000, seconds % 1000, what.as_ref()));
    }

    /// EventBridge hands an event to a task's queue.
    pub fn send(&mut self, task: Task, body: &str) {
        self.cloud.send(self.time.now_ms(), &queue_url(task), body, BTreeMap::new());
    }

    /// The operator moves everything in a task's DLQ back to its queue.
    pub fn redrive(&mut self, task: Task) -> usize {
        let moved = self.cloud.redrive(self.time.now_ms(), &dlq_url(task), &queue_url(task));
        if moved > 0 {
            self.log(format!("operator: redrives {moved} of {}", task.name()));
        }
        moved
    }

    /// Goes on until nothing moves any more, or until `until_ms`. Waiting is part of going on.
    ///
    /// # Panics
    ///
    /// When the world does not come to rest within a million steps: that is a finding.
    pub fn run(&mut self, until_ms: Option<i64>) {
        for _ in 0..1_000_000 {
            self.poll();
            let doable = self.doable();
            if !doable.is_empty() {
                let steps: Vec<_> = doable.iter().map(Doable::step).collect();
                let chosen = self.director.choose(&steps);
                self.take(&doable[chosen]);
                continue;
            }
            let due = self.next_ms().filter(|next_ms| until_ms.is_none_or(|until_ms| *next_ms <= until_ms));
            let Some(next_ms) = due else {
                // Time passes also while nothing happens.
                if let Some(until_ms) = until_ms {
                    self.advance_to(until_ms);
                }
                return;
            };
            self.advance_to(next_ms);
        }
        panic!("the world does not come to rest");
    }

    fn take(&mut self, doable: &Doable) {
        match doable {
            Doable::Answer(call, _) => {
                let latency_ms = self.director.latency_ms();
                self.advance_to(self.time.now_ms() + latency_ms);
                if let Some(call) = self.wires.take(*call) {
                    self.answer(call);
                }
            }
            Doable::Invoke(task) => self.invoke(*task),
        }
    }

    /// What can happen now.
    fn doable(&self) -> Vec<Doable> {
        let mut doable: Vec<_> =
            self.wires.open().into_iter().map(|(call, instance)| Doable::Answer(call, instance)).collect();
        doable.sort_by_key(|doable| match doable {
            Doable::Answer(call, instance) => (*instance, *call),
            Doable::Invoke(_) => (InstanceId::MAX, 0),
        });
        for task in Task::ALL {
            let running = self.instances.values().filter(|i| i.task == task && i.running.is_some()).count();
            let visible_ms = self.cloud.next_visible_ms(&queue_url(task));
            if running < self.concurrency && visible_ms.is_some_and(|at_ms| at_ms <= self.time.now_ms()) {
                doable.push(Doable::Invoke(task));
            }
        }
        doable
    }

    /// When something happens by itself.
    fn next_ms(&self) -> Option<i64> {
        let queues = Task::ALL.iter().filter_map(|task| self.cloud.next_visible_ms(&queue_url(*task)));
        let kills =
            self.instances.values().filter_map(|instance| Some(instance.running.as_ref()?.killed_at_ms));
        let late = self.late.iter().map(|(at_ms, ..)| *at_ms);
        // A message that is visible while all instances are busy does not make time pass.
        let now_ms = self.time.now_ms();
        let next = queues.filter(|at_ms| *at_ms > now_ms).chain(kills).chain(late).chain(self.time.next_ms());
        next.min()
    }

    fn advance_to(&mut self, at_ms: i64) {
        self.time.advance_to(at_ms);
        let now_ms = self.time.now_ms();
        let (due, later) =
            std::mem::take(&mut self.late).into_iter().partition(|(at_ms, ..)| *at_ms <= now_ms);
        self.late = later;
        let due: Vec<Late> = due;
        for (_, instance, maker, request) in due {
            self.log(format!("instance {instance}: {} takes effect late", describe(&request)));
            self.execute(maker.as_deref(), &request);
        }
        let over: Vec<_> = self
            .instances
            .iter()
            .filter(|(_, instance)| instance.running.as_ref().is_some_and(|run| run.killed_at_ms <= now_ms))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.kill(id, "its time is up");
        }
    }

    /// Lets every instance go on that has reason to.
    fn poll(&mut self) {
        let mut ended = Vec::new();
        for (id, instance) in &mut self.instances {
            let Some(running) = &mut instance.running else {
                continue;
            };
            while running.woken.0.swap(false, Ordering::Relaxed) {
                let waker = Waker::from(Arc::clone(&running.woken));
                if let Poll::Ready(answer) = running.future.poll_unpin(&mut Context::from_waker(&waker)) {
                    ended.push((*id, answer));
                    break;
                }
            }
        }
        for (id, (response, tally)) in ended {
            self.end(id, &response, tally);
        }
    }

    fn invoke(&mut self, task: Task) {
        let idle =
            self.instances.iter().find(|(_, i)| i.task == task && i.running.is_none()).map(|(id, _)| *id);
        let id = idle.unwrap_or_else(|| self.cold_start(task));
        let now_ms = self.time.now_ms();
        let size = self.director.batch_size(LARGEST_BATCH);
        let received = self.cloud.receive(now_ms, &queue_url(task), size);
        if received.is_empty() {
            // The visible messages had been received too often and went to the DLQ.
            return;
        }
        self.invocations += 1;
        let request_id = format!("request-{}", self.invocations);
        let counts: Vec<_> = received
            .iter()
            .map(|message| format!("{}×{}", message.message_id, message.receive_count))
            .collect();
        self.log(format!("instance {id}: {} is handed {} ({request_id})", task.name(), counts.join(" ")));
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let invocation =
            Invocation { request_id: request_id.clone(), deadline_ms: now_ms + FUNCTION_TIMEOUT_MS };
        let messages = received
            .iter()
            .map(|message| (message.message_id.clone(), message.receipt_handle.clone()))
            .collect();
        let records: Vec<_> = received.iter().map(Message::lambda_record).collect();
        #[expect(clippy::expect_used, reason = "the simulation makes the event itself")]
        let batch = serde_json::from_value(json!({ "Records": records })).expect("an SQS event");
        instance.running = Some(Running {
            future: Rc::clone(&instance.function).handle(batch, invocation),
            woken: Arc::new(Woken(AtomicBool::new(true))),
            request_id,
            killed_at_ms: now_ms + FUNCTION_TIMEOUT_MS + KILLED_LATE_MS,
            messages,
        });
    }

    fn cold_start(&mut self, task: Task) -> InstanceId {
        let id = self.started;
        self.started += 1;
        let clock = InstanceClock { time: self.time.clone(), skew_ms: self.director.skew_ms() };
        let region = format!("world-{}-{id}", self.number);
        let kinds: &[_] = if self.thanks_renewals { &[FulfilmentKind::Membership] } else { &[] };
        let policy = with_renewals_thanked(kinds);
        #[expect(clippy::expect_used, reason = "the simulation's own configuration")]
        let function = start(task, region, self.wires.client(id), &policy, clock).expect("a function starts");
        self.instances.insert(id, Instance { task, function, running: None });
        id
    }

    /// The invocation has answered: what it does not name as failed is deleted.
    fn end(&mut self, id: InstanceId, response: &SqsBatchResponse, tally: Tally) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let Some(running) = instance.running.take() else {
            return;
        };
        let task = instance.task;
        let context = MetricsContext { stage: "simulated".to_owned(), task: task.name() };
        // Writing to memory cannot fail.
        let _ = tally.write(&context, self.time.now_ms(), &mut self.metrics);
        let failed = |message_id: &str| {
            // An empty id fails the whole batch, as Lambda has it.
            response
                .batch_item_failures
                .iter()
                .any(|f| f.item_identifier == message_id || f.item_identifier.is_empty())
        };
        let done: Vec<_> = running.messages.iter().filter(|(message_id, _)| !failed(message_id)).collect();
        for (_, receipt_handle) in &done {
            self.cloud.delete(&queue_url(task), receipt_handle);
        }
        let line = format!(
            "instance {id}: answers: {} done, skipped {:?}, {} retried, {} parked, {} unknown; {} deleted",
            tally.done,
            tally.skipped,
            tally.retried,
            tally.parked,
            tally.unknown,
            done.len()
        );
        self.log(line);
        self.tallies.push((task, tally));
    }

    /// The process is gone, and everything it had in its hands.
    fn kill(&mut self, id: InstanceId, why: &str) {
        self.instances.remove(&id);
        self.log(format!("instance {id}: dies, {why}"));
    }

    fn answer(&mut self, call: Call) {
        let id = call.instance;
        let maker = self.instances.get(&id).and_then(|instance| instance.running.as_ref());
        let maker = maker.map(|running| running.request_id.clone());
        let nth = self.calls_of(id);
        self.calls_of.insert(id, nth + 1);
        let fault = self.director.fault(id, nth, self.time.now_ms());
        let what = describe(&call.request);
        if let Some(again) = self.remembered_answer(&call.request) {
            self.asked_again.push(again);
        }
        let end = fault.map(|fault| format!("  ← {fault}")).unwrap_or_default();
        self.log(format!("instance {id}: call {nth}: {what}{end}"));
        let reset = || Err(ConnectorError::io("the connection was reset".into()));
        match fault {
            None => {
                let answer = self.execute(maker.as_deref(), &call.request);
                call.answer(Ok(answer.into()));
            }
            Some(Fault::Fail) => call.answer(reset()),
            Some(Fault::LoseReply) => {
                self.execute(maker.as_deref(), &call.request);
                call.answer(reset());
            }
            Some(Fault::Throttle) => {
                let busy = Cloud::throttled(&call.request);
                call.answer(Ok(busy.into()));
            }
            Some(Fault::Refuse) => {
                let refused =
                    Cloud::conflicted(&call.request).or_else(|| Cloud::entry_throttled(&call.request));
                let refused = refused.unwrap_or_else(|| Cloud::throttled(&call.request));
                call.answer(Ok(refused.into()));
            }
            // The slot stays with its maker, who gives up some time.
            Some(Fault::Hang) => {}
            Some(Fault::Late) => self.late.push((self.time.now_ms() + LATE_MS, id, maker, call.request)),
            Some(Fault::CrashBefore) => self.kill(id, "before its call"),
            Some(Fault::CrashAfter) => {
                self.execute(maker.as_deref(), &call.request);
                self.kill(id, "after its call");
            }
        }
    }

    /// The questions to Stripe although the ledger has the answer.
    fn remembered_answer(&self, request: &Request) -> Option<String> {
        let about = crate::ledger::asked_about(request)?;
        let row = self.cloud.row(EFFECTS_TABLE, &[&about, "lookup"])?;
        (row["state"] == "done").then(|| format!("Stripe is asked again about {about}: {row}"))
    }

    /// The request of an invocation, which may be over by now, reaches AWS or Stripe.
    fn execute(&mut self, request_id: Option<&str>, request: &Request) -> Response {
        self.calls += 1;
        if self.stripe_is_down && request.service == Service::Stripe {
            let body = br#"{"error":{"type":"api_error"}}"#.to_vec();
            return Response { status: 503, headers: Vec::new(), body };
        }
        let now_ms = self.time.now_ms();
        let rows = crate::ledger::rows_touched(request);
        let before: Vec<_> =
            rows.iter().map(|row| self.cloud.row(EFFECTS_TABLE, &[&row.0, &row.1])).collect();
        let answer = self.cloud.answer(now_ms, request);
        for (row, before) in rows.iter().zip(before) {
            let after = self.cloud.row(EFFECTS_TABLE, &[&row.0, &row.1]);
            let rows = || self.cloud.rows(EFFECTS_TABLE);
            self.watch.see(&Transition { row, before, after, now_ms, request_id }, rows);
        }
        answer
    }
}

impl Doable {
    const fn step(&self) -> Step {
        match self {
            Self::Answer(_, instance) => Step::Answer(*instance),
            Self::Invoke(_) => Step::Invoke,
        }
    }
}

/// A call in a few words: the operation and its subject.
fn describe(request: &Request) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let about = match request.service {
        Service::DynamoDb => crate::ledger::rows_touched(request)
            .into_iter()
            .map(|(payment, effect)| format!("{payment} {effect}"))
            .chain(
                body["ExpressionAttributeValues"][":state"]["S"].as_str().map(|state| format!("→ {state}")),
            )
            .collect::<Vec<_>>()
            .join(", "),
        Service::Ses => body["EmailTags"].as_array().map_or_else(String::new, |tags| {
            tags.iter().map(|tag| text(&tag["Value"])).collect::<Vec<_>>().join(" ")
        }),
        Service::EventBridge => text(&body["Entries"][0]["DetailType"]),
        Service::Stripe => request.uri.clone(),
        Service::Sqs | Service::S3 | Service::SecretsManager => String::new(),
    };
    format!("{:?} {} {about}", request.service, request.operation())
}
