#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

pub mod acquisition;
pub mod aws;
pub mod clock;
pub mod expected_effects;
pub mod ledger;
pub mod metrics;
pub mod orders;
pub mod policy;
pub mod queue;
pub mod silence;
pub mod stripe;
pub mod subscriptions;

pub use stripe_api_fake as stripe_api;
