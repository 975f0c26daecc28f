//! Payments of subscriptions: a session and an invoice, or an invoice alone.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{NAMESPACE, event, gbp};
use super::*;
use crate::{AmountParts, InvoiceEvent, SubscriptionContract, SupporterRow};

fn contract() -> SubscriptionContract {
    let metadata = BTreeMap::from([
        ("fulfilment".to_owned(), "membership".to_owned()),
        ("campaign".to_owned(), "spring".to_owned()),
    ]);
    SubscriptionContract::of_subscription(&metadata).unwrap().unwrap()
}

fn invoice(is_first: bool, occurred_at: i64, id: &str) -> PaymentEvent {
    let invoice = InvoiceEvent {
        parts: AmountParts::default(),
        items: Vec::new(),
        payment_id: PaymentId::new("in_1"),
        event_id: format!("evt_{id}{occurred_at}"),
        occurred_at,
        paid_at: occurred_at,
        subscription_id: "sub_1".to_owned(),
        is_first,
        marked: None,
        amount: Some(gbp(500)),
        term_ends_at: Some(9000),
        frequency: None,
        customer_id: Some("cus_1".to_owned()),
        email: Some(Personal::new("ada@example.org".to_owned())),
        name: None,
        country: None,
        state: None,
        postal_code: None,
    };
    invoice.payment(contract()).unwrap().into()
}

fn session(occurred_at: i64) -> PaymentEvent {
    let session =
        event(SessionOutcome::Paid, occurred_at, &format!("evt_session{occurred_at}"), "ada@example.org");
    SessionEvent {
        payment_id: PaymentId::new("in_1"),
        subscription_id: Some("sub_1".to_owned()),
        amount: gbp(500),
        ..session
    }
    .into()
}

fn refund(amount: i64, occurred_at: i64) -> PaymentEvent {
    PaymentEvent::Refund(RefundEvent {
        reason: None,
        payment_id: PaymentId::new("in_1"),
        event_id: format!("evt_re_{amount}_{occurred_at}"),
        occurred_at,
        refund_id: format!("re_{amount}"),
        amount: gbp(amount),
        status: RefundStatus::Succeeded,
        created_at: None,
    })
}

fn warning(occurred_at: i64) -> PaymentEvent {
    PaymentEvent::FraudWarning(FraudWarningEvent {
        payment_id: PaymentId::new("in_1"),
        event_id: format!("evt_warning{occurred_at}"),
        occurred_at,
        warning_id: "issfr_1".to_owned(),
        fraud_type: Some("made_with_stolen_card".to_owned()),
        actionable: Some(occurred_at < 1500),
        created_at: Some(1400),
    })
}

fn fold(events: &[PaymentEvent]) -> Contribution {
    events
        .iter()
        .fold(Contribution::new(PaymentId::new("in_1")), |record, event| record.with_event(event, &NAMESPACE))
}

#[test]
fn a_session_and_its_invoice_are_one_payment_whichever_comes_first() {
    let both = fold(&[session(1000), invoice(true, 999, "in")]);
    assert_eq!(fold(&[invoice(true, 999, "in"), session(1000)]), both);
    assert_eq!(both.session.session_id.as_deref(), Some("cs_1"));
    assert_eq!((both.paid_at, both.status()), (Some(999), ContributionStatus::Paid));
    let row = SupporterRow::of(&both, &Policy::compiled_in().unwrap()).unwrap();
    assert_eq!((row.amount, row.term_ends_at), (500, Some(9000)));
    // Also when the invoice is the newer of the two.
    assert_eq!(fold(&[invoice(true, 2000, "in"), session(1000)]).session, both.session);
}

#[test]
fn either_witness_alone_makes_the_record() {
    for witness in [session(1000), invoice(true, 1000, "in"), invoice(false, 1000, "in")] {
        let record = fold(std::slice::from_ref(&witness));
        assert!(record.is_known(), "{witness:?}");
        assert_eq!(record.status(), ContributionStatus::Paid);
        assert!(SupporterRow::of(&record, &Policy::compiled_in().unwrap()).is_some());
    }
}

#[test]
fn a_part_of_an_invoice_that_goes_back_is_a_part() {
    // One invoice, two payments: the refund of one of them.
    assert_eq!(fold(&[invoice(false, 1, "in"), refund(200, 2)]).status(), ContributionStatus::PartRefunded);
    let all = [refund(200, 2), invoice(false, 1, "in"), refund(300, 3)];
    assert_eq!(fold(&all).status(), ContributionStatus::Refunded);
}

#[test]
fn a_warning_of_fraud_is_kept_and_moves_nothing() {
    let record = fold(&[session(1000), warning(1400), warning(1600)]);
    assert_eq!(record.status(), ContributionStatus::Paid);
    let facts = &record.fraud_warnings["issfr_1"];
    assert_eq!(facts.fraud_type.as_deref(), Some("made_with_stolen_card"));
    assert_eq!(facts.actionable, Some(false));
    assert!(!fold(&[warning(1400)]).is_known());
}

#[test]
fn a_renewal_survives_being_stored() {
    let record = fold(&[invoice(false, 1000, "in"), refund(200, 2000), warning(3000)]);
    let stored = serde_json::to_value(&record).unwrap();
    assert!(stored.get("session_id").is_none(), "{stored}");
    assert_eq!(stored["kind"], "membership");
    assert_eq!(serde_json::from_value::<Contribution>(stored).unwrap(), record);
}

fn any_event() -> impl Strategy<Value = PaymentEvent> {
    prop_oneof![
        (0i64..3).prop_map(session),
        (any::<bool>(), 0i64..3, "[ab]").prop_map(|(first, at, id)| invoice(
            first,
            at,
            &format!("{id}{first}")
        )),
        (1i64..4, 0i64..3).prop_map(|(amount, at)| refund(amount * 100, at)),
        (1400i64..1600).prop_map(warning),
    ]
}

proptest! {
    #[test]
    fn any_order_and_any_duplication_of_both_witnesses_give_the_same_record(
        (events, shuffled) in proptest::collection::vec(any_event(), 1..10).prop_flat_map(|events| {
            let again = proptest::sample::subsequence(events.clone(), 0..=events.len());
            let all = again.prop_map({
                let events = events.clone();
                move |again| [events.clone(), again].concat()
            });
            (Just(events), all.prop_shuffle())
        }),
    ) {
        prop_assert_eq!(fold(&shuffled), fold(&events));
    }
}
