use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::open_enum::open_enum;
use crate::{
    CheckoutSession, Dispute, EarlyFraudWarning, Invoice, InvoicePayment, Refund, Subscription, wire,
    without_lone_surrogates,
};

/// One Stripe event.
///
/// <https://docs.stripe.com/api/events/object>, and for thin events
/// <https://docs.stripe.com/api/v2/core/events/object>.
#[derive(Debug, Clone)]
pub enum Event {
    /// Carries the object as it was when the event happened.
    Snapshot(Box<SnapshotEvent>),
    /// Carries only a pointer to the object. Acknowledged and counted, not acted on.
    Thin(ThinEvent),
}

/// A snapshot event.
#[derive(Debug, Clone)]
pub struct SnapshotEvent {
    /// `evt_…`. Stays the same over redeliveries, but two events may report one change.
    pub id: String,
    /// What happened.
    pub event_type: EventType,
    /// When it happened, in Unix seconds (Stripe's resolution).
    pub created: i64,
    /// Real money or not.
    pub livemode: bool,
    /// The connected account it happened in; `None` for the account that receives the event.
    ///
    /// <https://docs.stripe.com/connect/webhooks>
    pub account: Option<String>,
    /// What it happened to.
    pub object: Object,
}

/// A thin event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ThinEvent {
    /// `evt_…`.
    pub id: String,
    /// What happened, with its `v1.` or `v2.` prefix.
    #[serde(rename = "type", default)]
    pub event_type: String,
}

/// The object an event is about.
#[derive(Debug, Clone)]
pub enum Object {
    /// `checkout.session`
    Session(Box<CheckoutSession>),
    /// `refund`
    Refund(Box<Refund>),
    /// `dispute`
    Dispute(Box<Dispute>),
    /// `invoice`
    Invoice(Box<Invoice>),
    /// `invoice_payment`
    InvoicePayment(Box<InvoicePayment>),
    /// `radar.early_fraud_warning`
    EarlyFraudWarning(Box<EarlyFraudWarning>),
    /// `subscription`
    Subscription(Box<Subscription>),
    /// Anything else, by its `object` name.
    Other(String),
}

open_enum! {
    /// The event types Afterlink acts on. <https://docs.stripe.com/api/events/types>
    EventType {
        /// The customer finished; the money may still be on its way.
        SessionCompleted = "checkout.session.completed",
        /// A delayed payment arrived.
        SessionAsyncPaymentSucceeded = "checkout.session.async_payment_succeeded",
        /// A delayed payment will not arrive.
        SessionAsyncPaymentFailed = "checkout.session.async_payment_failed",
        /// A refund was made.
        RefundCreated = "refund.created",
        /// A refund changed.
        RefundUpdated = "refund.updated",
        /// A refund did not reach the customer.
        RefundFailed = "refund.failed",
        /// A dispute or an inquiry was opened.
        DisputeCreated = "charge.dispute.created",
        /// It changed: its status, its amount or the evidence for it.
        DisputeUpdated = "charge.dispute.updated",
        /// It ended: won, lost, or an inquiry closed.
        DisputeClosed = "charge.dispute.closed",
        /// The disputed money left.
        DisputeFundsWithdrawn = "charge.dispute.funds_withdrawn",
        /// The disputed money came back.
        DisputeFundsReinstated = "charge.dispute.funds_reinstated",
        /// An invoice was paid, or nothing was due: also outside of Stripe.
        InvoicePaid = "invoice.paid",
        /// A payment of an invoice succeeded.
        InvoicePaymentPaid = "invoice_payment.paid",
        /// A subscription was made, mostly before its first payment.
        SubscriptionCreated = "customer.subscription.created",
        /// It changed: its status, its items, when it ends.
        SubscriptionUpdated = "customer.subscription.updated",
        /// It ended.
        SubscriptionDeleted = "customer.subscription.deleted",
        /// Its trial ended without a way to pay, or the seller paused it.
        SubscriptionPaused = "customer.subscription.paused",
        /// It goes on.
        SubscriptionResumed = "customer.subscription.resumed",
        /// A change that waited for its payment took effect.
        SubscriptionPendingUpdateApplied = "customer.subscription.pending_update_applied",
        /// A card issuer warns of fraud.
        EarlyFraudWarningCreated = "radar.early_fraud_warning.created",
        /// Such a warning changed.
        EarlyFraudWarningUpdated = "radar.early_fraud_warning.updated",
    }
}

/// Why a body is not an event. Never holds any of the body's values: they may be personal data.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON at all.
    #[error("not JSON (line {line}, column {column})")]
    NotJson {
        /// 1-based line.
        line: usize,
        /// 1-based column.
        column: usize,
    },
    /// JSON, but neither an event nor an envelope around one.
    #[error("not a Stripe event: `object` is neither `event` nor `v2.core.event`")]
    NotAnEvent,
    /// An event whose named part lacks what we need or has it in another shape.
    #[error("{part} does not have the shape of Stripe's API at `{path}`")]
    Shape {
        /// `event`, or the object's own name.
        part: &'static str,
        /// The field, as `customer_details.address.country`; `.` for the whole.
        path: String,
    },
}

impl DecodeError {
    pub(crate) fn not_json(error: &serde_json::Error) -> Self {
        Self::NotJson { line: error.line(), column: error.column() }
    }
}

#[derive(Deserialize)]
struct WireEvent {
    id: String,
    #[serde(rename = "type")]
    event_type: EventType,
    #[serde(deserialize_with = "time")]
    created: i64,
    livemode: bool,
    #[serde(default, deserialize_with = "wire::text")]
    account: Option<String>,
    data: WireData,
}

/// Times at which an event can have happened: from before Stripe's first to the end of this century. Records are
/// kept, mails are dated and corrections are ordered by this time, so a missing or absurd one cannot stand.
const TIMES: std::ops::Range<i64> = 1_262_304_000..4_102_444_800;

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let time = i64::deserialize(deserializer)?;
    if TIMES.contains(&time) { Ok(time) } else { Err(D::Error::custom("no time of an event")) }
}

#[derive(Deserialize)]
struct WireData {
    object: Value,
}

/// serde's own message can quote the offending value, so only the path to it is kept.
pub(crate) fn read<T: DeserializeOwned>(part: &'static str, value: Value) -> Result<T, DecodeError> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| DecodeError::Shape { part, path: error.path().to_string() })
}

impl Event {
    /// What it happened to; `None` for a thin event.
    pub const fn object(&self) -> Option<&Object> {
        match self {
            Self::Snapshot(event) => Some(&event.object),
            Self::Thin(_) => None,
        }
    }

    /// Reads a bare event, as a webhook sends it and as `detail` holds it.
    ///
    /// # Errors
    ///
    /// Every error is permanent: the same bytes will never decode.
    pub fn from_value(event: Value) -> Result<Self, DecodeError> {
        match event.get("object").and_then(Value::as_str) {
            Some("event") => {
                let event: WireEvent = read("event", event)?;
                Ok(Self::Snapshot(Box::new(SnapshotEvent {
                    object: Object::of_event(&event.event_type, event.data.object)?,
                    id: event.id,
                    event_type: event.event_type,
                    created: event.created,
                    livemode: event.livemode,
                    account: event.account,
                })))
            }
            Some("v2.core.event") => read("event", event).map(Self::Thin),
            _ => Err(DecodeError::NotAnEvent),
        }
    }

    /// Reads a bare event from its bytes.
    ///
    /// # Errors
    ///
    /// As [`Event::from_value`], and for bytes that are not JSON.
    pub fn from_json(body: &[u8]) -> Result<Self, DecodeError> {
        let body = without_lone_surrogates(body);
        let event = serde_json::from_slice(&body).map_err(|error| DecodeError::not_json(&error))?;
        Self::from_value(event)
    }

    /// `evt_…`
    pub fn id(&self) -> &str {
        match self {
            Self::Snapshot(event) => &event.id,
            Self::Thin(event) => &event.id,
        }
    }

    /// The type as Stripe writes it; EventBridge's `detail-type`.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Snapshot(event) => event.event_type.as_str(),
            Self::Thin(event) => &event.event_type,
        }
    }
}

/// What an event of a type is about, by the beginning of the type. <https://docs.stripe.com/api/events/types>
const OBJECT_OF: [(&str, &str); 7] = [
    ("checkout.session.", "checkout.session"),
    ("refund.", "refund"),
    ("charge.dispute.", "dispute"),
    ("customer.subscription.", "subscription"),
    ("invoice.", "invoice"),
    ("invoice_payment.", "invoice_payment"),
    ("radar.early_fraud_warning.", "radar.early_fraud_warning"),
];

impl Object {
    /// Reads the object of an event. The event's type says what it is where the object itself does not.
    ///
    /// # Errors
    ///
    /// As [`Object::from_value`], and when the object says that it is something else than the event is about: one
    /// of the two is wrong, and either may be money.
    fn of_event(event_type: &EventType, mut object: Value) -> Result<Self, DecodeError> {
        let about = OBJECT_OF.iter().find(|(prefix, _)| event_type.as_str().starts_with(prefix));
        if let Some((_, name)) = about {
            let shape = |path: &str| DecodeError::Shape { part: "event", path: path.to_owned() };
            let fields = object.as_object_mut().ok_or_else(|| shape("data.object"))?;
            match fields.get("object") {
                Some(Value::String(said)) if said == name => {}
                None | Some(Value::Null) => {
                    fields.insert("object".to_owned(), Value::from(*name));
                }
                Some(_) => return Err(shape("data.object.object")),
            }
        }
        Self::from_value(object)
    }

    /// Reads an API object, as `data.object` holds it and as the API returns it.
    ///
    /// # Errors
    ///
    /// When an object we act on lacks its id or has a field of another shape.
    pub fn from_value(object: Value) -> Result<Self, DecodeError> {
        let name = object.get("object").and_then(Value::as_str).unwrap_or_default().to_owned();
        match name.as_str() {
            "checkout.session" => read("checkout.session", object).map(Self::Session),
            "refund" => read("refund", object).map(Self::Refund),
            "dispute" => read("dispute", object).map(Self::Dispute),
            "invoice" => read("invoice", object).map(Self::Invoice),
            "invoice_payment" => read("invoice_payment", object).map(Self::InvoicePayment),
            "radar.early_fraud_warning" => {
                read("radar.early_fraud_warning", object).map(Self::EarlyFraudWarning)
            }
            "subscription" => read("subscription", object).map(Self::Subscription),
            _ => Ok(Self::Other(name)),
        }
    }
}

/// As much of an event as it takes to pass it on: the rest is for the tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventHead {
    /// A snapshot event; passed on whatever it is about.
    Snapshot {
        /// `evt_…`
        id: String,
        /// EventBridge's `detail-type`.
        event_type: String,
        /// The connected account it happened in; `None` for the account that receives the event.
        account: Option<String>,
    },
    /// A thin event.
    Thin(ThinEvent),
}

impl EventHead {
    /// Reads the head of a bare event. The object is only checked to be JSON: one that this version cannot
    /// read must still reach the bus, where it is parked with its payload. A field that is there twice counts
    /// as [`Event`] counts it: the last one.
    ///
    /// # Errors
    ///
    /// When the body is not JSON or not an event.
    pub fn from_json(body: &[u8]) -> Result<Self, DecodeError> {
        let body = without_lone_surrogates(body);
        let fields: BTreeMap<String, &RawValue> =
            serde_json::from_slice(&body).map_err(|error| match error.classify() {
                Category::Data => DecodeError::NotAnEvent,
                Category::Io | Category::Syntax | Category::Eof => DecodeError::not_json(&error),
            })?;
        let text = |name: &str| {
            let text = fields.get(name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
            text.unwrap_or_default()
        };
        let id = text("id");
        let event_type = text("type");
        match text("object").as_str() {
            "event" if !id.is_empty() && !event_type.is_empty() => {
                let account = Some(text("account")).filter(|account| !account.trim().is_empty());
                Ok(Self::Snapshot { id, event_type, account })
            }
            "v2.core.event" => Ok(Self::Thin(ThinEvent { id, event_type })),
            _ => Err(DecodeError::NotAnEvent),
        }
    }
}
