//! The deployed stack, on the local cloud.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

mod alone;
mod analysts;
mod browser;
mod downloads;
mod dynamodb;
mod marketers;
mod operator;
mod payments;
#[cfg(target_os = "linux")]
mod permissions;
#[cfg(target_os = "linux")]
mod processes;
mod publishing;
mod queues;
mod reconciliation;
mod rules;
mod sources;
mod stack;
mod upgrade;
mod uploads;
