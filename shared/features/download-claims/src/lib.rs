#![doc = include_str!("../README.md")]

mod bought;
mod config;
mod files;
mod pace;
mod purchases;
mod sold;
mod spelling;
mod stripe;
mod table;
mod token;

pub use bought::BoughtFile;
pub use config::PurchasesConfig;
pub use files::{BucketError, FilesBucket};
pub use purchases::{AwsPurchases, Offer, OfferedFile, Purchase, Purchases, PurchasesError};
pub use sold::{Period, PeriodUnit, Recurring, SoldItem};
pub use stripe::{ChargeState, SessionsError, StripeSession, StripeSessions};
pub use stripe_access::StripeConfig;
pub use table::{Downloads, DynamoDbDownloads, Fetch, TableError};
pub use token::{NoKeys, TokenKeys, Verified};

/// The folder of the files bucket that holds sold files.
pub const FOLDER: &str = "files/";
