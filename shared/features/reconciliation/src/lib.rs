#![doc = include_str!("../README.md")]

mod answers;
mod bus;
mod dynamodb;
mod journal;
mod made_event;
mod ours;
mod page;
mod pending;
mod proof;
mod report;
mod run;
mod sweep;
mod verdict;
mod waiting;

pub use bus::FulfilmentBus;
pub use dynamodb::DynamoDbJournal;
pub use journal::{
    Journal, Missing, Overtaken, PUT_BACK_AGAIN_AFTER_SECONDS, PUT_BACK_BESIDE_PARKED_AFTER_SECONDS,
    PUTTING_BACK_SECONDS, Position,
};
use made_event::paid_at;
pub use made_event::{MADE_PREFIX, made_from};
pub use pending::{Pending, PendingSearch};
pub use proof::{DailyProof, Tally};
pub use report::{Misspelt, RunError, RunReport};
pub use run::{Reconciliation, Settings};
pub use sweep::{EVENT_TYPES, ListSource, Sweep};
pub use verdict::{MESSAGE_LIFE_SECONDS, Verdict, judge, missing};
