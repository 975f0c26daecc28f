#![doc = include_str!("../README.md")]

mod former_key;
mod rows;

pub use former_key::as_filed;
pub use rows::{
    NOT_NEEDED, NOTHING_FOUND, alias, is_filed, is_looked_up, is_ours, is_refunded, refunded,
    subscription_is_ours,
};
