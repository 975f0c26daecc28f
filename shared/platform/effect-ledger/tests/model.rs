//! The store that ships, step by step against a model of what the ledger promises.
//!
//! Every write goes through the real SDK client to DynamoDB in memory, so that a wrong condition or update expression
//! is a difference.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::TransactWriteItem;
use effect_ledger::{
    Claim, Clock, DynamoDbEffects, Effect, EffectKey, EffectRow, EffectState, EffectStore, Executor,
    MovedMoney, NotGranted, Policy, Refused, SetAside, Settlement, Standing,
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
        knows: u32,
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
    LeaveNews {
        key: usize,
        expires_at: i64,
    },
    /// Leaves news in a transaction.
    PutNews {
        key: usize,
        expires_at: Option<i64>,
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
        (reason(), -5..500_i64, proptest::option::of(1..9_i64)).prop_map(|(reason, minor, expires_at)| {
            let amount = Money::new(minor, Currency::try_from("gbp").expect("a currency"));
            SetAside::Waiting { reason, moved: MovedMoney { amount, occurred_at: minor }, expires_at }
        }),
    ];
    let owner = prop_oneof![Just("a"), Just("b")];
    let policy = prop_oneof![Just(Policy::AtMostOnce), Just(Policy::AtLeastOnce)];
    let step = prop_oneof![
        4 => (0..3_usize, owner, policy, 0..3_i64, prop_oneof![2 => Just(0), 1 => 1..3_u32])
            .prop_map(|(key, owner, policy, lease_ms, knows)| Step::Claim { key, owner, policy, lease_ms, knows }),
        4 => (0..6_usize, settlement).prop_map(|(claim, settlement)| Step::Settle { claim, settlement }),
        2 => (0..3_usize, set_aside).prop_map(|(key, set_aside)| Step::SetAside { key, set_aside }),
        2 => (0..3_usize, 1..9_i64).prop_map(|(key, expires_at)| Step::LeaveNews { key, expires_at }),
        2 => (0..3_usize, proptest::option::of(1..9_i64))
            .prop_map(|(key, expires_at)| Step::PutNews { key, expires_at }),
        1 => (1..3_i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..24)
}

/// What a store answered to a step.
#[derive(Debug, PartialEq)]
enum Answer {
    Claim(Result<Claim, NotGranted>),
    Settle(Result<u32, Refused>),
    SetAside(Result<(), EffectRow>),
    LeaveNews(Option<EffectState>),
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
        Step::Claim { key, owner, policy, lease_ms, knows } => {
            let lease_until = now + lease_ms;
            let executor = Executor { owner, lease_until, event_id: EVENTS[key % 2], knows: *knows };
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
        Step::LeaveNews { key, expires_at } => {
            Answer::LeaveNews(store.leave_news(&keys()[*key], *expires_at).await.expect("an answer"))
        }
        Step::PutNews { .. } | Step::Wait(_) => Answer::None,
    }
}

/// Leaves news in a transaction. Says whether it was not refused.
async fn put_news(
    client: &Client,
    store: &DynamoDbEffects,
    key: &EffectKey,
    expires_at: Option<i64>,
) -> bool {
    let news = TransactWriteItem::builder().update(store.news(key, expires_at).expect("a write")).build();
    client.transact_write_items().transact_items(news).send().await.is_ok()
}

/// The news for effects that nobody has begun, as the table has it.
fn waiting_news(cloud: &Cloud) -> BTreeMap<EffectKey, (u32, Option<i64>)> {
    let waiting = cloud.rows("effects").into_iter().filter(|row| row["state"].is_null());
    let read = |row: serde_json::Value| {
        let payment_id = PaymentId::new(row["payment_id"].as_str().expect("a key"));
        let effect = Effect::from(row["effect"].as_str().expect("a key"));
        let news = row["news"].as_u64().expect("nothing else waits without a state");
        let news = (u32::try_from(news).expect("a little"), row["expires_at"].as_i64());
        (EffectKey { payment_id, effect }, news)
    };
    waiting.map(read).collect()
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

/// A claim is granted exactly where [`EffectState::standing`] says `Free` and, to act at most once, all news is known;
/// except that an executor's own claim is granted again, as it was.
fn check_claim(
    row: Option<&EffectRow>,
    news: u32,
    step: &Step,
    now: i64,
    granted: &Result<Claim, NotGranted>,
) {
    let Step::Claim { owner, policy, lease_ms, knows, .. } = step else { return };
    let attempts = row.and_then(|row| row.last_claim.as_ref()).map_or(0, |(_, attempt)| *attempt);
    let state = row.map(|row| &row.state);
    if EffectState::standing(state, *policy, now) == Standing::Free {
        if *policy == Policy::AtMostOnce && *knows != news {
            assert_eq!(granted.as_ref(), Err(&NotGranted::News(news)));
            return;
        }
        let expected =
            Claim { owner: (*owner).to_owned(), attempt: attempts + 1, lease_until: now + lease_ms };
        assert_eq!(granted.as_ref(), Ok(&expected));
    } else if let Some(EffectState::Claimed(claim)) = state
        && claim.owner == *owner
    {
        assert_eq!(granted.as_ref(), Ok(claim));
    } else {
        assert_eq!(granted.as_ref().err(), row.cloned().map(Box::new).map(NotGranted::InTheWay).as_ref());
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
            let client = Client::new(&sdk_config(&cloud, clock.clone()));
            let store = DynamoDbEffects::new(client.clone(), "effects");
            let model = InMemoryEffects::default();
            let mut claims = Vec::new();
            let mut before = BTreeMap::new();
            for step in &steps {
                if let Step::Wait(ms) = step {
                    clock.advance_ms(*ms);
                }
                if let Step::PutNews { key, expires_at } = step {
                    let key = &keys()[*key];
                    let put = put_news(&client, &store, key, *expires_at).await;
                    assert_eq!(model.put_news(key, *expires_at), put, "{step:?}");
                }
                let answer = take(&store, &clock, step, &claims).await;
                if let (Answer::Claim(granted), Step::Claim { key, .. }) = (&answer, step) {
                    let key = &keys()[*key];
                    let row: Option<&EffectRow> = before.get(key);
                    let waiting = || model.waiting_news(key).map(|(news, _)| news);
                    let news = row.map(|row| row.news).or_else(waiting).unwrap_or_default();
                    check_claim(row, news, step, clock.now_ms(), granted);
                    if let Ok(claim) = granted {
                        claims.push((key.clone(), claim.clone()));
                    }
                }
                assert_eq!(take(&model, &clock, step, &claims).await, answer, "{step:?}");
                before = rows(&store).await;
                assert_eq!(rows(&model).await, before, "after {step:?}");
                for key in keys() {
                    let waiting = waiting_news(&cloud).get(&key).copied();
                    assert_eq!(model.waiting_news(&key), waiting, "after {step:?}");
                }
            }
        });
    }
}
