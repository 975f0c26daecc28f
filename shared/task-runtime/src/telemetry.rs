use std::panic;

/// JSON logs as Lambda is configured to write them, and panics by their place only.
///
/// A panic's message may quote the value that caused it, and that may be personal data.
pub fn init_telemetry() {
    lambda_runtime::tracing::init_default_subscriber();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
}
