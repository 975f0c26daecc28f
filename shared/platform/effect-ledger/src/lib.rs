#![doc = include_str!("../README.md")]

mod deeds;
mod dynamodb;
mod open;
mod operator;
mod protocol;
mod shard;
mod state;
mod transaction;

pub use dynamodb::DynamoDbEffects;
pub use effect_key::{Effect, EffectKey, Guarantee, Subject};
pub use open::OpenEffects;
pub use operator::{Change, History, NotRecorded, OperatorAction, Verb};
pub use protocol::{
    Attempted, Busy, Disposed, Disposition, EffectStore, Executor, NotGranted, Performed, Refused,
    StoreError, dispose, perform,
};
pub use state::{Claim, EffectRow, EffectState, MovedMoney, Settlement, Standing};
