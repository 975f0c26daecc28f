#![doc = include_str!("../README.md")]

mod dynamodb;
mod protocol;
mod state;

pub use dynamodb::DynamoDbEffects;
pub use protocol::{
    Attempted, Clock, EffectStore, Executor, Performed, Refused, SetAside, StoreError, perform,
};
pub use state::{Claim, Effect, EffectKey, EffectRow, EffectState, MovedMoney, Policy, Settlement, Standing};
