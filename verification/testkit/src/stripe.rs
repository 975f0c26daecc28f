//! Stripe events, made from the recorded shapes in `fixtures/`.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use stripe_events::SigningSecret;

/// A checkout session event under construction. Invented people only.
#[derive(Debug, Clone)]
pub struct SessionEvent {
    json: Value,
}

const COMPLETED: &str = include_str!("../fixtures/session_completed_paid.json");

impl SessionEvent {
    fn new(event_type: &str, payment_status: &str) -> Self {
        let json = serde_json::from_str(COMPLETED).unwrap();
        Self { json }
            .set("/type", json!(event_type))
            .session("payment_status", json!(payment_status))
            .payment("Example")
    }

    /// The customer finished and the money is there.
    pub fn paid() -> Self {
        Self::new("checkout.session.completed", "paid")
    }

    /// The customer finished; the money is on its way.
    pub fn unpaid() -> Self {
        Self::new("checkout.session.completed", "unpaid")
    }

    /// The money of an earlier session arrived.
    pub fn async_succeeded() -> Self {
        Self::new("checkout.session.async_payment_succeeded", "paid")
    }

    /// The money of an earlier session will not arrive.
    pub fn async_failed() -> Self {
        Self::new("checkout.session.async_payment_failed", "unpaid")
    }

    /// Which payment this is about: gives session, payment intent and event their ids.
    #[must_use]
    pub fn payment(self, name: &str) -> Self {
        let what = self.json["type"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
        self.session("id", json!(format!("cs_test_{name}")))
            .session("payment_intent", json!(format!("pi_{name}")))
            .set("/id", json!(format!("evt_{name}_{what}")))
    }

    /// Another event id: Stripe sometimes reports one change twice.
    #[must_use]
    pub fn event_id(self, id: &str) -> Self {
        self.set("/id", json!(id))
    }

    /// When it happened, in Unix seconds.
    #[must_use]
    pub fn at(self, unix_seconds: i64) -> Self {
        self.set("/created", json!(unix_seconds))
    }

    /// Real money.
    #[must_use]
    pub fn livemode(self) -> Self {
        self.set("/livemode", json!(true)).session("livemode", json!(true))
    }

    /// Takes our marker off: another business's session.
    #[must_use]
    pub fn without_marker(self) -> Self {
        self.session("metadata", json!({ "order_id": "42" }))
    }

    /// What the marketer typed.
    #[must_use]
    pub fn metadata(self, metadata: Value) -> Self {
        self.session("metadata", metadata)
    }

    /// What the site passed on about this visit, as the `client_reference_id` it builds.
    #[must_use]
    pub fn visit(self, visit: &Value) -> Self {
        let reference = format!("al1-{}", BASE64_URL_SAFE_NO_PAD.encode(visit.to_string()));
        self.session("client_reference_id", json!(reference))
    }

    /// The booked amount.
    #[must_use]
    pub fn amount(self, minor: i64, currency: &str) -> Self {
        self.session("amount_total", json!(minor)).session("currency", json!(currency))
    }

    /// Who paid.
    #[must_use]
    pub fn customer(self, name: &str, email: &str) -> Self {
        self.set("/data/object/customer_details/name", json!(name)).email(email)
    }

    /// Where the mail goes.
    #[must_use]
    pub fn email(self, email: &str) -> Self {
        self.set("/data/object/customer_details/email", json!(email))
    }

    /// Where they live.
    #[must_use]
    pub fn country(self, code: &str) -> Self {
        self.set("/data/object/customer_details/address/country", json!(code))
    }

    /// The page asks whether the customer wants to be written to; `None` leaves the question open.
    #[must_use]
    pub fn marketing(self, answer: Option<&str>) -> Self {
        let options = [("Yes, please", "yes"), ("No, thank you", "no")];
        let options = options.map(|(label, value)| json!({ "label": label, "value": value }));
        let field = json!({
            "key": "marketing", "type": "dropdown", "optional": true,
            "label": { "type": "custom", "custom": "May we write to you?" },
            "dropdown": { "default_value": null, "options": options, "value": answer }
        });
        self.session("custom_fields", json!([field]))
    }

    /// The page shows these words beside the button that pays, such as the notice of a soft opt-in.
    #[must_use]
    pub fn submit_text(self, message: &str) -> Self {
        self.session("custom_text", json!({ "submit": { "message": message } }))
    }

    /// The page shows the notice of a soft opt-in, in the words of `policy.toml` as delivered.
    #[must_use]
    pub fn notice(self) -> Self {
        self.submit_text("We write to you about similar guides. [Rather not?](https://example.org/no-mail)")
    }

    /// What the customer chose in Stripe's own box: `opt_in` or `opt_out`.
    #[must_use]
    pub fn promotions(self, answer: &str) -> Self {
        self.session("consent", json!({ "promotions": answer, "terms_of_service": null }))
    }

    /// The language of the payment page.
    #[must_use]
    pub fn locale(self, tag: &str) -> Self {
        self.session("locale", json!(tag))
    }

    /// Any field of the session.
    #[must_use]
    pub fn session(self, field: &str, value: Value) -> Self {
        let mut json = self.json;
        json["data"]["object"][field] = value;
        Self { json }
    }

    /// Any field that is there, by JSON pointer.
    #[must_use]
    pub fn set(self, pointer: &str, value: Value) -> Self {
        let mut json = self.json;
        *json.pointer_mut(pointer).unwrap() = value;
        Self { json }
    }

    /// The key its effects are filed under.
    pub fn payment_id(&self) -> &str {
        let session = &self.json["data"]["object"];
        let invoice = session["invoice"].as_str().filter(|_| session["mode"] == "subscription");
        session["payment_intent"].as_str().or(invoice).or_else(|| session["id"].as_str()).unwrap()
    }

    /// The event, as Stripe sends it.
    pub fn to_json(&self) -> Value {
        self.json.clone()
    }
}

/// An event about a refund or a dispute, under construction. Neither carries our marker.
#[derive(Debug, Clone)]
pub struct CorrectionEvent {
    json: Value,
}

const REFUND: &str = include_str!("../fixtures/refund_created.json");
const DISPUTE: &str = include_str!("../fixtures/dispute_closed_inquiry.json");
const PREVENTED: &str = include_str!("../fixtures/dispute_prevented.json");
const RETURNED_IN_PART: &str = include_str!("../fixtures/dispute_returned_in_part.json");
const LOST_AT_ONCE: &str = include_str!("../fixtures/dispute_lost_at_once.json");

impl CorrectionEvent {
    /// A refund of £5.00 of the payment called `payment`, which the customer has. `what` is `created`, `updated` or
    /// `failed`.
    pub fn refund(payment: &str, refund_id: &str, what: &str) -> Self {
        let status = if what == "failed" { "failed" } else { "succeeded" };
        Self::new(REFUND, &format!("refund.{what}"), payment, refund_id).status(status)
    }

    /// A dispute over the £12.50 of the payment called `payment`, with an answer to be given. `what` is `created`,
    /// `updated`, `funds_withdrawn`, `funds_reinstated` or `closed`.
    pub fn dispute(payment: &str, dispute_id: &str, what: &str) -> Self {
        Self::new(DISPUTE, &format!("charge.dispute.{what}"), payment, dispute_id).status("needs_response")
    }

    /// A dispute over the £12.50 of the payment called `payment` that was prevented. `case_type` is `block` or
    /// `resolution`.
    pub fn prevented(payment: &str, dispute_id: &str, case_type: &str) -> Self {
        Self::new(PREVENTED, "charge.dispute.updated", payment, dispute_id).case_type(case_type)
    }

    /// The return of £5.00 of the £12.50 of the payment called `payment`, which the bank had taken and keeps otherwise:
    /// as much had been refunded before.
    pub fn returned_in_part(payment: &str, dispute_id: &str) -> Self {
        Self::new(RETURNED_IN_PART, "charge.dispute.funds_reinstated", payment, dispute_id)
    }

    /// A bank's return of the debit of the payment called `payment`, over £12.50: no other event reports it.
    pub fn lost_at_once(payment: &str, dispute_id: &str) -> Self {
        Self::new(LOST_AT_ONCE, "charge.dispute.closed", payment, dispute_id)
    }

    fn new(fixture: &str, event_type: &str, payment: &str, id: &str) -> Self {
        let mut json: Value = serde_json::from_str(fixture).unwrap();
        let what = event_type.rsplit('.').next().unwrap();
        json["id"] = json!(format!("evt_{id}_{what}"));
        json["type"] = json!(event_type);
        Self { json }.object("id", json!(id)).object("payment_intent", json!(format!("pi_{payment}")))
    }

    /// Another event id: Stripe sometimes reports one change twice.
    #[must_use]
    pub fn event_id(mut self, id: &str) -> Self {
        self.json["id"] = json!(id);
        self
    }

    /// When it happened, in Unix seconds.
    #[must_use]
    pub fn at(mut self, unix_seconds: i64) -> Self {
        self.json["created"] = json!(unix_seconds);
        self
    }

    /// Real money.
    #[must_use]
    pub fn livemode(mut self) -> Self {
        self.json["livemode"] = json!(true);
        self
    }

    /// Where the refund or the dispute stands.
    #[must_use]
    pub fn status(self, status: &str) -> Self {
        self.object("status", json!(status))
    }

    /// How much it is about.
    #[must_use]
    pub fn amount(self, minor: i64, currency: &str) -> Self {
        self.object("amount", json!(minor)).object("currency", json!(currency))
    }

    /// What the dispute did to the balance: below zero for what was taken, an hour between them.
    #[must_use]
    pub fn balance(self, currency: &str, amounts: &[i64]) -> Self {
        let (id, opened_at) = {
            let dispute = &self.json["data"]["object"];
            (dispute["id"].as_str().unwrap().to_owned(), dispute["created"].as_i64().unwrap())
        };
        let transactions = amounts.iter().enumerate().map(|(number, amount)| {
            json!({
                "id": format!("txn_{id}_{number}"), "object": "balance_transaction", "amount": amount,
                "currency": currency, "created": opened_at + i64::try_from(number).unwrap() * 3600,
                "fee": 0, "net": amount, "type": "adjustment", "source": id
            })
        });
        self.object("balance_transactions", transactions.collect())
    }

    /// The kind of the card network's case.
    #[must_use]
    pub fn case_type(self, case_type: &str) -> Self {
        let card = json!({ "brand": "visa", "case_type": case_type, "network_reason_code": null });
        self.object("payment_method_details", json!({ "type": "card", "card": card }))
    }

    /// Any field of the refund or the dispute.
    #[must_use]
    pub fn object(mut self, field: &str, value: Value) -> Self {
        self.json["data"]["object"][field] = value;
        self
    }

    /// The event, as Stripe sends it.
    pub fn to_json(&self) -> Value {
        self.json.clone()
    }
}

/// The `Stripe-Signature` header for a body. `secret` is a whole `whsec_…`.
pub fn signature_header(secret: &str, unix_seconds: i64, body: &str) -> String {
    let secrets = SigningSecret::parse_all(secret);
    stripe_events::sign(&secrets[0], body.as_bytes(), unix_seconds)
}

/// An `invoice.paid` event of a subscription, under construction.
#[derive(Debug, Clone)]
pub struct InvoiceEvent {
    json: Value,
}

const FIRST: &str = include_str!("../fixtures/invoice_paid_first.json");
const RENEWAL: &str = include_str!("../fixtures/invoice_paid_renewal.json");
const ONE_OFF: &str = include_str!("../fixtures/invoice_paid_one_off.json");

impl InvoiceEvent {
    /// The first invoice of the subscription called `name`, which its session reports as well.
    pub fn first(name: &str) -> Self {
        Self::new(FIRST, name, "First")
    }

    /// A renewal of it, by the name `which`.
    pub fn renewal(name: &str, which: &str) -> Self {
        Self::new(RENEWAL, name, which)
    }

    /// The invoice `in_<name>` that Stripe made of a one-off payment.
    pub fn one_off(name: &str) -> Self {
        let mut json: Value = serde_json::from_str(ONE_OFF).unwrap();
        json["id"] = json!(format!("evt_in_{name}"));
        Self { json }.object("id", json!(format!("in_{name}")))
    }

    fn new(fixture: &str, name: &str, which: &str) -> Self {
        let mut json: Value = serde_json::from_str(fixture).unwrap();
        json["id"] = json!(format!("evt_in_{name}{which}"));
        let subscription = json!(format!("sub_{name}"));
        json["data"]["object"]["parent"]["subscription_details"]["subscription"] = subscription;
        Self { json }.object("id", json!(format!("in_{name}{which}")))
    }

    /// Another event id: Stripe sometimes reports one change twice.
    #[must_use]
    pub fn event_id(mut self, id: &str) -> Self {
        self.json["id"] = json!(id);
        self
    }

    /// When it happened, in Unix seconds.
    #[must_use]
    pub fn at(mut self, unix_seconds: i64) -> Self {
        self.json["created"] = json!(unix_seconds);
        let transitions = json!({ "paid_at": unix_seconds });
        self.object("status_transitions", transitions)
    }

    /// The metadata of its subscription.
    #[must_use]
    pub fn marked(mut self, metadata: Value) -> Self {
        self.json["data"]["object"]["parent"]["subscription_details"]["metadata"] = metadata;
        self
    }

    /// The part that was paid.
    #[must_use]
    pub fn amount(self, minor: i64) -> Self {
        self.object("amount_paid", json!(minor)).object("total", json!(minor))
    }

    /// Any field of the invoice.
    #[must_use]
    pub fn object(mut self, field: &str, value: Value) -> Self {
        self.json["data"]["object"][field] = value;
        self
    }

    /// The event, as Stripe sends it.
    pub fn to_json(&self) -> Value {
        self.json.clone()
    }
}

impl SessionEvent {
    /// The session that begins the subscription called `name`: its first invoice is `in_<name>First`.
    #[must_use]
    pub fn subscription(self, name: &str) -> Self {
        self.payment(name)
            .session("mode", json!("subscription"))
            .session("payment_intent", Value::Null)
            .session("subscription", json!(format!("sub_{name}")))
            .session("invoice", json!(format!("in_{name}First")))
            .amount(500, "gbp")
            .metadata(json!({ "fulfilment": "membership", "campaign": "spring" }))
    }
}
