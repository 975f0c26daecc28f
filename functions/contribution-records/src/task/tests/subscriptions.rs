//! Subscriptions: their first payment, renewals, and what goes back of them.

use fulfilment::effects;
use testkit::stripe::InvoiceEvent;

use super::*;

async fn deliver(task: &TestTask, events: &[Value]) -> (Tally, InMemoryQueue) {
    testkit::queue::deliver_in_turn("contribution-records", task, &task.clock, "afterlink.webhook", events)
        .await
}

fn began(task: &TestTask) {
    task.lookup.stripe.began("sub_M", &session(), None);
}

fn session() -> Value {
    StripeEvent::paid().subscription("M").at(T + 1000).to_json()
}

fn refund(id: &str, payment_intent: &str, minor: i64, at: i64) -> Value {
    CorrectionEvent::refund(payment_intent, id, "created").amount(minor, "gbp").at(T + at).to_json()
}

/// The status and the rest of every payment, by its key.
fn statuses(task: &TestTask) -> Vec<(String, ContributionStatus)> {
    let contributions = task.records.contributions.borrow();
    contributions.iter().map(|(id, stored)| (id.as_str().to_owned(), stored.contribution.status())).collect()
}

fn one(id: &str, status: ContributionStatus) -> Vec<(String, ContributionStatus)> {
    vec![(id.to_owned(), status)]
}

fn asked(task: &TestTask) -> u32 {
    task.lookup.stripe.asked.get()
}

#[tokio::test]
async fn a_refund_of_a_first_payment_meets_it_before_and_after_the_session() {
    for refund_first in [false, true] {
        for (minor, expected) in
            [(500, ContributionStatus::Refunded), (200, ContributionStatus::PartRefunded)]
        {
            let task = task();
            task.lookup.stripe.pays("pi_OfM", "in_MFirst", Some("sub_M"));
            let refund = refund("re_1", "OfM", minor, 2000);
            let mut events = vec![session(), refund];
            if refund_first {
                events.reverse();
            }
            let (tally, _) = deliver(&task, &events).await;
            assert_eq!(tally.done, 2, "{refund_first} {minor}");
            assert_eq!(statuses(&task), one("in_MFirst", expected));
            let supporters = task.records.supporters.borrow();
            assert_eq!(supporters.values().next().unwrap().status, expected);
            assert_eq!(asked(&task), 1);
            // No thanks for a refunded payment.
            let thanks = EffectKey::new("in_MFirst", effects::email_about(SessionOutcome::Paid));
            assert!(task.ledger.waiting_version(&thanks).is_some());
        }
    }
}

#[tokio::test]
async fn a_refund_without_its_session_waits_under_the_invoice_for_a_week() {
    let task = task();
    task.lookup.stripe.pays("pi_OfM", "in_MFirst", Some("sub_M"));
    deliver(&task, &[refund("re_1", "OfM", 500, 2000)]).await;
    let expires_at = task.records.expires_at.borrow()[&PaymentId::new("in_MFirst")];
    assert_eq!(expires_at, task.clock.now_ms() / 1000 + 7 * 86_400);
}

#[tokio::test]
async fn a_renewal_is_recorded_with_its_term_and_its_refund_corrects_it_alone() {
    let task = task();
    task.lookup.stripe.pays("pi_OfThird", "in_MThird", Some("sub_M"));
    let renewal = |which: &str, at| InvoiceEvent::renewal("M", which).at(T + at).to_json();
    let events =
        [session(), renewal("Second", 2000), renewal("Third", 3000), refund("re_1", "OfThird", 500, 4000)];
    let (tally, queue) = deliver(&task, &events).await;
    assert_eq!((tally.done, queue.dead_letters.borrow().len()), (4, 0));
    use ContributionStatus::{Paid, Refunded};
    let expected = [("in_MFirst", Paid), ("in_MSecond", Paid), ("in_MThird", Refunded)];
    assert_eq!(statuses(&task), expected.map(|(id, status)| (id.to_owned(), status)));
    let supporters = task.records.supporters.borrow();
    let second = supporters.values().find(|row| row.payment_id.as_str() == "in_MSecond").unwrap();
    assert_eq!((second.product.as_str(), second.amount, second.paid_at), ("MEMBERSHIP", 500, Some(T + 2000)));
    assert_eq!(second.term_ends_at, Some(1_800_270_390));
    // What the session said is in the ledger; only the payment intent had to be asked for.
    assert_eq!(asked(&task), 1);
    let contributions = task.records.contributions.borrow();
    let record = &contributions[&PaymentId::new("in_MSecond")].contribution;
    assert_eq!(record.session.attribution.campaign_codes, ["spring"]);
}

#[tokio::test]
async fn one_of_two_payments_of_an_invoice_goes_back() {
    let task = task();
    for payment_intent in ["pi_A", "pi_B"] {
        task.lookup.stripe.pays(payment_intent, "in_MSecond", Some("sub_M"));
    }
    let renewal = InvoiceEvent::renewal("M", "Second").at(T + 2000).to_json();
    deliver(&task, &[session(), renewal, refund("re_1", "B", 200, 3000)]).await;
    assert!(statuses(&task).contains(&("in_MSecond".to_owned(), ContributionStatus::PartRefunded)));
    deliver(&task, &[refund("re_2", "A", 300, 4000)]).await;
    assert!(statuses(&task).contains(&("in_MSecond".to_owned(), ContributionStatus::Refunded)));
}

#[tokio::test]
async fn a_dispute_and_a_warning_of_fraud_reach_the_renewal() {
    let task = task();
    task.lookup.stripe.pays("pi_OfSecond", "in_MSecond", Some("sub_M"));
    let fixture =
        include_str!("../../../../../verification/testkit/fixtures/early_fraud_warning_created.json");
    let mut warning: Value = serde_json::from_str(fixture).unwrap();
    warning["data"]["object"]["payment_intent"] = json!("pi_OfSecond");
    let dispute = CorrectionEvent::dispute("OfSecond", "dp_1", "created").amount(500, "gbp");
    let renewal = InvoiceEvent::renewal("M", "Second").at(T + 2000).to_json();
    deliver(&task, &[session(), warning, dispute.to_json(), renewal]).await;
    let contributions = task.records.contributions.borrow();
    let record = &contributions[&PaymentId::new("in_MSecond")].contribution;
    assert_eq!(record.status(), ContributionStatus::Disputed);
    assert_eq!(record.fraud_warnings["issfr_1Fixture"].fraud_type.as_deref(), Some("made_with_stolen_card"));
    assert_eq!(contributions[&PaymentId::new("in_MFirst")].contribution.status(), ContributionStatus::Paid);
    let effects = task.ledger.rows();
    assert!(effects.iter().any(|(key, row)| {
        key.subject.as_str() == "in_MSecond"
            && key.effect.as_str() == "contribution#fraud-warning#issfr_1Fixture"
            && row.expires_at.is_none()
    }));
}

#[tokio::test]
async fn an_invoice_before_its_session_asks_once_what_it_is_about() {
    let task = task();
    began(&task);
    let first = InvoiceEvent::first("M").at(T + 999).to_json();
    deliver(&task, std::slice::from_ref(&first)).await;
    assert_eq!(statuses(&task), one("in_MFirst", ContributionStatus::Paid));
    deliver(&task, &[session(), InvoiceEvent::renewal("M", "Second").to_json(), first]).await;
    assert_eq!((statuses(&task).len(), asked(&task)), (2, 1));
}

#[tokio::test]
async fn another_businesss_invoices_leave_nothing_and_cost_one_question() {
    let task = task();
    let foreign = |which: &str| InvoiceEvent::renewal("Another", which).to_json();
    let (tally, _) = deliver(&task, &[foreign("1"), foreign("2"), foreign("3")]).await;
    assert_eq!((tally.skipped, asked(&task)), ([("another_business", 3)].into(), 1));
    assert!(task.records.contributions.borrow().is_empty() && task.records.supporters.borrow().is_empty());
    let rows = task.ledger.rows();
    assert!(rows.iter().all(|(key, row)| key.effect == effects::lookup() && row.expires_at.is_some()));
}

#[tokio::test]
async fn a_subscription_made_without_a_session_is_ours_by_its_own_marker() {
    let task = task();
    let marked = InvoiceEvent::first("M").marked(json!({ "fulfilment": "membership" }));
    deliver(&task, &[marked.to_json()]).await;
    assert_eq!(statuses(&task), one("in_MFirst", ContributionStatus::Paid));
}

#[tokio::test]
async fn invoices_that_bring_no_money_have_an_answer_each() {
    let task = task();
    began(&task);
    let renewal = |which: &str| InvoiceEvent::renewal("M", which);
    let events = [
        renewal("Free").amount(0).to_json(),
        renewal("FromBalance").object("amount_paid", json!(0)).to_json(),
        renewal("Credit").amount(-300).to_json(),
        renewal("Void").object("status", json!("void")).to_json(),
        renewal("GivenUp").object("status", json!("uncollectible")).to_json(),
        renewal("Manual").object("parent", json!(null)).to_json(),
        // As Stripe writes it when it is paid after it was given up.
        renewal("PaidLate").to_json(),
    ];
    let (tally, _) = deliver(&task, &events).await;
    assert_eq!(tally.skipped, [("credit", 1), ("no_subscription", 1), ("not_paid", 2)].into());
    let contributions = task.records.contributions.borrow();
    let amounts: Vec<_> =
        contributions.iter().map(|(id, stored)| (id.as_str(), stored.contribution.session.amount)).collect();
    let expected = [("in_MFree", Some(0)), ("in_MFromBalance", Some(0)), ("in_MPaidLate", Some(500))];
    assert_eq!(amounts, expected);
}

#[tokio::test]
async fn a_broken_contract_parks_the_renewal_too() {
    let task = task();
    let broken = StripeEvent::paid().subscription("M").metadata(json!({ "fulfilment": "membersip" }));
    task.lookup.stripe.began("sub_M", &broken.to_json(), None);
    let (_, queue) = deliver(&task, &[InvoiceEvent::renewal("M", "Second").to_json()]).await;
    assert_eq!(queue.dead_letters.borrow()[0].1, "broken_link_contract");
    let key = EffectKey::new("in_MSecond", effects::contribution(SessionOutcome::Paid));
    assert_eq!(task.ledger.state(&key).unwrap().name(), "parked");
}

#[tokio::test]
async fn a_stripe_that_is_down_sends_the_message_back_and_nothing_is_lost() {
    let task = task();
    task.lookup.stripe.pays("pi_OfM", "in_MFirst", Some("sub_M"));
    task.lookup.stripe.down.set(true);
    let refund = refund("re_1", "OfM", 500, 2000);
    let (tally, _) = deliver(&task, &[session(), refund.clone()]).await;
    assert_eq!((tally.done, tally.retried), (1, 1));
    assert_eq!(statuses(&task), one("in_MFirst", ContributionStatus::Paid));
    task.lookup.stripe.down.set(false);
    deliver(&task, &[refund]).await;
    assert_eq!(statuses(&task), one("in_MFirst", ContributionStatus::Refunded));
}

#[tokio::test]
async fn a_payment_of_a_known_invoice_spares_the_question() {
    let task = task();
    let fixture = include_str!("../../../../../verification/testkit/fixtures/invoice_payment_paid.json");
    let mut payment: Value = serde_json::from_str(fixture).unwrap();
    payment["data"]["object"]["invoice"] = json!("in_MFirst");
    let (tally, _) = deliver(&task, std::slice::from_ref(&payment)).await;
    assert_eq!(tally.skipped, [("payment_unknown", 1)].into());
    assert!(task.ledger.rows().is_empty());
    deliver(&task, &[session(), payment]).await;
    deliver(&task, &[refund("re_1", "3FixtureRenewal", 500, 2000)]).await;
    assert_eq!(statuses(&task), one("in_MFirst", ContributionStatus::Refunded));
    assert_eq!(asked(&task), 0);
}

#[tokio::test]
async fn a_one_off_payment_with_an_invoice_keeps_its_payment_intent() {
    for refund_first in [false, true] {
        let task = task();
        task.lookup.stripe.pays("pi_Example", "in_OneOff", None);
        let session = StripeEvent::paid().session("invoice", json!("in_OneOff")).to_json();
        let mut events = vec![session, refund("re_1", "Example", 1250, 2000)];
        if refund_first {
            events.reverse();
        }
        deliver(&task, &events).await;
        assert_eq!(statuses(&task), one("pi_Example", ContributionStatus::Refunded));
        assert_eq!(asked(&task), u32::from(refund_first), "a payment that is known is not asked about");
    }
}

#[tokio::test]
async fn any_order_and_duplication_of_a_memberships_life_leave_the_same_rows() {
    check_every_membership(&[
        session(),
        InvoiceEvent::first("M").at(T + 999).to_json(),
        InvoiceEvent::renewal("M", "Second").at(T + 2000).to_json(),
        refund("re_1", "OfM", 500, 3000),
        refund("re_2", "OfSecond", 200, 3000),
    ])
    .await;
}

async fn check_every_membership(events: &[Value]) {
    let mut expected = None;
    let mut orders = vec![Vec::new()];
    for i in 0..events.len() {
        let longer = orders.iter().flat_map(|order: &Vec<usize>| {
            (0..=order.len()).map(move |place| {
                let mut order = order.clone();
                order.insert(place, i);
                order
            })
        });
        orders = longer.collect();
    }
    for order in orders {
        let task = task();
        began(&task);
        task.lookup.stripe.pays("pi_OfM", "in_MFirst", Some("sub_M"));
        task.lookup.stripe.pays("pi_OfSecond", "in_MSecond", Some("sub_M"));
        let delivered: Vec<_> = order.iter().map(|i| events[*i].clone()).collect();
        deliver(&task, &delivered).await;
        deliver(&task, &delivered[..2]).await;
        let rows = rows(&task);
        assert_eq!(expected.get_or_insert_with(|| rows.clone()), &rows, "{order:?}");
    }
}
