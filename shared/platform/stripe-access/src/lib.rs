#![doc = include_str!("../README.md")]

mod access;
mod config;
mod secret;

pub use access::{Began, StripeAccess, StripeAccessError};
pub use config::StripeConfig;
pub use secret::{CachedSecret, SecretError};
