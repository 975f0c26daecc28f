//! A clock that moves when told to.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use effect_ledger::Clock;

/// Starts at a fixed time; clones share their time.
#[derive(Debug, Clone)]
pub struct ManualClock(Rc<Time>);

#[derive(Debug)]
struct Time {
    now_ms: Cell<i64>,
    sleepers: RefCell<Vec<Waker>>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self(Rc::new(Time { now_ms: Cell::new(1_795_000_000_000), sleepers: RefCell::default() }))
    }
}

impl ManualClock {
    /// Moves on (or back).
    pub fn advance_ms(&self, ms: i64) {
        self.0.now_ms.set(self.0.now_ms.get() + ms);
        self.0.sleepers.take().into_iter().for_each(Waker::wake);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms.get()
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now_ms().saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
        poll_fn(|context| {
            if self.now_ms() >= until {
                return Poll::Ready(());
            }
            self.0.sleepers.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
