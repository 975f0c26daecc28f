//! The protocol over every state a row can be in, and over every way a call can end.

use std::cell::Cell;

use aws::Clock;
use effect_ledger::{
    Attempted, Busy, Claim, Disposed, Disposition, Effect, EffectKey, EffectRow, EffectState, EffectStore,
    Executor, Guarantee, MovedMoney, Performed, Refused, Settlement, StoreError, dispose, perform,
};
use stripe_events::{Currency, Money};
use testkit::clock::ManualClock;
use testkit::ledger::InMemoryEffects;

const LEASE_MS: i64 = 60_000;

/// One effect, under each guarantee. The store sees the same key.
fn key_with(guarantee: Guarantee) -> EffectKey {
    EffectKey::new(
        "pi_1",
        match guarantee {
            Guarantee::AtMostOnce => Effect::at_most_once("email#thank-you"),
            Guarantee::AtLeastOnce => Effect::at_least_once("email#thank-you"),
        },
    )
}

fn key() -> EffectKey {
    key_with(Guarantee::AtMostOnce)
}

struct Bench {
    store: InMemoryEffects,
    clock: ManualClock,
    calls: Cell<u32>,
    /// The version that its executors expect.
    expected_version: Cell<u32>,
}

impl Bench {
    fn new() -> Self {
        Self {
            store: InMemoryEffects::default(),
            clock: ManualClock::default(),
            calls: Cell::new(0),
            expected_version: Cell::new(0),
        }
    }

    async fn perform(
        &self,
        owner: &str,
        guarantee: Guarantee,
        answer: Attempted<&'static str>,
    ) -> Performed<&'static str> {
        let lease_until = self.clock.now_ms() + LEASE_MS;
        let executor = Executor {
            owner,
            lease_until,
            event_id: "evt_1",
            detail: None,
            expected_version: self.expected_version.get(),
        };
        let act = async || {
            self.calls.set(self.calls.get() + 1);
            answer
        };
        let performed =
            perform(&self.store, &self.clock, &key_with(guarantee), executor, act, |reason| *reason).await;
        performed.expect("the ledger in memory always answers")
    }

    async fn send(&self, owner: &str) -> Performed<&'static str> {
        self.perform(owner, Guarantee::AtMostOnce, Attempted::Accepted("id".to_owned())).await
    }

    fn state(&self) -> &'static str {
        self.store.state(&key()).map_or("none", |state| state.name())
    }

    fn claimed(&self, owner: &str) -> Claim {
        let claim =
            Claim { owner: owner.to_owned(), attempt: 1, lease_until: self.clock.now_ms() + LEASE_MS };
        self.store.put(&key(), EffectState::Claimed(claim.clone()));
        claim
    }
}

#[tokio::test]
async fn acts_once_however_often_it_is_asked() {
    let bench = Bench::new();
    assert!(matches!(bench.send("a").await, Performed::Done { version: 0 }));
    for owner in ["a", "b", "c"] {
        let again = bench.send(owner).await;
        assert!(
            matches!(again, Performed::AlreadySettled { state: EffectState::Done, version: 0 }),
            "{again:?}"
        );
    }
    assert_eq!((bench.calls.get(), bench.state()), (1, "done"));
}

#[tokio::test]
async fn what_cannot_be_taken_back_waits_until_all_news_is_known() {
    let bench = Bench::new();
    for version in 1..=2 {
        assert_eq!(bench.store.raise_version(&key(), 9).await.unwrap(), None, "nobody has begun");
        assert!(matches!(bench.send("a").await, Performed::Stale { version: found } if found == version));
    }
    bench.expected_version.set(1);
    assert!(matches!(bench.send("a").await, Performed::Stale { version: 2 }), "the row has a later version");
    bench.expected_version.set(2);
    let throttled = bench.perform("a", Guarantee::AtMostOnce, Attempted::NotDone("throttled")).await;
    assert!(matches!(throttled, Performed::NotDone(_)));
    assert_eq!(bench.store.row(&key()).unwrap().expires_at, None, "what was begun stays");
    bench.expected_version.set(0);
    assert!(
        matches!(bench.send("b").await, Performed::Stale { version: 2 }),
        "another try has to read again"
    );
    assert_eq!(bench.calls.get(), 1);
}

#[tokio::test]
async fn a_version_raised_meanwhile_is_returned_at_the_end() {
    let bench = Bench::new();
    let left = bench.perform("a", Guarantee::AtLeastOnce, Attempted::Accepted("id".to_owned())).await;
    assert!(matches!(left, Performed::Done { version: 0 }));
    assert_eq!(bench.store.raise_version(&key(), 9).await.unwrap(), Some(EffectState::Done));
    let again = bench.perform("b", Guarantee::AtLeastOnce, Attempted::Accepted("id".to_owned())).await;
    assert!(matches!(again, Performed::AlreadySettled { version: 1, .. }));

    let bench = Bench::new();
    bench.store.raise_version(&key(), 9).await.unwrap();
    let acted = bench.perform("a", Guarantee::AtLeastOnce, Attempted::Accepted("id".to_owned())).await;
    assert!(matches!(acted, Performed::Done { version: 1 }), "at least once acts first and catches up");
}

#[tokio::test]
async fn each_answer_leads_to_its_state() {
    for (answer, state, acts_again) in [
        (Attempted::Accepted("id".to_owned()), "done", false),
        (Attempted::NotDone("throttled"), "retry", true),
        (Attempted::Rejected("refused"), "parked", true),
        (Attempted::Ambiguous("lost"), "unknown", false),
    ] {
        let bench = Bench::new();
        bench.perform("a", Guarantee::AtMostOnce, answer).await;
        assert_eq!(bench.state(), state);
        bench.send("b").await;
        assert_eq!(bench.calls.get() == 2, acts_again, "{state}");
    }
}

#[tokio::test]
async fn waits_while_another_holds_the_lease_and_gives_up_what_it_left_behind() {
    let bench = Bench::new();
    bench.claimed("died");
    assert!(matches!(bench.send("b").await, Performed::Busy));
    bench.clock.advance_ms(LEASE_MS);
    assert!(matches!(bench.send("b").await, Performed::Busy), "the last millisecond still counts");
    bench.clock.advance_ms(1);
    assert!(matches!(bench.send("b").await, Performed::Abandoned));
    assert!(matches!(
        bench.send("c").await,
        Performed::AlreadySettled { state: EffectState::Unknown { .. }, .. }
    ));
    assert_eq!(bench.calls.get(), 0);
}

#[tokio::test]
async fn an_operator_finds_what_is_open_and_only_that() {
    let open = |bench: &Bench| bench.store.row(&key()).is_some_and(|row| row.open);
    for (answer, expected) in [
        (Attempted::Accepted("id".to_owned()), false),
        (Attempted::NotDone("throttled"), true),
        (Attempted::Rejected("refused"), true),
        (Attempted::Ambiguous("lost"), true),
    ] {
        let bench = Bench::new();
        bench.perform("a", Guarantee::AtMostOnce, answer).await;
        assert_eq!(open(&bench), expected, "{}", bench.state());
    }
    let bench = Bench::new();
    bench.claimed("slow");
    assert!(!open(&bench), "a first claim costs no write of the index");
    bench.send("b").await;
    assert!(open(&bench), "but one that stands in the way does");

    let bench = Bench::new();
    bench.perform("a", Guarantee::AtMostOnce, Attempted::NotDone("throttled")).await;
    bench.send("b").await;
    assert!(!open(&bench), "what is done is closed");
}

#[tokio::test]
async fn an_effect_with_a_deterministic_id_is_tried_again_instead() {
    let bench = Bench::new();
    bench.claimed("died");
    bench.clock.advance_ms(LEASE_MS + 1);
    let performed = bench.perform("b", Guarantee::AtLeastOnce, Attempted::Accepted("id".to_owned())).await;
    assert!(matches!(performed, Performed::Done { .. }));
    assert_eq!((bench.calls.get(), bench.state()), (1, "done"));
}

#[tokio::test]
async fn a_lost_reply_is_no_reason_not_to_try_such_an_effect_again() {
    let bench = Bench::new();
    let performed = bench.perform("a", Guarantee::AtLeastOnce, Attempted::Ambiguous("lost")).await;
    assert!(matches!(performed, Performed::NotDone("lost")), "{performed:?}");
    assert_eq!(bench.state(), "retry");
    let performed = bench.perform("b", Guarantee::AtLeastOnce, Attempted::Accepted("id".to_owned())).await;
    assert!(matches!(performed, Performed::Done { .. }));
    assert_eq!((bench.calls.get(), bench.state()), (2, "done"));
}

#[tokio::test]
async fn an_executor_that_lost_its_lease_changes_nothing() {
    let bench = Bench::new();
    let slow = bench.claimed("slow");
    bench.clock.advance_ms(LEASE_MS + 1);
    bench.send("b").await;
    assert_eq!(bench.state(), "unknown");
    for settlement in [
        Settlement::Done { reference: "id".to_owned() },
        Settlement::Retry { reason: "throttled".to_owned() },
        Settlement::Parked { reason: "refused".to_owned() },
    ] {
        let settled = bench.store.settle(&key(), &slow, &settlement, bench.clock.now_ms()).await.unwrap();
        assert_eq!(settled, Err(Refused));
    }
    assert_eq!(bench.state(), "unknown");
}

/// The attempt counts, because a name can come back: the same message, redelivered to the same process.
#[tokio::test]
async fn a_claim_of_an_earlier_attempt_is_stale_even_with_the_same_owner() {
    let bench = Bench::new();
    let executor = |owner| Executor {
        owner,
        detail: None,
        lease_until: bench.clock.now_ms() + LEASE_MS,
        event_id: "evt_1",
        expected_version: 0,
    };
    let claim = |owner: &'static str| {
        let executor = executor(owner);
        let bench = &bench;
        async move {
            let now = bench.clock.now_ms();
            bench.store.claim(&key(), &executor, now).await.unwrap().unwrap()
        }
    };
    let first = claim("a").await;
    let retry = Settlement::Retry { reason: "throttled".to_owned() };
    bench.store.settle(&key(), &first, &retry, 0).await.unwrap().unwrap();
    let second = claim("a").await;
    assert_eq!((first.attempt, second.attempt), (1, 2));
    let done = Settlement::Done { reference: "id".to_owned() };
    assert_eq!(bench.store.settle(&key(), &first, &done, 0).await.unwrap(), Err(Refused));
    assert_eq!(bench.store.settle(&key(), &second, &done, 0).await.unwrap(), Ok(0));
}

#[tokio::test]
async fn setting_aside_never_hides_what_was_done() {
    let claimed = EffectState::Claimed(Claim { owner: "a".to_owned(), attempt: 1, lease_until: 0 });
    let reason = || "earlier".to_owned();
    for (state, expected) in [
        (None, Ok(())),
        (Some(EffectState::Retry { reason: reason() }), Ok(())),
        (Some(EffectState::Parked { reason: reason() }), Ok(())),
        (Some(EffectState::Skipped { reason: reason() }), Ok(())),
        (Some(EffectState::Done), Err(())),
        (Some(EffectState::Unknown { reason: reason() }), Err(())),
        (Some(claimed), Err(())),
    ] {
        let store = InMemoryEffects::default();
        if let Some(state) = &state {
            store.put(&key(), state.clone());
        }
        let written = store
            .write_disposition(&key(), Disposition::Park { reason: "now", detail: "why" }, "evt_1", 0)
            .await
            .unwrap();
        assert_eq!(written.map_err(|row| Some(row.state)), expected.map_err(|()| state));
    }
}

/// A dead claim whose own message is received again and finds that nothing has to be done any more.
#[tokio::test]
async fn no_claim_is_left_without_a_retry() {
    #[derive(Debug, PartialEq)]
    enum Ended {
        Aside(Disposed),
        Busy,
    }
    impl From<StoreError> for Ended {
        fn from(error: StoreError) -> Self {
            panic!("{error}")
        }
    }
    impl From<Busy> for Ended {
        fn from(_: Busy) -> Self {
            Self::Busy
        }
    }
    use Guarantee::{AtLeastOnce, AtMostOnce};
    let claimed =
        |lease_until| Some(EffectState::Claimed(Claim { owner: "a".to_owned(), attempt: 1, lease_until }));
    let bench = Bench::new();
    let now = bench.clock.now_ms();
    for (state, guarantee, expected, left) in [
        (None, AtMostOnce, Ended::Aside(Disposed::Written), "skipped"),
        (Some(EffectState::Done), AtMostOnce, Ended::Aside(Disposed::AlreadySettled), "done"),
        (claimed(now + 1), AtMostOnce, Ended::Busy, "claimed"),
        (claimed(now - 1), AtMostOnce, Ended::Aside(Disposed::Abandoned), "unknown"),
        // What may be done again is done by its own message.
        (claimed(now - 1), AtLeastOnce, Ended::Busy, "claimed"),
    ] {
        let store = InMemoryEffects::default();
        if let Some(state) = state {
            store.put_row(
                &key().subject,
                EffectRow { last_claim: Some(("a".to_owned(), 1)), ..EffectRow::new(key().effect, state) },
            );
        }
        let skipped = Disposition::Skip("overtaken");
        let ended = dispose(&store, &bench.clock, &key_with(guarantee), skipped, "evt_1").await;
        assert_eq!(ended.map_or_else(|ended: Ended| ended, Ended::Aside), expected);
        assert_eq!(store.state(&key()).map(|state| state.name()), Some(left));
    }
}

fn money(minor: i64, currency: &str) -> MovedMoney {
    MovedMoney {
        amount: Money::new(minor, Currency::try_from(currency).expect("a currency")),
        occurred_at: 1,
    }
}

#[tokio::test]
async fn what_waits_for_its_payment_is_done_when_the_payment_comes() {
    let bench = Bench::new();
    let waiting = Disposition::AwaitPayment {
        reason: "payment_unknown",
        moved: money(500, "gbp"),
        moved_reason: None,
        expires_at: Some(9),
    };
    bench.store.write_disposition(&key(), waiting, "evt_1", 0).await.unwrap().unwrap();
    let row = bench.store.row(&key()).unwrap();
    assert_eq!((row.state.name(), row.moved, row.expires_at), ("retry", Some(money(500, "gbp")), Some(9)));
    bench.perform("a", Guarantee::AtLeastOnce, Attempted::Accepted("id".to_owned())).await;
    let row = bench.store.row(&key()).unwrap();
    assert_eq!((row.state.name(), row.moved, row.expires_at), ("done", Some(money(500, "gbp")), None));
}
