#![doc = include_str!("../README.md")]

mod functions;
mod golden;
mod task;

pub use functions::{Function, OTHERS, Task, Trigger, functions};
pub use golden::{Golden, GoldenFunction, GoldenTask};
