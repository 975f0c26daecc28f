#![doc = include_str!("../README.md")]

mod batch;
mod disposition;
mod failure;
mod queue;
mod run;
mod tally;

pub use batch::{Delivery, Invocation, Outcome, Task, handle_batch};
pub use failure::{Backoff, FailureClass, THROTTLED_LIFE, TaskError};
pub use queue::{Queue, QueueError, SqsQueue};
pub use run::{QueueConfig, run_task};
pub use tally::Tally;
