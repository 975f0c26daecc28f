//! Payments from a seed: as Stripe's events, and as they were meant.

use fastrand::Rng;
use serde::Serialize;
use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, InvoiceEvent, SessionEvent};

const BEGINNING: i64 = 1_786_000_000;
/// The clock's time when all of it is published.
const END: i64 = 1_795_000_000;
const DAY: i64 = 86_400;
const PAYMENTS: usize = 160;

/// Everything that happened.
#[derive(Debug, Default)]
pub struct Story {
    /// What the analysts' sums are compared with.
    pub sent: Vec<Sent>,
    /// Stripe's events, out of order, some of them twice.
    pub events: Vec<Value>,
    /// What Stripe's API has, in the order in which it happened.
    pub at_stripe: Vec<Value>,
}

/// A payment, as it was meant. Amounts are in Stripe's minor units.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sent {
    payment_id: String,
    supporter: usize,
    session: String,
    product: &'static str,
    item: Option<&'static str>,
    currency: &'static str,
    subtotal: i64,
    discount: i64,
    tax: i64,
    amount: i64,
    campaign: Option<&'static str>,
    variant: Option<&'static str>,
    page_view: Option<String>,
    promotion_code: Option<&'static str>,
    marketing: Option<&'static str>,
    frequency: &'static str,
    is_renewal: bool,
    at: i64,
    corrections: Vec<Moved>,
}

/// Money that moved afterwards: below zero for what went back.
#[derive(Debug, Clone, Serialize)]
struct Moved {
    cause: &'static str,
    id: String,
    reason: Option<&'static str>,
    amount: i64,
    at: i64,
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

impl Story {
    /// The same from the same seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut story = Self::default();
        for number in 0..PAYMENTS {
            if number % 6 == 5 { story.subscribe(&mut rng, number) } else { story.pay(&mut rng, number) }
        }
        let mut events = std::mem::take(&mut story.events);
        story.at_stripe.extend(events.iter().cloned());
        let twice: Vec<_> = events.iter().step_by(5).cloned().collect();
        events.extend(twice);
        rng.shuffle(&mut events);
        for event in events.iter_mut().chain(&mut story.at_stripe) {
            event["livemode"] = json!(true);
            if event["data"]["object"]["livemode"].is_boolean() {
                event["data"]["object"]["livemode"] = json!(true);
            }
        }
        story.events = events;
        story
    }

    /// A payment that is made once.
    fn pay(&mut self, rng: &mut Rng, number: usize) {
        let name = format!("P{number}");
        let kind = pick(rng, &["contribution", "download"]);
        let sent = Sent {
            payment_id: format!("pi_{name}"),
            product: if kind == "download" { "DOWNLOAD" } else { "CONTRIBUTION" },
            variant: pick(rng, &[None, Some("red"), Some("blue")]),
            page_view: Some(format!("view-{number}")),
            frequency: "ONE_OFF",
            at: BEGINNING + rng.i64(0..100) * DAY + rng.i64(0..DAY),
            ..sale(rng, number)
        };
        self.events.push(session(&sent, SessionEvent::paid().payment(&name), kind).to_json());
        self.correct(rng, sent, &name);
    }

    /// A subscription with some renewals.
    fn subscribe(&mut self, rng: &mut Rng, number: usize) {
        let name = format!("S{number}");
        let months = pick(rng, &[1, 1, 3]);
        let begun = Sent {
            payment_id: format!("in_{name}First"),
            product: "MEMBERSHIP",
            frequency: if months == 1 { "MONTHLY" } else { "QUARTERLY" },
            at: BEGINNING + rng.i64(0..40) * DAY,
            ..sale(rng, number)
        };
        let began = session(&begun, SessionEvent::paid().subscription(&name), "membership").to_json();
        self.at_stripe.push(began.clone());
        let recurring = json!({ "interval": "month", "interval_count": months });
        let item = json!({ "id": "si_1", "quantity": 1,
            "price": { "id": "price_1", "object": "price", "recurring": recurring } });
        self.at_stripe.push(json!({
            "id": format!("evt_sub_{name}"), "object": "event", "created": begun.at, "livemode": true,
            "type": "customer.subscription.created",
            "data": { "object": { "id": format!("sub_{name}"), "object": "subscription", "created": begun.at,
                "items": { "object": "list", "data": [item] } } }
        }));
        self.events.push(InvoiceEvent::first(&name).at(begun.at).to_json());
        self.events.push(began);
        let renewals = rng.i64(0..4);
        for nth in 1..=renewals {
            let at = begun.at + nth * months * 30 * DAY;
            if at > END {
                break;
            }
            let which = format!("R{nth}");
            let sent = Sent {
                payment_id: format!("in_{name}{which}"),
                is_renewal: true,
                marketing: None,
                promotion_code: None,
                at,
                ..begun.clone()
            };
            let mut line: Value =
                InvoiceEvent::renewal(&name, &which).to_json()["data"]["object"]["lines"].clone();
            line["data"][0]["price"] = json!({ "recurring": recurring });
            let invoice = InvoiceEvent::renewal(&name, &which)
                .at(at)
                .amount(sent.amount)
                .object("created", json!(at))
                .object("currency", json!(sent.currency.to_lowercase()))
                .object("subtotal", json!(sent.subtotal))
                .object("total_discount_amounts", json!([{ "amount": sent.discount, "discount": "di_1" }]))
                .object("total_taxes", json!([{ "amount": sent.tax, "type": "tax_rate_details" }]))
                .object("customer_email", json!(email(sent.supporter)))
                .object("lines", line);
            self.at_stripe.push(invoice.to_json());
            self.events.push(invoice.to_json());
            let payment = format!("{name}{which}");
            self.pays_invoice(&payment, &sent);
            self.correct(rng, sent, &payment);
        }
        let payment = format!("{name}First");
        self.pays_invoice(&payment, &begun);
        self.correct(rng, begun, &payment);
    }

    /// What Stripe says of the payment intent of an invoice, when it is asked.
    fn pays_invoice(&mut self, payment: &str, sent: &Sent) {
        self.at_stripe.push(json!({
            "id": format!("evt_inpay_{payment}"), "object": "event", "created": sent.at, "livemode": true,
            "type": "invoice_payment.paid",
            "data": { "object": { "id": format!("inpay_{payment}"), "object": "invoice_payment",
                "created": sent.at, "invoice": sent.payment_id, "status": "paid",
                "payment": { "type": "payment_intent", "payment_intent": format!("pi_{payment}") } } }
        }));
    }

    /// What becomes of a payment afterwards, by its payment intent `pi_<name>`.
    fn correct(&mut self, rng: &mut Rng, mut sent: Sent, name: &str) {
        let at = (sent.at + rng.i64(1..20) * DAY).min(END);
        let currency = sent.currency.to_lowercase();
        let whole = sent.amount;
        let id = format!("re_{name}");
        let dispute_id = format!("du_{name}");
        let refund = |what: &str, amount: i64, reason: Option<&str>, at: i64| {
            let refund = CorrectionEvent::refund(name, &id, what).amount(amount, &currency).at(at);
            refund.object("reason", json!(reason)).object("created", json!(at)).to_json()
        };
        let dispute = |what: &str, status: &str, balance: &[i64]| {
            CorrectionEvent::dispute(name, &dispute_id, what)
                .amount(whole, &currency)
                .status(status)
                .object("reason", json!("fraudulent"))
                .object("created", json!(at))
                .balance(&currency, balance)
                .at(at + 3 * 3600)
                .to_json()
        };
        let of_refund = |reason, amount| Moved { cause: "refund", id: id.clone(), reason, amount, at };
        let of_dispute = |amount, at| Moved {
            cause: "dispute",
            id: dispute_id.clone(),
            reason: Some("fraudulent"),
            amount,
            at,
        };
        match rng.u32(..100) {
            _ if whole == 0 => {}
            0..15 => {
                let part = whole / 4 / 100 * 100 + 100;
                let reason = pick(rng, &[Some("requested_by_customer"), Some("duplicate"), None]);
                self.events.push(refund("created", part, reason, at));
                sent.corrections.push(of_refund(reason, -part));
            }
            15..22 => {
                self.events.push(refund("created", whole, Some("requested_by_customer"), at));
                self.events.push(refund("updated", whole, Some("requested_by_customer"), at));
                sent.corrections.push(of_refund(Some("requested_by_customer"), -whole));
            }
            22..30 => {
                self.events.push(refund("created", whole, None, at));
                self.events.push(refund("failed", whole, None, at));
                sent.corrections.extend([of_refund(None, -whole), of_refund(None, whole)]);
            }
            30..38 => {
                self.events.push(dispute("funds_withdrawn", "needs_response", &[-whole]));
                self.events.push(dispute("closed", "lost", &[-whole]));
                sent.corrections.push(of_dispute(-whole, at));
            }
            38..46 => {
                self.events.push(dispute("funds_withdrawn", "needs_response", &[-whole]));
                self.events.push(dispute("funds_reinstated", "won", &[-whole, whole]));
                sent.corrections.extend([of_dispute(-whole, at), of_dispute(whole, at + 3600)]);
            }
            _ => {}
        }
        self.sent.push(sent);
    }
}

fn email(supporter: usize) -> String {
    format!("supporter{supporter}@example.org")
}

/// What every sale has.
fn sale(rng: &mut Rng, number: usize) -> Sent {
    let currency = pick(rng, &["GBP", "GBP", "EUR", "USD", "JPY", "KWD", "ISK"]);
    // The last digits of KWD and ISK are zeros at Stripe.
    let subtotal = rng.i64(10..300) * 100;
    let discount = pick(rng, &[0, 0, 0, 100, 200]);
    let tax = pick(rng, &[0, 100, 300]);
    Sent {
        supporter: rng.usize(..70),
        session: format!("cs_test_{}{number}", if number % 6 == 5 { "S" } else { "P" }),
        item: pick(rng, &[None, Some("guide-2026"), Some("atlas")]),
        currency,
        subtotal,
        discount,
        tax,
        amount: subtotal - discount + tax,
        campaign: pick(rng, &[None, Some("autumn"), Some("winter")]),
        promotion_code: (discount > 0).then_some("promo_Spring"),
        marketing: pick(rng, &[None, Some("yes"), Some("no")]),
        ..Sent::default()
    }
}

/// The sale as Stripe reports it.
fn session(sent: &Sent, event: SessionEvent, kind: &str) -> SessionEvent {
    let mut metadata = json!({ "fulfilment": kind });
    for (key, value) in [("campaign", sent.campaign), ("item", sent.item)] {
        if let Some(value) = value {
            metadata[key] = json!(value);
        }
    }
    let mut visit = json!({ "v": sent.page_view });
    if let Some(variant) = sent.variant {
        visit["a"] = json!([format!("button-colour:{variant}")]);
    }
    let details = json!({
        "amount_discount": sent.discount, "amount_tax": sent.tax, "amount_shipping": 0
    });
    let discounts: Vec<_> =
        sent.promotion_code.iter().map(|code| json!({ "coupon": "c1", "promotion_code": code })).collect();
    event
        .at(sent.at)
        .session("created", json!(sent.at))
        .metadata(metadata)
        .visit(&visit)
        .amount(sent.amount, &sent.currency.to_lowercase())
        .session("amount_subtotal", json!(sent.subtotal))
        .session("total_details", details)
        .session("discounts", json!(discounts))
        .customer("Supporter", &email(sent.supporter))
        .marketing(sent.marketing)
}
