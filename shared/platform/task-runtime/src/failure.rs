use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// What to do with a message whose task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// Goes back to the queue. Everything unknown belongs here.
    Retryable,
    /// Goes back to the queue, and may do so for [`THROTTLED_LIFE`]: the service works, and takes less than there is.
    /// A rush that drains slowly is no failure of its messages.
    Throttled,
    /// Goes to the DLQ: the same message will fail the same way until its cause is fixed.
    Permanent,
}

/// A task's error: an enum whose `class` and `reason` have no wildcard arm.
pub trait TaskError: Error {
    /// What to do with the message.
    fn class(&self) -> FailureClass;

    /// A short name, without personal data, for metrics, the ledger and the DLQ's attribute.
    fn reason(&self) -> &'static str;
}

/// For how long a message may be turned away by a service that throttles. A day less than the queue keeps it, so
/// that it reaches the DLQ before SQS deletes it.
pub const THROTTLED_LIFE: Duration = Duration::from_secs(3 * 24 * 3600);

/// How many times a message is tried at least, however old it is when it is received first: a queue may have been
/// paused for a day.
const TRIES_AT_LEAST: u32 = 3;

/// How long a message stays away after a retryable failure, and when to stop.
///
/// The age of a message decides, not how often it was received. SQS counts a receive also when Lambda throttles the
/// function or the function dies, and these come every few minutes, while our own pauses grow to an hour. The queue's
/// `maxReceiveCount` is only there for messages that the function never gets to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay, in seconds.
    pub base_seconds: u32,
    /// The longest delay, in seconds.
    pub cap_seconds: u32,
    /// The age at which a message that still fails goes to the DLQ, in seconds.
    pub give_up_seconds: u32,
}

/// How much of a delay the jitter leaves at the least, in percent.
const SHORTEST_PERCENT: u64 = 80;

impl Backoff {
    /// Whether a message of this age, which has failed again, is given up.
    pub fn gives_up(&self, class: FailureClass, age: Duration, receive_count: u32) -> bool {
        match class {
            FailureClass::Permanent => true,
            FailureClass::Retryable => {
                receive_count >= TRIES_AT_LEAST && age >= Duration::from_secs(self.give_up_seconds.into())
            }
            FailureClass::Throttled => age >= THROTTLED_LIFE,
        }
    }

    /// Whether a message came back sooner than the pauses allow that this function asks for: some of its receives
    /// were never answered, because the function was throttled, timed out or died.
    pub fn is_unanswered(&self, receive_count: u32, since_first_receive: Duration) -> bool {
        let shortest = (1..receive_count).map(|count| self.mean_seconds(count) * SHORTEST_PERCENT / 100);
        since_first_receive < Duration::from_secs(shortest.sum())
    }

    fn mean_seconds(&self, receive_count: u32) -> u64 {
        let doublings = receive_count.saturating_sub(1).min(20);
        u64::from(self.base_seconds).saturating_mul(1 << doublings).min(self.cap_seconds.into())
    }

    /// The delay after the `receive_count`-th delivery: doubles from base to cap, a fifth more or less.
    ///
    /// The jitter comes from the message's id, so that messages that failed together are not received again together.
    pub fn delay(&self, receive_count: u32, message_id: &str) -> Duration {
        let delay = self.mean_seconds(receive_count);
        let mut hasher = DefaultHasher::new();
        (message_id, receive_count).hash(&mut hasher);
        let percent = SHORTEST_PERCENT + hasher.finish() % 41;
        Duration::from_secs((delay * percent).div_ceil(100).max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use aws::cause_chain;

    use super::*;

    const LIVE: Backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
    const HOUR: u64 = 3600;

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

    #[test]
    fn a_message_is_given_up_at_ten_hours_however_often_it_was_received() {
        let given_up = |hours, receives| {
            LIVE.gives_up(FailureClass::Retryable, Duration::from_secs(hours * HOUR), receives)
        };
        assert!(!given_up(9, 1) && !given_up(9, 17) && !given_up(9, 199));
        assert!(given_up(10, 3) && given_up(10, 17) && given_up(90, 199));
        // The queue was paused for a day: this is the first try.
        assert!(!given_up(24, 1) && !given_up(24, 2));
    }

    #[test]
    fn a_message_that_is_only_throttled_is_given_up_before_the_queue_deletes_it() {
        let given_up = |hours| LIVE.gives_up(FailureClass::Throttled, Duration::from_secs(hours * HOUR), 80);
        assert!(!given_up(10) && !given_up(71) && given_up(72));
        let queue_keeps = Duration::from_secs(4 * 24 * HOUR);
        assert!(THROTTLED_LIFE + Duration::from_secs(2 * HOUR) < queue_keeps);
    }

    /// Otherwise SQS would move it to the DLQ earlier. The template allows 200 receives.
    #[test]
    fn no_message_is_received_200_times_before_it_is_given_up() {
        let mut age = 0;
        for receives in 1..200 {
            age += LIVE.mean_seconds(receives) * SHORTEST_PERCENT / 100;
        }
        assert!(Duration::from_secs(age) > THROTTLED_LIFE, "{} hours", age / HOUR);
    }

    #[test]
    fn ten_hours_are_about_seventeen_tries() {
        let seconds: u64 = (1..17).map(mean_seconds).sum();
        assert!((9 * HOUR..=11 * HOUR).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_message_whose_function_dies_is_recognised_by_its_seventh_receive() {
        // It is received again after the queue's visibility timeout, three minutes.
        let died =
            |receives: u32| LIVE.is_unanswered(receives, Duration::from_secs(u64::from(receives - 1) * 180));
        assert!(!died(1) && !died(6));
        assert!((7..=200).all(died));
    }

    proptest! {
        #[test]
        fn a_message_that_was_answered_each_time_is_never_taken_for_an_unanswered_one(
            receives in 1_u32..120, id in ".{0,40}",
        ) {
            let since = (1..receives).map(|count| LIVE.delay(count, &id)).sum();
            prop_assert!(!LIVE.is_unanswered(receives, since));
        }
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
