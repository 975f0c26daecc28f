use std::cell::RefCell;
use std::collections::BTreeMap;

use effect_ledger::EffectState;
use fulfilment::{Answer, Basis, ConsentState, Evidence, effects};
use serde_json::{Value, json};
use task_runtime::Tally;
use testkit::clock::ManualClock;
use testkit::ledger::InMemoryEffects;
use testkit::orders::permutations;
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
    /// How many of the next saves conflict with another task's.
    conflicts: RefCell<u32>,
    saves: RefCell<u32>,
}

impl ConsentRecords for InMemoryConsents {
    async fn save(&self, change: ConsentChange<'_>) -> Result<Saved, RecordsError> {
        *self.saves.borrow_mut() += 1;
        if *self.conflicts.borrow() > 0 {
            *self.conflicts.borrow_mut() -= 1;
            return Ok(Saved::Conflict);
        }
        let Consents { evidence, states, .. } = change.consents;
        let is_done = self.effects.state(change.key) == Some(EffectState::Done);
        let evidence_key = |evidence: &Evidence| (evidence.supporter_id.clone(), evidence.record.clone());
        let state_key = |state: &ConsentState| (state.supporter_id.clone(), state.record.clone());
        if evidence.iter().any(|row| self.evidence.borrow().contains_key(&evidence_key(row))) {
            return Ok(Saved::AlreadyThere { is_done });
        }
        let outranked = states.iter().filter(|state| {
            self.states.borrow().get(&state_key(state)).is_some_and(|current| current.rank >= state.rank)
        });
        let outranked: Vec<_> = outranked.map(|state| state.record.clone()).collect();
        if !outranked.is_empty() {
            return Ok(Saved::Outranked(outranked));
        }
        if is_done {
            return Ok(Saved::Gone);
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
    rows.iter().map(|(key, row)| format!("{} {} {}", key.subject, key.effect, row.state.name())).collect()
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
async fn a_sale_with_a_notice_is_a_soft_opt_in_where_the_policy_has_one() {
    let task = task();
    let sales = [
        download("british").notice().email("ada@example.org").country("GB"),
        download("german").notice().email("jonas@example.org").country("DE"),
        download("unnoticed").email("eve@example.org").country("GB"),
        download("delivery").submit_text("Your files come by mail.").email("kim@example.org").country("GB"),
    ];
    let (tally, _) = deliver(&task, &sales).await;
    assert_eq!((tally.done, tally.skipped), (1, [("nothing_to_record", 3)].into()));
    let similar = |email| state_of(&task, email, "similar_products");
    assert_eq!(similar("ada@example.org"), Some((Answer::Yes, Basis::SoftOptIn)));
    for email in ["jonas@example.org", "eve@example.org", "kim@example.org"] {
        assert_eq!(similar(email), None, "{email}");
    }
    let skipped = |payment: &str| format!("pi_{payment} consents skipped");
    assert_eq!(
        rows(&task)["effects"],
        json!(["pi_british consents done", skipped("delivery"), skipped("german"), skipped("unnoticed")]),
        "the ledger has all of them"
    );
}

#[tokio::test]
async fn any_order_and_any_duplication_leave_the_same_rows() {
    let history = [
        download("first").notice().at(1_795_000_100).country("GB"),
        membership("second").at(1_795_000_200).marketing(Some("yes")),
        membership("third").at(1_795_000_300).promotions("opt_out").email(" ADA@example.org"),
        download("fourth").notice().at(1_795_000_400).country("GB"),
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
    let (tally, _) = deliver(&task, &[download("x").notice().country("GB").marketing(Some("perhaps"))]).await;
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

const MAIL: &str = "ada@example.org";

/// A bank debit for a download, whose page shows the notice: what becomes of it, in the order in which Stripe says it.
fn debit(event: StripeEvent) -> StripeEvent {
    let event = event.payment("Debit").metadata(json!({ "fulfilment": "download" })).notice().country("GB");
    event.session("created", json!(1_795_000_000))
}

#[tokio::test]
async fn nothing_comes_of_a_page_that_was_left_open_before_it_is_paid() {
    let task = task();
    let events = [
        debit(StripeEvent::unpaid()),
        debit(StripeEvent::unpaid().marketing(None)),
        debit(StripeEvent::async_failed().marketing(Some("yes"))),
        StripeEvent::unpaid().metadata(json!({ "fulfilment": "donation" })),
    ];
    let (tally, _) = deliver(&task, &events).await;
    assert_eq!(tally.skipped, [("not_paid", 4)].into());
    assert_eq!(rows(&task), json!({ "evidence": [], "states": [], "effects": [] }));
    let (tally, _) = deliver(&task, &[debit(StripeEvent::async_succeeded())]).await;
    assert_eq!(tally.done, 1);
    assert_eq!(state_of(&task, MAIL, "similar_products"), Some((Answer::Yes, Basis::SoftOptIn)));
}

/// An objection does not depend on a payment.
#[tokio::test]
async fn a_no_counts_whatever_becomes_of_the_money() {
    let sale = download("Sale").notice().country("GB").at(1_794_000_000);
    let no = debit(StripeEvent::unpaid().marketing(Some("no"))).at(1_795_000_600);
    let failed = debit(StripeEvent::async_failed().marketing(Some("no"))).at(1_795_600_000);
    let later_sale = download("Later").notice().country("GB").at(1_796_000_000);
    let history = [sale, no, failed, later_sale];
    let mut expected = None;
    for order in permutations(history.len()) {
        let task = task();
        for i in order.iter().chain(&order) {
            deliver(&task, std::slice::from_ref(&history[*i])).await;
        }
        assert_eq!(
            state_of(&task, MAIL, "similar_products"),
            Some((Answer::No, Basis::Explicit)),
            "{order:?}"
        );
        let rows = rows(&task);
        assert_eq!(
            rows["effects"],
            json!(["pi_Debit consents#answers done", "pi_Later consents done", "pi_Sale consents done"])
        );
        assert_eq!(&rows, expected.get_or_insert(rows.clone()), "{order:?}");
    }
}

#[tokio::test]
async fn the_events_of_a_bank_debit_leave_the_same_rows_in_any_order() {
    for answer in ["yes", "no", "perhaps"] {
        let given = |event: StripeEvent| debit(event.marketing(Some(answer)));
        let history = [
            given(StripeEvent::unpaid()).at(1_795_000_600),
            given(StripeEvent::async_succeeded()).at(1_795_400_000),
            given(StripeEvent::unpaid()).at(1_795_000_600).event_id("evt_twin"),
        ];
        let mut expected = None;
        for order in permutations(history.len()) {
            let task = task();
            for i in order.iter().chain(&order) {
                deliver(&task, std::slice::from_ref(&history[*i])).await;
            }
            let rows = rows(&task);
            assert_eq!(rows["effects"], json!(["pi_Debit consents done", "pi_Debit consents#answers done"]));
            assert_eq!(&rows, expected.get_or_insert(rows.clone()), "{answer} {order:?}");
            let state = task.records.states.borrow().values().next().map(|state| state.answered_at);
            assert_eq!(state, (answer != "perhaps").then_some(1_795_000_600), "dated by when it was given");
        }
    }
}

/// The page of the debit is opened at ten and finished in the evening with a no. In between, at three, the same person
/// pays by card and says yes. The newer answer is the no.
#[tokio::test]
async fn a_delayed_payment_is_answered_when_the_customer_finishes() {
    let task = task();
    let three = 1_795_018_000;
    let evening = 1_795_036_000;
    let no = |event: StripeEvent| debit(event.marketing(Some("no")));
    deliver(&task, &[download("Card").marketing(Some("yes")).at(three)]).await;
    deliver(&task, &[no(StripeEvent::unpaid()).at(evening)]).await;
    deliver(&task, &[no(StripeEvent::async_succeeded()).at(evening + 5 * 86_400)]).await;
    assert_eq!(state_of(&task, MAIL, "similar_products"), Some((Answer::No, Basis::Explicit)));
}

/// Monday's answer, delivered on Friday, does not undo Wednesday's.
#[tokio::test]
async fn a_late_success_is_no_newer_answer() {
    let task = task();
    let yes = |event: StripeEvent| debit(event.marketing(Some("yes")));
    deliver(&task, &[yes(StripeEvent::unpaid()).at(1_795_000_600)]).await;
    deliver(&task, &[download("Card").marketing(Some("no")).at(1_795_200_000)]).await;
    deliver(&task, &[yes(StripeEvent::async_succeeded()).at(1_795_400_000)]).await;
    assert_eq!(state_of(&task, MAIL, "similar_products"), Some((Answer::No, Basis::Explicit)));
}

/// The golden file is what the alarm on unknown questions is checked against.
#[tokio::test]
async fn an_answer_under_an_unknown_key_is_kept_and_counted_once() {
    let task = task();
    let sale = |key: &str, answer: &str| {
        let field = json!({
            "key": key, "type": "dropdown", "label": { "type": "custom", "custom": "May we write to you?" },
            "dropdown": { "value": answer, "options": [{ "label": "No", "value": "2" }, { "label": "Yes", "value": "1" }] }
        });
        download("Unknown").notice().country("GB").session("custom_fields", json!([field]))
    };
    let (tally, _) = deliver(&task, &[sale("maywewrite", "2")]).await;
    let lines = testkit::metrics::of_task(crate::NAME, &tally);
    testkit::metrics::assert_golden(&lines, include_str!("../../metrics.golden.json"));
    assert_eq!(state_of(&task, MAIL, "similar_products"), None);
    assert_eq!(task.records.evidence.borrow().len(), 1);
    let (tally, _) = deliver(&task, &[sale("maywewrite", "2")]).await;
    assert_eq!(tally.counted, [].into(), "a duplicate is no news");
    let (tally, _) = deliver(&self::task(), &[sale("maywewrite", "1")]).await;
    assert_eq!((tally.done, tally.counted), (1, [(UNKNOWN_QUESTION, 1)].into()), "a yes is reported too");
}

#[tokio::test]
async fn an_answer_on_a_broken_link_is_parked_before_the_money_comes() {
    let task = task();
    let broken = StripeEvent::unpaid().metadata(json!({ "fulfilment": "donation" })).marketing(Some("no"));
    let (tally, _) = deliver(&task, &[broken]).await;
    assert_eq!(tally.parked, 1);
    assert_eq!(rows(&task)["effects"], json!(["pi_Example consents#answers parked"]));
    deliver(&task, &[StripeEvent::unpaid().marketing(Some("no"))]).await;
    assert_eq!(rows(&task)["effects"], json!(["pi_Example consents#answers done"]));
}

#[tokio::test]
async fn an_answer_without_an_address_is_skipped() {
    let task = task();
    let event = StripeEvent::paid().marketing(Some("yes")).set("/data/object/customer_details", json!(null));
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!(tally.skipped, [("no_email", 1)].into());
    assert_eq!(rows(&task)["effects"], json!(["pi_Example consents skipped"]));
}

#[tokio::test]
async fn a_broken_link_contract_is_parked_and_done_once_it_is_fixed() {
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
    let policy = Policy::compiled_in().unwrap();
    let make = || {
        let task = task();
        let ledger = task.ledger.clone();
        (task, ledger)
    };
    let own = |effect: &str| effect.starts_with("consents");
    testkit::expected_effects::check("soft-opt-ins", &ManualClock::default(), &policy, own, make).await;
}

#[tokio::test]
async fn a_ledger_that_forgot_a_consent_is_settled_again() {
    let task = task();
    let event = StripeEvent::paid().marketing(Some("yes"));
    deliver(&task, std::slice::from_ref(&event)).await;
    let key = EffectKey::new("pi_Example", effects::consents());
    task.ledger.forget(&key);
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!(tally.skipped, [("already_recorded", 1)].into());
    let skipped = EffectState::Skipped { reason: "already_recorded".to_owned() };
    assert_eq!(task.ledger.state(&key), Some(skipped));
}

/// Consents may be erased, and the ledger outlives them.
#[tokio::test]
async fn what_was_erased_is_not_written_again() {
    for event in [StripeEvent::paid().marketing(Some("yes")), StripeEvent::unpaid().marketing(Some("yes"))] {
        let task = task();
        deliver(&task, std::slice::from_ref(&event)).await;
        assert!(!task.records.evidence.take().is_empty());
        task.records.states.take();
        let (tally, _) = deliver(&task, &[event]).await;
        assert_eq!((tally.done, tally.skipped), (0, [("erased_or_expired", 1)].into()));
        assert!(task.records.evidence.borrow().is_empty() && task.records.states.borrow().is_empty());
    }
}

/// What an earlier version or an earlier policy found nothing in was never there to be erased.
#[tokio::test]
async fn what_was_skipped_may_be_recorded_later() {
    let task = task();
    deliver(&task, &[download("Sale").country("GB")]).await;
    assert_eq!(rows(&task)["effects"], json!(["pi_Sale consents skipped"]));
    let (tally, _) = deliver(&task, &[download("Sale").country("GB").marketing(Some("no"))]).await;
    assert_eq!(tally.done, 1);
    assert_eq!(rows(&task)["effects"], json!(["pi_Sale consents done"]));
}
