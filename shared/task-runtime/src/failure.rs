use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// What to do with a message whose task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// Goes back to the queue. Everything unknown belongs here.
    Retryable,
    /// Goes to the DLQ: the same message will fail the same way until somebody mends something.
    Permanent,
}

/// A task's error: an enum whose `class` and `reason` have no wildcard arm.
pub trait TaskError: Error {
    /// What to do with the message.
    fn class(&self) -> FailureClass;

    /// A short name, without personal data, for metrics, the ledger and the DLQ's attribute.
    fn reason(&self) -> &'static str;
}

/// An error and its causes in one line, outermost first.
pub fn cause_chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Transparent wrappers repeat their source.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// How long a message stays away after a retryable failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay, in seconds.
    pub base_seconds: u32,
    /// The longest delay, in seconds.
    pub cap_seconds: u32,
}

impl Backoff {
    /// The delay after the `receive_count`-th delivery: doubles from base to cap, a fifth more or less.
    ///
    /// The jitter comes from the message's id, so that messages that failed together do not come back together.
    pub fn delay(&self, receive_count: u32, message_id: &str) -> Duration {
        let doublings = receive_count.saturating_sub(1).min(20);
        let delay = u64::from(self.base_seconds).saturating_mul(1 << doublings).min(self.cap_seconds.into());
        let mut hasher = DefaultHasher::new();
        (message_id, receive_count).hash(&mut hasher);
        let percent = 80 + hasher.finish() % 41;
        Duration::from_secs((delay * percent).div_ceil(100).max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIVE: Backoff = Backoff { base_seconds: 30, cap_seconds: 3600 };

    fn mean_seconds(receive_count: u32) -> u64 {
        let total: u64 = (0..200).map(|i| LIVE.delay(receive_count, &i.to_string()).as_secs()).sum();
        total / 200
    }

    #[test]
    fn doubles_from_half_a_minute_to_an_hour() {
        let means: Vec<_> = [1, 2, 7, 8, 17].into_iter().map(mean_seconds).collect();
        let near = |expected: u64, mean: u64| (expected * 95 / 100..=expected * 105 / 100).contains(&mean);
        assert!(near(30, means[0]) && near(60, means[1]) && near(1920, means[2]), "{means:?}");
        assert!(near(3600, means[3]) && near(3600, means[4]), "{means:?}");
    }

    #[test]
    fn messages_that_failed_together_do_not_come_back_together() {
        let delays: std::collections::BTreeSet<_> =
            (0..20).map(|i| LIVE.delay(5, &format!("message-{i}"))).collect();
        assert!(delays.len() > 10, "{delays:?}");
    }

    /// The template gives a message 17 deliveries.
    #[test]
    fn seventeen_deliveries_take_about_ten_hours() {
        let seconds: u64 = (1..17).map(mean_seconds).sum();
        assert!((9 * 3600..=11 * 3600).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("the mail was not sent")]
        struct Outer(#[source] std::num::ParseIntError);
        let error = Outer("x".parse::<i32>().unwrap_err());
        assert_eq!(cause_chain(&error), "the mail was not sent: invalid digit found in string");
    }

    proptest! {
        #[test]
        fn stays_within_what_sqs_allows(count in any::<u32>(), id in ".{0,40}") {
            let delay = LIVE.delay(count, &id).as_secs();
            prop_assert!((1..=43_200).contains(&delay));
        }
    }
}
