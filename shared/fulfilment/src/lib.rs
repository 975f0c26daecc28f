#![doc = include_str!("../README.md")]

mod acquisition;
mod attribution;
mod consent;
mod consent_form;
mod contribution;
mod correction;
mod dispute_event;
mod link;
mod money;
mod payment_event;
mod payment_id;
mod policy;
mod refund_event;
mod session_event;
mod supporter;

pub use acquisition::{
    AcquisitionCorrection, AcquisitionEvent, AcquisitionKind, Circumstances, Movement, PaymentFrequency,
    QueryParameter, utc,
};
pub use attribution::{AbTest, Attribution};
pub use consent::{Answer, Basis, ConsentName, ConsentNameError, ConsentState, Consents, Evidence};
pub use consent_form::{AskedIn, ConsentForm, Question};
pub use contribution::{AsOf, Contribution, ContributionStatus, DisputeFacts, RefundFacts, SessionFacts};
pub use correction::{CorrectionBroken, NotACorrection};
pub use dispute_event::{DisputeEvent, DisputeMoved, DisputeStatus, DisputeStep};
pub use link::{ContractError, FulfilmentKind, LinkContract, TemplateName};
pub use money::{Currency, Money, MoneyError};
pub use payment_event::PaymentEvent;
pub use payment_id::PaymentId;
pub use policy::{
    ConsentPolicy, KindPolicy, MarketingPolicy, Organisation, Policy, PolicyError, SoftOptInPolicy,
};
pub use refund_event::{RefundEvent, RefundStatus};
pub use session_event::{NotReadable, SessionBroken, SessionEvent, SessionOutcome, SkipReason};
pub use supporter::{SupporterId, SupporterRow};
