//! The store that ships, step by step against a model of what the ledger promises.
//!
//! Every write goes through the real SDK client to DynamoDB in memory, so that a wrong condition or update expression
//! is a difference.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use effect_ledger::{
    Claim, Clock, DynamoDbEffects, Effect, EffectKey, EffectRow, EffectState, EffectStore, Executor,
    MovedMoney, Policy, Refused, SetAside, Settlement, Standing,
};
use fulfilment::{Currency, Money, PaymentId};
use proptest::prelude::*;
use testkit::clock::ManualClock;
use testkit::cloud::{Cloud, sdk_config};
use testkit::ledger::InMemoryEffects;

/// One thing somebody does to the ledger. Keys and owners are few, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    Claim {
        key: usize,
        owner: &'static str,
        policy: Policy,
        lease_ms: i64,
    },
    /// Ends a claim that was granted some time ago, by its place among them.
    Settle {
        claim: usize,
        settlement: Settlement,
    },
    SetAside {
        key: usize,
        set_aside: SetAside<'static>,
    },
    Wait(i64),
}

const EVENTS: [&str; 2] = ["evt_1", "evt_2"];

fn keys() -> Vec<EffectKey> {
    let key = |payment: &str, effect| EffectKey { payment_id: PaymentId::new(payment), effect };
    vec![
        key("pi_1", Effect::email("thank-you")),
        key("pi_1", Effect::acquisition()),
        key("pi_2", Effect::email("thank-you")),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reason = || prop_oneof![Just("throttled"), Just("refused")];
    let settlement = prop_oneof![
        Just(Settlement::Done { reference: "id".to_owned() }),
        reason().prop_map(|reason| Settlement::Retry { reason: reason.to_owned() }),
        reason().prop_map(|reason| Settlement::Parked { reason: reason.to_owned() }),
        reason().prop_map(|reason| Settlement::Unknown { reason: reason.to_owned() }),
    ];
    let set_aside = prop_oneof![
        reason().prop_map(SetAside::Skipped),
        reason().prop_map(SetAside::Parked),
        (reason(), -5..500_i64, 1..9_i64).prop_map(|(reason, minor, expires_at)| {
            let amount = Money::new(minor, Currency::try_from("gbp").expect("a currency"));
            SetAside::Waiting { reason, moved: MovedMoney { amount, occurred_at: minor }, expires_at }
        }),
    ];
    let owner = prop_oneof![Just("a"), Just("b")];
    let policy = prop_oneof![Just(Policy::AtMostOnce), Just(Policy::AtLeastOnce)];
    let step = prop_oneof![
        4 => (0..3_usize, owner, policy, 0..3_i64)
            .prop_map(|(key, owner, policy, lease_ms)| Step::Claim { key, owner, policy, lease_ms }),
        4 => (0..6_usize, settlement).prop_map(|(claim, settlement)| Step::Settle { claim, settlement }),
        2 => (0..3_usize, set_aside).prop_map(|(key, set_aside)| Step::SetAside { key, set_aside }),
        1 => (1..3_i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..24)
}

/// What a store answered to a step.
#[derive(Debug, PartialEq)]
enum Answer {
    Claim(Result<Claim, EffectRow>),
    Settle(Result<(), Refused>),
    SetAside(Result<(), EffectRow>),
    None,
}

/// Takes a step. `claims` are those granted so far, with their keys.
async fn take<S: EffectStore>(
    store: &S,
    clock: &ManualClock,
    step: &Step,
    claims: &[(EffectKey, Claim)],
) -> Answer {
    let now = clock.now_ms();
    match step {
        Step::Claim { key, owner, policy, lease_ms } => {
            let executor = Executor { owner, lease_until: now + lease_ms, event_id: EVENTS[key % 2] };
            Answer::Claim(store.claim(&keys()[*key], *policy, &executor, now).await.expect("an answer"))
        }
        Step::Settle { claim, settlement } => match claims.iter().rev().nth(*claim) {
            Some((key, claim)) => {
                Answer::Settle(store.settle(key, claim, settlement, now).await.expect("an answer"))
            }
            None => Answer::None,
        },
        Step::SetAside { key, set_aside } => {
            let event_id = EVENTS[key % 2];
            Answer::SetAside(
                store.set_aside(&keys()[*key], *set_aside, event_id, now).await.expect("an answer"),
            )
        }
        Step::Wait(_) => Answer::None,
    }
}

async fn rows<S: EffectStore>(store: &S) -> BTreeMap<EffectKey, EffectRow> {
    let mut rows = BTreeMap::new();
    for payment_id in ["pi_1", "pi_2"].map(PaymentId::new) {
        for row in store.of_payment(&payment_id).await.expect("an answer") {
            rows.insert(EffectKey { payment_id: payment_id.clone(), effect: row.effect.clone() }, row);
        }
    }
    rows
}

/// A claim is granted exactly where [`EffectState::standing`] says `Free`, except that an executor's own claim is
/// granted again, as it was.
fn check_claim(row: Option<&EffectRow>, step: &Step, now: i64, granted: &Result<Claim, EffectRow>) {
    let Step::Claim { owner, policy, lease_ms, .. } = step else { return };
    let attempts = row.and_then(|row| row.last_claim.as_ref()).map_or(0, |(_, attempt)| *attempt);
    let state = row.map(|row| &row.state);
    if EffectState::standing(state, *policy, now) == Standing::Free {
        let expected =
            Claim { owner: (*owner).to_owned(), attempt: attempts + 1, lease_until: now + lease_ms };
        assert_eq!(granted.as_ref(), Ok(&expected));
    } else if let Some(EffectState::Claimed(claim)) = state
        && claim.owner == *owner
    {
        assert_eq!(granted.as_ref(), Ok(claim));
    } else {
        assert_eq!(granted.as_ref().err(), row);
    }
}

proptest! {
    // Every step is three calls of a real client: a second or two for all of them.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_store_that_ships_keeps_the_ledgers_promises(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let clock = ManualClock::default();
            let cloud = Cloud::with_tables();
            let store = DynamoDbEffects::new(Client::new(&sdk_config(&cloud, clock.clone())), "effects");
            let model = InMemoryEffects::default();
            let mut claims = Vec::new();
            let mut before = BTreeMap::new();
            for step in &steps {
                if let Step::Wait(ms) = step {
                    clock.advance_ms(*ms);
                }
                let answer = take(&store, &clock, step, &claims).await;
                if let (Answer::Claim(granted), Step::Claim { key, .. }) = (&answer, step) {
                    let key = &keys()[*key];
                    check_claim(before.get(key), step, clock.now_ms(), granted);
                    if let Ok(claim) = granted {
                        claims.push((key.clone(), claim.clone()));
                    }
                }
                assert_eq!(take(&model, &clock, step, &claims).await, answer, "{step:?}");
                before = rows(&store).await;
                assert_eq!(rows(&model).await, before, "after {step:?}");
            }
        });
    }
}
