#![doc = include_str!("../README.md")]

mod contribution;
mod link;
mod money;
mod payment_id;
mod policy;
mod session_event;
mod supporter;

pub use contribution::{AsOf, Contribution, ContributionStatus, SessionFacts};
pub use link::{ContractError, FulfilmentKind, LinkContract, TemplateName};
pub use money::{Currency, Money, MoneyError};
pub use payment_id::PaymentId;
pub use policy::{KindPolicy, Organisation, Policy, PolicyError};
pub use session_event::{NotReadable, SessionBroken, SessionEvent, SessionOutcome, SkipReason};
pub use supporter::{SupporterId, SupporterRow};
