//! Subscriptions: what analysts read of the first payment, of renewals, and of what goes back.

use fulfilment::PaymentFrequency;
use stripe_events::Interval;
use testkit::stripe::InvoiceEvent;
use testkit::subscriptions::every;

use super::*;

/// A time at which events can have happened, before those of the fixtures.
const T: i64 = 1_790_000_000;

async fn deliver(task: &TestTask, events: &[Value]) -> (Tally, InMemoryQueue) {
    testkit::queue::deliver_in_turn("acquisition-events", task, &task.clock, "afterlink.webhook", events)
        .await
}

fn membership() -> TestTask {
    let task = task();
    task.lookup.stripe.began("sub_M", &session(), Some(every(3, Interval::Month)));
    task.lookup.stripe.pays("pi_OfM", "in_MFirst", Some("sub_M"));
    task.lookup.stripe.pays("pi_OfSecond", "in_MSecond", Some("sub_M"));
    task
}

fn session() -> Value {
    StripeEvent::paid().subscription("M").at(T + 1000).to_json()
}

fn renewal(which: &str) -> Value {
    InvoiceEvent::renewal("M", which).at(T + 2000).to_json()
}

fn refund(id: &str, payment_intent: &str, minor: i64) -> Value {
    CorrectionEvent::refund(payment_intent, id, "created").amount(minor, "gbp").to_json()
}

/// The rows of each payment, by its key.
fn kept_of(task: &TestTask) -> BTreeMap<String, i64> {
    let mut kept = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for event in task.bus.published.borrow().iter().filter(|event| seen.insert(event.event_id)) {
        *kept.entry(event.payment_id.as_str().to_owned()).or_default() += event.amount;
    }
    kept
}

#[tokio::test]
async fn what_a_subscription_is_for_is_published_without_another_question() {
    let task = membership();
    task.lookup.stripe.is_for_two("sub_M");
    deliver(&task, &[session(), renewal("Second")]).await;
    let published = task.bus.published.borrow();
    let items: Vec<_> = published
        .iter()
        .flat_map(|event| &event.items)
        .map(|item| (item.price_id.as_deref(), item.quantity, item.amount, item.name.is_some()))
        .collect();
    let price = Some("price_1Fixture");
    let of_session = (price, Some(2), Some(500), false);
    let of_invoice = (price, Some(1), Some(500), true);
    assert_eq!(items, [of_session, of_invoice]);
    assert_eq!(task.lookup.stripe.asked.get(), 1);
}

#[tokio::test]
async fn the_first_payment_says_how_often_it_is_due_and_is_published_once() {
    let task = membership();
    let first = InvoiceEvent::first("M").to_json();
    let (tally, _) = deliver(&task, &[first.clone(), session(), first, session()]).await;
    assert_eq!(tally.skipped, [("already_done", 1), ("told_by_session", 2)].into());
    let published = task.bus.published.borrow();
    let [acquisition] = &published[..] else { panic!("{published:?}") };
    assert_eq!(acquisition.payment_id.as_str(), "in_MFirst");
    assert_eq!(acquisition.payment_frequency, Some(PaymentFrequency::Quarterly));
    assert_eq!(acquisition.acquisition_type, Some("PURCHASE"));
    assert_eq!(task.lookup.stripe.asked.get(), 1);
}

#[tokio::test]
async fn a_renewal_is_published_with_the_campaign_of_its_session() {
    let task = membership();
    let twin = InvoiceEvent::renewal("M", "Second").at(T + 2000).event_id("evt_twin").to_json();
    deliver(&task, &[renewal("Second"), twin]).await;
    let published = task.bus.published.borrow();
    let [acquisition] = &published[..] else { panic!("{published:?}") };
    assert_eq!((acquisition.amount, acquisition.product.as_deref()), (500, Some("MEMBERSHIP")));
    assert_eq!(acquisition.payment_frequency, Some(PaymentFrequency::Monthly), "the invoice's own period");
    assert_eq!(acquisition.acquisition_type, Some("RENEWAL"));
    assert_eq!(acquisition.campaign_codes, ["spring"]);
    assert_eq!(acquisition.session_id.as_deref(), Some("cs_test_M"));
    assert_eq!(acquisition.occurred_at, "2026-09-21T14:46:40Z");
}

#[tokio::test]
async fn an_invoice_that_does_not_show_its_interval_has_the_prices_word() {
    let task = membership();
    let update = InvoiceEvent::renewal("M", "Update").object("lines", json!({ "data": [] }));
    deliver(&task, &[update.to_json()]).await;
    let word = task.bus.published.borrow()[0].payment_frequency;
    assert_eq!((word, task.lookup.stripe.asked.get()), (Some(PaymentFrequency::Quarterly), 1));
}

#[tokio::test]
async fn a_refund_of_a_subscriptions_payment_adds_up_whichever_comes_first() {
    for refund_first in [false, true] {
        let task = membership();
        let mut events = vec![session(), refund("re_1", "OfM", 500)];
        if refund_first {
            events.reverse();
        }
        deliver(&task, &events).await;
        assert_eq!(kept(&task), 0, "{refund_first}");
        assert!(task.bus.published.borrow().iter().all(|event| event.payment_id.as_str() == "in_MFirst"));
    }
}

#[tokio::test]
async fn a_refund_of_a_renewal_leaves_the_first_payment_alone() {
    let task = membership();
    let events = [refund("re_1", "OfSecond", 200), session(), renewal("Second"), renewal("Third")];
    deliver(&task, &events).await;
    let expected = [("in_MFirst", 500), ("in_MSecond", 300), ("in_MThird", 500)];
    assert_eq!(kept_of(&task), expected.map(|(id, kept)| (id.to_owned(), kept)).into());
}

#[tokio::test]
async fn another_businesss_invoices_are_left_alone_for_one_question() {
    let task = task();
    let foreign = |which: &str| InvoiceEvent::renewal("Another", which).to_json();
    let (tally, _) = deliver(&task, &[foreign("1"), foreign("2")]).await;
    assert_eq!((tally.skipped, task.lookup.stripe.asked.get()), ([("another_business", 2)].into(), 1));
    // Of a first payment without a marker, the session would have been published: Stripe is not asked.
    let (tally, _) = deliver(&task, &[InvoiceEvent::first("Third").to_json()]).await;
    assert_eq!((tally.skipped, task.lookup.stripe.asked.get()), ([("told_by_session", 1)].into(), 1));
    assert!(task.bus.published.borrow().is_empty());
}

#[tokio::test]
async fn a_first_payment_that_no_session_began_is_published_from_its_invoice() {
    let task = task();
    let marked = InvoiceEvent::first("Own").marked(json!({ "fulfilment": "membership" }));
    deliver(&task, &[marked.to_json()]).await;
    {
        let published = task.bus.published.borrow();
        let [acquisition] = &published[..] else { panic!("{published:?}") };
        assert_eq!(acquisition.acquisition_type, Some("PURCHASE"));
        assert_eq!(acquisition.session_id, None);
    }
    // Where a session did, that publishes it.
    let task = membership();
    let marked = InvoiceEvent::first("M").marked(json!({ "fulfilment": "membership" }));
    let (tally, _) = deliver(&task, &[marked.to_json()]).await;
    assert_eq!(tally.skipped, [("told_by_session", 1)].into());
}

#[tokio::test]
async fn a_stripe_that_is_down_delays_and_never_guesses() {
    let task = membership();
    task.lookup.stripe.down.set(true);
    let (tally, _) = deliver(&task, &[session(), refund("re_1", "OfM", 500)]).await;
    assert_eq!(tally.retried, 2);
    task.lookup.stripe.down.set(false);
    deliver(&task, &[refund("re_1", "OfM", 500), session()]).await;
    assert_eq!((kept(&task), task.bus.published.borrow().len()), (0, 2));
}

fn life() -> Vec<Value> {
    let mut life = vec![
        session(),
        InvoiceEvent::first("M").to_json(),
        renewal("Second"),
        renewal("Third"),
        refund("re_1", "OfM", 500),
        refund("re_2", "OfSecond", 200),
    ];
    for step in ["created", "funds_withdrawn"] {
        let dispute = CorrectionEvent::dispute("OfSecond", "dp_1", step).amount(300, "gbp");
        life.push(dispute.to_json());
    }
    life
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_order_and_duplication_of_a_memberships_life_add_up_to_the_money_kept(
        events in proptest::sample::subsequence(life(), 0..=8)
            .prop_map(|again| [life(), again].concat())
            .prop_shuffle(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let task = membership();
        // At once, and a message that another blocked is received again.
        runtime.block_on(super::deliver(&task, &events));
        runtime.block_on(deliver(&task, &events));
        let expected = [("in_MFirst", 0), ("in_MSecond", 0), ("in_MThird", 500)];
        prop_assert_eq!(kept_of(&task), expected.map(|(id, kept)| (id.to_owned(), kept)).into());
    }
}
