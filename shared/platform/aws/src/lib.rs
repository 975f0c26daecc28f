#![doc = include_str!("../README.md")]

mod cause;
mod clients;
mod clock;
mod environment;
mod event_bus;
mod http_client;
mod metrics;
mod secret;
mod telemetry;

pub use cause::cause_chain;
pub use clients::{aws_sdk_config, for_others, http_client, sdk_config, with_little_time};
pub use clock::{Clock, SystemClock};
pub use environment::{ConfigError, Environment};
pub use event_bus::{BusEntry, EventBridgeBus, NotPut, is_permanent_refusal};
pub use http_client::{OwnConnection, nothing_was_sent};
pub use metrics::{MetricsContext, write_counts, write_metrics};
pub use secret::{CachedSecret, SecretError, SecretSource, StoredSecret};
pub use telemetry::init_telemetry;
