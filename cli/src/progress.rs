//! How far something long is.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use aws::{Clock as _, SystemClock};

/// Said not before this, and not more often: most commands are done by then.
const PAUSE_MS: i64 = 500;

/// A line on the terminal that says how far it is; nothing where there is no terminal.
pub(crate) struct Progress {
    said_at: Cell<i64>,
    is_there: Cell<bool>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { said_at: Cell::new(SystemClock.now_ms()), is_there: Cell::new(false) }
    }

    pub(crate) fn say(&self, what: impl Display) {
        let now = SystemClock.now_ms();
        let mut terminal = std::io::stderr();
        if now - self.said_at.get() < PAUSE_MS || !terminal.is_terminal() {
            return;
        }
        self.said_at.set(now);
        self.is_there.set(true);
        // A terminal that is gone is no reason to stop working.
        let _gone = write!(terminal, "\r\x1b[2K{what}").and_then(|()| terminal.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_there.get() {
            let _gone = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}
