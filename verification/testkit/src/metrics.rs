//! The metrics that a function writes.

use aws::{MetricsContext, write_counts};
use serde_json::Value;
use task_runtime::Tally;

/// A function of stage `live`.
fn context(function: &'static str) -> MetricsContext {
    MetricsContext { stage: "live".to_owned(), task: function }
}

/// The lines a task writes after a batch that ended like this.
pub fn of_task(function: &'static str, tally: &Tally) -> Vec<Value> {
    let mut out = Vec::new();
    tally.write(&context(function), 1_795_000_000_000, &mut out).unwrap();
    lines(&out)
}

/// The line a function without a queue writes.
pub fn of_counts(function: &'static str, counts: &[(&str, u32)]) -> Vec<Value> {
    let mut out = Vec::new();
    write_counts(&context(function), counts, 1_795_000_000_000, &mut out).unwrap();
    lines(&out)
}

fn lines(written: &[u8]) -> Vec<Value> {
    serde_json::Deserializer::from_slice(written).into_iter().map(Result::unwrap).collect()
}

/// Compares lines with a golden file, which is also what the alarms are checked against.
///
/// # Panics
///
/// When they differ. The message holds what the file should say.
pub fn assert_golden(lines: &[Value], golden: &str) {
    let golden: Vec<Value> = serde_json::from_str(golden).unwrap();
    assert!(lines == golden, "{}", serde_json::to_string_pretty(lines).unwrap());
}
