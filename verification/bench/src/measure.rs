//! Runs the functions, in turn, and takes their measures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lambda_fake::Process;
use serde::Serialize;
use serde_json::Value;

use crate::aws::{Aws, Call};
use crate::process::{self, Wire};
use crate::sample::Spread;
use crate::tls::Tls;
use crate::workload::{FLOOR, Scenario, Trigger, event, invocation, trigger};
use crate::{purchase, template};

/// A function to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
    pub(crate) trigger: Trigger,
}

/// How often everything is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Processes started, of each function and over each wire.
    pub(crate) starts: usize,
    /// Rounds of warm events; in each, every function handles [`EVENTS_A_ROUND`] and one batch.
    pub(crate) rounds: usize,
}

/// Single events a round.
const EVENTS_A_ROUND: usize = 10;
/// Events of a batch: the queues' batch size.
const BATCH: usize = 10;

/// How fast a function is. Times in milliseconds, memory in bytes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Speed {
    /// Start of the process to its first poll.
    pub(crate) first_poll: Compared,
    /// Start of the process to its first event handled, its calls in clear.
    pub(crate) first_event: Compared,
    /// The same over TLS, as on AWS.
    pub(crate) first_event_tls: Compared,
    /// A warm event, from hand-over to answer, over TLS.
    pub(crate) event: Compared,
    /// A batch of ten.
    pub(crate) batch: Option<Compared>,
    /// Processor time of a warm event, user and kernel, less the floor's.
    pub(crate) cpu: Option<Spread>,
    /// The same for an event of a batch of ten.
    pub(crate) cpu_in_batch: Option<Spread>,
    /// The most memory it had after all of it, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

/// A measure, and how many times the floor's it is.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Compared {
    pub(crate) ms: Spread,
    pub(crate) floors: Spread,
}

impl Compared {
    fn of(measurements: &[f64], floor: &[f64]) -> Self {
        Self { ms: Spread::of(measurements.iter().copied()), floors: Spread::of_ratios(measurements, floor) }
    }
}

/// Where everything happens.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) aws: &'a Aws,
    pub(crate) tls: &'a Tls,
    pub(crate) folder: &'a Path,
}

/// One round's measurements of one function, by round.
#[derive(Debug, Default)]
struct Series {
    first_poll: Vec<f64>,
    first_event: Vec<f64>,
    first_event_tls: Vec<f64>,
    event: Vec<f64>,
    batch: Vec<f64>,
    cpu: Vec<f64>,
    cpu_in_batch: Vec<f64>,
    peak_memory: Option<u64>,
}

impl Bench<'_> {
    /// The speed of each function, the floor among them. `progress` is called after every round.
    ///
    /// All functions take part in every round, so that whatever else the machine does is done to all of them.
    pub(crate) fn speed(
        &self,
        functions: &[Function],
        effort: Effort,
        progress: impl Fn(String),
    ) -> Result<BTreeMap<String, Speed>> {
        let mut series: Vec<Series> = functions.iter().map(|_| Series::default()).collect();
        for round in 0..effort.starts {
            progress(format!("cold starts, round {} of {}", round + 1, effort.starts));
            for (function, series) in functions.iter().zip(&mut series) {
                for wire in [Wire::Plain, Wire::Tls] {
                    let payment = format!("Cold{round}{wire:?}{}", plain(&function.name));
                    purchase::forget_reconciliation(&self.aws.cloud);
                    template::upload_again(&self.aws.cloud);
                    let first = first_of(function, &payment);
                    let process = self.start(function, wire)?;
                    let poll = ms(process.first_poll()?);
                    let handled = ms(process.first_event(first)?);
                    match wire {
                        Wire::Plain => {
                            series.first_poll.push(poll);
                            series.first_event.push(handled);
                        }
                        Wire::Tls => series.first_event_tls.push(handled),
                    }
                }
            }
        }
        let mut processes = Vec::new();
        for function in functions {
            let process = self.start(function, Wire::Tls)?;
            process.first_poll()?;
            process.invoke(first_of(function, &plain(&function.name)))?;
            processes.push(process);
        }
        for round in 0..effort.rounds {
            progress(format!("warm events, round {} of {}", round + 1, effort.rounds));
            for ((function, process), series) in functions.iter().zip(&processes).zip(&mut series) {
                self.warm(function, process, round, series)?;
            }
        }
        self.aws.take_calls();
        let floor = functions.iter().position(|function| function.name == FLOOR).context("no floor")?;
        let floor = series.get(floor).context("no floor")?;
        let speeds = series.iter().map(|series| series.speed(floor));
        Ok(functions.iter().map(|function| function.name.clone()).zip(speeds).collect())
    }

    /// The calls to AWS that each function makes for each thing that can happen to a payment, and what it logs.
    ///
    /// Every function is warm: what only its first event costs is left out. They act on the same payments, so that
    /// each finds in the tables what the others leave there.
    pub(crate) fn protocol(&self, functions: &[Function]) -> Result<BTreeMap<String, Protocol>> {
        let mut processes = Vec::new();
        for function in functions {
            let process = self.start(function, Wire::Plain)?;
            process.first_poll()?;
            process.invoke(first_of(function, "Before"))?;
            processes.push(process);
        }
        let mut protocols: Vec<Protocol> = functions.iter().map(|_| Protocol::default()).collect();
        let before = event(Scenario::Paid, "Counted");
        for scenario in Scenario::OF_PAYMENTS.into_iter().chain(Scenario::OF_OTHERS) {
            let event = match scenario {
                Scenario::Pending => event(scenario, "Awaited"),
                Scenario::Refunded => event(scenario, "Counted"),
                // Delivered again, it is the same event to the letter; the others deliver none.
                Scenario::Paid
                | Scenario::PaidAgain
                | Scenario::Looked
                | Scenario::Fetched
                | Scenario::Compared
                | Scenario::Uploaded => before.clone(),
            };
            for ((function, process), protocol) in functions.iter().zip(&processes).zip(&mut protocols) {
                if !Scenario::of(function.trigger).contains(&scenario) {
                    continue;
                }
                purchase::forget_reconciliation(&self.aws.cloud);
                template::upload_again(&self.aws.cloud);
                self.aws.take_calls();
                let logged_before = process.logged()?.len();
                let invocation = invocation(function.trigger, scenario, std::slice::from_ref(&event));
                check(function, scenario, &process.invoke(invocation)?.answer)?;
                let logged = process.logged()?.split_off(logged_before);
                let calls = self.aws.take_calls();
                protocol.scenarios.insert(scenario.name().to_owned(), Cost { calls, logged });
            }
        }
        for ((function, process), protocol) in functions.iter().zip(&processes).zip(&mut protocols) {
            if function.trigger != Trigger::Queue {
                continue;
            }
            self.aws.take_calls();
            let logged_before = process.logged()?.len();
            let events: Vec<Value> =
                (0..BATCH).map(|number| event(Scenario::Paid, &format!("Batched{number}"))).collect();
            let batch = invocation(function.trigger, Scenario::Paid, &events);
            check(function, Scenario::Paid, &process.invoke(batch)?.answer)?;
            let logged = process.logged()?.split_off(logged_before);
            protocol.batch = Some(Cost { calls: self.aws.take_calls(), logged });
        }
        Ok(functions.iter().map(|function| function.name.clone()).zip(protocols).collect())
    }

    /// One round of warm events.
    fn warm(&self, function: &Function, process: &Process, round: usize, series: &mut Series) -> Result<()> {
        let name = plain(&function.name);
        let singles: Vec<Vec<u8>> = (0..EVENTS_A_ROUND)
            .map(|number| first_of(function, &format!("Warm{round}x{number}{name}")))
            .collect();
        let before = process.cpu();
        let mut took = Duration::ZERO;
        for single in singles {
            purchase::forget_reconciliation(&self.aws.cloud);
            template::upload_again(&self.aws.cloud);
            let invoked = process.invoke(single)?;
            check(function, Scenario::first_of(function.trigger), &invoked.answer)?;
            took += invoked.duration;
        }
        series.event.push(ms(took) / EVENTS_A_ROUND as f64);
        if let (Some(before), Some(after)) = (before, process.cpu()) {
            series.cpu.push(ms(after.saturating_sub(before)) / EVENTS_A_ROUND as f64);
        }
        if function.trigger.batches() {
            let events: Vec<Value> = (0..BATCH)
                .map(|number| event(Scenario::Paid, &format!("Batch{round}x{number}{name}")))
                .collect();
            let batch = invocation(function.trigger, Scenario::Paid, &events);
            let before = process.cpu();
            let invoked = process.invoke(batch)?;
            check(function, Scenario::Paid, &invoked.answer)?;
            series.batch.push(ms(invoked.duration));
            if let (Some(before), Some(after)) = (before, process.cpu()) {
                series.cpu_in_batch.push(ms(after.saturating_sub(before)) / BATCH as f64);
            }
        }
        series.peak_memory = process.peak_memory();
        Ok(())
    }

    fn start(&self, function: &Function, wire: Wire) -> Result<Process> {
        process::start(&function.binary, wire, self.aws, self.tls, self.folder)
    }
}

/// What a function is most often called for, about a payment of that name.
fn first_of(function: &Function, payment: &str) -> Vec<u8> {
    let scenario = Scenario::first_of(function.trigger);
    invocation(function.trigger, scenario, &[event(scenario, payment)])
}

/// What a function does for an event, by what happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Protocol {
    pub(crate) scenarios: BTreeMap<String, Cost>,
    /// For a batch of ten paid payments.
    pub(crate) batch: Option<Cost>,
}

impl Protocol {
    /// What the function of that name does most often.
    pub(crate) fn first(&self, function: &str) -> Option<&Cost> {
        self.scenarios.get(Scenario::first_of(trigger(function)?).name())
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Cost {
    pub(crate) calls: Vec<Call>,
    pub(crate) logged: String,
}

impl Cost {
    /// How many calls there were of each kind.
    pub(crate) fn by_kind(&self) -> BTreeMap<String, u64> {
        let mut kinds = BTreeMap::new();
        for call in &self.calls {
            *kinds.entry(call.kind.clone()).or_default() += 1;
        }
        kinds
    }
}

/// An invocation that failed in part measures something else.
fn check(function: &Function, scenario: Scenario, answer: &[u8]) -> Result<()> {
    let answer: Value = serde_json::from_slice(answer).context("the answer is not JSON")?;
    let well = match function.trigger {
        Trigger::Queue | Trigger::Upload => answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty),
        Trigger::Page if scenario == Scenario::Fetched => answer["statusCode"] == 303,
        Trigger::Url | Trigger::Page => answer["statusCode"] == 200,
        Trigger::Schedule => answer["complete"] == true && answer["put_back"] == 0,
        Trigger::WholeBatches => answer.is_null(),
        Trigger::Nothing => true,
    };
    ensure!(well, "{} answered {answer}", function.name);
    Ok(())
}

impl Series {
    fn speed(&self, floor: &Self) -> Speed {
        let own = |mine: &[f64], floor: &[f64]| {
            let own = mine.iter().zip(floor).map(|(mine, floor)| mine - floor);
            (!mine.is_empty()).then(|| Spread::of(own))
        };
        Speed {
            first_poll: Compared::of(&self.first_poll, &floor.first_poll),
            first_event: Compared::of(&self.first_event, &floor.first_event),
            first_event_tls: Compared::of(&self.first_event_tls, &floor.first_event_tls),
            event: Compared::of(&self.event, &floor.event),
            batch: (!self.batch.is_empty()).then(|| Compared::of(&self.batch, &floor.batch)),
            cpu: own(&self.cpu, &floor.cpu),
            cpu_in_batch: own(&self.cpu_in_batch, &floor.cpu_in_batch),
            peak_memory: self.peak_memory,
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A name as it may stand in an id and in an address.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}
