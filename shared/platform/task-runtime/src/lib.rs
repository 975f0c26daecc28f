#![doc = include_str!("../README.md")]

mod batch;
mod consumer;
mod disposition;
mod failure;
mod queue;
mod run;
mod tally;
mod task;

pub use batch::{Invocation, consume_batch, handle_batch};
pub use consumer::{About, Consumer, Counted, Outcome, Receipt};
pub use failure::{Backoff, FailureClass, THROTTLED_LIFE, TaskError};
pub use queue::{Queue, QueueError, SqsQueue};
pub use run::{QueueConfig, run_consumer, run_task};
pub use tally::Tally;
pub use task::{Delivery, Task};
