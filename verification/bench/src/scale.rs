//! The queues at rates that no test here can make: a simulation, event by event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use task_runtime::{Backoff, FailureClass};

use crate::sample::quantile;

/// Milliseconds since the rush began.
type Ms = u64;

/// A task behind its queue, as `cdk/` configures it and as it was measured.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    /// The mapping's maximum concurrency.
    pub(crate) max_concurrency: usize,
    pub(crate) batch_size: usize,
    /// A batch of one, in milliseconds.
    pub(crate) one_ms: f64,
    /// A full batch.
    pub(crate) full_ms: f64,
    /// Calls a second that the service behind it takes; the rest is throttled, and their messages are received again
    /// later.
    pub(crate) rate_limit: Option<f64>,
}

/// The load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rush {
    pub(crate) per_second: u64,
    pub(crate) seconds: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) task: String,
    pub(crate) per_second: u64,
    /// Done in the long run, a second, if the rush went on for ever.
    pub(crate) capacity_per_second: f64,
    /// Messages that wait when the rush ends.
    pub(crate) backlog: usize,
    /// How old a message was when it was done: half of all, 99 of 100, the oldest, in seconds.
    pub(crate) age_seconds: [f64; 3],
    /// From the rush's end until nothing waits, in seconds.
    pub(crate) drained_after_seconds: f64,
    /// Messages that were given up and are in the dead-letter queue.
    pub(crate) dead_lettered: usize,
}

/// As in `cdk/lib/constructs/queue-task.ts` and `cdk/lib/stages.ts`.
const MAX_RECEIVE_COUNT: u32 = 200;
const BACKOFF: Backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
/// Invocations a mapping starts with, and by how many a minute it adds to them.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
const FIRST_CONCURRENCY: usize = 5;
const MORE_A_MINUTE: u64 = 300;

#[derive(Debug, Clone, Copy)]
struct Message {
    arrived: Ms,
    receives: u32,
}

/// In the order of time; of two at once the first is the one written first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A message can be received (again).
    Visible(usize),
    /// A batch was answered.
    Answered,
    /// The mapping may run more copies of the function.
    Grown,
}

/// Plays a rush against a task until nothing waits any more.
pub(crate) fn play(task: &Task, rush: Rush) -> Outcome {
    let mut messages: Vec<Message> = (0..rush.per_second * rush.seconds)
        .map(|number| Message { arrived: number * 1000 / rush.per_second, receives: 0 })
        .collect();
    let mut later: BinaryHeap<Reverse<(Ms, Event)>> = BinaryHeap::new();
    let mut arriving = 0;
    let mut waiting: VecDeque<usize> = VecDeque::new();
    let mut running = 0;
    let mut away = 0_usize;
    let mut dead_lettered = 0;
    let mut limit = RateLimit::new(task.rate_limit);
    let mut ages = Vec::with_capacity(messages.len());
    let mut backlog = 0;
    let mut now = 0;
    let rush_ends = rush.seconds * 1000;
    later.push(Reverse((1000, Event::Grown)));
    loop {
        // The next thing to happen: an arrival, or what is due.
        let arrival = messages.get(arriving).map(|message| message.arrived);
        let due = later.peek().map(|Reverse((at, _))| *at);
        now = match (arrival, due) {
            (Some(arrival), Some(due)) if arrival > due => due,
            (Some(arrival), _) => {
                waiting.push_back(arriving);
                arriving += 1;
                arrival
            }
            (None, Some(due))
                if arriving < messages.len() || !waiting.is_empty() || running > 0 || away > 0 =>
            {
                due
            }
            (None, _) => break,
        };
        if now <= rush_ends {
            backlog = waiting.len() + away;
        }
        while let Some(Reverse((at, event))) = later.peek().copied()
            && at <= now
        {
            later.pop();
            match event {
                Event::Visible(message) => {
                    away -= 1;
                    waiting.push_back(message);
                }
                Event::Answered => running -= 1,
                Event::Grown => later.push(Reverse((at + 1000, Event::Grown))),
            }
        }
        let allowed = FIRST_CONCURRENCY + usize::try_from(now * MORE_A_MINUTE / 60_000).unwrap_or(usize::MAX);
        while running < allowed.min(task.max_concurrency) && !waiting.is_empty() {
            let size = task.batch_size.min(waiting.len());
            let answered = now + task.duration_ms(size);
            running += 1;
            later.push(Reverse((answered, Event::Answered)));
            for id in waiting.drain(..size) {
                let Some(message) = messages.get_mut(id) else {
                    continue;
                };
                message.receives += 1;
                if limit.takes(now) {
                    ages.push((answered - message.arrived) as f64 / 1000.0);
                } else if message.receives >= MAX_RECEIVE_COUNT
                    || BACKOFF.gives_up(
                        FailureClass::Throttled,
                        Duration::from_millis(answered - message.arrived),
                        message.receives,
                    )
                {
                    dead_lettered += 1;
                } else {
                    away += 1;
                    let delay = BACKOFF.delay(message.receives, &id.to_string()).as_secs() * 1000;
                    later.push(Reverse((answered + delay, Event::Visible(id))));
                }
            }
        }
    }
    ages.sort_by(f64::total_cmp);
    let age = |share| quantile(&ages, share);
    Outcome {
        task: task.name.clone(),
        per_second: rush.per_second,
        capacity_per_second: task.capacity(),
        backlog,
        age_seconds: [age(0.5), age(0.99), age(1.0)],
        drained_after_seconds: now.saturating_sub(rush_ends) as f64 / 1000.0,
        dead_lettered,
    }
}

impl Task {
    fn duration_ms(&self, size: usize) -> Ms {
        let share = (size - 1) as f64 / (self.batch_size - 1).max(1) as f64;
        let ms = self.one_ms + (self.full_ms - self.one_ms) * share;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some milliseconds")]
        let ms = ms.ceil() as Ms;
        ms.max(1)
    }

    /// Events a second with every copy busy and every batch full.
    pub(crate) fn capacity(&self) -> f64 {
        let own = (self.max_concurrency * self.batch_size) as f64 * 1000.0 / self.full_ms;
        self.rate_limit.map_or(own, |limit| limit.min(own))
    }
}

/// So many a second, a second's worth at once.
struct RateLimit {
    per_second: Option<f64>,
    left: f64,
    filled_at: Ms,
}

impl RateLimit {
    fn new(per_second: Option<f64>) -> Self {
        Self { per_second, left: per_second.unwrap_or_default(), filled_at: 0 }
    }

    fn takes(&mut self, now: Ms) -> bool {
        let Some(per_second) = self.per_second else {
            return true;
        };
        let passed = (now - self.filled_at) as f64 / 1000.0;
        self.left = (self.left + passed * per_second).min(per_second.max(1.0));
        self.filled_at = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(max_concurrency: usize, rate_limit: Option<f64>) -> Task {
        Task {
            name: "task".to_owned(),
            max_concurrency,
            batch_size: 10,
            one_ms: 50.0,
            full_ms: 100.0,
            rate_limit,
        }
    }

    #[test]
    fn a_task_with_room_leaves_nothing_waiting() {
        let outcome = play(&task(5, None), Rush { per_second: 10, seconds: 60 });
        assert_eq!((outcome.backlog, outcome.dead_lettered), (0, 0));
        assert!(outcome.age_seconds[2] <= 0.1, "{outcome:?}");
    }

    #[test]
    fn a_task_without_room_drains_at_its_capacity() {
        // Five copies do 500 a second: 60 seconds of 1000 leave 30 000, for another minute.
        let outcome = play(&task(5, None), Rush { per_second: 1000, seconds: 60 });
        assert!((outcome.drained_after_seconds - 60.0).abs() < 1.0, "{outcome:?}");
        assert!((29_000..=30_100).contains(&outcome.backlog), "{outcome:?}");
    }

    #[test]
    fn a_mapping_takes_its_time_to_grow() {
        let slow = play(&task(300, None), Rush { per_second: 10_000, seconds: 10 });
        assert!(slow.age_seconds[2] > 1.0, "{slow:?}");
    }

    /// A hundredth of 10 000 a second for a minute against a hundredth of SES's first rate: twelve hours of mails.
    #[test]
    fn a_rush_at_the_first_sending_rate_drains_without_a_dead_letter() {
        let outcome = play(&task(5, Some(0.14)), Rush { per_second: 100, seconds: 60 });
        assert_eq!(outcome.dead_lettered, 0, "{outcome:?}");
        assert!(outcome.drained_after_seconds > 10.0 * 3600.0, "{outcome:?}");
    }

    #[test]
    fn every_message_is_done_or_dead_lettered() {
        // One in eight minutes: after three days the others are given up.
        let rush = Rush { per_second: 100, seconds: 10 };
        let outcome = play(&task(5, Some(0.002)), rush);
        assert!(outcome.dead_lettered > 0, "{outcome:?}");
        assert!(outcome.dead_lettered < 1000, "{outcome:?}");
    }
}
