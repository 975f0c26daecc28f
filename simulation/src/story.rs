//! Stories: what customers do, told as the events Stripe sends about it.

use fulfilment::{DisputeEvent, PaymentEvent, RefundEvent, SessionEvent};
use serde_json::{Value, json};
use stripe_events::{Delivered, Event, Object};
use testkit::queue::envelope;
use testkit::stripe::{CorrectionEvent, SessionEvent as StripeSession};

/// Stands in every field that holds personal data, so that it can be looked for where none may be.
pub const PERSONAL: &str = "Zaphod";

/// What one customer does with one Payment Link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Tells it from the others: `pi_<name>`, `cs_test_<name>`.
    pub name: String,
    /// What becomes of the money.
    pub fate: Fate,
    /// Whose link it is, and whether that works.
    pub link: Link,
    /// Minor units.
    pub amount: i64,
    /// Three lower-case letters.
    pub currency: &'static str,
    /// Who pays: customers of one number have one address.
    pub customer: u32,
    /// What they answer to the question whether they may be written to.
    pub marketing: Option<&'static str>,
    /// When they pay, in Unix seconds.
    pub at: i64,
    /// Money given back.
    pub refunds: Vec<Refund>,
    /// The bank asks for the money.
    pub dispute: Option<Dispute>,
}

/// What becomes of the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// There at once.
    Paid,
    /// Nothing is due.
    Free,
    /// There some days later.
    PendingThenPaid,
    /// It turns out that it will not come.
    PendingThenFailed,
    /// Nobody knows yet.
    Pending,
}

/// Whose link it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Ours.
    Contribution,
    /// Ours, with a soft opt-in.
    Download,
    /// Another business's.
    Strangers,
    /// Ours, with a mistake in its metadata.
    Broken,
    /// The other mode's.
    OtherMode,
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Tells it from the others of its payment.
    pub number: u32,
    /// Minor units of the payment's currency.
    pub amount: i64,
    /// The bank sends it back.
    pub fails: bool,
}

/// How a dispute ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispute {
    /// The bank takes the money and keeps it.
    Lost,
    /// The bank takes the money and gives it back.
    Won,
    /// The bank takes the money and has not decided.
    Open,
}

impl Payment {
    /// A gift of £12.50 that is paid at once, at the beginning of the world.
    pub fn paid(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fate: Fate::Paid,
            link: Link::Contribution,
            amount: 1250,
            currency: "gbp",
            customer: 1,
            marketing: None,
            at: crate::world::BEGINNING_MS / 1000,
            refunds: Vec::new(),
            dispute: None,
        }
    }

    /// The key of everything done for it.
    pub fn payment_id(&self) -> String {
        if self.fate == Fate::Free { format!("cs_test_{}", self.name) } else { format!("pi_{}", self.name) }
    }

    /// Whether it is our business and can be acted upon.
    pub const fn is_ours(&self) -> bool {
        matches!(self.link, Link::Contribution | Link::Download)
    }

    /// Whether goods and thanks are due, some time.
    pub const fn gets_paid(&self) -> bool {
        self.is_ours() && matches!(self.fate, Fate::Paid | Fate::Free | Fate::PendingThenPaid)
    }

    /// What the business keeps in the end, in minor units.
    pub fn kept(&self) -> i64 {
        let refunded: i64 =
            self.refunds.iter().filter(|refund| !refund.fails).map(|refund| refund.amount).sum();
        let taken = if matches!(self.dispute, Some(Dispute::Lost | Dispute::Open)) { self.amount } else { 0 };
        self.amount - refunded - taken
    }

    /// Stripe's events about it, in the order in which things happen.
    pub fn events(&self) -> Vec<Value> {
        let (at, days) = (self.at, 86_400);
        let mut events = Vec::new();
        let mut session = |event: StripeSession, at: i64| events.push(self.dressed(event).at(at).to_json());
        match self.fate {
            Fate::Paid => session(StripeSession::paid(), at),
            Fate::Free => {
                session(StripeSession::paid().session("payment_status", json!("no_payment_required")), at)
            }
            Fate::PendingThenPaid => {
                session(StripeSession::unpaid(), at);
                session(StripeSession::async_succeeded(), at + 2 * days);
            }
            Fate::PendingThenFailed => {
                session(StripeSession::unpaid(), at);
                session(StripeSession::async_failed(), at + 2 * days);
            }
            Fate::Pending => session(StripeSession::unpaid(), at),
        }
        let other_mode = self.link == Link::OtherMode;
        let mut correction = |event: CorrectionEvent, at: i64| {
            let event = if other_mode { event.livemode() } else { event };
            events.push(event.at(at).to_json());
        };
        let later = at + 3 * days;
        for Refund { number, amount, fails } in &self.refunds {
            let id = format!("re_{}_{number}", self.name);
            let refund = |what: &str| {
                CorrectionEvent::refund(&self.name, &id, what)
                    .amount(*amount, self.currency)
                    .object("created", json!(later))
            };
            correction(refund("created"), later);
            correction(refund("updated").event_id(&format!("evt_{id}_updated")), later + 60);
            if *fails {
                correction(refund("failed"), later + 2 * days);
            }
        }
        if let Some(dispute) = self.dispute {
            let id = format!("dp_{}", self.name);
            let step = |what: &str, status: &str| {
                CorrectionEvent::dispute(&self.name, &id, what)
                    .amount(self.amount, self.currency)
                    .object("created", json!(later))
                    .status(status)
            };
            correction(step("created", "needs_response"), later);
            correction(step("funds_withdrawn", "needs_response"), later + 1);
            match dispute {
                Dispute::Open => {}
                Dispute::Lost => correction(step("closed", "lost"), later + 20 * days),
                Dispute::Won => {
                    correction(step("closed", "won"), later + 20 * days);
                    correction(step("funds_reinstated", "won"), later + 20 * days + 1);
                }
            }
        }
        events
    }

    fn dressed(&self, event: StripeSession) -> StripeSession {
        let mut event = event
            .payment(&self.name)
            .amount(self.amount, self.currency)
            .customer(&format!("{PERSONAL} {}", self.customer), &self.email())
            .set("/data/object/customer_details/address/postal_code", json!(PERSONAL))
            .set("/data/object/customer_details/address/line1", json!(PERSONAL))
            .country("GB")
            .notice()
            .marketing(self.marketing);
        if self.fate == Fate::Free {
            event = event.session("payment_intent", Value::Null);
        }
        match self.link {
            Link::Contribution => event,
            Link::Download => event
                .metadata(json!({ "fulfilment": "download", "campaign": "autumn", "files": "guide.pdf" })),
            Link::Strangers => event.without_marker(),
            Link::Broken => event.metadata(json!({ "fulfilment": "donation" })),
            Link::OtherMode => event.livemode(),
        }
    }

    /// Where the mail goes.
    pub fn email(&self) -> String {
        format!("{}{}@example.org", PERSONAL.to_lowercase(), self.customer)
    }
}

/// An event as EventBridge puts it into a queue, and what it tells.
#[derive(Debug, Clone)]
pub struct Message {
    /// The envelope.
    pub body: String,
    /// `None` when it is none of our business.
    pub tells: Option<PaymentEvent>,
}

impl Message {
    /// The message about an event.
    pub fn of(event: &Value) -> Self {
        let body = envelope("afterlink.webhook", event);
        let delivered = Delivered::from_json(body.as_bytes()).ok();
        Self { tells: delivered.and_then(|delivered| tells(&delivered.event)), body }
    }
}

/// What an event tells of a payment, read as the tasks read it.
fn tells(event: &Event) -> Option<PaymentEvent> {
    let Event::Snapshot(snapshot) = event else {
        return None;
    };
    match snapshot.object {
        Object::Refund(_) => RefundEvent::read(event, false).ok().map(PaymentEvent::from),
        Object::Dispute(_) => DisputeEvent::read(event, false).ok().map(PaymentEvent::from),
        Object::Session(_)
        | Object::Invoice(_)
        | Object::InvoicePayment(_)
        | Object::EarlyFraudWarning(_)
        | Object::Other(_) => SessionEvent::read(event, false).ok().map(PaymentEvent::from),
    }
}

/// The same change told by another event: Stripe does that.
pub fn twin(event: &Value) -> Value {
    let mut twin = event.clone();
    twin["id"] = json!(format!("{}_twin", event["id"].as_str().unwrap_or_default()));
    twin
}
