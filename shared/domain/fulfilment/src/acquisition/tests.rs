use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use stripe_events::Event;

use super::*;
use crate::{
    Currency, DisputeEvent, DisputeStatus, DisputeStep, InvoiceEvent, RefundEvent, RefundStatus,
    SubscriptionContract,
};

const NAMESPACE: Uuid = Uuid::from_u128(7);
const LATE: Circumstances = Circumstances { livemode: true, replayed: true, published_at: 1_795_000_700 };
const TEST: Circumstances = Circumstances { livemode: false, replayed: false, published_at: 1_795_000_007 };

fn session(change: impl FnOnce(&mut Value)) -> AcquisitionEvent {
    let fixture = include_str!("../../../../../verification/testkit/fixtures/session_completed_paid.json");
    let mut event: Value = serde_json::from_str(fixture).unwrap();
    change(&mut event["data"]["object"]);
    let event = SessionEvent::from_event(&Event::from_value(event).unwrap(), false).unwrap();
    AcquisitionEvent::of_session(&event, &Policy::compiled_in().unwrap(), &NAMESPACE, TEST)
}

#[test]
fn publishes_the_session() {
    let event = serde_json::to_value(session(|_| {})).unwrap();
    let mut expected = json!({
        "schema_version": 1,
        "event_id": event_id(&PaymentId::new("pi_3FixtureContribution"), None),
        "kind": "acquisition",
        "reverses": null,
        "cause": null,
        "cause_id": null,
        "reason": null,
        "occurred_at": "2026-11-18T11:06:40Z",
        "published_at": "2026-11-18T11:06:47Z",
        "product": "CONTRIBUTION",
        "item": null,
        "items": [],
        "amount": 1250,
        "currency": "GBP",
        "currency_exponent": 2,
        "amount_decimal": "12.50",
        "amount_subtotal": 1250,
        "amount_discount": 0,
        "amount_tax": 0,
        "amount_shipping": 0,
        "presentment_amount": null,
        "presentment_currency": null,
        "country": "GB",
        "state": null
    });
    let about_the_sale = json!({
        "payment_frequency": "ONE_OFF",
        "payment_provider": "STRIPE",
        "contribution_id": "pi_3FixtureContribution",
        "payment_id": "pi_3FixtureContribution",
        "session_id": "cs_test_a1FixtureContribution",
        "payment_link_id": "plink_1FixtureContribution",
        "supporter_id": SupporterId::of_email(&NAMESPACE, "ada@example.org"),
        "campaign_codes": ["autumn-appeal"],
        "component_id": null,
        "component_type": null,
        "source": null,
        "referrer_url": null,
        "page_view_id": null,
        "browser_id": null,
        "ab_tests": [],
        "labels": [],
        "promo_code": null,
        "query_parameters": [],
        "platform": "STRIPE_CHECKOUT",
        "reader_type": null,
        "acquisition_type": "PURCHASE",
        "marketing_answer": "not_asked",
        "livemode": false,
        "replayed": false
    });
    expected.as_object_mut().unwrap().extend(about_the_sale.as_object().unwrap().clone());
    assert_eq!(event, expected);
}

#[test]
fn publishes_what_the_amount_is_made_of() {
    let event = session(|session| {
        session["amount_total"] = json!(1070);
        session["amount_subtotal"] = json!(1000);
        session["total_details"] = json!({ "amount_discount": 100, "amount_tax": 170, "amount_shipping": 0 });
    });
    let parts = [event.amount_subtotal, event.amount_discount, event.amount_tax, event.amount_shipping];
    assert_eq!(parts, [Some(1000), Some(100), Some(170), Some(0)]);
    let unknown = session(|session| {
        session["amount_subtotal"] = json!(null);
        session["total_details"] = json!(null);
    });
    assert_eq!((unknown.amount_subtotal, unknown.amount_tax), (None, None), "unknown is not nothing");
}

#[test]
fn counts_a_sale_as_what_the_link_says() {
    let item = |metadata: Value| session(|session| session["metadata"] = metadata).item;
    assert_eq!(
        item(json!({ "fulfilment": "download", "item": "guide-2026" })).as_deref(),
        Some("guide-2026")
    );
    let published = json!({ "fulfilment": "download", "published_as": "guide" });
    assert_eq!(item(published).as_deref(), Some("guide"));
    assert_eq!(item(json!({ "fulfilment": "download" })), None);
}

#[test]
fn publishes_what_the_customer_answered_about_marketing() {
    let field = |key: &str, value: Option<&str>| {
        json!({ "key": key, "type": "text", "label": { "type": "custom", "custom": "?" },
            "text": { "value": value } })
    };
    let check = |fields: Value, promotions: Value, expected: MarketingAnswer| {
        let event = session(|session| {
            session["custom_fields"] = fields.clone();
            session["consent"] = json!({ "promotions": promotions });
        });
        assert_eq!(event.marketing_answer, Some(expected), "{fields}");
    };
    use MarketingAnswer::{No, NotAsked, NotUnderstood, Yes};
    check(json!([field("marketing", Some("yes"))]), json!(null), Yes);
    check(json!([field("marketing", Some("Nein, danke"))]), json!(null), No);
    check(json!([field("marketing", Some("perhaps"))]), json!(null), NotUnderstood);
    check(json!([field("marketing", None)]), json!(null), NotAsked);
    check(json!([field("company", Some("ACME"))]), json!(null), NotAsked);
    check(json!([]), json!("opt_in"), Yes);
    // As in the record of consents.
    check(json!([field("marketing", Some("yes"))]), json!("opt_out"), No);
    check(json!([field("newsletter_2", Some("no"))]), json!(null), NotUnderstood);
}

fn renewal(change: impl FnOnce(&mut Value)) -> AcquisitionEvent {
    let fixture = include_str!("../../../../../verification/testkit/fixtures/invoice_paid_renewal.json");
    let mut event: Value = serde_json::from_str(fixture).unwrap();
    change(&mut event["data"]["object"]);
    let invoice = InvoiceEvent::from_event(&Event::from_value(event).unwrap(), false).unwrap();
    let metadata =
        [("fulfilment", "membership"), ("item", "gold")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let contract = SubscriptionContract::of_subscription(&metadata.into()).unwrap().unwrap();
    let payment = invoice.payment(contract).unwrap();
    AcquisitionEvent::of_invoice(&payment, &Policy::compiled_in().unwrap(), &NAMESPACE, TEST)
}

#[test]
fn a_renewal_says_what_it_is_for_in_every_api_version() {
    let now = renewal(|_| {});
    let item = SoldItem {
        product_id: Some("prod_1Fixture".to_owned()),
        price_id: Some("price_1Fixture".to_owned()),
        name: Some("1 × Membership (at £5.00 / month)".to_owned()),
        quantity: Some(1),
        amount: Some(500),
    };
    assert_eq!((now.item.as_deref(), &now.items[..]), (Some("gold"), &[item.clone()][..]));
    assert_eq!(now.marketing_answer, None, "no page asked");
    let before_2025 = renewal(|invoice| {
        let line = &mut invoice["lines"]["data"][0];
        line["pricing"] = json!(null);
        line["price"] = json!({ "id": "price_1Fixture", "product": "prod_1Fixture" });
    });
    assert_eq!(before_2025.items, [item]);
}

#[test]
fn a_renewals_discounts_and_taxes_are_read_from_every_api_version() {
    let check = |taxes: Value, expected: Option<i64>| {
        let event = renewal(|invoice| {
            let invoice = invoice.as_object_mut().unwrap();
            invoice.remove("total_taxes");
            invoice.insert("total_discount_amounts".to_owned(), json!([{ "amount": 70 }, { "amount": 30 }]));
            invoice.extend(taxes.as_object().unwrap().clone());
        });
        let parts = [event.amount_subtotal, event.amount_discount, event.amount_tax, event.amount_shipping];
        assert_eq!(parts, [Some(500), Some(100), expected, Some(0)], "{taxes}");
    };
    check(json!({ "total_taxes": [{ "amount": 80 }, { "amount": 15 }] }), Some(95));
    check(json!({ "total_tax_amounts": [{ "amount": 80 }, { "amount": 15 }], "tax": 95 }), Some(95));
    check(json!({ "tax": 95 }), Some(95));
    check(json!({ "total_taxes": [] }), Some(0));
    check(json!({ "total_taxes": "none" }), None);
    check(json!({}), None);
    check(json!({ "total_taxes": [{ "amount": i64::MAX }, { "amount": 1 }] }), None);
}

#[test]
fn publishes_what_was_booked_and_what_the_customer_saw() {
    let event = session(|session| {
        session["amount_total"] = json!(1500);
        session["currency"] = json!("kwd");
        session["presentment_details"] = json!({ "presentment_amount": 700, "presentment_currency": "jpy" });
    });
    assert_eq!(
        (event.amount, event.currency.as_str(), event.currency_exponent, event.amount_decimal.as_str()),
        (1500, "KWD", 3, "1.500")
    );
    assert_eq!((event.presentment_amount, event.presentment_currency.as_deref()), (Some(700), Some("JPY")));
}

#[test]
fn a_subscription_will_be_paid_again() {
    let event = session(|session| session["subscription"] = json!("sub_1"));
    assert_eq!(event.payment_frequency, Some(PaymentFrequency::Recurring));
}

#[test]
fn names_the_promotion_code() {
    let discounts = json!([{ "coupon": "c1", "promotion_code": null }, { "promotion_code": "promo_1" }]);
    assert_eq!(session(|session| session["discounts"] = discounts).promo_code.as_deref(), Some("promo_1"));
    let coupon_only = json!([{ "coupon": "c1", "promotion_code": null }]);
    assert_eq!(session(|session| session["discounts"] = coupon_only).promo_code, None);
}

#[test]
fn publishes_nothing_of_an_unknown_client_reference() {
    let event = session(|session| session["client_reference_id"] = json!("ada-lovelace"));
    assert!(!serde_json::to_string(&event).unwrap().contains("ada"), "{event:?}");
}

#[test]
fn a_correction_names_what_it_corrects_and_takes_its_amount_away() {
    let correction = |movement, amount| {
        let correction = AcquisitionCorrection {
            payment_id: PaymentId::new("pi_1"),
            movement,
            reason: Some("fraudulent".to_owned()),
            amount: Money::new(amount, Currency::try_from("gbp").unwrap()),
            occurred_at: 1_795_000_600,
        };
        AcquisitionEvent::of_correction(&correction, LATE)
    };
    let acquisition = event_id(&PaymentId::new("pi_1"), None);
    let refund = correction(Movement::Refund("re_1".to_owned()), 500);
    assert_eq!((refund.kind, refund.reverses), (AcquisitionKind::Reversal, Some(acquisition)));
    assert_eq!((refund.amount, refund.amount_decimal.as_str()), (-500, "-5.00"));
    assert_eq!((refund.livemode, refund.replayed), (true, true));
    assert_eq!((refund.product, refund.supporter_id), (None, None));
    let cause = (refund.cause, refund.cause_id.as_deref(), refund.reason.as_deref());
    assert_eq!(cause, (Some(Cause::Refund), Some("re_1"), Some("fraudulent")));
    let dispute = correction(Movement::DisputeReinstated { id: "du_1".to_owned(), nth: 2 }, 500);
    assert_eq!((dispute.cause, dispute.cause_id.as_deref()), (Some(Cause::Dispute), Some("du_1")));
    assert_eq!(refund.published_at, "2026-11-18T11:18:20Z");
    let failed = correction(Movement::RefundFailed("re_1".to_owned()), 500);
    assert_eq!((failed.kind, failed.reverses), (AcquisitionKind::Reinstatement, Some(refund.event_id)));
    assert_eq!(failed.amount, 500);
    let other = correction(Movement::Refund("re_2".to_owned()), 500);
    assert_ne!(other.event_id, refund.event_id);
}

#[test]
fn event_ids_never_change() {
    let id = |movement: Option<&Movement>| event_id(&PaymentId::new("pi_1"), movement).to_string();
    assert_eq!(id(None), "e1f98ff4-5099-56df-9d0c-afab6b2c163e");
    assert_eq!(id(Some(&Movement::RefundFailed("re_1".to_owned()))), "7ca6957f-bb29-5384-b033-494f136f11e3");
    let reinstated = Movement::DisputeReinstated { id: "dp_1".to_owned(), nth: 1 };
    assert_eq!(id(Some(&Movement::dispute("dp_1".to_owned()))), "0ed693f1-8e06-5689-8ed9-74bd39f8295a");
    assert_eq!(id(Some(&reinstated)), "07eafba4-003e-56c4-9bb7-d61be34cd61e");
}

#[test]
fn writes_moments_as_warehouses_read_them() {
    for (unix_seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_735_689_599, "2024-12-31T23:59:59Z"),
        (1_735_689_600, "2025-01-01T00:00:00Z"),
        (1_795_000_000, "2026-11-18T11:06:40Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (i64::MAX, "9999-12-31T23:59:59Z"),
        (i64::MIN, "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(utc(unix_seconds), expected);
    }
}

/// The history of a payment, beside Stripe's events of it.
#[derive(Debug, Clone)]
enum Occurrence {
    Refund { amount: i64, fails: bool },
    Dispute { amount: i64, reinstated: bool },
    Inquiry { amount: i64 },
}

impl Occurrence {
    fn money_gone(&self) -> i64 {
        match self {
            Self::Refund { amount, fails: false } | Self::Dispute { amount, reinstated: false } => *amount,
            Self::Refund { .. } | Self::Dispute { .. } | Self::Inquiry { .. } => 0,
        }
    }

    /// What each of its events corrects.
    fn corrections(&self, number: usize) -> Vec<Vec<AcquisitionCorrection>> {
        let currency = Currency::try_from("eur").unwrap();
        let payment_id = PaymentId::new("pi_1");
        let occurred_at = 1_795_000_000;
        let refund = |amount, status| RefundEvent {
            reason: None,
            payment_id: payment_id.clone(),
            event_id: "evt_1".to_owned(),
            occurred_at,
            refund_id: format!("re_{number}"),
            amount: Money::new(amount, currency),
            status,
            created_at: None,
        };
        let dispute = |amount, status, step| {
            let id = format!("dp_{number}");
            DisputeEvent::without_transactions(&id, step, status, Money::new(amount, currency), occurred_at)
        };
        let refunds: &[RefundStatus] = match self {
            Self::Refund { fails: false, .. } => &[RefundStatus::Pending, RefundStatus::Succeeded],
            Self::Refund { fails: true, .. } => &[RefundStatus::Succeeded, RefundStatus::Failed],
            Self::Dispute { .. } | Self::Inquiry { .. } => &[],
        };
        let (amount, steps) = match self {
            Self::Refund { amount, .. } => (*amount, Vec::new()),
            Self::Inquiry { amount } => (*amount, vec![DisputeStep::Closed]),
            Self::Dispute { amount, reinstated } => {
                let mut steps = vec![DisputeStep::Created, DisputeStep::Withdrawn];
                if *reinstated {
                    steps.push(DisputeStep::Reinstated);
                }
                (*amount, steps)
            }
        };
        let refunds = refunds.iter().map(|status| refund(amount, *status));
        let disputes = steps.into_iter().map(|step| dispute(amount, DisputeStatus::Open, step));
        refunds
            .map(|event| AcquisitionCorrection::of_refund(&event))
            .chain(disputes.map(|event| AcquisitionCorrection::of_dispute(&event)))
            .collect()
    }
}

fn occurrence() -> impl Strategy<Value = Occurrence> {
    prop_oneof![
        (1i64..5000, any::<bool>()).prop_map(|(amount, fails)| Occurrence::Refund { amount, fails }),
        (1i64..5000, any::<bool>())
            .prop_map(|(amount, reinstated)| Occurrence::Dispute { amount, reinstated }),
        (1i64..5000).prop_map(|amount| Occurrence::Inquiry { amount }),
    ]
}

proptest! {
    #[test]
    fn acquisition_and_corrections_add_up_to_the_money_kept(
        paid in 0i64..1_000_000,
        history in proptest::collection::vec(occurrence(), 0..6),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        order in any::<u64>(),
    ) {
        let mut delivered: Vec<_> =
            history.iter().enumerate().flat_map(|(number, occurrence)| occurrence.corrections(number)).collect();
        if !delivered.is_empty() {
            let repeated: Vec<_> = again.iter().map(|index| index.get(&delivered).clone()).collect();
            delivered.extend(repeated);
            let first = usize::try_from(order % delivered.len() as u64).unwrap();
            delivered.rotate_left(first);
            if order % 2 == 0 {
                delivered.reverse();
            }
        }
        // A consumer that drops the ids it has seen.
        let mut seen: BTreeMap<Uuid, AcquisitionEvent> = BTreeMap::new();
        for correction in delivered.iter().flatten() {
            let event = AcquisitionEvent::of_correction(correction, TEST);
            seen.insert(event.event_id, event);
        }
        let kept = paid + seen.values().map(|event| event.amount).sum::<i64>();
        prop_assert_eq!(kept, paid - history.iter().map(Occurrence::money_gone).sum::<i64>());
        // Whatever is corrected was published, too.
        let acquisition = event_id(&PaymentId::new("pi_1"), None);
        for event in seen.values() {
            let reverses = event.reverses.unwrap();
            prop_assert!(reverses == acquisition || seen.contains_key(&reverses));
        }
    }
}
