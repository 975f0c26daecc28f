use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use stripe_events::{
    CheckoutSession, CustomField, CustomText, DecodeError, Dispute, Event, Object, Recurring, Refund,
    ShippingAddressCollection, without_lone_surrogates,
};

use crate::Request;

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// In Stripe's order: newest first.
    pub items: Vec<ApiObject>,
    /// What to ask for next; `None` at the end.
    pub next: Option<Request>,
}

/// An object of Stripe's API, with its JSON exactly as Stripe wrote it.
#[derive(Clone)]
pub struct ApiObject {
    /// `evt_…`, `cs_…`, `re_…`
    pub id: String,
    /// When it was created, in Unix seconds. API v2 writes times in another way; there it is 0.
    pub created: i64,
    json: Box<RawValue>,
}

/// An object does not have the shape that Stripe documents.
#[derive(Debug, thiserror::Error)]
#[error("{} does not have the shape of Stripe's API", if .id.starts_with("cs_") { "the session" } else { .id })]
pub struct NotReadable {
    /// Which object.
    pub id: String,
}

impl ApiObject {
    /// The JSON as it came, byte for byte but for halves of surrogate pairs, which are replaced.
    pub fn json(&self) -> &str {
        self.json.get()
    }

    /// The object as an event.
    ///
    /// # Errors
    ///
    /// When it is not one, or one of an unknown shape.
    pub fn event(&self) -> Result<Event, DecodeError> {
        Event::from_json(self.json().as_bytes())
    }

    /// The object as a session.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn session(&self) -> Result<CheckoutSession, NotReadable> {
        self.read()
    }

    /// The object as a refund.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn refund(&self) -> Result<Refund, NotReadable> {
        self.read()
    }

    /// The object as a dispute.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn dispute(&self) -> Result<Dispute, NotReadable> {
        self.read()
    }

    /// The object as whatever it says it is.
    ///
    /// # Errors
    ///
    /// When an object we act on lacks its id or has a field of another shape.
    pub fn object(&self) -> Result<Object, DecodeError> {
        let json = serde_json::from_str(self.json()).map_err(|_| DecodeError::NotAnEvent)?;
        Object::from_value(json)
    }

    /// The object in a type of one's own, e.g. [`PaymentLink`], [`LineItem`] or [`EventDestination`].
    ///
    /// # Errors
    ///
    /// When it has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, NotReadable> {
        // serde's own message may quote the value, and that may be personal data.
        serde_json::from_str(self.json()).map_err(|_| NotReadable { id: self.id.clone() })
    }

    /// An object from its JSON; `None` when it has no id.
    pub fn from_json(json: &str) -> Option<Self> {
        Self::new(serde_json::from_str(json).ok()?)
    }

    pub(crate) fn new(json: Box<RawValue>) -> Option<Self> {
        // Half of a surrogate pair is valid JSON and no text: one would make the object unreadable for all.
        let json = match without_lone_surrogates(json.get().as_bytes()) {
            Cow::Borrowed(_) => json,
            Cow::Owned(repaired) => serde_json::from_slice(&repaired).ok()?,
        };
        #[derive(Deserialize)]
        struct Head {
            id: String,
            #[serde(default)]
            created: serde_json::Value,
        }
        let head: Head = serde_json::from_str(json.get()).ok()?;
        Some(Self { id: head.id, created: head.created.as_i64().unwrap_or_default(), json })
    }
}

/// The JSON is left out: it holds personal data.
impl std::fmt::Debug for ApiObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiObject")
            .field("id", &self.id)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// A list as both versions of the API write it.
#[derive(Deserialize)]
struct WireList {
    data: Vec<Box<RawValue>>,
    /// API v1.
    #[serde(default)]
    has_more: bool,
    /// API v2.
    #[serde(default)]
    next_page_url: Option<String>,
}

impl Page {
    pub(crate) fn read(request: &Request, body: &[u8]) -> Option<Self> {
        let list: WireList = serde_json::from_slice(body).ok()?;
        let items = list.data.into_iter().map(ApiObject::new).collect::<Option<Vec<_>>>()?;
        let next = match (list.next_page_url, items.last()) {
            (Some(url), _) => Some(Request::at(path_of(&url))),
            (None, Some(last)) if list.has_more => Some(request.clone().starting_after(&last.id)),
            (None, _) => None,
        };
        Some(Self { items, next })
    }
}

/// The path of an address, whatever host it names: a key goes to the one host it was given for.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

/// A Payment Link, as far as it is read. <https://docs.stripe.com/api/payment-link/object>
#[derive(Debug, Clone, Deserialize)]
pub struct PaymentLink {
    /// `plink_…`
    pub id: String,
    /// Whether it can be paid.
    #[serde(default)]
    pub active: bool,
    /// Where customers go.
    #[serde(default)]
    pub url: Option<String>,
    /// Real money or not.
    #[serde(default)]
    pub livemode: bool,
    /// What the marketer typed; copied to every session.
    #[serde(default)]
    pub metadata: std::collections::BTreeMap<String, String>,
    /// What the page asks beyond Stripe's own questions.
    #[serde(default)]
    pub custom_fields: Vec<CustomField>,
    /// The marketer's own words on the page.
    #[serde(default)]
    pub custom_text: Option<CustomText>,
    /// Present when the page asks for a postal address.
    #[serde(default)]
    pub shipping_address_collection: Option<ShippingAddressCollection>,
    /// Which of Stripe's own boxes the page has.
    #[serde(default)]
    pub consent_collection: Option<ConsentCollection>,
    /// Where customers go after paying.
    #[serde(default)]
    pub after_completion: Option<AfterCompletion>,
    /// How payments are taken; not of subscriptions.
    #[serde(default)]
    pub payment_intent_data: Option<PaymentIntentData>,
    /// What it sells; only where it was asked for.
    #[serde(default)]
    pub line_items: Option<LinkItems>,
}

/// Which of Stripe's own boxes a page has.
#[derive(Debug, Clone, Deserialize)]
pub struct ConsentCollection {
    /// `required` where the customer has to accept the terms of service.
    #[serde(default)]
    pub terms_of_service: Option<String>,
}

/// What happens after paying.
#[derive(Debug, Clone, Deserialize)]
pub struct AfterCompletion {
    /// Set where customers are sent to another page.
    #[serde(default)]
    pub redirect: Option<Redirect>,
}

/// A page that customers are sent to.
#[derive(Debug, Clone, Deserialize)]
pub struct Redirect {
    /// Its address.
    pub url: String,
}

/// How the payments of a link are taken.
#[derive(Debug, Clone, Deserialize)]
pub struct PaymentIntentData {
    /// `automatic`, `automatic_async` or `manual`.
    #[serde(default)]
    pub capture_method: Option<String>,
}

/// What a link sells, the first ten.
#[derive(Debug, Clone, Deserialize)]
pub struct LinkItems {
    /// In the order of the page.
    #[serde(default)]
    pub data: Vec<LinkItem>,
}

/// One thing that a link sells.
#[derive(Debug, Clone, Deserialize)]
pub struct LinkItem {
    /// At which price.
    #[serde(default)]
    pub price: Option<LinkPrice>,
    /// How many.
    #[serde(default)]
    pub quantity: Option<i64>,
}

/// A price, as far as it matters for a link.
#[derive(Debug, Clone, Deserialize)]
pub struct LinkPrice {
    /// `price_…`
    #[serde(default)]
    pub id: String,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// For one, in minor units of `currency`; null where the customer chooses, or it is graduated.
    #[serde(default)]
    pub unit_amount: Option<i64>,
    /// How often it is due; null for a price that is paid once.
    #[serde(default)]
    pub recurring: Option<Recurring>,
    /// `one_time` or `recurring`.
    #[serde(rename = "type", default)]
    pub kind: String,
}

impl PaymentLink {
    /// Whether it begins subscriptions. Only a link that was requested with its line items has it.
    pub fn is_subscription(&self) -> bool {
        let prices =
            self.line_items.iter().flat_map(|items| &items.data).filter_map(|item| item.price.as_ref());
        prices.into_iter().any(|price| price.kind == "recurring")
    }

    /// Whether its payments are only authorized, and taken when the merchant captures them.
    pub fn is_captured_by_hand(&self) -> bool {
        let method = self.payment_intent_data.as_ref().and_then(|data| data.capture_method.as_deref());
        method == Some("manual")
    }
}

/// The API version that an event is written in.
#[derive(Debug, Clone, Deserialize)]
pub struct EventVersion {
    /// The account's own when the event was made; a date, since 2024 with a name: `2024-10-28.acacia`.
    #[serde(default)]
    pub api_version: Option<String>,
}

/// The purchase. <https://docs.stripe.com/api/checkout/sessions/line_items>
#[derive(Debug, Clone, Deserialize)]
pub struct LineItem {
    /// `li_…`
    pub id: String,
    /// The product's name.
    #[serde(default)]
    pub description: Option<String>,
    /// How many.
    #[serde(default)]
    pub quantity: Option<i64>,
    /// Minor units of `currency`.
    #[serde(default)]
    pub amount_total: i64,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
}

/// Where Stripe sends events to. <https://docs.stripe.com/api/v2/core/event-destinations/object>
#[derive(Debug, Clone, Deserialize)]
pub struct EventDestination {
    /// `ed_…` or `we_…`
    pub id: String,
    /// The name it was given.
    #[serde(default)]
    pub name: String,
    /// `amazon_eventbridge` or `webhook_endpoint`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// `enabled` or `disabled`.
    #[serde(default)]
    pub status: String,
    /// `snapshot` or `thin`.
    #[serde(default)]
    pub event_payload: String,
    /// The API version its events are written in.
    #[serde(default)]
    pub snapshot_api_version: Option<String>,
    /// Whose events: `@self`, `@accounts`, … Nothing said is `@self`.
    #[serde(default)]
    pub events_from: Vec<String>,
    /// Event types; `*` is all.
    #[serde(default)]
    pub enabled_events: Vec<String>,
    /// Real money or not.
    #[serde(default)]
    pub livemode: bool,
    /// For EventBridge.
    #[serde(default)]
    pub amazon_eventbridge: Option<AmazonEventBridge>,
    /// For a webhook.
    #[serde(default)]
    pub webhook_endpoint: Option<WebhookEndpoint>,
}

/// The AWS side of a destination.
#[derive(Debug, Clone, Deserialize)]
pub struct AmazonEventBridge {
    /// The account's number.
    #[serde(default)]
    pub aws_account_id: String,
    /// The partner event source.
    #[serde(default)]
    pub aws_event_source_arn: Option<String>,
    /// `active`, `pending`, `deleted` or `unknown`.
    #[serde(default)]
    pub aws_event_source_status: String,
}

/// The HTTPS side of a destination.
#[derive(Debug, Clone, Deserialize)]
pub struct WebhookEndpoint {
    /// Where events are posted.
    #[serde(default)]
    pub url: Option<String>,
}
