//! Virtual time: it moves when the world moves it, and nothing ever waits.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws::Clock;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;

/// The true time of a world, and who waits for it. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Time(Arc<Mutex<Timers>>);

#[derive(Debug)]
struct Timers {
    now_ms: i64,
    next_id: u64,
    waiting: BTreeMap<(i64, u64), Waker>,
}

impl Time {
    /// Starts at this Unix time in milliseconds.
    pub(crate) fn starting_at(now_ms: i64) -> Self {
        Self(Arc::new(Mutex::new(Timers { now_ms, next_id: 0, waiting: BTreeMap::new() })))
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.timers().now_ms
    }

    /// Moves on to `at_ms` and wakes every waiter for a time until then.
    pub(crate) fn advance_to(&self, at_ms: i64) {
        let due = {
            let mut timers = self.timers();
            timers.now_ms = timers.now_ms.max(at_ms);
            let later = timers.waiting.split_off(&(at_ms + 1, 0));
            std::mem::replace(&mut timers.waiting, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// When the next sleeper is due.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.timers().waiting.keys().next().map(|(at_ms, _)| *at_ms)
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of one function instance, which may be wrong.
#[derive(Debug, Clone)]
pub(crate) struct InstanceClock {
    pub(crate) time: Time,
    pub(crate) skew_ms: i64,
}

impl InstanceClock {
    fn sleep_for(&self, duration: Duration) -> Sleeper {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Sleeper { time: self.time.clone(), until_ms: self.time.now_ms().saturating_add(ms), id: None }
    }
}

impl Clock for InstanceClock {
    fn now_ms(&self) -> i64 {
        self.time.now_ms() + self.skew_ms
    }

    async fn sleep(&self, duration: Duration) {
        self.sleep_for(duration).await;
    }
}

impl AsyncSleep for InstanceClock {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(self.sleep_for(duration))
    }
}

impl TimeSource for InstanceClock {
    fn now(&self) -> SystemTime {
        let ms = u64::try_from(self.now_ms()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }
}

/// Ready once its time has come. Dropped earlier, it wakes no waiter.
struct Sleeper {
    time: Time,
    until_ms: i64,
    id: Option<u64>,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let until_ms = self.until_ms;
        let known = self.id;
        let id = {
            let mut timers = self.time.timers();
            if timers.now_ms >= until_ms {
                return Poll::Ready(());
            }
            let id = known.unwrap_or(timers.next_id);
            timers.next_id = timers.next_id.max(id + 1);
            timers.waiting.insert((until_ms, id), context.waker().clone());
            id
        };
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.time.timers().waiting.remove(&(self.until_ms, id));
        }
    }
}
