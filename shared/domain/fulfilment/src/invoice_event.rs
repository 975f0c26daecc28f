use stripe_events::{BillingReason, Event, EventType, Invoice, InvoiceStatus, Object, Personal};

use crate::correction::snapshot;
use crate::{
    AmountParts, AsOf, ContractError, Currency, Money, PaymentFrequency, PaymentId, SessionBroken,
    SkipReason, SoldItem, SubscriptionContract,
};

/// A paid invoice of a subscription, read. It may be another business's: only a session, or the subscription's own
/// metadata, says whose it is. [`InvoiceEvent::payment`] makes a payment of it once that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceEvent {
    /// The key: the invoice's id.
    pub payment_id: PaymentId,
    /// `evt_…`
    pub event_id: String,
    /// When it happened, in Unix seconds.
    pub occurred_at: i64,
    /// When the invoice was paid, in Unix seconds.
    pub paid_at: i64,
    /// `sub_…`
    pub subscription_id: String,
    /// Whether it is the subscription's first, which its session reports as well.
    pub is_first: bool,
    /// What the subscription's own metadata says, where it carries our marker.
    pub marked: Option<Result<SubscriptionContract, ContractError>>,
    /// The paid amount.
    pub amount: Option<Money>,
    /// What the invoice's total is made of.
    pub parts: AmountParts,
    /// What it is for, as many lines as the event holds.
    pub items: Vec<SoldItem>,
    /// Until when it was paid for, in Unix seconds.
    pub term_ends_at: Option<i64>,
    /// How often it is due, where the invoice says.
    pub frequency: Option<PaymentFrequency>,
    /// `cus_…`
    pub customer_id: Option<String>,
    /// The customer's address when the invoice was finalized.
    pub email: Option<Personal<String>>,
    /// The customer's name when the invoice was finalized.
    pub name: Option<Personal<String>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// State, county or province.
    pub state: Option<String>,
    /// ZIP or postal code.
    pub postal_code: Option<Personal<String>>,
}

/// A payment of a subscription of ours, as its invoice reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionPayment {
    /// What the invoice says.
    pub invoice: InvoiceEvent,
    /// The kind of product.
    pub contract: SubscriptionContract,
    /// The booked amount: the payment, without the customer's credit.
    pub amount: Money,
}

impl InvoiceEvent {
    /// Reads an event; checks again what the rule filtered.
    ///
    /// # Errors
    ///
    /// The reason to leave it alone.
    pub fn from_event(event: &Event, livemode: bool) -> Result<Self, SkipReason> {
        let event = snapshot(event)?;
        let (Object::Invoice(invoice), EventType::InvoicePaid) = (&event.object, &event.event_type) else {
            return Err(SkipReason::OtherEventType);
        };
        if event.livemode != livemode {
            return Err(SkipReason::OtherLivemode);
        }
        let Some(subscription_id) = invoice.subscription_id() else {
            return Err(SkipReason::NoSubscription);
        };
        // What a look-back makes an event of may be void by now, or written off.
        if invoice.status.as_ref().is_some_and(|status| *status != InvoiceStatus::Paid) {
            return Err(SkipReason::NotPaid);
        }
        if invoice.total.is_some_and(|total| total < 0) {
            return Err(SkipReason::Credit);
        }
        let marked = invoice
            .subscription_metadata()
            .and_then(|metadata| SubscriptionContract::of_subscription(metadata).transpose());
        let address = invoice.customer_address.clone().unwrap_or_default();
        let paid_at = invoice.status_transitions.as_ref().and_then(|transitions| transitions.paid_at);
        Ok(Self {
            payment_id: PaymentId::new(&invoice.id),
            event_id: event.id.clone(),
            occurred_at: event.created,
            paid_at: paid_at.unwrap_or(event.created),
            subscription_id: subscription_id.to_owned(),
            is_first: invoice.billing_reason == Some(BillingReason::SubscriptionCreate),
            marked,
            amount: amount(invoice),
            parts: parts(invoice),
            items: SoldItem::of_invoice(invoice),
            term_ends_at: term_ends_at(invoice),
            frequency: frequency(invoice),
            customer_id: invoice.customer.clone(),
            email: invoice.customer_email.clone(),
            name: invoice.customer_name.clone(),
            country: address.country,
            state: address.state,
            postal_code: address.postal_code,
        })
    }

    /// The payment, once it is known what the subscription sells.
    ///
    /// # Errors
    ///
    /// When Stripe sent no amount.
    pub fn payment(self, contract: SubscriptionContract) -> Result<SubscriptionPayment, SessionBroken> {
        let amount = self.amount.ok_or(SessionBroken::NoAmount)?;
        Ok(SubscriptionPayment { invoice: self, contract, amount })
    }
}

impl SubscriptionPayment {
    /// This event's place in the order of the invoice's events.
    pub fn as_of(&self) -> AsOf {
        AsOf { occurred_at: self.invoice.occurred_at, event_id: self.invoice.event_id.clone() }
    }
}

fn amount(invoice: &Invoice) -> Option<Money> {
    let currency = Currency::try_from(invoice.currency.as_deref()?).ok()?;
    Some(Money::new(invoice.amount_paid?, currency))
}

fn parts(invoice: &Invoice) -> AmountParts {
    AmountParts {
        subtotal: invoice.subtotal,
        discount: invoice.discount_minor(),
        tax: invoice.tax_minor(),
        shipping: invoice.amount_shipping,
    }
}

/// The last day that any line pays for.
fn term_ends_at(invoice: &Invoice) -> Option<i64> {
    let lines = &invoice.lines.as_ref()?.data;
    let of_whole_periods = lines.iter().filter(|line| line.is_whole_period());
    let ends = of_whole_periods.filter_map(|line| line.period?.end).max();
    ends.or_else(|| lines.iter().filter_map(|line| line.period?.end).max())
}

/// What the first line says that says anything.
fn frequency(invoice: &Invoice) -> Option<PaymentFrequency> {
    invoice.lines.as_ref()?.data.iter().find_map(PaymentFrequency::of_line)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::FulfilmentKind;

    fn fixture(name: &str) -> Value {
        let path =
            format!("{}/../../../verification/testkit/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
    }

    fn read(event: Value) -> Result<InvoiceEvent, SkipReason> {
        InvoiceEvent::from_event(&Event::from_value(event).unwrap(), false)
    }

    fn changed(field: &str, value: Value) -> Result<InvoiceEvent, SkipReason> {
        let mut event = fixture("invoice_paid_renewal");
        event["data"]["object"][field] = value;
        read(event)
    }

    #[test]
    fn reads_a_renewal_of_every_api_version() {
        let renewal = read(fixture("invoice_paid_renewal")).unwrap();
        assert_eq!(renewal.payment_id.as_str(), "in_1FixtureRenewal");
        assert_eq!((renewal.subscription_id.as_str(), renewal.is_first), ("sub_1Fixture", false));
        assert_eq!(renewal.amount.unwrap().minor(), 500);
        assert_eq!(renewal.term_ends_at, Some(1_800_270_390));
        assert_eq!(renewal.frequency, Some(PaymentFrequency::Monthly));
        assert_eq!((renewal.marked, renewal.country.as_deref()), (None, Some("GB")));
        let old = read(fixture("invoice_2020_renewal")).unwrap();
        assert_eq!(old.subscription_id, "sub_1Fixture2020");
        assert_eq!(old.frequency, Some(PaymentFrequency::Annually));
        assert!(read(fixture("invoice_paid_first")).unwrap().is_first);
    }

    #[test]
    fn leaves_alone_what_is_no_payment_of_a_subscription() {
        use SkipReason::*;
        assert_eq!(read(fixture("invoice_paid_one_off")), Err(NoSubscription));
        assert_eq!(changed("status", json!("void")), Err(NotPaid));
        assert_eq!(changed("status", json!("uncollectible")), Err(NotPaid));
        assert_eq!(changed("total", json!(-300)), Err(Credit));
        let mut other = fixture("invoice_paid_renewal");
        other["type"] = json!("invoice.payment_failed");
        assert_eq!(read(other.clone()), Err(OtherEventType));
        other["type"] = json!("invoice.paid");
        other["livemode"] = json!(true);
        assert_eq!(read(other), Err(OtherLivemode));
    }

    #[test]
    fn books_what_was_paid() {
        // Paid from the customer's credit, or nothing due: a period that costs nothing.
        for field in ["amount_paid", "total"] {
            let mut event = fixture("invoice_paid_renewal");
            event["data"]["object"]["amount_paid"] = json!(0);
            event["data"]["object"][field] = json!(0);
            assert_eq!(read(event).unwrap().amount.unwrap().minor(), 0, "{field}");
        }
        let contract = SubscriptionContract::of_subscription(&std::collections::BTreeMap::from([(
            "fulfilment".to_owned(),
            "membership".to_owned(),
        )]));
        let contract = contract.unwrap().unwrap();
        let nothing = changed("currency", json!(null)).unwrap();
        assert_eq!(nothing.payment(contract), Err(SessionBroken::NoAmount));
    }

    #[test]
    fn a_proration_beside_the_new_period_gives_neither_term_nor_interval() {
        let mut event = fixture("invoice_paid_renewal");
        let mut settled = event["data"]["object"]["lines"]["data"][0].clone();
        settled["parent"]["subscription_item_details"]["proration"] = json!(true);
        settled["period"] = json!({ "start": 1_797_000_000, "end": 1_900_000_000 });
        event["data"]["object"]["lines"]["data"].as_array_mut().unwrap().insert(0, settled.clone());
        let renewal = read(event.clone()).unwrap();
        assert_eq!(renewal.frequency, Some(PaymentFrequency::Monthly));
        assert_eq!(renewal.term_ends_at, Some(1_800_270_390));
        event["data"]["object"]["lines"]["data"] = json!([settled]);
        event["data"]["object"]["billing_reason"] = json!("subscription_update");
        let update = read(event).unwrap();
        assert_eq!((update.frequency, update.term_ends_at), (None, Some(1_900_000_000)));
    }

    #[test]
    fn a_subscription_that_carries_the_marker_says_itself_what_it_sells() {
        let mut event = fixture("invoice_paid_renewal");
        let metadata = "/data/object/parent/subscription_details/metadata";
        *event.pointer_mut(metadata).unwrap() = json!({ "fulfilment": "membership", "campaign": "x" });
        let marked = read(event.clone()).unwrap().marked.unwrap().unwrap();
        assert_eq!(marked.kind, FulfilmentKind::Membership);
        assert_eq!(marked.attribution.campaign_codes, ["x"]);
        *event.pointer_mut(metadata).unwrap() = json!({ "fulfilment": "membersip" });
        assert!(read(event).unwrap().marked.unwrap().is_err());
    }
}
