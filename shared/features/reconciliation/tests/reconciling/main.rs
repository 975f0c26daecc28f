//! Reconciliation against Stripe's API on loopback, a ledger in memory, and tasks that write the rows their events call
//! for.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

mod histories;
mod proofs;
mod runs;
mod subscriptions;
mod verdicts;
mod waiting;
mod world;
