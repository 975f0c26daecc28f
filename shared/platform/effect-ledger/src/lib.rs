#![doc = include_str!("../README.md")]

mod called_for;
mod dynamodb;
mod former_key;
mod open;
mod operator;
mod protocol;
mod state;
mod transaction;

pub use called_for::CalledFor;
pub use dynamodb::DynamoDbEffects;
pub use former_key::as_filed;
pub use open::OpenEffects;
pub use operator::{Change, History, NotRecorded, OperatorAction, Verb};
pub use protocol::{
    Attempted, Busy, Clock, EffectStore, Executor, NotGranted, Performed, PutAside, Refused, SetAside,
    StoreError, perform, put_aside,
};
pub use state::{Claim, Effect, EffectKey, EffectRow, EffectState, MovedMoney, Policy, Settlement, Standing};
