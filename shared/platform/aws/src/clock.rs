use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time, as an argument: real in the functions, controlled in tests.
pub trait Clock {
    /// Unix milliseconds.
    fn now_ms(&self) -> i64;

    /// Resolves once this much time has passed.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the real time")]
    fn now_ms(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
