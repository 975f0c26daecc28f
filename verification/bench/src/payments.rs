//! Payments on the local cloud: how many a second, and how long until everything about one is done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use aws::{Clock as _, SystemClock};
use serde::Serialize;
use xtask::checkout::Checkout;
use xtask::local::for_measuring;
use xtask::stack::Stack;

use crate::sample::quantile;
use crate::workload::{Scenario, event};

/// The rows of each payment: mail, record, consents, acquisition.
const EFFECTS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(300);
/// Requests at once: Stripe does not wait for one answer before it sends the next event.
const SENDERS: usize = 8;

/// A number of payments at once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Load {
    pub(crate) payments: usize,
    /// From the webhook's answer until the payment's last effect, in milliseconds: half of all, 99 of 100.
    pub(crate) done_after_ms: [f64; 2],
    /// Payments a second, from the first event sent to the last effect.
    pub(crate) per_second: f64,
}

/// Sends so many payments at once, for each number in turn, to a cloud of its own with the release builds.
pub(crate) fn measure(checkout: &Checkout, numbers: &[usize]) -> Result<Vec<Load>> {
    let (cloud, stack) = for_measuring(checkout)?;
    // Every function has started and every connection is made.
    load(&stack, "Warm", 10)?;
    let loads = numbers.iter().map(|number| load(&stack, &format!("Of{number}"), *number)).collect();
    drop(cloud);
    loads
}

fn load(stack: &Stack, name: &str, payments: usize) -> Result<Load> {
    let started = SystemClock.now_ms();
    let numbers: Vec<usize> = (0..payments).collect();
    let share = payments.div_ceil(SENDERS);
    let accepted = std::thread::scope(|scope| -> Result<BTreeMap<String, i64>> {
        let senders: Vec<_> =
            numbers.chunks(share).map(|numbers| scope.spawn(move || send(stack, name, numbers))).collect();
        let mut accepted = BTreeMap::new();
        for sender in senders {
            accepted.extend(sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(accepted)
    })?;
    let deadline = Instant::now() + PATIENCE;
    let done = loop {
        let done = done(stack, &accepted)?;
        if done.len() == payments {
            break done;
        }
        ensure!(Instant::now() < deadline, "{} of {payments} payments are done", done.len());
        std::thread::sleep(Duration::from_millis(300));
    };
    let mut took: Vec<f64> =
        done.iter().filter_map(|(id, at)| Some((at - accepted.get(id)?).max(0) as f64)).collect();
    took.sort_by(f64::total_cmp);
    let last = done.values().max().copied().unwrap_or(started);
    Ok(Load {
        payments,
        done_after_ms: [quantile(&took, 0.5), quantile(&took, 0.99)],
        per_second: payments as f64 * 1000.0 / (last - started).max(1) as f64,
    })
}

/// Posts events to the webhook. When each was accepted, by payment.
fn send(stack: &Stack, name: &str, numbers: &[usize]) -> Result<BTreeMap<String, i64>> {
    let mut accepted = BTreeMap::new();
    for number in numbers {
        let payment = format!("{name}x{number}");
        let (status, answer) = stack.post(&event(Scenario::Paid, &payment).to_string())?;
        ensure!(status == 200, "the webhook answered {status} {answer}");
        accepted.insert(format!("pi_{payment}"), SystemClock.now_ms());
    }
    Ok(accepted)
}

/// When the last effect of each payment was done, of those of which all are.
fn done(stack: &Stack, accepted: &BTreeMap<String, i64>) -> Result<BTreeMap<String, i64>> {
    let mut effects: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for row in stack.rows("EffectsTableName")? {
        let payment = row["payment_id"].as_str().unwrap_or_default();
        if row["state"] == "done" && accepted.contains_key(payment) {
            effects.entry(payment.to_owned()).or_default().extend(row["updated_at"].as_i64());
        }
    }
    let all = effects.into_iter().filter(|(_, at)| at.len() == EFFECTS);
    Ok(all.filter_map(|(payment, at)| Some((payment, at.into_iter().max()?))).collect())
}
