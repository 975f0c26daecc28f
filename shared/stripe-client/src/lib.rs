#![doc = include_str!("../README.md")]

mod client;
mod error;
mod key;
mod object;
mod request;
mod write;

pub use client::{API_VERSION, NotAClient, Patience, STRIPE_API, StripeClient, Written};
pub use error::{Sentence, StripeError};
pub use key::{ApiKey, NotAKey};
pub use object::{
    AmazonEventBridge, ApiObject, ConsentCollection, EventDestination, LineItem, NotReadable, Page,
    PaymentLink, WebhookEndpoint,
};
pub use request::Request;
pub use write::Write;
