use std::panic;

use log as _;
use tracing_subscriber::filter::LevelFilter;

/// JSON logs at the level Lambda is configured with, and panics by their place only.
///
/// A panic's message may quote the value that caused it, and that may be personal data.
///
/// Not by `lambda_runtime`'s subscriber: it can filter by module, and brings two engines of regular expressions for it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html>
pub fn init_telemetry(variable: impl Fn(&str) -> Option<String>) {
    let level = variable("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok());
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_target(false)
        .without_time()
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .finish();
    // It is the first, or a test has its own.
    let _set = tracing::subscriber::set_global_default(subscriber);
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
}
