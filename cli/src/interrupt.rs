//! Ctrl-C in the middle of something: what has been begun is finished, and the report says how far it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the operator wants it to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. The second Ctrl-C ends the program where it is.
    pub(crate) fn listen() -> Self {
        /// What shells take for an end by this signal: 128 + SIGINT.
        const INTERRUPTED: i32 = 130;
        let interrupt = Self::default();
        let came = Arc::clone(&interrupt.0);
        // The program has one thread, and this runs whenever it waits for an answer.
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if came.swap(true, Ordering::Relaxed) {
                    std::process::exit(INTERRUPTED);
                }
                anstream::eprintln!("\rFinishing what was begun. Ctrl-C once more ends it at once.");
            }
        });
        interrupt
    }

    #[cfg(test)]
    pub(crate) fn come(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
