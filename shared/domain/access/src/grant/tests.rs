use fulfilment::{PaymentId, SubscriptionContract, SupporterId, WithoutAccess};
use testkit::stripe::{CorrectionEvent, SessionEvent};
use uuid::Uuid;

use super::*;
use crate::{Begun, explain};

const DAY: i64 = 86_400;
const NOW: i64 = 1_790_000_000;
const NAMESPACE: Uuid = Uuid::from_u128(7);

fn policy() -> AccessPolicy {
    let dapps = (name("dapps"), Allowance::of(Limit::Quantity));
    let reports = (name("reports"), Allowance::of(Limit::None));
    AccessPolicy { entitlements: [dapps, reports].into(), ..AccessPolicy::default() }
}

fn name(name: &str) -> EntitlementName {
    EntitlementName::try_from(name.to_owned()).unwrap()
}

fn said(status: SubscriptionStatus, at: i64) -> Said {
    Said {
        as_of: fulfilment::AsOf { occurred_at: at, event_id: format!("evt_{at}") },
        status,
        customer_id: Some("cus_1".into()),
        items: vec![Item { price_id: None, product_id: Some("prod_1".into()), quantity: 3 }],
        period_ends_at: Some(NOW + 10 * DAY),
        trial_ends_at: Some(NOW + 5 * DAY),
        ends_at: None,
        collection_paused: None,
        ended_at: None,
        reason: None,
        marked: None,
    }
}

fn contract() -> SubscriptionContract {
    let metadata = [("fulfilment".to_owned(), "membership".to_owned())].into();
    SubscriptionContract::of_subscription(&metadata).unwrap().unwrap()
}

fn facts(said: impl IntoIterator<Item = Said>) -> SubscriptionFacts {
    let subject = SupporterId::of_email(&NAMESPACE, "ada@example.org");
    let begun = Begun { session_id: "cs_1".into(), subject, contract: contract() };
    let facts = SubscriptionFacts::new("sub_1".into()).with_begun(begun);
    said.into_iter().fold(facts, SubscriptionFacts::with_said)
}

fn grant(said: Said) -> Option<Grant> {
    Grant::of_subscription(&facts([said]), &[], &policy(), &BTreeMap::new())
}

/// The row of a subscription: state, reason and end, in days from now.
fn row(said: Said) -> Option<(GrantState, Reason, Option<i64>)> {
    grant(said).map(|it| (it.state, it.reason, it.until.map(|until| (until - NOW) / DAY)))
}

#[test]
fn every_status_gives_what_the_table_says() {
    use GrantState::{Active, Ended, Suspended};
    use SubscriptionStatus as Status;
    let canceled = |reason| Said { reason, ..said(Status::Canceled, NOW) };
    for (said, expected) in [
        (said(Status::Trialing, NOW), Some((Active, Reason::Trial, Some(8)))),
        (said(Status::Active, NOW), Some((Active, Reason::Paid, Some(13)))),
        (said(Status::PastDue, NOW - 2 * DAY), Some((Active, Reason::PastDue, Some(19)))),
        (said(Status::Unpaid, NOW), Some((Ended, Reason::Unpaid, None))),
        (said(Status::Paused, NOW), Some((Suspended, Reason::Paused, None))),
        (said(Status::Incomplete, NOW), None),
        (said(Status::IncompleteExpired, NOW), None),
        (canceled(None), Some((Ended, Reason::Canceled, None))),
        (canceled(Some(CancellationReason::CancellationRequested)), Some((Ended, Reason::Canceled, None))),
        (canceled(Some(CancellationReason::PaymentFailed)), Some((Ended, Reason::PaymentFailed, None))),
        (canceled(Some(CancellationReason::PaymentDisputed)), Some((Ended, Reason::PaymentDisputed, None))),
    ] {
        assert_eq!(row(said.clone()), expected, "{said:?}");
    }
}

#[test]
fn what_is_cancelled_for_a_day_ends_on_it_without_slack() {
    for (ends_in, expected) in [(10, 10), (4, 4), (40, 13)] {
        let said = Said { ends_at: Some(NOW + ends_in * DAY), ..said(SubscriptionStatus::Active, NOW) };
        let grant = grant(said).unwrap();
        assert_eq!(grant.until, Some(NOW + expected * DAY), "{ends_in}");
        assert_eq!(grant.ends_at, Some(NOW + ends_in * DAY));
    }
}

#[test]
fn a_pause_of_collection_is_as_the_policy_says_and_void_means_no_service() {
    let row = |behavior: PauseBehavior, meanwhile| {
        let policy = AccessPolicy { while_collection_paused: meanwhile, ..policy() };
        let said = Said { collection_paused: Some(behavior), ..said(SubscriptionStatus::Active, NOW) };
        let grant = Grant::of_subscription(&facts([said]), &[], &policy, &BTreeMap::new()).unwrap();
        assert_eq!(grant.reason, Reason::CollectionPaused);
        grant.state
    };
    let kept = PauseBehavior::KeepAsDraft;
    assert_eq!(row(kept.clone(), Meanwhile::Keep), GrantState::Active);
    assert_eq!(row(kept, Meanwhile::Suspend), GrantState::Suspended);
    assert_eq!(row(PauseBehavior::Void, Meanwhile::Keep), GrantState::Suspended);
    assert_eq!(row(PauseBehavior::Other("new".into()), Meanwhile::Keep), GrantState::Active);
}

#[test]
fn a_status_that_stripe_adds_changes_nothing() {
    let known = said(SubscriptionStatus::Active, NOW);
    let new = said(SubscriptionStatus::Other("resting".into()), NOW + 1);
    let facts = facts([known.clone(), new.clone()]);
    assert!(facts.is_unknown_to_us());
    let after = Grant::of_subscription(&facts, &[], &policy(), &BTreeMap::new());
    assert_eq!(after, grant(known));
    assert_eq!(grant(new), None, "never before known");
}

#[test]
fn what_may_be_another_businesss_gives_nothing() {
    let facts = SubscriptionFacts::new("sub_1".into()).with_said(said(SubscriptionStatus::Active, NOW));
    assert_eq!(Grant::of_subscription(&facts, &[], &policy(), &BTreeMap::new()), None);
    let marked = Said { marked: Some(contract()), ..said(SubscriptionStatus::Active, NOW) };
    let facts = SubscriptionFacts::new("sub_1".into()).with_said(marked);
    assert!(Grant::of_subscription(&facts, &[], &policy(), &BTreeMap::new()).is_some());
}

#[test]
fn grace_is_counted_from_the_first_failure_since_the_last_payment() {
    let life = [
        said(SubscriptionStatus::PastDue, NOW - 50 * DAY),
        said(SubscriptionStatus::Active, NOW - 40 * DAY),
        said(SubscriptionStatus::PastDue, NOW - 9 * DAY),
        said(SubscriptionStatus::PastDue, NOW - DAY),
    ];
    assert_eq!(facts(life.clone()).past_due_since(), Some(NOW - 9 * DAY));
    assert_eq!(facts(life.into_iter().rev()).past_due_since(), Some(NOW - 9 * DAY));
}

#[test]
fn the_product_says_what_it_gives_before_the_policy() {
    let products = [("prod_1".to_owned(), crate::allowances("seats=2, dapps=quantity").unwrap())].into();
    let said = said(SubscriptionStatus::Active, NOW);
    let grant = Grant::of_subscription(&facts([said]), &[], &policy(), &products).unwrap();
    let given: Vec<_> = grant.entitlements.iter().map(|(name, it)| (name.as_str(), it.limit)).collect();
    assert_eq!(given, [("dapps", Some(3)), ("seats", Some(2))]);
}

fn payment(events: &[serde_json::Value]) -> PaymentFacts {
    let read = |event: &serde_json::Value| {
        let event = stripe_events::Event::from_value(event.clone()).unwrap();
        let reading = fulfilment::Reading::from_event(&event, false).unwrap();
        reading.into_payment_event().unwrap()
    };
    let facts = PaymentFacts::new(PaymentId::new("pi_A"));
    events.iter().map(read).fold(facts, |facts, event| facts.with_event(&event, &NAMESPACE))
}

fn of_membership(session: SessionEvent) -> SessionEvent {
    session.payment("A").at(NOW).metadata(serde_json::json!({ "fulfilment": "membership" }))
}

fn membership() -> SessionEvent {
    of_membership(SessionEvent::paid())
}

#[test]
fn every_standing_of_a_payment_made_once() {
    let paid = membership().amount(1000, "gbp").to_json();
    let pending = of_membership(SessionEvent::unpaid()).to_json();
    let refund = |minor| CorrectionEvent::refund("A", "re_1", "created").amount(minor, "gbp").to_json();
    let contested = CorrectionEvent::dispute("A", "dp_1", "created").amount(1000, "gbp").to_json();
    let row = |events: &[serde_json::Value], policy: &AccessPolicy| {
        Grant::of_payment(&payment(events), policy).map(|grant| (grant.state, grant.reason))
    };
    let policy = policy();
    let wait = |while_pending| AccessPolicy { while_pending, ..policy.clone() };
    let kept = AccessPolicy { refund_ends: false, while_disputed: Meanwhile::Keep, ..policy.clone() };
    let active = |reason| Some((GrantState::Active, reason));
    assert_eq!(row(std::slice::from_ref(&paid), &policy), active(Reason::Paid));
    assert_eq!(row(std::slice::from_ref(&pending), &wait(WhilePending::Wait)), None);
    assert_eq!(row(&[pending], &wait(WhilePending::Grant)), active(Reason::Pending));
    assert_eq!(row(&[paid.clone(), refund(400)], &policy), active(Reason::Paid));
    let refunded = [refund(1000), paid.clone()];
    assert_eq!(row(&refunded, &policy), Some((GrantState::Ended, Reason::Refunded)));
    assert_eq!(row(&refunded, &kept), active(Reason::Paid));
    let contested = [paid, contested];
    assert_eq!(row(&contested, &policy), Some((GrantState::Suspended, Reason::Disputed)));
    assert_eq!(row(&contested, &kept), active(Reason::Disputed));
    assert_eq!(row(&[refund(1000)], &policy), None, "of whichever business");
}

#[test]
fn a_product_paid_once_gives_access_for_its_term_or_for_good() {
    let facts = payment(&[membership().to_json()]);
    assert_eq!(Grant::of_payment(&facts, &policy()).unwrap().until, None);
    let term = AccessPolicy { term_days: Some(365), ..policy() };
    let grant = Grant::of_payment(&facts, &term).unwrap();
    assert_eq!(grant.until, Some(NOW + 365 * DAY));
    let end = NOW + 365 * DAY;
    assert!(grant.is_active(end - 1) && !grant.is_active(end), "to the second");
    let pending = of_membership(SessionEvent::unpaid()).amount(1000, "gbp").to_json();
    let refund = CorrectionEvent::refund("A", "re_1", "created").amount(400, "gbp").to_json();
    let facts = payment(&[pending, refund]);
    assert_eq!(
        Grant::of_payment(&facts, &term),
        None,
        "no access for good while the payment's time is missing"
    );
}

#[test]
fn payment_facts_hold_nothing_that_names_the_customer() {
    let session = membership().customer("Ada Lovelace", "ada@example.org").country("GB");
    let stored = serde_json::to_string(&payment(&[session.to_json()])).unwrap();
    for personal in ["Ada", "Lovelace", "ada@", "GB"] {
        assert!(!stored.contains(personal), "{personal} in {stored}");
    }
    assert!(stored.contains(SupporterId::of_email(&NAMESPACE, "ada@example.org").as_str()));
}

#[test]
fn what_is_less_than_before_takes_something_away() {
    let of = |status, quantity, ends_in: i64| {
        let items = vec![Item { price_id: None, product_id: None, quantity }];
        grant(Said { items, period_ends_at: Some(NOW + ends_in * DAY), ..said(status, NOW) })
    };
    let before = of(SubscriptionStatus::Active, 5, 30);
    let takes = |after: Option<Grant>| Grant::takes_from(after.as_ref(), before.as_ref());
    assert!(takes(None));
    assert!(takes(of(SubscriptionStatus::Unpaid, 5, 30)));
    assert!(takes(of(SubscriptionStatus::Paused, 5, 30)));
    assert!(takes(of(SubscriptionStatus::Active, 4, 30)));
    assert!(takes(of(SubscriptionStatus::Active, 5, 29)));
    assert!(!takes(of(SubscriptionStatus::Active, 5, 30)));
    assert!(!takes(of(SubscriptionStatus::Active, 6, 60)));
    let ended = of(SubscriptionStatus::Unpaid, 5, 30);
    assert!(!Grant::takes_from(None, ended.as_ref()) && !Grant::takes_from(None, None));
}

#[test]
fn a_line_says_why_a_person_has_what_they_have() {
    let given = |limit| Given { limit: Some(limit), several: Several::Sum };
    let of = |source: &str, limit, state, until| Grant {
        source: source.into(),
        kind: FulfilmentKind::Membership,
        state,
        reason: Reason::Paid,
        entitlements: [(name("dapps"), given(limit))].into(),
        until: Some(until),
        ends_at: None,
    };
    let grants = [
        of("sub_A", 2, GrantState::Active, NOW + DAY),
        of("sub_B", 1, GrantState::Active, NOW + 2 * DAY),
        of("sub_C", 9, GrantState::Suspended, NOW + 2 * DAY),
        of("sub_D", 9, GrantState::Active, NOW),
    ];
    assert_eq!(
        explain(&grants, NOW),
        [
            "dapps 3 = sub_A 2 + sub_B 1, until 2026-09-23T14:13:20Z",
            "sub_C gives nothing: it is suspended (paid)",
            "sub_D gives nothing: it is over (paid)",
        ]
    );
    assert_eq!(policy().without_access, WithoutAccess::Keep);
}
