use proptest::prelude::*;

use super::*;
use crate::{DisputeStatus, DisputeStep, LinkContract};

mod disputes;

pub(super) const NAMESPACE: Uuid = Uuid::from_u128(7);

pub(super) fn event(outcome: SessionOutcome, occurred_at: i64, event_id: &str, email: &str) -> SessionEvent {
    SessionEvent {
        payment_id: PaymentId::new("pi_1"),
        event_id: event_id.to_owned(),
        occurred_at,
        outcome,
        link: LinkContract {
            kind: FulfilmentKind::Contribution,
            thank_you: None,
            unusable_thank_you: None,
            files: Vec::new(),
            shown_as: None,
            item: None,
        },
        attribution: Attribution::default(),
        consent_form: crate::ConsentForm::default(),
        session_id: "cs_1".to_owned(),
        opened_at: Some(1),
        payment_link_id: None,
        customer_id: None,
        subscription_id: None,
        promotion_code_id: None,
        amount: Money::new(1250, Currency::try_from("gbp").unwrap()),
        parts: crate::AmountParts::default(),
        presentment: None,
        email: Some(Personal::new(email.to_owned())),
        name: None,
        country: None,
        state: None,
        postal_code: None,
        locale: None,
    }
}

pub(super) fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::try_from("gbp").unwrap())
}

fn refund(id: &str, status: RefundStatus, amount: Money, occurred_at: i64) -> RefundEvent {
    RefundEvent {
        reason: None,
        payment_id: PaymentId::new("pi_1"),
        event_id: format!("evt_{id}{status:?}"),
        occurred_at,
        refund_id: id.to_owned(),
        amount,
        status,
        created_at: Some(1),
    }
}

fn dispute(id: &str, step: DisputeStep, status: DisputeStatus, occurred_at: i64) -> DisputeEvent {
    DisputeEvent::without_transactions(id, step, status, gbp(1250), occurred_at)
}

fn fold(events: &[PaymentEvent]) -> Contribution {
    events
        .iter()
        .fold(Contribution::new(PaymentId::new("pi_1")), |record, event| record.with_event(event, &NAMESPACE))
}

fn paid() -> PaymentEvent {
    PaymentEvent::from(event(SessionOutcome::Paid, 1000, "evt_1", "ada@example.org"))
}

#[test]
fn status_follows_the_money() {
    use SessionOutcome::{Failed, Paid, Pending};
    let status = |outcomes: &[SessionOutcome]| {
        let event =
            |outcome: &SessionOutcome| PaymentEvent::from(event(*outcome, 5, "evt_1", "ada@example.org"));
        fold(&outcomes.iter().map(event).collect::<Vec<_>>()).status()
    };
    assert_eq!(status(&[]), ContributionStatus::Pending);
    assert_eq!(status(&[Pending]), ContributionStatus::Pending);
    assert_eq!(status(&[Failed, Pending]), ContributionStatus::Failed);
    assert_eq!(status(&[Paid, Pending]), ContributionStatus::Paid);
    assert_eq!(status(&[Paid, Failed]), ContributionStatus::Paid);
}

#[test]
fn status_follows_what_goes_back() {
    use ContributionStatus::{Paid, PartRefunded, Refunded};
    use RefundStatus::{Canceled, Failed, Pending, Succeeded};
    let check = |refunds: &[(&str, RefundStatus, i64)], expected: ContributionStatus| {
        let refunds = refunds.iter().enumerate().map(|(i, (id, status, minor))| {
            PaymentEvent::Refund(refund(id, *status, gbp(*minor), 2000 + i64::try_from(i).unwrap()))
        });
        let events: Vec<_> = std::iter::once(paid()).chain(refunds).collect();
        assert_eq!(fold(&events).status(), expected, "{events:?}");
    };
    check(&[("re_1", Succeeded, 500)], PartRefunded);
    check(&[("re_1", Succeeded, 1250)], Refunded);
    check(&[("re_1", Pending, 1250)], Refunded);
    check(&[("re_1", Succeeded, 500), ("re_2", Pending, 750)], Refunded);
    check(&[("re_1", Succeeded, 500), ("re_2", Failed, 750)], PartRefunded);
    // A refund can fail long after it succeeded, and is reported again while it is on its way.
    check(&[("re_1", Succeeded, 1250), ("re_1", Failed, 1250)], Paid);
    check(&[("re_1", Failed, 1250), ("re_1", Succeeded, 1250)], Paid);
    check(&[("re_1", Pending, 1250), ("re_1", Canceled, 1250)], Paid);
    check(&[("re_1", Succeeded, 500), ("re_1", Succeeded, 500), ("re_1", Pending, 500)], PartRefunded);
}

#[test]
fn a_refund_in_the_currency_the_customer_saw_counts_as_much() {
    let cad = |minor| Money::new(minor, Currency::try_from("cad").unwrap());
    let mut shown = event(SessionOutcome::Paid, 1000, "evt_1", "ada@example.org");
    shown.presentment = Some(cad(2100));
    let status = |amount| {
        let refund = PaymentEvent::Refund(refund("re_1", RefundStatus::Succeeded, amount, 2000));
        fold(&[shown.clone().into(), refund]).status()
    };
    assert_eq!(status(cad(2100)), ContributionStatus::Refunded);
    assert_eq!(status(cad(1250)), ContributionStatus::PartRefunded);
    assert_eq!(status(gbp(1250)), ContributionStatus::Refunded);
}

#[test]
fn status_follows_the_bank() {
    use ContributionStatus::{Disputed, Lost, Paid, PartRefunded};
    use DisputeStatus::{Inquiry, Open, Won};
    use DisputeStep::{Closed, Created, Reinstated, Withdrawn};
    let check = |steps: &[(DisputeStep, DisputeStatus)], expected: ContributionStatus| {
        // All of it within one second, as it has been seen.
        let disputes =
            steps.iter().map(|(step, status)| PaymentEvent::Dispute(dispute("dp_1", *step, *status, 2000)));
        let events: Vec<_> = std::iter::once(paid()).chain(disputes).collect();
        let backwards: Vec<_> = events.iter().rev().cloned().collect();
        assert_eq!(fold(&events).status(), expected, "{steps:?}");
        assert_eq!(fold(&backwards), fold(&events), "{steps:?}");
    };
    check(&[(Created, Inquiry)], Paid);
    check(&[(Created, Inquiry), (Closed, Inquiry)], Paid);
    check(&[(Created, Open)], Disputed);
    check(&[(Created, Open), (Withdrawn, Open)], Disputed);
    check(&[(Created, Open), (Withdrawn, Open), (Closed, DisputeStatus::Lost)], Lost);
    check(&[(Created, Open), (Withdrawn, Open), (Closed, Won), (Reinstated, Won)], Paid);
    check(&[(Withdrawn, Inquiry)], Disputed);
    check(&[(Withdrawn, Inquiry), (Reinstated, Inquiry)], Paid);
    // An appeal after the loss.
    let later = [
        paid(),
        PaymentEvent::Dispute(dispute("dp_1", Closed, DisputeStatus::Lost, 2000)),
        PaymentEvent::Dispute(dispute("dp_1", Closed, Won, 3000)),
    ];
    assert_eq!(fold(&later).status(), Paid);
    // The rest of a payment that was part refunded and won.
    let both = [
        paid(),
        PaymentEvent::Refund(refund("re_1", RefundStatus::Succeeded, gbp(500), 2000)),
        PaymentEvent::Dispute(dispute("dp_1", Closed, Won, 3000)),
    ];
    assert_eq!(fold(&both).status(), PartRefunded);
}

#[test]
fn says_what_refunds_and_disputes_hold_back() {
    use DisputeStep::{Closed, Reinstated, Withdrawn};
    let returned = |status| {
        let record = fold(&[PaymentEvent::Refund(refund("re_1", status, gbp(500), 1))]);
        record.refunds["re_1"].returned()
    };
    assert_eq!(returned(RefundStatus::Pending), gbp(500));
    assert_eq!(returned(RefundStatus::Failed), gbp(0));
    let held = |steps: &[(DisputeStep, DisputeStatus, i64)]| {
        let events: Vec<_> = steps
            .iter()
            .map(|(step, status, at)| PaymentEvent::Dispute(dispute("dp_1", *step, *status, *at)))
            .collect();
        fold(&events).disputes["dp_1"].held()
    };
    assert_eq!(held(&[(Withdrawn, DisputeStatus::Open, 1)]), gbp(1250));
    assert_eq!(held(&[(Withdrawn, DisputeStatus::Open, 1), (Closed, DisputeStatus::Won, 2)]), gbp(0));
    assert_eq!(held(&[(Withdrawn, DisputeStatus::Open, 1), (Reinstated, DisputeStatus::Open, 1)]), gbp(0));
    // Taken again after it had come back.
    assert_eq!(
        held(&[
            (Withdrawn, DisputeStatus::Open, 1),
            (Reinstated, DisputeStatus::Open, 2),
            (Withdrawn, DisputeStatus::Open, 3)
        ]),
        gbp(1250)
    );
    assert_eq!(held(&[(Closed, DisputeStatus::Lost, 1)]), gbp(1250));
}

#[test]
fn is_kept_as_long_as_the_policy_says() {
    let policy = Policy::compiled_in().unwrap();
    let days = policy.kind(FulfilmentKind::Contribution).retention_days;
    assert_eq!(fold(&[paid()]).expires_at(&policy, 5000), 1000 + days * 86_400);
}

#[test]
fn a_refund_waits_a_week_for_its_payment() {
    let policy = Policy::compiled_in().unwrap();
    let refund = PaymentEvent::Refund(refund("re_1", RefundStatus::Succeeded, gbp(500), 2000));
    let waiting = fold(std::slice::from_ref(&refund));
    assert_eq!(waiting.expires_at(&policy, 5000), 5000 + 7 * 86_400);
    assert_eq!((waiting.is_known(), waiting.status()), (false, ContributionStatus::PartRefunded));
    let known = fold(&[refund, paid()]);
    assert_eq!(known.expires_at(&policy, 5000), fold(&[paid()]).expires_at(&policy, 5000));
}

#[test]
fn survives_being_stored() {
    let record = fold(&[
        paid(),
        PaymentEvent::Refund(refund("re_1", RefundStatus::Succeeded, gbp(500), 2000)),
        PaymentEvent::Dispute(dispute("dp_1", DisputeStep::Withdrawn, DisputeStatus::Open, 3000)),
    ]);
    let stored = serde_json::to_value(&record).unwrap();
    assert_eq!(stored["as_of_event"], "evt_1");
    assert_eq!(stored["email"], "ada@example.org");
    assert_eq!(stored["refunds"]["re_1"]["status"], "succeeded");
    assert_eq!(stored["disputes"]["dp_1"]["withdrawn_at"], 3000);
    assert_eq!(serde_json::from_value::<Contribution>(stored).unwrap(), record);
    let empty = Contribution::new(PaymentId::new("pi_1"));
    let stored = serde_json::to_value(&empty).unwrap();
    assert_eq!(serde_json::from_value::<Contribution>(stored).unwrap(), empty);
    // As it was written before refunds and disputes were kept.
    let older = serde_json::json!({ "payment_id": "pi_1" });
    assert_eq!(serde_json::from_value::<Contribution>(older).unwrap(), empty);
}

// Few times and ids, so that ties are common. An event's content follows from its id, as Stripe's does.

fn any_session_event() -> impl Strategy<Value = PaymentEvent> {
    let outcome =
        prop_oneof![Just(SessionOutcome::Pending), Just(SessionOutcome::Failed), Just(SessionOutcome::Paid)];
    (outcome, 0i64..3, 0u8..4).prop_map(|(outcome, at, id)| {
        PaymentEvent::from(event(
            outcome,
            at,
            &format!("evt_{at}{id}{outcome:?}"),
            &format!("{id}@example.org"),
        ))
    })
}

fn any_refund_event() -> impl Strategy<Value = PaymentEvent> {
    let status = prop_oneof![
        Just(RefundStatus::Pending),
        Just(RefundStatus::Succeeded),
        Just(RefundStatus::Canceled),
        Just(RefundStatus::Failed)
    ];
    (status, 0i64..3, 1u8..4).prop_map(|(status, at, id)| {
        let mut event = refund(&format!("re_{id}"), status, gbp(400 * i64::from(id)), at);
        event.event_id.push_str(&at.to_string());
        PaymentEvent::Refund(event)
    })
}

fn any_dispute_event() -> impl Strategy<Value = PaymentEvent> {
    let step = prop_oneof![
        Just(DisputeStep::Created),
        Just(DisputeStep::Withdrawn),
        Just(DisputeStep::Reinstated),
        Just(DisputeStep::Closed)
    ];
    let status = prop_oneof![
        Just(DisputeStatus::Inquiry),
        Just(DisputeStatus::Open),
        Just(DisputeStatus::Won),
        Just(DisputeStatus::Lost)
    ];
    (step, status, 0i64..3, 0u8..2).prop_map(|(step, status, at, id)| {
        let mut event = dispute(&format!("dp_{id}"), step, status, at);
        event.event_id.push_str(&at.to_string());
        PaymentEvent::Dispute(event)
    })
}

fn any_event() -> impl Strategy<Value = PaymentEvent> {
    prop_oneof![any_session_event(), any_refund_event(), any_dispute_event()]
}

proptest! {
    #[test]
    fn any_order_and_any_duplication_give_the_same_record(
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

    /// Every penny of a payment that went back is in exactly one refund, however often it is reported.
    #[test]
    fn what_was_returned_is_what_the_last_word_on_each_refund_says(
        events in proptest::collection::vec(any_refund_event(), 0..10),
    ) {
        let returned: i64 = fold(&events).refunds.values().map(|refund| refund.returned().minor()).sum();
        let expected: i64 = (1..4i64)
            .filter(|id| {
                let of_this = |event: &&RefundEvent| event.refund_id == format!("re_{id}");
                let refunds = events.iter().filter_map(|event| match event {
                    PaymentEvent::Refund(refund) => Some(refund),
                    PaymentEvent::Session(_)
                    | PaymentEvent::Invoice(_)
                    | PaymentEvent::Dispute(_)
                    | PaymentEvent::FraudWarning(_) => None,
                });
                let delivered: Vec<_> = refunds.filter(of_this).collect();
                !delivered.is_empty() && delivered.iter().all(|refund| refund.status.returns_money())
            })
            .map(|id| 400 * id)
            .sum();
        prop_assert_eq!(returned, expected);
    }
}
