use std::cell::RefCell;
use std::collections::BTreeMap;

use effect_ledger::{EffectState, Standing};
use fulfilment::{Answer, Basis, ConsentState, Evidence};
use serde_json::{Value, json};
use task_runtime::Tally;
use testkit::clock::ManualClock;
use testkit::ledger::InMemoryEffects;
use testkit::queue::InMemoryQueue;
use testkit::stripe::SessionEvent as StripeEvent;

use super::*;

type Key = (SupporterId, String);

/// Consents in memory, with the conditions the table has.
#[derive(Default)]
struct InMemoryConsents {
    evidence: RefCell<BTreeMap<Key, Evidence>>,
    states: RefCell<BTreeMap<Key, ConsentState>>,
    effects: InMemoryEffects,
    /// How many of the next saves meet somebody else's.
    conflicts: RefCell<u32>,
    saves: RefCell<u32>,
}

impl ConsentRecords for InMemoryConsents {
    async fn save(&self, change: Change<'_>) -> Result<Saved, RecordsError> {
        *self.saves.borrow_mut() += 1;
        if *self.conflicts.borrow() > 0 {
            *self.conflicts.borrow_mut() -= 1;
            return Ok(Saved::Conflict);
        }
        let Consents { evidence, states } = change.consents;
        let state = self.effects.state(change.key);
        let settled = EffectState::standing(state.as_ref(), Attempts::AtLeastOnce, 0) != Standing::Free;
        let noted = change.unless_noted && settled;
        let evidence_key = |evidence: &Evidence| (evidence.supporter_id.clone(), evidence.record.clone());
        let state_key = |state: &ConsentState| (state.supporter_id.clone(), state.record.clone());
        if evidence.iter().any(|row| self.evidence.borrow().contains_key(&evidence_key(row))) {
            return Ok(Saved::AlreadyThere { noted });
        }
        let outranked = states.iter().filter(|state| {
            self.states.borrow().get(&state_key(state)).is_some_and(|current| current.rank >= state.rank)
        });
        let outranked: Vec<_> = outranked.map(|state| state.record.clone()).collect();
        if !outranked.is_empty() {
            return Ok(Saved::Outranked(outranked));
        }
        if noted {
            return Ok(Saved::Noted);
        }
        self.evidence.borrow_mut().extend(evidence.iter().map(|row| (evidence_key(row), row.clone())));
        self.states.borrow_mut().extend(states.iter().map(|state| (state_key(state), state.clone())));
        self.effects.put(change.key, EffectState::Done);
        Ok(Saved::Written)
    }
}

const NAMESPACE: Uuid = Uuid::from_u128(7);

type Bench = SoftOptIns<InMemoryConsents, InMemoryEffects, ManualClock>;

fn task() -> Bench {
    let records = InMemoryConsents::default();
    SoftOptIns {
        ledger: records.effects.clone(),
        records,
        policy: Policy::compiled_in().unwrap(),
        livemode: false,
        supporter_namespace: NAMESPACE,
        clock: ManualClock::default(),
    }
}

async fn deliver(task: &Bench, events: &[StripeEvent]) -> (Tally, InMemoryQueue) {
    let events: Vec<_> = events.iter().map(StripeEvent::to_json).collect();
    testkit::queue::deliver("soft-opt-ins", task, &task.clock, "afterlink.webhook", &events).await
}

/// Everything that is stored, comparable between two histories.
fn rows(task: &Bench) -> Value {
    let InMemoryConsents { evidence, states, effects, .. } = &task.records;
    json!({
        "evidence": evidence.borrow().values().map(|row| json!(row)).collect::<Vec<_>>(),
        "states": states.borrow().values().map(|state| json!(state)).collect::<Vec<_>>(),
        "effects": ledger(effects),
    })
}

fn ledger(effects: &InMemoryEffects) -> Vec<String> {
    let rows = effects.rows();
    rows.iter().map(|(key, row)| format!("{} {} {}", key.payment_id, key.effect, row.state.name())).collect()
}

fn state_of(task: &Bench, email: &str, consent: &str) -> Option<(Answer, Basis)> {
    let key = (SupporterId::of_email(&NAMESPACE, email), format!("state#{consent}"));
    task.records.states.borrow().get(&key).map(|state| (state.answer, state.basis))
}

fn download(payment: &str) -> StripeEvent {
    StripeEvent::paid().payment(payment).metadata(json!({ "fulfilment": "download", "files": "guide.pdf" }))
}

fn membership(payment: &str) -> StripeEvent {
    StripeEvent::paid().payment(payment).metadata(json!({ "fulfilment": "membership" }))
}

#[tokio::test]
async fn an_answer_becomes_evidence_a_state_and_a_ledger_row() {
    let task = task();
    let (tally, _) = deliver(&task, &[StripeEvent::paid().marketing(Some("yes"))]).await;
    assert_eq!(tally.done, 1);
    let newsletter = state_of(&task, "ada@example.org", "supporter_newsletter");
    assert_eq!(newsletter, Some((Answer::Yes, Basis::Explicit)));
    assert_eq!(rows(&task)["evidence"].as_array().unwrap().len(), 1);
    assert_eq!(rows(&task)["effects"], json!(["pi_Example consents done"]));
}

#[tokio::test]
async fn a_sale_without_a_question_is_a_soft_opt_in_where_the_policy_has_one() {
    let task = task();
    let sales = [
        download("british").email("ada@example.org").country("GB"),
        download("german").email("jonas@example.org").country("DE"),
    ];
    let (tally, _) = deliver(&task, &sales).await;
    assert_eq!((tally.done, tally.skipped), (1, [("nothing_to_record", 1)].into()));
    let similar = |email| state_of(&task, email, "similar_products");
    assert_eq!(similar("ada@example.org"), Some((Answer::Yes, Basis::SoftOptIn)));
    assert_eq!(similar("jonas@example.org"), None);
    assert_eq!(
        rows(&task)["effects"],
        json!(["pi_british consents done", "pi_german consents skipped"]),
        "the ledger knows of both"
    );
}

#[tokio::test]
async fn any_order_and_any_duplication_leave_the_same_rows() {
    let history = [
        download("first").at(1_795_000_100).country("GB"),
        membership("second").at(1_795_000_200).marketing(Some("yes")),
        membership("third").at(1_795_000_300).promotions("opt_out").email(" ADA@example.org"),
        download("fourth").at(1_795_000_400).country("GB"),
        // Two events for one change, in the same second.
        membership("third").at(1_795_000_300).promotions("opt_out").event_id("evt_twin"),
    ];
    let expected = {
        let task = task();
        deliver(&task, &history).await;
        rows(&task)
    };
    assert_eq!(expected["evidence"].as_array().unwrap().len(), 6, "{expected}");
    for order in permutations(history.len()) {
        let task = task();
        for i in order.iter().chain(&order) {
            deliver(&task, std::slice::from_ref(&history[*i])).await;
        }
        assert_eq!(rows(&task), expected, "{order:?}");
        for consent in ["similar_products", "supporter_newsletter"] {
            let state = state_of(&task, "ada@example.org", consent);
            assert_eq!(state, Some((Answer::No, Basis::Explicit)), "{consent}");
        }
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
    let event = StripeEvent::paid().marketing(Some("no"));
    deliver(&task, std::slice::from_ref(&event)).await;
    let before = *task.records.saves.borrow();
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!(tally.skipped, [("already_done", 1)].into());
    assert_eq!(*task.records.saves.borrow(), before + 1);
}

#[tokio::test]
async fn what_is_outranked_is_still_evidence() {
    let task = task();
    deliver(&task, &[membership("newer").at(1_795_000_200).marketing(Some("no"))]).await;
    let before = *task.records.saves.borrow();
    let (tally, _) = deliver(&task, &[membership("older").at(1_795_000_100).marketing(Some("yes"))]).await;
    assert_eq!(tally.done, 1);
    assert_eq!(*task.records.saves.borrow(), before + 2, "once to be told, once without the states");
    let state = state_of(&task, "ada@example.org", "supporter_newsletter");
    assert_eq!(state, Some((Answer::No, Basis::Explicit)));
    assert_eq!(task.records.evidence.borrow().len(), 4);
    assert_eq!(rows(&task)["effects"], json!(["pi_newer consents done", "pi_older consents done"]));
}

#[tokio::test]
async fn what_is_not_understood_is_recorded_and_settled() {
    let task = task();
    let (tally, _) = deliver(&task, &[download("x").country("GB").marketing(Some("perhaps"))]).await;
    assert_eq!(tally.done, 1);
    assert_eq!(task.records.evidence.borrow().len(), 1);
    assert_eq!(state_of(&task, "ada@example.org", "similar_products"), None);
}

#[tokio::test]
async fn a_write_that_meets_another_is_made_again_and_goes_back_if_that_never_ends() {
    let task = task();
    let event = StripeEvent::paid().marketing(Some("yes"));
    *task.records.conflicts.borrow_mut() = 2;
    let (tally, _) = deliver(&task, std::slice::from_ref(&event)).await;
    assert_eq!((tally.done, *task.records.saves.borrow()), (1, 3));
    *task.records.conflicts.borrow_mut() = 20;
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!((tally.done, tally.retried), (0, 1));
}

#[tokio::test]
async fn no_consent_comes_of_what_is_not_paid() {
    let task = task();
    let events = [
        StripeEvent::unpaid().marketing(Some("yes")),
        StripeEvent::async_failed().marketing(Some("yes")),
        StripeEvent::unpaid().metadata(json!({ "fulfilment": "donation" })),
    ];
    let (tally, _) = deliver(&task, &events).await;
    assert_eq!(tally.skipped, [("not_paid", 3)].into());
    assert_eq!(rows(&task), json!({ "evidence": [], "states": [], "effects": [] }));
    let (tally, _) = deliver(&task, &[StripeEvent::async_succeeded().marketing(Some("yes"))]).await;
    assert_eq!(tally.done, 1);
}

#[tokio::test]
async fn an_answer_of_nobody_is_skipped() {
    let task = task();
    let event = StripeEvent::paid().marketing(Some("yes")).set("/data/object/customer_details", json!(null));
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!(tally.skipped, [("no_email", 1)].into());
    assert_eq!(rows(&task)["effects"], json!(["pi_Example consents skipped"]));
}

#[tokio::test]
async fn a_broken_link_contract_is_parked_and_done_once_it_is_mended() {
    let task = task();
    let broken = StripeEvent::paid().metadata(json!({ "fulfilment": "donation" })).marketing(Some("yes"));
    let (tally, queue) = deliver(&task, &[broken]).await;
    assert_eq!(tally.parked, 1);
    assert_eq!(queue.dead_letters.borrow()[0].1, "broken_link_contract");
    assert_eq!(rows(&task)["effects"], json!(["pi_Example consents parked"]));
    let (tally, _) = deliver(&task, &[StripeEvent::paid().marketing(Some("yes"))]).await;
    assert_eq!(tally.done, 1);
    assert_eq!(rows(&task)["effects"], json!(["pi_Example consents done"]));
}

#[tokio::test]
async fn others_sessions_leave_nothing() {
    let task = task();
    let yes = |event: StripeEvent| event.marketing(Some("yes"));
    let events = [yes(StripeEvent::paid().without_marker()), yes(StripeEvent::paid().livemode())];
    let (tally, _) = deliver(&task, &events).await;
    assert_eq!(tally.skipped, [("another_business", 1), ("other_livemode", 1)].into());
    assert_eq!(rows(&task), json!({ "evidence": [], "states": [], "effects": [] }));
}

#[tokio::test]
async fn writes_the_rows_its_events_call_for() {
    let make = || {
        let task = task();
        let ledger = task.ledger.clone();
        (task, ledger)
    };
    let own = |effect: &str| effect == "consents";
    testkit::called_for::check("soft-opt-ins", &ManualClock::default(), own, make).await;
}

#[tokio::test]
async fn a_ledger_that_forgot_a_consent_is_told_again() {
    let task = task();
    let event = StripeEvent::paid().marketing(Some("yes"));
    deliver(&task, std::slice::from_ref(&event)).await;
    let key = key(PaymentId::new("pi_Example"));
    task.ledger.forget(&key);
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!(tally.skipped, [("already_recorded", 1)].into());
    let skipped = EffectState::Skipped { reason: "already_recorded".to_owned() };
    assert_eq!(task.ledger.state(&key), Some(skipped));
}

/// Consents may be erased, and the ledger outlives them.
#[tokio::test]
async fn consents_that_have_gone_are_written_again_though_the_ledger_knows_them() {
    let task = task();
    let event = StripeEvent::paid().marketing(Some("yes"));
    deliver(&task, std::slice::from_ref(&event)).await;
    let written = task.records.evidence.take();
    task.records.states.take();
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!((tally.done, task.records.evidence.borrow().len()), (1, written.len()));
}
