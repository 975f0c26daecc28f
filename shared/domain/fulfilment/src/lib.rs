#![doc = include_str!("../README.md")]

mod acquisition;
mod attribution;
mod consent;
mod consent_form;
mod contribution;
mod correction;
mod dispute_event;
mod dispute_facts;
mod dispute_movement;
pub mod effects;
mod email_address;
mod expected_effects;
mod file_key;
mod fraud_warning_event;
mod invoice_event;
mod link;
mod marketing;
mod metadata_key;
mod movement;
mod payment_event;
mod payment_frequency;
mod payment_id;
mod policy;
mod reading;
mod refund_event;
mod session_event;
mod subscription_contract;
mod supporter;
mod time_zone;
mod typed;
mod words;

pub use acquisition::{
    AcquisitionCorrection, AcquisitionEvent, AcquisitionKind, Circumstances, QueryParameter, utc,
};
pub use attribution::{AbTest, Attribution};
pub use consent::{Answer, Basis, ConsentName, ConsentNameError, ConsentState, Consents, Evidence};
pub use consent_form::{AskedIn, ConsentForm, PageText, Question};
pub use contribution::{
    AsOf, Contribution, ContributionStatus, FraudWarningFacts, InvoiceFacts, MadeDates, RefundFacts,
    SessionFacts,
};
pub use correction::{CorrectionBroken, NotACorrection};
pub use dispute_event::{DisputeEvent, DisputeMoved, DisputeStatus, DisputeStep};
pub use dispute_facts::{DisputeFacts, FoundDispute};
pub use dispute_movement::{Direction, DisputeBalance, DisputeMovement};
pub use email_address::without_invisible;
pub use expected_effects::ExpectedEffects;
pub use file_key::{FileKeyError, file_keys, object_key};
pub use fraud_warning_event::FraudWarningEvent;
pub use invoice_event::{InvoiceEvent, SubscriptionPayment};
pub use link::{ContractError, FulfilmentKind, LinkContract, TemplateName};
pub use marketing::MarketingPolicy;
pub use metadata_key::{Arity, Concern, MetadataKey};
pub use movement::Movement;
pub use payment_event::{MADE_EVENT_PREFIX, PaymentEvent};
pub use payment_frequency::PaymentFrequency;
pub use payment_id::PaymentId;
pub use policy::{
    ConsentPolicy, FilesPolicy, KindPolicy, Organisation, Policy, PolicyError, SoftOptInPolicy,
};
pub use reading::{BrokenCorrection, BrokenSession, Reading};
pub use refund_event::{RefundEvent, RefundStatus};
pub use session_event::{NotReadable, SessionBroken, SessionEvent, SessionOutcome, SkipReason};
pub use stripe_events::{Currency, Money, MoneyError};
pub use subscription_contract::SubscriptionContract;
pub use supporter::{SupporterId, SupporterRow};
pub use time_zone::TimeZone;
pub use typed::{breaks_lines, is_invisible, shown};
