#![doc = include_str!("../README.md")]

mod effect;
mod subject;

pub use effect::{Effect, Guarantee};
pub use subject::Subject;

/// The key of a row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectKey {
    /// Partition key.
    pub subject: Subject,
    /// Sort key.
    pub effect: Effect,
}

impl EffectKey {
    /// An effect about a subject.
    pub fn new(subject: impl Into<Subject>, effect: Effect) -> Self {
        Self { subject: subject.into(), effect }
    }
}
