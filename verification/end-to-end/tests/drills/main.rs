//! Bad days: each is staged, and ended with the commands that the runbooks name. What `afterlink` says on the way must be
//! true, its exit code must mean it, and the system must be quiet at the end. `cargo xtask drills` runs them.
#![expect(clippy::unwrap_used, reason = "a drill that cannot be set up should stop at once")]

mod day;
mod errors;
mod links;
mod mail;
mod operators;
mod outages;
mod queues;
#[path = "../local_cloud/stack.rs"]
#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
mod stack;
mod stripe_side;
