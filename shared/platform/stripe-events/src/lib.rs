#![doc = include_str!("../README.md")]

mod dispute;
mod early_fraud_warning;
mod envelope;
mod event;
mod invoice;
mod money;
mod open_enum;
mod personal;
mod refund;
mod session;
mod shown_id;
mod signature;
mod subscription;
mod surrogates;
mod wire;

pub use dispute::{
    BalanceTransaction, CaseType, Dispute, DisputeStatus, DisputedCard, DisputedPaymentMethod,
};
pub use early_fraud_warning::EarlyFraudWarning;
pub use envelope::{CorrectedContract, Delivered, Resend, Source};
pub use event::{DecodeError, Event, EventHead, EventType, Object, SnapshotEvent, ThinEvent};
pub use invoice::{
    BillingReason, Interval, Invoice, InvoiceLine, InvoiceLines, InvoiceParent, InvoicePayment,
    InvoiceReference, InvoiceStatus, InvoiceTransitions, ItemDetails, LineParent, PartAmount,
    PaymentOfInvoice, Period, Price, PriceDetails, Pricing, Recurring, SubscriptionDetails,
};
pub use money::{Currency, Money, MoneyError};
pub use personal::Personal;
pub use refund::{Refund, RefundStatus};
pub use session::{
    Address, CheckoutSession, Consent, CurrencyConversion, CustomField, CustomFieldAnswer, CustomFieldLabel,
    CustomText, CustomTextMessage, CustomerDetails, Discount, DropdownAnswer, DropdownOption, PaymentStatus,
    PresentmentDetails, Promotions, SessionMode, ShippingAddressCollection, TotalDetails,
};
pub use shown_id::shown_id;
pub use signature::{SignatureError, SigningSecret, TOLERANCE_SECONDS, sign, verify_signature};
pub use subscription::{
    CancellationDetails, CancellationReason, PauseBehavior, PauseCollection, Subscription, SubscriptionItem,
    SubscriptionItems, SubscriptionStatus,
};
pub use surrogates::without_lone_surrogates;
