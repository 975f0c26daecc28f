#![doc = include_str!("../README.md")]

mod client;
mod error;
mod key;
mod object;
mod permission;
mod request;
mod write;

pub use client::{API_VERSION, NotAClient, Patience, STRIPE_API, StripeClient, Written};
pub use error::{Sentence, StripeError};
pub use key::{ApiKey, NotAKey};
pub use object::{
    AfterCompletion, AmazonEventBridge, ApiObject, ConsentCollection, EventDestination, EventVersion,
    LineItem, LinkItem, LinkItems, LinkPrice, NotReadable, Page, PaymentIntentData, PaymentLink, Redirect,
    WebhookEndpoint,
};
pub use permission::Permission;
pub use request::Request;
pub use write::Write;
