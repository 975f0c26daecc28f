use std::cell::RefCell;
use std::collections::BTreeMap;

use effect_ledger::EffectState;
use fulfilment::{ContributionStatus, PaymentId, SupporterId};
use serde_json::{Value, json};
use task_runtime::{Backoff, Invocation, Tally, handle_batch};
use testkit::clock::ManualClock;
use testkit::queue::{InMemoryQueue, batch, envelope};
use testkit::stripe::SessionEvent as StripeEvent;

use super::*;
use crate::records::Revision;

/// Records in memory, with the conditions the table has.
#[derive(Default)]
struct InMemoryRecords {
    contributions: RefCell<BTreeMap<PaymentId, Stored>>,
    supporters: RefCell<BTreeMap<(SupporterId, PaymentId), SupporterRow>>,
    effects: RefCell<BTreeMap<EffectKey, EffectState>>,
    /// Changes the record before each save, as another executor would.
    meddler: RefCell<Vec<fulfilment::SessionEvent>>,
    saves: RefCell<u32>,
}

impl InMemoryRecords {
    fn put(&self, contribution: Contribution) {
        // Only has to differ whenever the record does.
        let revision = Revision(format!(
            "{contribution:?}{:?}",
            contribution.session.email.as_ref().map(|e| e.expose())
        ));
        let key = contribution.payment_id.clone();
        self.contributions.borrow_mut().insert(key, Stored { contribution, revision });
    }
}

impl Records for InMemoryRecords {
    async fn save(&self, change: Change<'_>) -> Result<Saved, RecordsError> {
        *self.saves.borrow_mut() += 1;
        let payment_id = change.contribution.payment_id.clone();
        if let Some(event) = self.meddler.borrow_mut().pop() {
            let current =
                self.contributions.borrow().get(&payment_id).map(|stored| stored.contribution.clone());
            let current = current.unwrap_or_else(|| Contribution::new(payment_id.clone()));
            self.put(current.with_session_event(&event, &NAMESPACE));
        }
        let current = self.contributions.borrow().get(&payment_id).cloned();
        if current.as_ref().map(|stored| &stored.revision) != change.revision {
            return Ok(Saved::Outdated(current.map(Box::new)));
        }
        self.put(change.contribution);
        let mut supporters = self.supporters.borrow_mut();
        if let Some(left) = change.left_supporter {
            supporters.remove(&(left, payment_id.clone()));
        }
        if let Some(row) = change.supporter {
            supporters.insert((row.supporter_id.clone(), payment_id.clone()), row);
        }
        let key = EffectKey { payment_id, effect: change.effect };
        self.effects.borrow_mut().insert(key, EffectState::Done);
        Ok(Saved::Written)
    }

    async fn set_aside(
        &self,
        key: &EffectKey,
        set_aside: SetAside<'_>,
        _event_id: &str,
        _now: i64,
    ) -> Result<(), RecordsError> {
        let SetAside::Parked(reason) = set_aside else { panic!("records are never skipped") };
        let parked = EffectState::Parked { reason: reason.to_owned() };
        self.effects.borrow_mut().entry(key.clone()).or_insert(parked);
        Ok(())
    }
}

const NAMESPACE: Uuid = Uuid::from_u128(7);

fn task() -> ContributionRecords<InMemoryRecords, ManualClock> {
    ContributionRecords {
        records: InMemoryRecords::default(),
        policy: Policy::compiled_in().unwrap(),
        livemode: false,
        supporter_namespace: NAMESPACE,
        clock: ManualClock::default(),
    }
}

async fn deliver(
    task: &ContributionRecords<InMemoryRecords, ManualClock>,
    events: &[Value],
) -> (Tally, InMemoryQueue) {
    let queue = InMemoryQueue::default();
    let bodies: Vec<_> = events.iter().map(|event| envelope("afterlink.webhook", event)).collect();
    let invocation = Invocation { request_id: "req".to_owned(), deadline_ms: task.clock.now_ms() + 30_000 };
    let backoff = Backoff { base_seconds: 30, cap_seconds: 3600 };
    let (_, tally) =
        handle_batch("contribution-records", task, &queue, &task.clock, backoff, batch(&bodies), &invocation)
            .await;
    (tally, queue)
}

/// Everything that is stored, comparable between two histories.
fn rows(task: &ContributionRecords<InMemoryRecords, ManualClock>) -> Value {
    let contributions = task.records.contributions.borrow();
    let supporters = task.records.supporters.borrow();
    let effects = task.records.effects.borrow();
    json!({
        "contributions": contributions.values().map(|stored| json!(stored.contribution)).collect::<Vec<_>>(),
        "supporters": supporters.values().map(|row| json!(row)).collect::<Vec<_>>(),
        "effects": effects.iter().map(|(key, state)| format!("{} {}", key.effect, state.name())).collect::<Vec<_>>(),
    })
}

#[tokio::test]
async fn a_payment_becomes_a_contribution_a_supporter_row_and_a_ledger_row() {
    let task = task();
    let (tally, _) = deliver(&task, &[StripeEvent::paid().to_json()]).await;
    assert_eq!(tally.done, 1);
    let contributions = task.records.contributions.borrow();
    let contribution = &contributions[&PaymentId::new("pi_Example")].contribution;
    assert_eq!(contribution.status(), ContributionStatus::Paid);
    assert_eq!(contribution.session.amount, Some(1250));
    let supporters = task.records.supporters.borrow();
    let row = supporters.values().next().unwrap();
    assert_eq!(row.product, "CONTRIBUTION");
    assert_eq!(row.supporter_id, SupporterId::of_email(&NAMESPACE, "ada@example.org"));
    assert_eq!(rows(&task)["effects"], json!(["contribution#paid done"]));
}

#[tokio::test]
async fn any_order_and_any_duplication_leave_the_same_rows() {
    let history = [
        StripeEvent::unpaid().at(100).to_json(),
        StripeEvent::async_failed().at(200).email("other@example.org").to_json(),
        StripeEvent::async_succeeded().at(300).to_json(),
        // Two events for one change, in the same second.
        StripeEvent::async_succeeded().at(300).event_id("evt_twin").to_json(),
    ];
    let expected = {
        let task = task();
        deliver(&task, &history).await;
        rows(&task)
    };
    assert_eq!(expected["supporters"].as_array().unwrap().len(), 1, "{expected}");
    for order in permutations(history.len()) {
        let task = task();
        for i in order.iter().chain(&order) {
            deliver(&task, std::slice::from_ref(&history[*i])).await;
        }
        assert_eq!(rows(&task), expected, "{order:?}");
    }
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(n - 1);
    (0..n)
        .flat_map(|at| {
            shorter.iter().map(move |p| {
                let mut p = p.clone();
                p.insert(at, n - 1);
                p
            })
        })
        .collect()
}

#[tokio::test]
async fn a_duplicate_costs_one_call_and_is_skipped() {
    let task = task();
    let event = StripeEvent::paid().to_json();
    deliver(&task, std::slice::from_ref(&event)).await;
    let before = *task.records.saves.borrow();
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!(tally.skipped, [("already_done", 1)].into());
    assert_eq!(*task.records.saves.borrow(), before + 1);
}

#[tokio::test]
async fn folds_again_onto_a_record_that_changed_meanwhile() {
    let task = task();
    let read = |event: StripeEvent| {
        let event = stripe_events::Event::from_value(event.to_json()).unwrap();
        SessionEvent::read(&event, false).unwrap()
    };
    *task.records.meddler.borrow_mut() = vec![read(StripeEvent::unpaid().at(50))];
    let (tally, _) = deliver(&task, &[StripeEvent::async_succeeded().at(300).to_json()]).await;
    assert_eq!(tally.done, 1);
    let contributions = task.records.contributions.borrow();
    let contribution = &contributions[&PaymentId::new("pi_Example")].contribution;
    assert_eq!((contribution.pending_at, contribution.paid_at), (Some(50), Some(300)));
}

#[tokio::test]
async fn goes_back_when_the_record_never_holds_still() {
    let task = task();
    let read = |at| {
        let event = StripeEvent::unpaid().at(at).event_id(&format!("evt_{at}")).to_json();
        SessionEvent::read(&stripe_events::Event::from_value(event).unwrap(), false).unwrap()
    };
    *task.records.meddler.borrow_mut() = (0..20).map(|i| read(1000 - i)).rev().collect();
    let (tally, _) = deliver(&task, &[StripeEvent::async_succeeded().at(300).to_json()]).await;
    assert_eq!((tally.done, tally.retried), (0, 1));
}

#[tokio::test]
async fn a_broken_link_contract_is_parked_under_the_effect_it_should_have_had() {
    let task = task();
    let broken = StripeEvent::paid().metadata(json!({ "fulfilment": "donation" })).to_json();
    let (tally, queue) = deliver(&task, &[broken]).await;
    assert_eq!(tally.parked, 1);
    assert_eq!(queue.dead_letters.borrow()[0].1, "broken_link_contract");
    assert_eq!(rows(&task)["effects"], json!(["contribution#paid parked"]));
    // Mended and redriven, it is done like any other.
    let (tally, _) = deliver(&task, &[StripeEvent::paid().to_json()]).await;
    assert_eq!(tally.done, 1);
    assert_eq!(rows(&task)["effects"], json!(["contribution#paid done"]));
}

#[tokio::test]
async fn others_sessions_leave_nothing() {
    let task = task();
    let events = [StripeEvent::paid().without_marker().to_json(), StripeEvent::paid().livemode().to_json()];
    let (tally, _) = deliver(&task, &events).await;
    assert_eq!(tally.skipped, [("another_business", 1), ("other_livemode", 1)].into());
    assert_eq!(rows(&task)["contributions"], json!([]));
}
