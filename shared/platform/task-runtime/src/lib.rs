#![doc = include_str!("../README.md")]

mod aside;
mod batch;
mod clients;
mod environment;
mod failure;
mod http_client;
mod metrics;
mod queue;
mod run;
mod telemetry;

pub use batch::{Delivery, Invocation, Outcome, Task, handle_batch};
pub use clients::{SystemClock, aws_sdk_config, for_others, http_client, sdk_config, with_little_time};
pub use environment::{ConfigError, Environment};
pub use failure::{Backoff, FailureClass, THROTTLED_LIFE, TaskError, cause_chain};
pub use http_client::{OwnConnection, nothing_was_sent};
pub use metrics::{MetricsContext, Tally, write_counts};
pub use queue::{Queue, QueueError, SqsQueue};
pub use run::{QueueConfig, run_task};
pub use telemetry::init_telemetry;
