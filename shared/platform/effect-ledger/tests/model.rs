//! The store that ships, step by step against a model of what the ledger promises.
//!
//! Every write goes through the real SDK client to DynamoDB in memory, so that a wrong condition or update expression
//! is a difference.

use std::collections::BTreeMap;

use aws::Clock;
use aws_in_memory::{Cloud, sdk_config};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::TransactWriteItem;
use effect_ledger::{
    Claim, Disposition, DynamoDbEffects, Effect, EffectKey, EffectRow, EffectState, EffectStore, Executor,
    Guarantee, MovedMoney, NotGranted, Refused, Settlement, Standing, Subject,
};
use proptest::prelude::*;
use stripe_events::{Currency, Money};
use testkit::clock::ManualClock;
use testkit::ledger::InMemoryEffects;

/// One step of an executor. Keys and owners are few, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    Claim {
        key: usize,
        owner: &'static str,
        guarantee: Guarantee,
        lease_ms: i64,
        expected_version: u32,
    },
    /// Ends a claim that was granted some time ago, by its place among them.
    Settle {
        claim: usize,
        settlement: Settlement,
    },
    Dispose {
        key: usize,
        disposition: Disposition<'static>,
    },
    RaiseVersion {
        key: usize,
        expires_at: i64,
    },
    /// Raises the version in a transaction.
    PutVersion {
        key: usize,
        expires_at: Option<i64>,
    },
    Wait(i64),
}

const EVENTS: [&str; 2] = ["evt_1", "evt_2"];

fn keys() -> Vec<EffectKey> {
    let key = |payment: &str, effect| EffectKey::new(payment, effect);
    vec![
        key("pi_1", Effect::at_most_once("email#thank-you")),
        key("pi_1", Effect::at_most_once("acquisition")),
        key("pi_2", Effect::at_most_once("email#thank-you")),
    ]
}

/// The same key, whose effect has this guarantee.
fn with(key: &EffectKey, guarantee: Guarantee) -> EffectKey {
    let name = key.effect.as_str().to_owned();
    EffectKey::new(
        &key.subject,
        match guarantee {
            Guarantee::AtMostOnce => Effect::at_most_once(name),
            Guarantee::AtLeastOnce => Effect::at_least_once(name),
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reason = || prop_oneof![Just("throttled"), Just("refused")];
    let settlement = prop_oneof![
        Just(Settlement::Done { reference: "id".to_owned() }),
        reason().prop_map(|reason| Settlement::Retry { reason: reason.to_owned() }),
        reason().prop_map(|reason| Settlement::Parked { reason: reason.to_owned() }),
        reason().prop_map(|reason| Settlement::Unknown { reason: reason.to_owned() }),
    ];
    let disposition = prop_oneof![
        reason().prop_map(Disposition::Skip),
        (reason(), reason()).prop_map(|(reason, detail)| Disposition::Park { reason, detail }),
        (reason(), -5..500_i64, proptest::option::of(reason()), proptest::option::of(1..9_i64)).prop_map(
            |(reason, minor, moved_reason, expires_at)| {
                let amount = Money::new(minor, Currency::try_from("gbp").expect("a currency"));
                Disposition::AwaitPayment {
                    reason,
                    moved: MovedMoney { amount, occurred_at: minor },
                    moved_reason,
                    expires_at,
                }
            }
        ),
    ];
    let owner = prop_oneof![Just("a"), Just("b")];
    let guarantee = prop_oneof![Just(Guarantee::AtMostOnce), Just(Guarantee::AtLeastOnce)];
    let step = prop_oneof![
        4 => (0..3_usize, owner, guarantee, 0..3_i64, prop_oneof![2 => Just(0), 1 => 1..3_u32])
            .prop_map(|(key, owner, guarantee, lease_ms, expected_version)| Step::Claim { key, owner, guarantee, lease_ms, expected_version }),
        4 => (0..6_usize, settlement).prop_map(|(claim, settlement)| Step::Settle { claim, settlement }),
        2 => (0..3_usize, disposition).prop_map(|(key, disposition)| Step::Dispose { key, disposition }),
        2 => (0..3_usize, 1..9_i64).prop_map(|(key, expires_at)| Step::RaiseVersion { key, expires_at }),
        2 => (0..3_usize, proptest::option::of(1..9_i64))
            .prop_map(|(key, expires_at)| Step::PutVersion { key, expires_at }),
        1 => (1..3_i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..24)
}

/// What a store answered to a step.
#[derive(Debug, PartialEq)]
enum Answer {
    Claim(Result<Claim, NotGranted>),
    Settle(Result<u32, Refused>),
    Disposed(Result<(), Box<EffectRow>>),
    RaiseVersion(Option<EffectState>),
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
        Step::Claim { key, owner, guarantee, lease_ms, expected_version } => {
            let lease_until = now + lease_ms;
            let executor = Executor {
                owner,
                lease_until,
                event_id: EVENTS[key % 2],
                detail: ["once more", "as before"].get(*key).copied(),
                expected_version: *expected_version,
            };
            Answer::Claim(
                store.claim(&with(&keys()[*key], *guarantee), &executor, now).await.expect("an answer"),
            )
        }
        Step::Settle { claim, settlement } => match claims.iter().rev().nth(*claim) {
            Some((key, claim)) => {
                Answer::Settle(store.settle(key, claim, settlement, now).await.expect("an answer"))
            }
            None => Answer::None,
        },
        Step::Dispose { key, disposition } => {
            let event_id = EVENTS[key % 2];
            let written = store.write_disposition(&keys()[*key], *disposition, event_id, now).await;
            Answer::Disposed(written.expect("an answer").map_err(Box::new))
        }
        Step::RaiseVersion { key, expires_at } => {
            Answer::RaiseVersion(store.raise_version(&keys()[*key], *expires_at).await.expect("an answer"))
        }
        Step::PutVersion { .. } | Step::Wait(_) => Answer::None,
    }
}

/// Raises the version in a transaction. Returns whether it was written.
async fn put_version(
    client: &Client,
    store: &DynamoDbEffects,
    key: &EffectKey,
    expires_at: Option<i64>,
) -> bool {
    let raised =
        TransactWriteItem::builder().update(store.version_raised(key, expires_at).expect("a write")).build();
    client.transact_write_items().transact_items(raised).send().await.is_ok()
}

/// The versions of effects that no executor has begun, as the table has them.
fn waiting_version(cloud: &Cloud) -> BTreeMap<EffectKey, (u32, Option<i64>)> {
    let waiting = cloud.rows("effects").into_iter().filter(|row| row["state"].is_null());
    let read = |row: serde_json::Value| {
        let subject = Subject::new(row["payment_id"].as_str().expect("a key"));
        let effect = Effect::from(row["effect"].as_str().expect("a key"));
        let version = row["news"].as_u64().expect("nothing else waits without a state");
        let version = (u32::try_from(version).expect("a little"), row["expires_at"].as_i64());
        (EffectKey::new(subject, effect), version)
    };
    waiting.map(read).collect()
}

async fn rows<S: EffectStore>(store: &S) -> BTreeMap<EffectKey, EffectRow> {
    let mut rows = BTreeMap::new();
    for subject in ["pi_1", "pi_2"].map(Subject::new) {
        for row in store.of_subject(&subject).await.expect("an answer") {
            rows.insert(EffectKey::new(&subject, row.effect.clone()), row);
        }
    }
    rows
}

/// A claim is granted exactly where [`EffectState::standing`] says `Free` and, at most once, the version is the expected
/// one; except that an executor's own claim is granted again, as it was.
fn check_claim(
    row: Option<&EffectRow>,
    version: u32,
    step: &Step,
    now: i64,
    granted: &Result<Claim, NotGranted>,
) {
    let Step::Claim { owner, guarantee, lease_ms, expected_version, .. } = step else { return };
    let attempts = row.and_then(|row| row.last_claim.as_ref()).map_or(0, |(_, attempt)| *attempt);
    let state = row.map(|row| &row.state);
    if EffectState::standing(state, *guarantee, now) == Standing::Free {
        if *guarantee == Guarantee::AtMostOnce && *expected_version != version {
            assert_eq!(granted.as_ref(), Err(&NotGranted::Stale(version)));
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
                if let Step::PutVersion { key, expires_at } = step {
                    let key = &keys()[*key];
                    let put = put_version(&client, &store, key, *expires_at).await;
                    assert_eq!(model.put_version(key, *expires_at), put, "{step:?}");
                }
                let answer = take(&store, &clock, step, &claims).await;
                if let (Answer::Claim(granted), Step::Claim { key, .. }) = (&answer, step) {
                    let key = &keys()[*key];
                    let row: Option<&EffectRow> = before.get(key);
                    let waiting = || model.waiting_version(key).map(|(version, _)| version);
                    let version = row.map(|row| row.version).or_else(waiting).unwrap_or_default();
                    check_claim(row, version, step, clock.now_ms(), granted);
                    if let Ok(claim) = granted {
                        claims.push((key.clone(), claim.clone()));
                    }
                }
                assert_eq!(take(&model, &clock, step, &claims).await, answer, "{step:?}");
                before = rows(&store).await;
                assert_eq!(rows(&model).await, before, "after {step:?}");
                for key in keys() {
                    let waiting = waiting_version(&cloud).get(&key).copied();
                    assert_eq!(model.waiting_version(&key), waiting, "after {step:?}");
                }
            }
        });
    }
}
