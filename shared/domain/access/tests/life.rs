//! Whatever the order in which Stripe's events come, and however often, a person has the same in the end.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

use std::collections::BTreeMap;

use access::{Begun, Entitlements, Given, Grant, GrantState, Item, Reason, Said, SubscriptionFacts};
use fulfilment::{
    AccessPolicy, Allowance, AsOf, EntitlementName, FulfilmentKind, Limit, Several, SubscriptionContract,
    SupporterId,
};
use proptest::prelude::*;
use stripe_events::SubscriptionStatus::{self, Active, Canceled, Incomplete, PastDue, Trialing, Unpaid};
use testkit::orders::permutations;
use uuid::Uuid;

const DAY: i64 = 86_400;
const START: i64 = 1_790_000_000;

fn name(name: &str) -> EntitlementName {
    EntitlementName::try_from(name.to_owned()).unwrap()
}

fn policy() -> AccessPolicy {
    let entitlements = [(name("dapps"), Allowance::of(Limit::Quantity))].into();
    AccessPolicy { entitlements, ..AccessPolicy::default() }
}

fn said(day: i64, nth: usize, status: SubscriptionStatus, quantity: i64, period_ends: i64) -> Said {
    Said {
        as_of: AsOf { occurred_at: START + day * DAY, event_id: format!("evt_{nth:02}") },
        status,
        customer_id: Some("cus_1".into()),
        items: vec![Item { price_id: None, product_id: None, quantity }],
        period_ends_at: Some(START + period_ends * DAY),
        trial_ends_at: Some(START + 14 * DAY),
        ends_at: None,
        collection_paused: None,
        ended_at: None,
        reason: None,
        marked: None,
    }
}

/// Twelve events: a trial, months, more of it and less, a failure that is made good, one that is not, the end.
fn life() -> Vec<Said> {
    [
        (0, Incomplete, 1, 30),
        (0, Trialing, 1, 14),
        (14, Active, 1, 44),
        (20, Active, 5, 44),
        (44, PastDue, 5, 74),
        (47, PastDue, 5, 74),
        (50, Active, 5, 74),
        (60, Active, 2, 74),
        (74, PastDue, 2, 104),
        (81, PastDue, 2, 104),
        (95, Unpaid, 2, 104),
        (96, Canceled, 2, 104),
    ]
    .into_iter()
    .enumerate()
    .map(|(nth, (day, status, quantity, ends))| said(day, nth, status, quantity, ends))
    .collect()
}

fn begun() -> Begun {
    let metadata = [("fulfilment".to_owned(), "membership".to_owned())].into();
    let contract = SubscriptionContract::of_subscription(&metadata).unwrap().unwrap();
    let subject = SupporterId::of_email(&Uuid::from_u128(1), "ada@example.org");
    Begun { session_id: "cs_1".into(), subject, contract }
}

fn fold<'a>(life: impl IntoIterator<Item = &'a Said>) -> SubscriptionFacts {
    let facts = SubscriptionFacts::new("sub_1".into());
    life.into_iter().cloned().fold(facts, SubscriptionFacts::with_said)
}

/// Seven events in a row in every order, with the session anywhere between them: each pair of events stands in
/// either order, whatever came in between.
#[test]
fn every_order_of_a_life_gives_the_same_facts() {
    let life = life();
    let mut orders = 0;
    for events in [&life[..7], &life[5..12], &life[2..9]] {
        let expected = fold(events).with_begun(begun());
        for order in permutations(events.len()) {
            orders += 1;
            let mut facts = SubscriptionFacts::new("sub_1".into());
            for (nth, at) in order.iter().enumerate() {
                if nth == order[0] {
                    facts = facts.with_begun(begun());
                }
                facts = facts.with_said(events[*at].clone());
            }
            assert_eq!(facts, expected, "{order:?}");
        }
    }
    assert_eq!(orders, 3 * 5040);
}

#[test]
fn what_has_ended_stays_ended() {
    let late = said(400, 99, Active, 9, 430);
    let facts = fold(life().iter().chain([&late])).with_begun(begun());
    let grant = Grant::of_subscription(&facts, &[], &policy(), &BTreeMap::new()).unwrap();
    assert_eq!((grant.state, grant.reason), (GrantState::Ended, Reason::Canceled));
}

#[test]
fn two_that_were_said_in_one_second_are_asked_about() {
    let life = life();
    let facts = fold(&life[..1]);
    assert!(facts.must_ask(&life[1]), "incomplete and trialing of one second");
    assert!(!facts.must_ask(&life[0]), "the same again");
    assert!(!facts.must_ask(&life[2]), "later");
    let ended = fold(&life);
    assert!(!ended.must_ask(&said(96, 50, Unpaid, 2, 104)), "what has ended stays ended");
}

fn grant() -> impl Strategy<Value = Grant> {
    let state = prop_oneof![Just(GrantState::Active), Just(GrantState::Suspended), Just(GrantState::Ended)];
    let until = proptest::option::of(START..START + 100 * DAY);
    let given = proptest::collection::btree_map(
        prop_oneof![Just("dapps"), Just("seats")],
        proptest::option::of(1..9_i64),
        0..3,
    );
    ("sub_[a-f]{1,3}", state, until, given).prop_map(|(source, state, until, given)| Grant {
        source,
        kind: FulfilmentKind::Membership,
        state,
        reason: Reason::Paid,
        entitlements: given
            .into_iter()
            .map(|(key, limit)| {
                let several = if key == "dapps" { Several::Sum } else { Several::Max };
                (name(key), Given { limit, several })
            })
            .collect(),
        until,
        ends_at: None,
    })
}

proptest! {
    /// Shuffled, doubled, and read from Stripe in between.
    #[test]
    fn any_order_and_any_repetition_gives_the_same_facts(
        order in Just((0..24_usize).collect::<Vec<_>>()).prop_shuffle(), twice in any::<u32>(),
    ) {
        let life = life();
        let mut facts = SubscriptionFacts::new("sub_1".into());
        for place in order {
            // Each event once for certain, and some of them once more.
            if place < 12 || twice & (1 << (place - 12)) != 0 {
                facts = facts.with_said(life[place % 12].clone());
            }
        }
        prop_assert_eq!(facts, fold(&life));
    }

    /// Entitlements are the fold of the grants, whatever their order; each is given by an active grant and by no more.
    #[test]
    fn what_a_person_has_is_the_sum_of_their_grants(
        grants in proptest::collection::vec(grant(), 0..6), day in 0..120_i64,
    ) {
        let now = START + day * DAY;
        let mut grants = grants;
        grants.sort_by(|one, two| one.source.cmp(&two.source));
        grants.dedup_by(|one, two| one.source == two.source);
        let together = Entitlements::of(&grants, now);
        prop_assert_eq!(&Entitlements::of(grants.iter().rev(), now), &together);
        for key in [name("dapps"), name("seats")] {
            let giving: Vec<_> = grants
                .iter()
                .filter(|grant| grant.state == GrantState::Active && grant.until.is_none_or(|until| now < until))
                .filter_map(|grant| Some((grant.entitlements.get(&key)?.limit, grant.until)))
                .collect();
            let found = together.entitlements.get(&key);
            prop_assert_eq!(found.is_some(), !giving.is_empty());
            if let Some(found) = found {
                let limits: Option<Vec<_>> = giving.iter().map(|(limit, _)| *limit).collect();
                let expected = limits.map(|limits| match key.as_str() {
                    "dapps" => limits.iter().sum::<i64>(),
                    _ => limits.into_iter().max().unwrap(),
                });
                prop_assert_eq!(found.limit, expected);
                let ends: Option<Vec<_>> = giving.iter().map(|(_, until)| *until).collect();
                prop_assert_eq!(found.until, ends.map(|ends| ends.into_iter().max().unwrap()));
                prop_assert!(found.until.is_none_or(|until| until > now));
            }
        }
    }

    /// A person who loses one source keeps exactly what the others give.
    #[test]
    fn the_end_of_one_source_takes_nothing_of_another(
        grants in proptest::collection::vec(grant(), 1..6), ended in any::<prop::sample::Index>(),
    ) {
        let mut grants = grants;
        let at = ended.index(grants.len());
        let without: Vec<_> =
            grants.iter().enumerate().filter(|(nth, _)| *nth != at).map(|(_, grant)| grant.clone()).collect();
        grants[at].state = GrantState::Ended;
        let left = Entitlements::of(&grants, START);
        prop_assert_eq!(left, Entitlements::of(&without, START));
    }
}
