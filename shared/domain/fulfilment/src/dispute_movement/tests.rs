use serde_json::{Value, json};
use stripe_events::Event;

use crate::{AcquisitionCorrection, AcquisitionEvent, Circumstances, DisputeEvent, DisputeStatus};

const OPENED: i64 = 1_795_000_700;

/// A dispute over £12.50 in one of its events.
fn event(event_type: &str, status: &str, transactions: Value) -> Value {
    json!({
        "id": "evt_1", "object": "event", "type": format!("charge.dispute.{event_type}"), "created": OPENED + 900,
        "livemode": false, "data": { "object": {
            "id": "dp_1", "object": "dispute", "amount": 1250, "currency": "gbp", "created": OPENED,
            "payment_intent": "pi_1", "status": status, "balance_transactions": transactions,
        } },
    })
}

fn read(event: &Value) -> DisputeEvent {
    DisputeEvent::from_event(&Event::from_value(event.clone()).unwrap(), false).unwrap()
}

fn gbp(amounts: &[i64]) -> Value {
    settled("gbp", amounts)
}

fn settled(currency: &str, amounts: &[i64]) -> Value {
    let transactions = amounts.iter().zip(1..).map(|(amount, number): (&i64, i64)| {
        json!({ "id": format!("txn_{number}"), "object": "balance_transaction", "amount": amount,
            "currency": currency, "created": OPENED + number * 100, "fee": 2000, "net": amount - 2000 })
    });
    transactions.collect()
}

/// What analysts read: the name of each movement and its amount.
fn published(event: &DisputeEvent) -> Vec<(String, i64)> {
    let circumstances = Circumstances { livemode: false, replayed: false, published_at: 0 };
    let corrections = AcquisitionCorrection::of_dispute(event);
    corrections
        .iter()
        .map(|it| (it.movement.name(), AcquisitionEvent::of_correction(it, circumstances).amount))
        .collect()
}

fn check(event_type: &str, status: &str, transactions: Value, expected: &[(&str, i64)]) {
    let event = read(&event(event_type, status, transactions.clone()));
    let expected: Vec<_> = expected.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect();
    assert_eq!(published(&event), expected, "{event_type} {status} {transactions}");
    assert!(!event.return_unknown, "{event_type} {status} {transactions}");
}

const OUT: &str = "dispute#dp_1";
const BACK: &str = "dispute#dp_1#reinstated";

#[test]
fn every_event_shows_what_the_list_shows() {
    for event_type in ["created", "updated", "funds_withdrawn", "closed"] {
        check(event_type, "under_review", gbp(&[-1250]), &[(OUT, -1250)]);
        check(event_type, "lost", gbp(&[-1250]), &[(OUT, -1250)]);
    }
    for event_type in ["updated", "funds_reinstated", "closed"] {
        check(event_type, "won", gbp(&[-1250, 1250]), &[(OUT, -1250), (BACK, 1250)]);
        // A part had been refunded, so only that part comes back.
        check(event_type, "lost", gbp(&[-1250, 500]), &[(OUT, -1250), (BACK, 500)]);
        check(
            event_type,
            "won",
            gbp(&[-1250, 500, 750]),
            &[(OUT, -1250), (BACK, 500), ("dispute#dp_1#reinstated#2", 750)],
        );
        check(
            event_type,
            "lost",
            gbp(&[-1250, 1250, -1250]),
            &[(OUT, -1250), ("dispute#dp_1#2", -1250), (BACK, 1250)],
        );
    }
}

#[test]
fn the_type_shows_a_movement_that_the_list_does_not_show_yet() {
    let none = || gbp(&[]);
    check("created", "needs_response", none(), &[]);
    check("updated", "under_review", none(), &[]);
    check("funds_withdrawn", "needs_response", none(), &[(OUT, -1250)]);
    check("funds_reinstated", "won", none(), &[(OUT, -1250), (BACK, 1250)]);
    check("funds_reinstated", "won", gbp(&[-1250]), &[(OUT, -1250), (BACK, 1250)]);
    check("funds_reinstated", "appeal_under_review", none(), &[(OUT, -1250), (BACK, 1250)]);
    check("closed", "warning_closed", none(), &[]);
    check("funds_withdrawn", "in_mediation", none(), &[(OUT, -1250)]);
}

#[test]
fn a_verdict_shows_where_the_money_is() {
    for event_type in ["created", "updated", "closed"] {
        check(event_type, "lost", gbp(&[]), &[(OUT, -1250)]);
        check(event_type, "won", gbp(&[]), &[(OUT, -1250), (BACK, 1250)]);
        check(event_type, "won", gbp(&[-1250]), &[(OUT, -1250), (BACK, 1250)]);
        // Taken for a second time, and won again.
        check(
            event_type,
            "won",
            gbp(&[-1250, 1250, -1250]),
            &[(OUT, -1250), ("dispute#dp_1#2", -1250), (BACK, 1250), ("dispute#dp_1#reinstated#2", 1250)],
        );
        check(event_type, "somehow_over", gbp(&[]), &[]);
    }
}

#[test]
fn what_is_settled_in_another_currency_is_taken_in_proportion() {
    check("funds_withdrawn", "needs_response", settled("usd", &[-1587]), &[(OUT, -1250)]);
    check("funds_reinstated", "lost", settled("usd", &[-1587, 635]), &[(OUT, -1250), (BACK, 500)]);
    check("funds_reinstated", "won", settled("usd", &[-1587, 1587]), &[(OUT, -1250), (BACK, 1250)]);
    check(
        "funds_withdrawn",
        "lost",
        settled("jpy", &[-2400, 2400, -1200]),
        &[(OUT, -1250), ("dispute#dp_1#2", -625), (BACK, 1250)],
    );
}

#[test]
fn a_return_of_an_unknown_amount_is_never_taken_for_the_whole() {
    let only_back = json!([{ "id": "txn_2", "amount": 635, "currency": "usd" }]);
    let two_balances = json!([
        { "id": "txn_1", "amount": -1250, "currency": "gbp" },
        { "id": "txn_2", "amount": 635, "currency": "usd" },
    ]);
    for (status, transactions) in [
        ("lost", gbp(&[])),
        ("lost", gbp(&[-1250])),
        ("lost", json!(null)),
        ("lost", json!([{}, {}])),
        ("lost", json!(["txn_1", "txn_2"])),
        ("lost", only_back),
        ("lost", two_balances),
        ("somehow_over", gbp(&[])),
        ("prevented", gbp(&[-1250])),
    ] {
        let event = read(&event("funds_reinstated", status, transactions.clone()));
        assert_eq!(published(&event), [(OUT.to_owned(), -1250)], "{status} {transactions}");
        assert!(event.return_unknown, "{status} {transactions}");
    }
}

#[test]
fn the_order_of_the_list_does_not_matter_where_it_has_times() {
    let Value::Array(mut transactions) = gbp(&[-1250, 400, 600]) else { panic!("no list") };
    transactions.reverse();
    let newest_first = json!(transactions);
    check(
        "funds_reinstated",
        "lost",
        newest_first,
        &[(OUT, -1250), (BACK, 400), ("dispute#dp_1#reinstated#2", 600)],
    );
    let without_times = json!([{ "amount": 500 }, { "amount": -1250 }]);
    check("funds_reinstated", "lost", without_times, &[(OUT, -1250), (BACK, 500)]);
}

#[test]
fn a_movement_has_the_same_time_in_every_event_that_lists_it() {
    let times = |event_type, status, transactions| {
        let event = read(&event(event_type, status, transactions));
        event.movements.iter().map(|it| it.occurred_at).collect::<Vec<_>>()
    };
    let listed = [OPENED + 100, OPENED + 200];
    assert_eq!(times("funds_withdrawn", "needs_response", gbp(&[-1250])), listed[..1]);
    assert_eq!(times("funds_reinstated", "won", gbp(&[-1250, 1250])), listed);
    assert_eq!(times("closed", "won", gbp(&[-1250, 1250])), listed);
    // Without a list a withdrawal has the dispute's time.
    for event_type in ["funds_withdrawn", "closed", "updated"] {
        assert_eq!(times(event_type, "lost", gbp(&[])), [OPENED], "{event_type}");
    }
}

#[test]
fn what_became_of_a_prevented_dispute_is_said_by_its_case_and_its_money() {
    use DisputeStatus::{Blocked, Lost, Prevented};
    let check =
        |event_type: &str, case_type: Value, amounts: &[i64], expected: (DisputeStatus, &[(&str, i64)])| {
            let mut event = event(event_type, "prevented", gbp(amounts));
            event["data"]["object"]["payment_method_details"] =
                json!({ "type": "card", "card": { "brand": "visa", "case_type": case_type } });
            let read = read(&event);
            let moved: Vec<_> =
                expected.1.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect();
            assert_eq!((read.status, published(&read)), (expected.0, moved), "{event}");
        };
    for event_type in ["created", "updated", "closed"] {
        check(event_type, json!("resolution"), &[], (Lost, &[(OUT, -1250)]));
        check(event_type, json!("resolution"), &[-1250], (Lost, &[(OUT, -1250)]));
        check(event_type, json!("block"), &[], (Blocked, &[]));
        check(event_type, json!("block"), &[-1250], (Lost, &[(OUT, -1250)]));
        check(event_type, json!("block"), &[-1250, 1250], (Blocked, &[(OUT, -1250), (BACK, 1250)]));
        for unknown in [json!("chargeback"), json!("deflection"), json!(null), json!(7)] {
            check(event_type, unknown.clone(), &[], (Prevented, &[]));
            check(event_type, unknown, &[-1250], (Lost, &[(OUT, -1250)]));
        }
    }
    for case_type in [json!("resolution"), json!("block"), json!(null)] {
        check("funds_withdrawn", case_type, &[], (Lost, &[(OUT, -1250)]));
    }
}
