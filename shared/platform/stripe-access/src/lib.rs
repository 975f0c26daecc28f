#![doc = include_str!("../README.md")]

mod access;
mod config;

pub use access::{Began, StripeAccess, StripeAccessError, SubscriptionItem};
pub use config::StripeConfig;
