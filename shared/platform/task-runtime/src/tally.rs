use std::collections::BTreeMap;
use std::io::{self, Write};

use aws::{MetricsContext, write_metrics};
use serde_json::json;

/// The outcomes of the messages of one invocation.
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
    /// What the task counted on the way, by metric.
    pub counted: BTreeMap<&'static str, u32>,
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
        values.extend(self.counted.iter().map(|(metric, count)| (*metric, json!(count))));
        write_metrics(out, now_ms, &[("Stage", &context.stage), ("Task", context.task)], &values)?;
        for (reason, count) in &self.skipped {
            let dimensions = [("Stage", context.stage.as_str()), ("Task", context.task), ("Reason", reason)];
            write_metrics(out, now_ms, &dimensions, &[("Skipped", json!(count))])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
            counted: BTreeMap::new(),
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
