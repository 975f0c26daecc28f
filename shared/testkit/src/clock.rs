//! A clock that moves when told to.

use std::cell::Cell;
use std::rc::Rc;

use effect_ledger::Clock;

/// Starts at a fixed time; clones share their time.
#[derive(Debug, Clone)]
pub struct ManualClock(Rc<Cell<i64>>);

impl Default for ManualClock {
    fn default() -> Self {
        Self(Rc::new(Cell::new(1_795_000_000_000)))
    }
}

impl ManualClock {
    /// Moves on (or back).
    pub fn advance_ms(&self, ms: i64) {
        self.0.set(self.0.get() + ms);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.get()
    }
}
