#![doc = include_str!("../README.md")]

mod entitlements;
mod explanation;
mod grant;
mod login;
mod payment_facts;
mod product;
mod reading;
mod subscription_facts;

pub use entitlements::{Entitlement, Entitlements};
pub use explanation::explain;
pub use grant::{Given, Grant, GrantState, Reason};
pub use login::{KnownLogin, Park, Plan, Step, User, Wanted};
pub use payment_facts::{PaymentFacts, PaymentStanding};
pub use product::{ProductError, allowances};
pub use reading::{Item, Said};
pub use subscription_facts::{Begun, SubscriptionFacts};
