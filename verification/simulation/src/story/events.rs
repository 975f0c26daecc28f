//! The events that Stripe makes of a payment.

use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, InvoiceEvent as StripeInvoice, SessionEvent as StripeSession};

use super::{Charge, DAY, Dispute, Fate, Link, PERSONAL, Payment, Refund, Subscription};

/// The version whose shapes the events have.
const API_VERSION: &str = "2026-10-28.endive";

impl Payment {
    pub(super) fn session_events(&self) -> Vec<Value> {
        let at = self.at;
        let event = |event: StripeSession, at: i64| self.dressed(event).at(at).to_json();
        match self.fate {
            Fate::Paid => vec![event(StripeSession::paid(), at)],
            Fate::Free => {
                let free = StripeSession::paid().session("payment_status", json!("no_payment_required"));
                vec![event(free, at)]
            }
            Fate::PendingThenPaid => vec![
                event(StripeSession::unpaid(), at),
                event(StripeSession::async_succeeded(), self.paid_at()),
            ],
            Fate::CapturedInPart { reserved } => {
                let pending = self.dressed(StripeSession::unpaid()).amount(reserved, self.currency);
                let made = self.dressed(StripeSession::async_succeeded());
                let made = made.event_id(&format!("evt_reconcile_paid_cs_test_{}", self.name));
                vec![pending.at(at).to_json(), made.at(self.paid_at()).to_json()]
            }
            Fate::PendingThenFailed => {
                vec![event(StripeSession::unpaid(), at), event(StripeSession::async_failed(), at + 2 * DAY)]
            }
            Fate::Pending => vec![event(StripeSession::unpaid(), at)],
        }
    }

    pub(super) fn invoice_event(&self, subscription: &Subscription) -> Value {
        let which = self.charged().replacen(&subscription.name, "", 1);
        let mut invoice = match self.charge {
            Charge::Renewal(_) => StripeInvoice::renewal(&subscription.name, &which),
            Charge::First(_) | Charge::Once | Charge::OnceWithInvoice => {
                StripeInvoice::first(&subscription.name)
            }
        };
        if subscription.is_marked && self.link != Link::Strangers {
            invoice = invoice.marked(self.metadata());
        }
        let mut event = invoice
            .amount(self.amount)
            .object("currency", json!(self.currency))
            .object("customer_email", json!(self.email()))
            .object("customer_name", json!(format!("{PERSONAL} {}", self.customer)))
            .object(
                "customer_address",
                json!({ "country": "GB", "postal_code": PERSONAL, "line1": PERSONAL }),
            )
            .at(self.paid_at())
            .to_json();
        event["livemode"] = json!(self.link == Link::OtherMode);
        event
    }

    pub(super) fn invoice_payment_event(&self) -> Value {
        let mut event = invoice_payment(&self.payment_intent(), &self.invoice_id(), self.paid_at());
        event["livemode"] = json!(self.link == Link::OtherMode);
        event
    }

    pub(super) fn correction_events(&self) -> Vec<Value> {
        let other_mode = self.link == Link::OtherMode;
        let later = self.at + 3 * DAY;
        let mut events = Vec::new();
        let mut correction = |event: CorrectionEvent, at: i64| {
            let event = if other_mode { event.livemode() } else { event };
            events.push(event.at(at).to_json());
        };
        for Refund { number, amount, fails } in &self.refunds {
            let id = format!("re_{}_{number}", self.name);
            let refund = |what: &str| {
                CorrectionEvent::refund(&self.charged(), &id, what)
                    .amount(*amount, self.currency)
                    .object("created", json!(later))
            };
            correction(refund("created"), later);
            correction(refund("updated").event_id(&format!("evt_{id}_updated")), later + 60);
            if *fails {
                correction(refund("failed"), later + 2 * DAY);
            }
        }
        for (event, at) in self.dispute.map(|dispute| self.dispute_events(dispute, later)).unwrap_or_default()
        {
            correction(event, at);
        }
        if self.is_warned_of {
            events.push(self.fraud_warning(later));
        }
        events
    }

    /// A dispute that is opened at a time in Unix seconds.
    fn dispute_events(&self, dispute: Dispute, opened_at: i64) -> Vec<(CorrectionEvent, i64)> {
        let id = format!("dp_{}", self.name);
        let charged = self.charged();
        let about = |event: CorrectionEvent| {
            event.amount(self.amount, self.currency).object("created", json!(opened_at))
        };
        let step =
            |what: &str, status: &str| about(CorrectionEvent::dispute(&charged, &id, what)).status(status);
        let decided_at = opened_at + 20 * DAY;
        let begun = [
            (step("created", "needs_response"), opened_at),
            (step("funds_withdrawn", "needs_response"), opened_at + 1),
        ];
        let prevented = |case_type: &str, amounts: &[i64]| {
            let event = about(CorrectionEvent::prevented(&charged, &id, case_type));
            vec![(event.balance(self.currency, amounts), opened_at + 1)]
        };
        let ended = match dispute {
            Dispute::Open => Vec::new(),
            Dispute::Lost => vec![(step("closed", "lost"), decided_at)],
            Dispute::Won => {
                vec![(step("closed", "won"), decided_at), (step("funds_reinstated", "won"), decided_at + 1)]
            }
            Dispute::LostAtOnce => {
                return vec![(about(CorrectionEvent::lost_at_once(&charged, &id)), opened_at + 1)];
            }
            Dispute::WonAtOnce => return vec![(step("closed", "won"), decided_at)],
            Dispute::ReturnedInPart(returned) => {
                let taken = -self.amount;
                let part = about(CorrectionEvent::returned_in_part(&charged, &id));
                vec![
                    (step("closed", "lost").balance(self.currency, &[taken]), decided_at),
                    (part.balance(self.currency, &[taken, returned]), decided_at + 1),
                ]
            }
            Dispute::Blocked => return prevented("block", &[]),
            Dispute::Resolved => return prevented("resolution", &[-self.amount]),
        };
        begun.into_iter().chain(ended).collect()
    }

    fn fraud_warning(&self, at: i64) -> Value {
        let id = format!("issfr_{}", self.name);
        json!({
            "id": format!("evt_{id}"), "object": "event", "api_version": API_VERSION, "created": at,
            "livemode": self.link == Link::OtherMode, "type": "radar.early_fraud_warning.created",
            "data": { "object": {
                "id": id, "object": "radar.early_fraud_warning", "actionable": true, "charge": "ch_1", "created": at,
                "fraud_type": "made_with_stolen_card", "livemode": false, "payment_intent": self.payment_intent()
            } }
        })
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
        match &self.charge {
            Charge::First(subscription) => {
                event = event.subscription(&subscription.name).amount(self.amount, self.currency);
            }
            Charge::OnceWithInvoice => event = event.session("invoice", json!(self.invoice_id())),
            Charge::Once | Charge::Renewal(_) => {}
        }
        if self.fate == Fate::Free {
            event = event.session("payment_intent", Value::Null);
        }
        match self.link {
            Link::Contribution | Link::Download | Link::Broken => event.metadata(self.metadata()),
            Link::Strangers => event.without_marker(),
            Link::OtherMode => event.metadata(self.metadata()).livemode(),
        }
    }

    /// What the marketer typed.
    fn metadata(&self) -> Value {
        match self.link {
            Link::Broken => json!({ "fulfilment": "donation" }),
            Link::Download => json!({ "fulfilment": "download", "campaign": "autumn", "files": "guide.pdf" }),
            Link::Contribution | Link::Strangers | Link::OtherMode => {
                let kind = if self.subscription().is_some() { "membership" } else { "contribution" };
                json!({ "fulfilment": kind, "campaign": "autumn-appeal" })
            }
        }
    }
}

impl Subscription {
    /// The event that brings it to Stripe's API. It is not sent to us.
    pub(super) fn begins(&self, at: i64) -> Value {
        let id = format!("sub_{}", self.name);
        let recurring = json!({ "interval": "month", "interval_count": 1 });
        let item =
            json!({ "id": "si_1", "price": { "id": "price_1", "object": "price", "recurring": recurring } });
        json!({
            "id": format!("evt_{id}"), "object": "event", "api_version": API_VERSION, "created": at,
            "livemode": false, "type": "customer.subscription.created",
            "data": { "object": {
                "id": id, "object": "subscription", "created": at, "items": { "object": "list", "data": [item] }
            } }
        })
    }
}

/// An event that says which payment intent paid which invoice.
fn invoice_payment(payment_intent: &str, invoice_id: &str, at: i64) -> Value {
    let id = format!("inpay_{payment_intent}");
    json!({
        "id": format!("evt_{id}"), "object": "event", "api_version": API_VERSION, "created": at,
        "livemode": false, "type": "invoice_payment.paid",
        "data": { "object": {
            "id": id, "object": "invoice_payment", "created": at, "invoice": invoice_id, "status": "paid",
            "payment": { "type": "payment_intent", "payment_intent": payment_intent }
        } }
    })
}
