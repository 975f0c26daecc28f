#![doc = include_str!("../README.md")]
#![allow(
    clippy::disallowed_methods,
    reason = "it plays Lambda, whose clock and environment are the real ones, and measures"
)]

pub mod events;
mod process;
mod runtime_api;

pub use process::{Invoked, Process};
