#![doc = include_str!("../README.md")]

mod lookup;
mod stripe;
mod subscription;
#[cfg(test)]
mod testing;

pub use lookup::{LookupFailed, Payment, PaymentLookup};
pub use stripe::Stripe;
pub use subscription::{Subscribed, Whose};
