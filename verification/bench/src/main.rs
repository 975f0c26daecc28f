//! Measures what the functions cost, beside a function that does nothing and an ordinary one. Run by `cargo xtask bench`.

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a tool that measures: it reads clocks, computes with fractions and tells people what came out"
)]

mod aws;
mod capacity;
mod cost;
mod deployment;
mod guard;
mod instructions;
mod machine;
mod measure;
mod names;
mod payments;
mod prices;
mod process;
mod purchase;
mod report;
mod sample;
mod scale;
mod template;
mod tls;
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_in_memory::Service;
use clap::Parser;
use serde_json::json;
use xtask::checkout::Checkout;
use xtask::functions::{self, Profile};

use crate::aws::Aws;
use crate::cost::{Counted, DESIGNS, Idle};
use crate::deployment::Deployment;
use crate::guard::Budget;
use crate::measure::{Bench, Effort, Function, Speed};
use crate::prices::Prices;
use crate::report::{Circumstances, Size};
use crate::scale::{Rush, Task};
use crate::tls::Tls;
use crate::workload::{FLOOR, ORDINARY, Scenario, Trigger, event, trigger};

/// Measures what the functions cost, beside a function that does nothing and an ordinary one
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    /// Fewer rounds: minutes less, and a wider spread
    #[arg(long)]
    quick: bool,
    /// JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Writes the tables into docs/ (or, with --guard, the budget)
    #[arg(long)]
    write: bool,
    /// Only the functions by themselves, without payments on a local cloud
    #[arg(long)]
    alone: bool,
    /// Only these functions, beside those that they are compared with
    #[arg(long, value_name = "FUNCTION")]
    only: Vec<String>,
    /// Instead: US dollars per million contributions, from the calls that are counted
    #[arg(long, conflicts_with_all = ["scale", "guard"])]
    cost: bool,
    /// Instead: the queues at 10, 1000 and 10 000 payments a second, simulated
    #[arg(long, conflicts_with = "guard")]
    scale: bool,
    /// Instead: instructions, which valgrind counts and other programs do not change. Profiles with names in them:
    /// `CARGO_PROFILE_RELEASE_STRIP=none cargo xtask bench --instructions`, then `callgrind_annotate target/bench/…`
    #[arg(long, conflicts_with_all = ["cost", "scale", "guard", "write"])]
    instructions: bool,
    /// Instead: fails when calls to AWS or log lines are more than verification/bench/budget.toml allows
    #[arg(long)]
    guard: bool,
    /// With --guard: release builds, and their sizes too
    #[arg(long, requires = "guard")]
    release: bool,
}

fn main() -> Result<()> {
    xtask::stripe::play_api_if_asked();
    let arguments = Arguments::parse();
    let checkout = Checkout::find()?;
    xtask::process::end_children_with_us()?;
    if arguments.guard {
        return guard(&checkout, &arguments);
    }
    if arguments.cost || arguments.scale {
        return model(&checkout, &arguments);
    }
    if arguments.instructions {
        return count(&checkout, &arguments);
    }
    measure(&checkout, &arguments)
}

/// Instructions, from start-up to warm events.
fn count(checkout: &Checkout, arguments: &Arguments) -> Result<()> {
    let place = Place::prepare(checkout, Profile::Release, &arguments.only)?.with_ordinary(checkout)?;
    let aws = Aws::start(&place.tls, |_| Duration::ZERO)?;
    let counted = instructions::count(&place.bench(&aws), &place.functions)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&counted)?);
        return Ok(());
    }
    println!("{}", report::instructions(&counted));
    Ok(())
}

/// Speed, memory, sizes, calls; then payments on a local cloud.
fn measure(checkout: &Checkout, arguments: &Arguments) -> Result<()> {
    let place = Place::prepare(checkout, Profile::Release, &arguments.only)?.with_ordinary(checkout)?;
    let aws = Aws::start(&place.tls, |_| Duration::ZERO)?;
    let bench = place.bench(&aws);
    let effort =
        if arguments.quick { Effort { starts: 7, rounds: 10 } } else { Effort { starts: 41, rounds: 50 } };
    let circumstances = Circumstances {
        machine: machine::describe(),
        date: machine::today(),
        load: machine::load(),
        starts: effort.starts,
        rounds: effort.rounds,
    };
    let protocols = bench.protocol(&place.functions)?;
    let speeds = bench.speed(&place.functions, effort, |round| eprintln!("{round}"))?;
    let sizes = place.sizes()?;
    let numbers: &[usize] = if arguments.quick { &[1, 10, 100] } else { &[1, 10, 100, 1000] };
    let loads = if arguments.alone { Vec::new() } else { payments::measure(checkout, numbers)? };
    if arguments.json {
        let calls: BTreeMap<_, BTreeMap<_, _>> = protocols
            .iter()
            .map(|(name, protocol)| {
                let scenarios = protocol.scenarios.iter();
                (name, scenarios.map(|(name, cost)| (name, cost.by_kind())).collect())
            })
            .collect();
        let all = json!({
            "circumstances": circumstances, "speed": speeds, "size": sizes, "calls": calls, "payments": loads,
        });
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let mut text = [
        report::circumstances(&circumstances),
        report::starts(&speeds),
        report::warm(&speeds),
        report::sizes(&sizes),
        report::calls(&protocols),
    ]
    .join("\n");
    if !loads.is_empty() {
        text.push_str(&format!("\n{}", report::payments(&loads)));
    }
    publish(checkout, arguments, "PERFORMANCE.md", "bench", &text)
}

/// What follows from the measures: a bill, and how queues behave.
fn model(checkout: &Checkout, arguments: &Arguments) -> Result<()> {
    let place = Place::prepare(checkout, Profile::Release, &arguments.only)?;
    let aws = Aws::start(&place.tls, typical_reply)?;
    let bench = place.bench(&aws);
    let deployment = Deployment::live(checkout)?;
    let protocols = bench.protocol(&place.functions)?;
    let effort = Effort { starts: 1, rounds: if arguments.quick { 2 } else { 5 } };
    let speeds = bench.speed(&place.functions, effort, |round| eprintln!("{round}"))?;
    if arguments.scale {
        return scale(checkout, arguments, &deployment, &speeds);
    }
    let prices = Prices::compiled_in()?;
    let counted = Counted {
        prices: &prices,
        cloud: &aws.cloud,
        protocols: &protocols,
        speeds: &speeds,
        deployment: &deployment,
        event_bytes: event(Scenario::Paid, "Sized").to_string().len(),
    };
    let bills: Vec<_> = DESIGNS.iter().map(|design| (design.name, counted.bill(*design))).collect();
    let idle = Idle::of(&prices, &deployment, &protocols);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "bills": bills, "idle": idle }))?);
        return Ok(());
    }
    let text = format!(
        "US dollars per million contributions, {}, list prices of {}, counted on {}.\n\n{}\n{}\n{}\n{}",
        prices.region,
        prices.as_of,
        machine::today(),
        report::bills(&bills),
        report::units(&counted.units(), &prices),
        report::others(&counted.others()),
        report::idle(&idle)
    );
    publish(checkout, arguments, "COST.md", "cost", &text)
}

/// Mails a second that SES allows an account that has asked for nothing.
/// <https://docs.aws.amazon.com/ses/latest/dg/quotas.html>
const FIRST_SES_RATE: f64 = 14.0;

fn scale(
    checkout: &Checkout,
    arguments: &Arguments,
    deployment: &Deployment,
    speeds: &BTreeMap<String, Speed>,
) -> Result<()> {
    let mut outcomes = Vec::new();
    for per_second in [10, 1000, 10_000] {
        for (name, mapping) in &deployment.queues {
            // Uploads come by hand, at no rate worth a simulation.
            let Some(speed) = speeds.get(name).filter(|_| trigger(name) == Some(Trigger::Queue)) else {
                continue;
            };
            let batch = speed.batch.context("a task without batches")?;
            let cpu = |spread: Option<sample::Spread>| spread.map_or(0.0, |spread| spread.median);
            let stretch = cost::stretch(deployment.memory_mb);
            let task = Task {
                name: name.clone(),
                max_concurrency: mapping.max_concurrency,
                batch_size: mapping.batch_size,
                one_ms: speed.event.ms.median + stretch * cpu(speed.cpu),
                full_ms: batch.ms.median + 10.0 * stretch * cpu(speed.cpu_in_batch),
                rate_limit: (name == "thank-you-email").then_some(FIRST_SES_RATE),
            };
            eprintln!("{per_second} payments a second, {name}");
            outcomes.push(scale::play(&task, Rush { per_second, seconds: 60 }));
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
        return Ok(());
    }
    publish(checkout, arguments, "SCALING.md", "scale", &report::rushes(&outcomes))
}

/// How long services usually take to reply within a region, rounded up. Assumed, not measured.
fn typical_reply(service: Service) -> Duration {
    Duration::from_millis(match service {
        Service::DynamoDb => 6,
        Service::Sqs => 10,
        Service::EventBridge | Service::SecretsManager => 20,
        Service::S3 => 30,
        Service::Ses => 80,
        Service::Stripe => 300,
    })
}

/// Counts, and compares with the committed budget.
fn guard(checkout: &Checkout, arguments: &Arguments) -> Result<()> {
    let profile = if arguments.release { Profile::Release } else { Profile::Everyday };
    let place = Place::prepare(checkout, profile, &arguments.only)?;
    let aws = Aws::start(&place.tls, |_| Duration::ZERO)?;
    let protocols = place.bench(&aws).protocol(&place.functions)?;
    let sizes = if arguments.release { place.sizes()? } else { BTreeMap::new() };
    let file = checkout.root().join("verification/bench/budget.toml");
    let budget = Budget::read(&file)?;
    let now = budget.now(&protocols, &sizes);
    if arguments.write {
        return now.write(&file);
    }
    budget.check(&now)?;
    println!("{} functions are within verification/bench/budget.toml", protocols.len() - 1);
    Ok(())
}

fn publish(checkout: &Checkout, arguments: &Arguments, file: &str, mark: &str, text: &str) -> Result<()> {
    println!("{text}");
    if arguments.write {
        report::write_between(&checkout.root().join("docs").join(file), mark, &format!("\n{text}\n"))?;
    }
    Ok(())
}

/// The functions, built, and what they run in.
struct Place {
    folder: PathBuf,
    tls: Tls,
    functions: Vec<Function>,
    packages: PathBuf,
}

impl Place {
    fn prepare(checkout: &Checkout, profile: Profile, only: &[String]) -> Result<Self> {
        let folder = checkout.root().join("target/bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let mut names = checkout.functions()?;
        for name in names.iter().filter(|name| trigger(name).is_none()) {
            eprintln!(
                "{name} is not measured: verification/bench/src/workload.rs does not say how it is called"
            );
        }
        names.retain(|name| trigger(name).is_some() && (only.is_empty() || only.contains(name)));
        let mut binaries = match profile {
            // As the tests on the local cloud build them, so that they are compiled once for both.
            Profile::Everyday => functions::everyday(checkout)?.0,
            Profile::Release => functions::build(checkout, profile, &names)?,
        };
        // By itself: cargo gives packages that it builds together the features that any of them asks for.
        let floor = FLOOR.to_owned();
        binaries.extend(functions::build(checkout, profile, std::slice::from_ref(&floor))?);
        names.push(floor);
        let functions = names.into_iter().map(|name| {
            let binary =
                binaries.remove(&name).with_context(|| format!("{name} has no binary of its name"))?;
            let trigger = trigger(&name).unwrap_or(Trigger::Nothing);
            Ok(Function { name, binary, trigger })
        });
        let functions = functions.collect::<Result<Vec<_>>>()?;
        Ok(Self { tls: Tls::on_loopback(&folder)?, packages: folder.join("functions"), folder, functions })
    }

    /// Adds the function with every crate's defaults, which takes minutes to build for the first time: it shares
    /// neither versions nor features nor a profile with the others.
    fn with_ordinary(mut self, checkout: &Checkout) -> Result<Self> {
        let manifest = checkout.root().join("verification/bench/ordinary/Cargo.toml");
        let mut binaries = functions::build_apart(checkout, &manifest, &self.folder.join(ORDINARY))?;
        let name = ORDINARY.to_owned();
        let binary = binaries.remove(&name).with_context(|| format!("{name} has no binary of its name"))?;
        let trigger = trigger(&name).unwrap_or(Trigger::Nothing);
        self.functions.push(Function { name, binary, trigger });
        Ok(self)
    }

    fn bench<'a>(&'a self, aws: &'a Aws) -> Bench<'a> {
        Bench { aws, tls: &self.tls, folder: &self.folder }
    }

    /// What each function's file takes, as it is and packed.
    fn sizes(&self) -> Result<BTreeMap<String, Size>> {
        let sizes = self.functions.iter().map(|function| {
            let zip =
                functions::pack(Profile::Release, &function.binary, &self.packages.join(&function.name))?;
            let bytes = |path| fs::metadata(path).map(|metadata| metadata.len());
            Ok((function.name.clone(), Size { binary: bytes(&function.binary)?, zip: bytes(&zip)? }))
        });
        sizes.collect()
    }
}
