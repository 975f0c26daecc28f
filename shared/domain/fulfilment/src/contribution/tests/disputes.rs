use super::*;

/// A dispute event over £12.50 of the payment `pi_1` that lists what it moved.
fn listed(id: &str, status: &str, at: i64, amounts: &[i64]) -> DisputeEvent {
    let transactions: Vec<_> = amounts
        .iter()
        .enumerate()
        .map(|(number, amount)| serde_json::json!({ "amount": amount, "currency": "gbp", "created": 1 + number }))
        .collect();
    let event = serde_json::json!({
        "id": format!("evt_{id}{status}{at}"), "object": "event", "type": "charge.dispute.updated",
        "created": 1_795_000_000 + at,
        "livemode": false, "data": { "object": {
            "id": id, "object": "dispute", "amount": 1250, "currency": "gbp", "created": 1,
            "payment_intent": "pi_1", "status": status, "balance_transactions": transactions,
        } },
    });
    let event = stripe_events::Event::from_value(event).unwrap();
    // No event happens in 1970, where these tests have their times.
    DisputeEvent { occurred_at: at, ..DisputeEvent::from_event(&event, false).unwrap() }
}

#[test]
fn what_a_lost_dispute_holds_is_what_did_not_come_back() {
    let held = |status: &str, amounts: &[i64]| {
        fold(&[PaymentEvent::Dispute(listed("dp_1", status, 2000, amounts))]).disputes["dp_1"].held()
    };
    assert_eq!(held("lost", &[]), gbp(1250));
    assert_eq!(held("lost", &[-1250]), gbp(1250));
    assert_eq!(held("lost", &[-1250, 500]), gbp(750));
    assert_eq!(held("lost", &[-1250, 1250]), gbp(0));
    assert_eq!(held("lost", &[-1250, 1250, -1250]), gbp(1250));
    assert_eq!(held("appeal_under_review", &[-1250]), gbp(1250));
    assert_eq!(held("under_review", &[-1250, 1250, -1250]), gbp(1250));
    assert_eq!(held("won", &[-1250]), gbp(0), "the return is on its way");
    assert_eq!(held("warning_closed", &[]), gbp(0));
}

#[test]
fn lost_parts_and_refunds_add_up() {
    use ContributionStatus::{Disputed, Lost, PartRefunded, Refunded};
    let check = |events: &[PaymentEvent], expected: ContributionStatus| {
        let events = [&[paid()], events].concat();
        let backwards: Vec<_> = events.iter().rev().cloned().collect();
        assert_eq!(fold(&events).status(), expected, "{events:?}");
        assert_eq!(fold(&backwards), fold(&events));
    };
    let of = |id: &str, amounts: &[i64]| PaymentEvent::Dispute(listed(id, "lost", 2000, amounts));
    let refunded = |minor| PaymentEvent::Refund(refund("re_1", RefundStatus::Succeeded, gbp(minor), 3000));
    check(&[of("dp_1", &[-100])], PartRefunded);
    check(&[of("dp_1", &[-1250])], Lost);
    check(&[of("dp_1", &[-1250, 500])], PartRefunded);
    check(&[of("dp_1", &[-1250, 500]), refunded(500)], Lost);
    check(&[of("dp_1", &[-1250, 500]), refunded(499)], PartRefunded);
    check(&[of("dp_1", &[-500]), of("dp_2", &[-750])], Lost);
    check(&[of("dp_1", &[-1250, 1250]), refunded(1250)], Refunded);
    check(
        &[of("dp_1", &[-100]), PaymentEvent::Dispute(listed("dp_2", "under_review", 2000, &[-1150]))],
        Disputed,
    );
    // More than the payment: refunded, and lost as well.
    check(&[of("dp_1", &[-1250]), refunded(1250)], Lost);
    // Before the payment is known, it cannot be known to be a part.
    let alone = fold(&[of("dp_1", &[-100])]);
    assert_eq!(alone.status(), Lost);
}

#[test]
fn a_part_in_each_of_two_currencies_can_be_the_whole() {
    let cad = |minor| Money::new(minor, Currency::try_from("cad").unwrap());
    let mut shown = event(SessionOutcome::Paid, 1000, "evt_1", "ada@example.org");
    shown.presentment = Some(cad(2100));
    let status = |amount| {
        let lost = PaymentEvent::Dispute(listed("dp_1", "lost", 2000, &[-625]));
        let refund = PaymentEvent::Refund(refund("re_1", RefundStatus::Succeeded, amount, 2000));
        fold(&[shown.clone().into(), lost, refund]).status()
    };
    assert_eq!(status(cad(1049)), ContributionStatus::PartRefunded);
    assert_eq!(status(cad(1050)), ContributionStatus::Lost);
}

#[test]
fn days_that_stripe_reported_stand_whatever_is_made() {
    let at = |occurred_at, id: &str| {
        PaymentEvent::from(event(SessionOutcome::Paid, occurred_at, id, "ada@example.org"))
    };
    let real = at(1000, "evt_1");
    let later = at(1100, "evt_2");
    let made = at(500, "evt_reconcile_cs_1");
    let earlier = at(400, "evt_reconcile_cs_1");
    for events in [
        vec![real.clone(), made.clone()],
        vec![made.clone(), real.clone()],
        vec![made.clone(), later.clone(), earlier.clone(), real.clone()],
        vec![earlier.clone(), later, real, made.clone()],
    ] {
        assert_eq!((fold(&events).paid_at, fold(&events).made_dates), (Some(1000), MadeDates::default()));
    }
    let record = fold(&[made, earlier]);
    assert_eq!((record.paid_at, record.made_dates.paid), (Some(400), true));
    let stored = serde_json::to_value(&record).unwrap();
    assert_eq!(serde_json::from_value::<Contribution>(stored).unwrap(), record);
}

proptest! {
    /// A dispute's balance only grows in events, and the record holds what its last event leaves.
    #[test]
    fn a_disputes_events_in_any_order_hold_what_its_balance_transactions_leave(
        (balance, order) in proptest::collection::vec((1i64..2000, 1i64..2000), 0..4).prop_flat_map(|rounds| {
            let balance: Vec<i64> = rounds.iter().flat_map(|(out, back)| [-out, *(back.min(out))]).collect();
            let order = Just((0..=balance.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(balance), order)
        }),
        again in 0usize..8,
        made in any::<bool>(),
    ) {
        let event = |moved: usize| {
            let status = if moved == balance.len() { "lost" } else { "under_review" };
            let mut event = listed("dp_1", status, 1000 + i64::try_from(moved).unwrap(), &balance[..moved]);
            if made && moved == balance.len() {
                event.event_id = "evt_reconcile_dp_1".to_owned();
            }
            PaymentEvent::Dispute(event)
        };
        let again = order.iter().copied().cycle().take(order.len() + again);
        let record = fold(&again.map(event).collect::<Vec<_>>());
        let in_order = fold(&(0..=balance.len()).map(event).collect::<Vec<_>>());
        prop_assert_eq!(&record, &in_order);
        let left = if balance.is_empty() { 1250 } else { -balance.iter().sum::<i64>() };
        prop_assert_eq!(record.disputes["dp_1"].held(), gbp(left));
    }
}
