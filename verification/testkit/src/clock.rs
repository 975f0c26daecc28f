//! A clock that moves only when a test advances it.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use aws::Clock;

/// Starts at a fixed time; clones share their time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Time>>);

#[derive(Debug)]
struct Time {
    now_ms: i64,
    sleepers: Vec<Waker>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Time { now_ms: 1_795_000_000_000, sleepers: Vec::new() })))
    }
}

impl ManualClock {
    /// Moves on (or back).
    pub fn advance_ms(&self, ms: i64) {
        let sleepers = {
            let mut time = self.time();
            time.now_ms += ms;
            std::mem::take(&mut time.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.0.lock().unwrap()
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.time().now_ms
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now_ms().saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
        poll_fn(|context| {
            let mut time = self.time();
            if time.now_ms >= until {
                return Poll::Ready(());
            }
            time.sleepers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
