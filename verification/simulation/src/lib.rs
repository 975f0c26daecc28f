#![doc = include_str!("../README.md")]

pub mod enumeration;
pub mod fault;
mod function;
pub mod history;
pub mod invariants;
mod ledger;
mod logs;
mod scenario;
pub mod story;
mod subscriptions;
mod time;
mod wire;
pub mod world;

pub use crate::function::dlq_url;
