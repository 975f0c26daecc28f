//! Instructions instead of milliseconds: they come out nearly the same on a busy machine, and say where they go.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::measure::{Bench, Function, plain};
use crate::process;
use crate::workload::{Scenario, event, invocation};
use crate::{purchase, template};

/// Warm events, of which the mean is taken.
const WARM: u64 = 10;

/// Instructions of a function's own process, without the kernel's.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Instructions {
    /// From its start to its first poll.
    pub(crate) first_poll: u64,
    /// From its start to its first event handled, its calls in clear.
    pub(crate) first_event: u64,
    /// For a warm event.
    pub(crate) event: u64,
    /// For an event of a warm batch of ten, where there are batches.
    pub(crate) event_in_batch: Option<u64>,
}

/// What every function executes, counted by valgrind's callgrind. The profiles stay in the bench's folder, as
/// `callgrind.<function>.<how far it went>`.
pub(crate) fn count(bench: &Bench<'_>, functions: &[Function]) -> Result<BTreeMap<String, Instructions>> {
    let counted = functions.iter().map(|function| {
        let until = |name: &str, invocations: &[usize]| until(bench, function, name, invocations);
        let first_event = until("first-event", &[1])?;
        let warm = |name, events: &[usize]| {
            let all = until(name, &[&[1], events].concat())?;
            Ok::<_, anyhow::Error>(all.saturating_sub(first_event))
        };
        let singles = vec![1; usize::try_from(WARM)?];
        let batches = function.trigger.batches();
        // Two, because the first batch finds too few connections.
        let batch = || Ok::<_, anyhow::Error>(warm("batches", &[10, 10])? - warm("batch", &[10])?);
        let counted = Instructions {
            first_poll: until("first-poll", &[])?,
            first_event,
            event: warm("events", &singles)? / WARM,
            event_in_batch: if batches { Some(batch()? / 10) } else { None },
        };
        Ok((function.name.clone(), counted))
    });
    counted.collect()
}

/// Instructions from the start of a process through invocations of so many events each.
fn until(bench: &Bench<'_>, function: &Function, name: &str, invocations: &[usize]) -> Result<u64> {
    eprintln!("{}, {name}", function.name);
    let profile = bench.folder.join(format!("callgrind.{}.{name}", function.name));
    let scenario = Scenario::first_of(function.trigger);
    let process = process::start_counted(&function.binary, &profile, bench.aws, bench.tls, bench.folder)?;
    process.first_poll()?;
    for (number, events) in invocations.iter().enumerate() {
        let payment = |event| format!("Counted{}{number}x{event}{}", plain(name), plain(&function.name));
        let events: Vec<_> = (0..*events).map(|number| event(scenario, &payment(number))).collect();
        purchase::forget_reconciliation(&bench.aws.cloud);
        template::upload_again(&bench.aws.cloud);
        process.invoke(invocation(function.trigger, scenario, &events))?;
    }
    process.end()?;
    total(&profile)
}

/// The total of a profile: `totals: 12345`.
/// <https://valgrind.org/docs/manual/cl-format.html>
fn total(profile: &Path) -> Result<u64> {
    let text = fs::read_to_string(profile).with_context(|| format!("cannot read {}", profile.display()))?;
    let total =
        text.lines().find_map(|line| line.strip_prefix("totals: ")).context("a profile without a total")?;
    Ok(total.trim().parse()?)
}
