use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

/// The CloudWatch namespace of every metric.
const NAMESPACE: &str = "Afterlink";

/// Where a metric belongs.
#[derive(Debug, Clone)]
pub struct MetricsContext {
    /// `local`, `test` or `live`.
    pub stage: String,
    /// The function.
    pub task: &'static str,
}

/// What became of the messages of one invocation.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Done now.
    pub done: u32,
    /// Acknowledged without effect, by reason.
    pub skipped: BTreeMap<&'static str, u32>,
    /// Sent back to the queue.
    pub retried: u32,
    /// Sent to the DLQ.
    pub parked: u32,
    /// May or may not have been done.
    pub unknown: u32,
    /// What the task noted on the way, by metric.
    pub noted: BTreeMap<&'static str, u32>,
    /// How long each message took, in milliseconds.
    pub durations_ms: Vec<i64>,
}

impl Tally {
    /// Writes the tally in CloudWatch's embedded metric format, a line each set of dimensions.
    ///
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
    ///
    /// # Errors
    ///
    /// When `out` fails.
    pub fn write(&self, context: &MetricsContext, now_ms: i64, out: &mut impl Write) -> io::Result<()> {
        let skipped: u32 = self.skipped.values().sum();
        let handled = self.done + skipped + self.retried + self.parked + self.unknown;
        let mut values = vec![
            ("Handled", json!(handled)),
            ("Done", json!(self.done)),
            ("Skipped", json!(skipped)),
            ("Retried", json!(self.retried)),
            ("Parked", json!(self.parked)),
            ("Unknown", json!(self.unknown)),
            ("Duration", json!(self.durations_ms)),
        ];
        values.extend(self.noted.iter().map(|(metric, count)| (*metric, json!(count))));
        write_line(out, now_ms, &[("Stage", &context.stage), ("Task", context.task)], &values)?;
        for (reason, count) in &self.skipped {
            let dimensions = [("Stage", context.stage.as_str()), ("Task", context.task), ("Reason", reason)];
            write_line(out, now_ms, &dimensions, &[("Skipped", json!(count))])?;
        }
        Ok(())
    }
}

/// Writes plain counts under a function's own dimensions; for functions without a queue.
///
/// # Errors
///
/// When `out` fails.
pub fn write_counts(
    context: &MetricsContext,
    counts: &[(&str, u32)],
    now_ms: i64,
    out: &mut impl Write,
) -> io::Result<()> {
    let values: Vec<_> = counts.iter().map(|(name, count)| (*name, json!(count))).collect();
    write_line(out, now_ms, &[("Stage", &context.stage), ("Task", context.task)], &values)
}

fn write_line(
    out: &mut impl Write,
    now_ms: i64,
    dimensions: &[(&str, &str)],
    values: &[(&str, Value)],
) -> io::Result<()> {
    let names: Vec<_> = dimensions.iter().map(|(name, _)| *name).collect();
    let metrics: Vec<_> =
        values.iter().map(|(name, _)| json!({ "Name": name, "Unit": unit(name) })).collect();
    let mut line = Map::new();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": metrics });
    line.insert("_aws".into(), json!({ "Timestamp": now_ms, "CloudWatchMetrics": [directive] }));
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}

fn unit(metric: &str) -> &'static str {
    match metric {
        "Duration" => "Milliseconds",
        "OldestUnexplainedAge" | "OldestPendingAge" => "Seconds",
        _ => "Count",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden file is also what the alarms are checked against: an alarm on a metric that is neither in it nor in
    /// the file beside the function's own manifest could never fire.
    #[test]
    fn writes_what_the_alarms_watch() {
        let queue_task = MetricsContext { stage: "live".into(), task: "thank-you-email" };
        let tally = Tally {
            done: 2,
            skipped: [("already_done", 1)].into(),
            retried: 1,
            parked: 1,
            unknown: 1,
            noted: BTreeMap::new(),
            durations_ms: vec![12, 30, 4, 9, 8, 7],
        };
        let mut out = Vec::new();
        tally.write(&queue_task, 1_795_000_000_000, &mut out).unwrap();
        let lines: Vec<Value> = out
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        let golden: Vec<Value> = serde_json::from_str(include_str!("../tests/emf.golden.json")).unwrap();
        assert_eq!(lines, golden, "{}", serde_json::to_string_pretty(&lines).unwrap());
    }
}
