#![doc = include_str!("../README.md")]

mod dispute;
mod envelope;
mod event;
mod open_enum;
mod personal;
mod refund;
mod session;
mod signature;
mod wire;

pub use dispute::{Dispute, DisputeStatus};
pub use envelope::{Delivered, Door, Resend};
pub use event::{DecodeError, Event, EventHead, EventType, Object, SnapshotEvent, ThinEvent};
pub use personal::Personal;
pub use refund::{Refund, RefundStatus};
pub use session::{
    Address, CheckoutSession, Consent, CurrencyConversion, CustomField, CustomFieldAnswer, CustomFieldLabel,
    CustomText, CustomTextMessage, CustomerDetails, Discount, PaymentStatus, PresentmentDetails, Promotions,
    SessionMode,
};
pub use signature::{SignatureError, SigningSecret, TOLERANCE_SECONDS, sign, verify_signature};
