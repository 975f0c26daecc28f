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
    write_metrics(out, now_ms, &[("Stage", &context.stage), ("Task", context.task)], &values)
}

/// Writes one line of metrics that share their dimensions.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
///
/// # Errors
///
/// When `out` fails.
pub fn write_metrics(
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
