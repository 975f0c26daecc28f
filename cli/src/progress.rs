//! How far something long is.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use aws::{Clock as _, SystemClock};

/// Not said more often than this.
const PAUSE_MS: i64 = 200;

/// A line on the terminal that says how far it is; nothing where there is no terminal.
pub(crate) struct Progress {
    /// In Unix milliseconds.
    said_at: Cell<Option<i64>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { said_at: Cell::new(None) }
    }

    pub(crate) fn say(&self, what: impl Display) {
        let now = SystemClock.now_ms();
        let mut terminal = std::io::stderr();
        let is_too_soon = self.said_at.get().is_some_and(|said_at| now - said_at < PAUSE_MS);
        if is_too_soon || !terminal.is_terminal() {
            return;
        }
        self.said_at.set(Some(now));
        // A terminal that is gone is no reason to stop working.
        let _gone = write!(terminal, "\r\x1b[2K{what}").and_then(|()| terminal.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.said_at.get().is_some() {
            let _gone = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}
