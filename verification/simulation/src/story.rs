//! Stories: what customers do, as the events that Stripe sends about it.

use fulfilment::{PaymentEvent, SubscriptionContract};
use serde_json::{Value, json};
use testkit::stripe::InvoiceEvent as StripeInvoice;

mod events;
mod message;

pub use message::{Meaning, Message, twin};

const DAY: i64 = 86_400;

/// Stands in every field that holds personal data, so that it can be looked for where none may be.
pub const PERSONAL: &str = "Zaphod";

/// One payment of one customer: of a Payment Link, or of the subscription that one began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its name: `pi_<name>`, `cs_test_<name>`.
    pub name: String,
    /// How the money was asked for.
    pub charge: Charge,
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
    /// The card's issuer warns of fraud.
    pub is_warned_of: bool,
}

/// How the money was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charge {
    /// Once, by a session.
    Once,
    /// Once, by a session with `invoice_creation`: Stripe makes an invoice of it, which is not the key.
    OnceWithInvoice,
    /// As the first payment of a subscription, by a session and an invoice.
    First(Subscription),
    /// Again, by an invoice alone.
    Renewal(Subscription),
}

/// A subscription, and its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its name: `sub_<name>`, `cs_test_<name>`.
    pub name: String,
    /// Whether `invoice_payment.paid` comes, which says what a payment intent leads to. Without it Stripe is asked.
    pub tells_payment_intents: bool,
    /// Whether the subscription carries the link's metadata itself.
    pub is_marked: bool,
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
    /// Reserved at first, then captured in part: reconciliation makes the event that says so.
    CapturedInPart {
        /// The reserved amount, in minor units.
        reserved: i64,
    },
    /// It turns out that it will not come.
    PendingThenFailed,
    /// Not decided yet.
    Pending,
}

impl Fate {
    /// Whether the money comes, or none is due.
    pub const fn is_paid(self) -> bool {
        match self {
            Self::Paid | Self::Free | Self::PendingThenPaid | Self::CapturedInPart { .. } => true,
            Self::PendingThenFailed | Self::Pending => false,
        }
    }
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
    /// Its name among those of its payment.
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
    /// The bank takes the money and keeps it, and one event alone reports it.
    LostAtOnce,
    /// The bank decides for the business, and the verdict alone is reported.
    WonAtOnce,
    /// The bank takes the money, keeps it, and gives this part of it back.
    ReturnedInPart(i64),
    /// Prevented by evidence: no money moves.
    Blocked,
    /// Prevented by giving the customer the money back.
    Resolved,
}

impl Payment {
    /// A gift of £12.50 that is paid at once, at the beginning of the world.
    pub fn paid(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            charge: Charge::Once,
            fate: Fate::Paid,
            link: Link::Contribution,
            amount: 1250,
            currency: "gbp",
            customer: 1,
            marketing: None,
            at: crate::world::BEGINNING_MS / 1000,
            refunds: Vec::new(),
            dispute: None,
            is_warned_of: false,
        }
    }

    /// The first £5.00 of a membership.
    pub fn membership(name: &str) -> Self {
        let subscription =
            Subscription { name: name.to_owned(), tells_payment_intents: false, is_marked: false };
        Self { charge: Charge::First(subscription), amount: 500, ..Self::paid(name) }
    }

    /// The `number`th renewal of the subscription that this payment began, so many days later.
    ///
    /// # Panics
    ///
    /// When this payment began none.
    #[must_use]
    pub fn renewal(&self, number: u32) -> Self {
        let Charge::First(subscription) = &self.charge else {
            panic!("{} began no subscription", self.name);
        };
        Self {
            name: format!("{}Renewal{number}", self.name),
            charge: Charge::Renewal(subscription.clone()),
            fate: Fate::Paid,
            at: self.at + i64::from(number) * DAY,
            refunds: Vec::new(),
            dispute: None,
            is_warned_of: false,
            ..self.clone()
        }
    }

    /// The key of everything done for it.
    pub fn payment_id(&self) -> String {
        match self.charge {
            Charge::First(_) | Charge::Renewal(_) => self.invoice_id(),
            Charge::Once | Charge::OnceWithInvoice if self.fate == Fate::Free => self.session_id(),
            Charge::Once | Charge::OnceWithInvoice => self.payment_intent(),
        }
    }

    /// Every id that the ledger may have something under because of it.
    pub fn ids(&self) -> Vec<String> {
        let mut ids = vec![self.payment_intent(), self.invoice_id(), self.session_id()];
        ids.extend(self.subscription().map(|subscription| format!("sub_{}", subscription.name)));
        ids
    }

    /// What its refunds and disputes carry.
    pub fn payment_intent(&self) -> String {
        format!("pi_{}", self.charged())
    }

    fn invoice_id(&self) -> String {
        format!("in_{}", self.charged())
    }

    fn session_id(&self) -> String {
        format!("cs_test_{}", self.name)
    }

    /// What its charge is called: a subscription's first payment is one of several.
    fn charged(&self) -> String {
        match self.charge {
            Charge::First(_) => format!("{}First", self.name),
            Charge::Once | Charge::OnceWithInvoice | Charge::Renewal(_) => self.name.clone(),
        }
    }

    /// Whose payment it is, for one that is paid again and again.
    pub const fn subscription(&self) -> Option<&Subscription> {
        match &self.charge {
            Charge::First(subscription) | Charge::Renewal(subscription) => Some(subscription),
            Charge::Once | Charge::OnceWithInvoice => None,
        }
    }

    /// Whether it is our business and can be acted upon.
    pub const fn is_ours(&self) -> bool {
        matches!(self.link, Link::Contribution | Link::Download)
    }

    /// Whether goods and thanks are due, some time.
    pub const fn gets_paid(&self) -> bool {
        self.is_ours() && self.fate.is_paid()
    }

    /// Whether a session reports it, and not only an invoice.
    pub const fn has_session(&self) -> bool {
        !matches!(self.charge, Charge::Renewal(_))
    }

    /// What the business keeps in the end, in minor units.
    pub fn kept(&self) -> i64 {
        let refunded: i64 =
            self.refunds.iter().filter(|refund| !refund.fails).map(|refund| refund.amount).sum();
        let taken = match self.dispute {
            None | Some(Dispute::Won | Dispute::WonAtOnce | Dispute::Blocked) => 0,
            Some(Dispute::Lost | Dispute::Open | Dispute::LostAtOnce | Dispute::Resolved) => self.amount,
            Some(Dispute::ReturnedInPart(returned)) => self.amount - returned,
        };
        self.amount - refunded - taken
    }

    /// Stripe's events about it, in the order in which things happen.
    pub fn events(&self) -> Vec<Value> {
        let mut events = if self.has_session() { self.session_events() } else { Vec::new() };
        if let Some(subscription) = self.subscription().filter(|_| self.fate.is_paid()) {
            events.push(self.invoice_event(subscription));
            if subscription.tells_payment_intents && self.fate != Fate::Free {
                events.push(self.invoice_payment_event());
            }
        }
        events.extend(self.correction_events());
        events
    }

    /// What Stripe's API shows of it, as the events that brought it there. Not all of them are sent to us.
    pub fn at_stripe(&self) -> Vec<Value> {
        // With the key of this mode, nothing is seen of the other.
        if self.link == Link::OtherMode {
            return Vec::new();
        }
        let mut events = self.events();
        let is_charged = self.fate.is_paid() && self.fate != Fate::Free;
        match &self.charge {
            Charge::First(subscription) | Charge::Renewal(subscription) => {
                if self.has_session() {
                    events.insert(0, subscription.begins(self.at));
                }
                if is_charged && !subscription.tells_payment_intents {
                    events.push(self.invoice_payment_event());
                }
            }
            Charge::OnceWithInvoice if is_charged => {
                let invoice = StripeInvoice::one_off(&self.name).amount(self.amount);
                events.push(invoice.object("currency", json!(self.currency)).at(self.paid_at()).to_json());
                events.push(self.invoice_payment_event());
            }
            Charge::OnceWithInvoice | Charge::Once => {}
        }
        events
    }

    /// What the session says of its subscription, which its renewals need; `None` for what is not ours or broken.
    pub fn contract(&self) -> Option<(String, SubscriptionContract)> {
        let subscription = self.subscription().filter(|_| self.has_session())?;
        let delivered = Message::of(self.session_events().first()?).meaning?;
        let Meaning::Payment(event) = delivered else { return None };
        let PaymentEvent::Session(session) = *event else { return None };
        Some((format!("sub_{}", subscription.name), SubscriptionContract::of_event(&session)))
    }

    /// When the money came, in Unix seconds.
    const fn paid_at(&self) -> i64 {
        match self.fate {
            Fate::PendingThenPaid | Fate::CapturedInPart { .. } => self.at + 2 * DAY,
            Fate::Paid | Fate::Free | Fate::PendingThenFailed | Fate::Pending => self.at,
        }
    }

    /// Where the mail goes.
    pub fn email(&self) -> String {
        format!("{}{}@example.org", PERSONAL.to_lowercase(), self.customer)
    }
}
