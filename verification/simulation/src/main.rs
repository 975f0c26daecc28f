//! Runs the simulation as long as asked, and says how far it is.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context as _, Result};
use clap::Parser;
use simulation::enumeration::{Case, Depth, Scenario};
use simulation::history;

/// Runs the tasks' real code over a simulated AWS, where everything goes wrong that can.
#[derive(Parser)]
#[command(name = "cargo xtask simulate", after_help = EXAMPLES)]
struct Options {
    /// How many histories to live through
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many of Stripe's events each history has
    #[arg(long, default_value_t = 1000)]
    events: usize,
    /// Only the histories, not the enumeration of faults
    #[arg(long)]
    histories_only: bool,
    /// Only this scenario of the enumeration
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Runs one case of the enumeration and prints everything that happens
    #[arg(long, value_name = "CASE", conflicts_with_all = ["seeds", "from", "events", "histories_only"])]
    replay: Option<Case>,
}

const EXAMPLES: &str = "Examples:
  cargo xtask simulate --seeds 1000 --events 2000
  cargo xtask simulate --histories-only --seeds 1 --from 4711
  cargo xtask simulate --replay mail-twice/0/0.2.crash-after.1";

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let Some(case) = &options.replay {
        return replay(case);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "how long it took is shown to a person, and nothing follows from it"
    )]
    let started = Instant::now();
    let mut failed = false;
    if !options.histories_only {
        failed |= enumerate(options.scenario.as_deref());
    }
    failed |= live(&options);
    say(&format!("{:.1} seconds", started.elapsed().as_secs_f32()));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn replay(case: &Case) -> Result<ExitCode> {
    let scenarios = Scenario::all();
    let names = || scenarios.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    let scenario = scenarios.iter().find(|scenario| scenario.name == case.scenario);
    let scenario = scenario.with_context(|| format!("no such scenario; there are {}", names()))?;
    let report = scenario.run(case);
    report.script.iter().for_each(|line| say(line));
    say(&format!("\n{}", report.logs));
    report.violations.iter().for_each(|rule| say(&format!("BROKEN  {rule}")));
    say(&format!("{} rules broken", report.violations.len()));
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tally so far, from all threads.
#[derive(Default)]
struct Seen {
    cases: AtomicU64,
    calls: AtomicU64,
    faults: AtomicU64,
    events: AtomicU64,
    failed: AtomicBool,
    over: AtomicBool,
    /// One progress line at a time.
    terminal: Mutex<()>,
}

impl Seen {
    fn failure(&self, name: &str, violations: &[String], script: &[String], again: &str) {
        if self.failed.swap(true, Ordering::Relaxed) {
            return;
        }
        let _one_at_a_time = self.terminal.lock();
        say(&format!("\nFAILED  {name}"));
        script.iter().rev().take(SHOWN_STEPS).rev().for_each(|line| say(line));
        violations.iter().for_each(|rule| say(&format!("BROKEN  {rule}")));
        say(&format!("Again:  {again}\n"));
    }
}

/// Steps of a failing run that are shown.
const SHOWN_STEPS: usize = 80;

/// All cases of all scenarios. Whether any failed.
fn enumerate(only: Option<&str>) -> bool {
    let mut scenarios = Scenario::all();
    scenarios.retain(|scenario| only.is_none_or(|only| scenario.name == only));
    let next = AtomicUsize::new(0);
    let seen = Seen::default();
    let by_scenario = Mutex::new(BTreeMap::new());
    in_threads(&seen, "cases", || {
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut cases = 0_u64;
            scenario.enumerate(Depth::All, |case, report| {
                cases += 1;
                seen.cases.fetch_add(1, Ordering::Relaxed);
                seen.calls.fetch_add(report.calls, Ordering::Relaxed);
                if !report.violations.is_empty() {
                    let again = format!("cargo xtask simulate --replay {case}");
                    seen.failure(&case.to_string(), &report.violations, &report.script, &again);
                }
            });
            if let Ok(mut by_scenario) = by_scenario.lock() {
                by_scenario.insert(scenario.name, cases);
            }
        }
    });
    for (scenario, cases) in by_scenario.into_inner().unwrap_or_default() {
        say(&format!("{cases:>8} cases of {scenario}"));
    }
    say(&format!(
        "{:>8} cases in all, {} calls to AWS",
        seen.cases.load(Ordering::Relaxed),
        seen.calls.load(Ordering::Relaxed)
    ));
    seen.failed.load(Ordering::Relaxed)
}

/// All histories. Whether any failed.
fn live(options: &Options) -> bool {
    let next = AtomicU64::new(options.from);
    let seen = Seen::default();
    in_threads(&seen, "histories", || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= options.from + options.seeds {
                return;
            }
            let history = history::live(seed, options.events);
            seen.cases.fetch_add(1, Ordering::Relaxed);
            seen.calls.fetch_add(history.calls, Ordering::Relaxed);
            seen.faults.fetch_add(history.faults, Ordering::Relaxed);
            seen.events.fetch_add(history.events as u64, Ordering::Relaxed);
            if !history.violations.is_empty() {
                let again = format!(
                    "cargo xtask simulate --histories-only --seeds 1 --from {seed} --events {}",
                    options.events
                );
                seen.failure(&format!("seed {seed}"), &history.violations, &history.script, &again);
            }
        }
    });
    say(&format!(
        "{:>8} histories: {} events, {} calls to AWS, {} faults",
        seen.cases.load(Ordering::Relaxed),
        seen.events.load(Ordering::Relaxed),
        seen.calls.load(Ordering::Relaxed),
        seen.faults.load(Ordering::Relaxed)
    ));
    seen.failed.load(Ordering::Relaxed)
}

/// Runs `work` on every core, and reports progress.
fn in_threads(seen: &Seen, what: &str, work: impl Fn() + Sync) {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(&work)).collect();
        let progress = scope.spawn(|| {
            while !seen.over.load(Ordering::Relaxed) {
                thread::park_timeout(Duration::from_secs(1));
                if io::stdout().is_terminal() {
                    let cases = seen.cases.load(Ordering::Relaxed);
                    let calls = seen.calls.load(Ordering::Relaxed);
                    let _one_at_a_time = seen.terminal.lock();
                    write!(io::stdout(), "\r{cases} {what}, {calls} calls …   \r").unwrap_or_default();
                    io::stdout().flush().unwrap_or_default();
                }
            }
        });
        let died = workers.into_iter().map(|worker| worker.join()).filter(Result::is_err).count();
        seen.over.store(true, Ordering::Relaxed);
        progress.thread().unpark();
        if died > 0 {
            seen.failed.store(true, Ordering::Relaxed);
            say(&format!("{died} threads died; the lines before say why"));
        }
    });
}

fn say(line: &str) {
    // A reader that has gone away is no reason to stop.
    writeln!(io::stdout(), "{line}").unwrap_or_default();
}
