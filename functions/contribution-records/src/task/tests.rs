use std::cell::RefCell;
use std::collections::BTreeMap;

use effect_ledger::{Effect, Guarantee, Standing, Subject};
use fulfilment::{ContributionStatus, SessionEvent, SessionOutcome, SupporterId, effects};
use serde_json::{Value, json};
use task_runtime::Tally;
use testkit::clock::ManualClock;
use testkit::ledger::InMemoryEffects;
use testkit::orders::permutations;
use testkit::queue::InMemoryQueue;
use testkit::stripe::{CorrectionEvent, SessionEvent as StripeEvent};
use testkit::subscriptions::SubscriptionsAtStripe;

use super::*;
use crate::records::{LedgerEntry, RaisedVersion, Revision, Stored};

/// Records in memory, with the conditions the table has.
#[derive(Default)]
struct InMemoryRecords {
    contributions: RefCell<BTreeMap<PaymentId, Stored>>,
    expires_at: RefCell<BTreeMap<PaymentId, i64>>,
    supporters: RefCell<BTreeMap<(SupporterId, PaymentId), SupporterRow>>,
    effects: InMemoryEffects,
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

    fn is_settled(&self, payment_id: &PaymentId, effect: &Effect) -> bool {
        let key = EffectKey::new(payment_id, effect.clone());
        let state = self.effects.state(&key);
        EffectState::standing(state.as_ref(), Guarantee::AtLeastOnce, 0) != Standing::Free
    }
}

impl Records for InMemoryRecords {
    async fn save(&self, change: RecordChange<'_>) -> Result<Saved, RecordsError> {
        *self.saves.borrow_mut() += 1;
        let payment_id = change.contribution.payment_id.clone();
        if let Some(event) = self.meddler.borrow_mut().pop() {
            let current =
                self.contributions.borrow().get(&payment_id).map(|stored| stored.contribution.clone());
            let current = current.unwrap_or_else(|| Contribution::new(payment_id.clone()));
            self.put(current.with_session_event(&event, &NAMESPACE));
        }
        let current = self.contributions.borrow().get(&payment_id).cloned();
        let outdated = current.as_ref().map(|stored| &stored.revision) != change.revision;
        let already_settled =
            change.unless_settled && self.is_settled(&payment_id, &change.entries[0].effect);
        let expiring = change.raises.as_ref().filter(|raised| raised.expires_at.is_some());
        let is_ours = expiring.is_some_and(|raised| self.effects.state(&raised.key).is_some());
        if outdated || already_settled || is_ours {
            let record = current.filter(|_| outdated).map(Box::new);
            let is_absent = record.is_none() && change.revision.is_some();
            return Ok(Saved::Refused(CurrentRows { record, is_absent, already_settled, is_ours }));
        }
        if let Some(RaisedVersion { key, expires_at }) = &change.raises {
            self.effects.put_version(key, *expires_at);
        }
        self.put(change.contribution);
        match change.expires_at {
            Some(expires_at) => self.expires_at.borrow_mut().insert(payment_id.clone(), expires_at),
            None => self.expires_at.borrow_mut().remove(&payment_id),
        };
        let mut supporters = self.supporters.borrow_mut();
        if let Some(left) = change.left_supporter {
            supporters.remove(&(left, payment_id.clone()));
        }
        if let Some(row) = change.supporter {
            supporters.insert((row.supporter_id.clone(), payment_id.clone()), row);
        }
        if let Some(ContractNote { key, contract, .. }) = change.contract {
            let row = EffectRow::new(key.effect.clone(), EffectState::Done);
            self.effects.put_row(&key.subject, EffectRow { reference: Some(contract.clone()), ..row });
        }
        for LedgerEntry { effect, moved, expires_at, .. } in change.entries {
            let row = EffectRow { moved, expires_at, ..EffectRow::new(effect, EffectState::Done) };
            self.effects.put_row(&payment_id, row);
        }
        Ok(Saved::Written)
    }
}

/// A time at which events can have happened, before those of the fixtures.
const T: i64 = 1_790_000_000;

const NAMESPACE: Uuid = Uuid::from_u128(7);

type TestTask = ContributionRecords<InMemoryRecords, SubscriptionsAtStripe, InMemoryEffects, ManualClock>;

fn task() -> TestTask {
    let records = InMemoryRecords::default();
    let clock = ManualClock::default();
    let ledger = records.effects.clone();
    ContributionRecords {
        lookup: PaymentLookup {
            stripe: SubscriptionsAtStripe::default(),
            ledger: ledger.clone(),
            clock: clock.clone(),
        },
        ledger,
        records,
        policy: Policy::compiled_in().unwrap(),
        livemode: false,
        supporter_namespace: NAMESPACE,
        clock,
    }
}

async fn deliver(task: &TestTask, events: &[Value]) -> (Tally, InMemoryQueue) {
    testkit::queue::deliver("contribution-records", task, &task.clock, "afterlink.webhook", events).await
}

/// Everything that is stored, comparable between two histories.
fn rows(task: &TestTask) -> Value {
    let contributions = task.records.contributions.borrow();
    let supporters = task.records.supporters.borrow();
    json!({
        "contributions": contributions.values().map(|stored| json!(stored.contribution)).collect::<Vec<_>>(),
        "expires_at": task.records.expires_at.borrow().values().collect::<Vec<_>>(),
        "supporters": supporters.values().map(|row| json!(row)).collect::<Vec<_>>(),
        "effects": task.ledger.rows().iter().filter(not_asked).map(|(_, row)| shown(row)).collect::<Vec<_>>(),
    })
}

/// What Stripe was asked depends on the order of events; the records do not.
fn not_asked((key, _): &&(EffectKey, EffectRow)) -> bool {
    key.effect != effects::lookup()
}

/// A ledger row in one line.
fn shown(row: &EffectRow) -> String {
    let mut line = format!("{} {}", row.effect, row.state.name());
    if let Some(moved) = row.moved {
        line += &format!(" {} {}", moved.amount.decimal_text(), moved.amount.currency());
    }
    if row.expires_at.is_some() {
        line += " for a week";
    }
    line
}

fn status(task: &TestTask) -> ContributionStatus {
    task.records.contributions.borrow()[&PaymentId::new("pi_Example")].contribution.status()
}

mod subscriptions;

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
async fn a_failed_refund_is_handed_to_an_operator_once() {
    let task = task();
    let failed = |at| CorrectionEvent::refund("Example", "re_1", "failed").at(T + at).to_json();
    let open = EffectKey::new("pi_Example", effects::contribution_refund_failed("re_1"));
    deliver(&task, &[failed(100)]).await;
    assert_eq!(task.records.effects.state(&open), None, "it may be another business's");
    // In whichever order they come.
    let (tally, _) = deliver(&task, &[StripeEvent::paid().to_json(), failed(100)]).await;
    assert_eq!(tally.counted["RefundFailed"], 1);
    let parked = EffectState::Parked { reason: "refund_failed".to_owned() };
    assert_eq!(task.records.effects.state(&open), Some(parked));
    // An operator has paid the customer in another way; what comes again opens nothing.
    let closed = EffectState::Skipped { reason: "closed_by_operator".to_owned() };
    task.records.effects.put(&open, closed.clone());
    let (tally, _) = deliver(&task, &[failed(100), failed(200)]).await;
    assert_eq!((tally.counted.len(), task.records.effects.state(&open)), (0, Some(closed)));
    let (tally, _) =
        deliver(&task, &[CorrectionEvent::refund("Example", "re_2", "canceled").to_json()]).await;
    assert_eq!(tally.counted, [].into(), "somebody of ours called it off");
}

/// The golden file is what the alarms on payments and failed refunds are checked against.
#[tokio::test]
async fn counts_a_payment_once_when_its_money_is_first_heard_of() {
    let task = task();
    let (tally, _) = deliver(&task, &[StripeEvent::unpaid().at(T + 100).to_json()]).await;
    assert_eq!(tally.counted, [].into(), "the money is not there yet");
    let (tally, _) = deliver(&task, &[StripeEvent::async_succeeded().at(T + 300).to_json()]).await;
    let mut lines = testkit::metrics::of_task(crate::NAME, &tally);
    let failed = CorrectionEvent::refund("Example", "re_0", "failed").at(T + 400).to_json();
    let (tally, _) = deliver(&task, &[failed]).await;
    lines.extend(testkit::metrics::of_task(crate::NAME, &tally));
    testkit::metrics::assert_golden(&lines, include_str!("../../metrics.golden.json"));
    let again = [
        StripeEvent::async_succeeded().at(T + 300).to_json(),
        StripeEvent::async_succeeded().at(T + 300).event_id("evt_twin").to_json(),
        StripeEvent::async_succeeded().at(T + 200).event_id("evt_earlier").to_json(),
        CorrectionEvent::refund("Example", "re_1", "created").to_json(),
    ];
    let (tally, _) = deliver(&task, &again).await;
    assert_eq!(tally.counted, [].into());
    // A refund that came first does not hide its payment.
    let other = [
        CorrectionEvent::refund("Other", "re_2", "created").to_json(),
        StripeEvent::paid().payment("Other").to_json(),
    ];
    let (tally, _) = deliver(&task, &other).await;
    assert_eq!(tally.counted, [("Paid", 1)].into());
}

#[tokio::test]
async fn any_order_and_any_duplication_leave_the_same_rows() {
    check_every_order(&[
        StripeEvent::unpaid().at(T + 100).to_json(),
        StripeEvent::async_failed().at(T + 200).email("other@example.org").to_json(),
        StripeEvent::async_succeeded().at(T + 300).to_json(),
        // Two events for one change, in the same second.
        StripeEvent::async_succeeded().at(T + 300).event_id("evt_twin").to_json(),
    ])
    .await;
}

#[tokio::test]
async fn refunds_and_disputes_leave_the_same_rows_before_after_and_between_their_payment() {
    check_every_order(&[
        StripeEvent::paid().at(T + 100).to_json(),
        CorrectionEvent::refund("Example", "re_1", "created").at(T + 200).to_json(),
        CorrectionEvent::refund("Example", "re_1", "failed").at(T + 200).to_json(),
        CorrectionEvent::refund("Example", "re_2", "created").status("pending").at(T + 300).to_json(),
    ])
    .await;
    check_every_order(&[
        StripeEvent::paid().at(T + 100).to_json(),
        CorrectionEvent::dispute("Example", "dp_1", "created").at(T + 200).to_json(),
        CorrectionEvent::dispute("Example", "dp_1", "funds_withdrawn").at(T + 200).to_json(),
        CorrectionEvent::dispute("Example", "dp_1", "closed").status("lost").at(T + 200).to_json(),
        CorrectionEvent::refund("Example", "re_1", "created").at(T + 300).to_json(),
    ])
    .await;
}

/// Every order of a payment's events, each delivered twice, must leave the rows that their own order leaves.
async fn check_every_order(history: &[Value]) {
    let expected = {
        let task = task();
        deliver(&task, history).await;
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

#[tokio::test]
async fn a_duplicate_costs_one_call_and_is_skipped() {
    let task = task();
    let refund = CorrectionEvent::refund("Example", "re_1", "created").to_json();
    deliver(&task, &[StripeEvent::paid().to_json(), refund.clone()]).await;
    // The records' transaction writes the ledger that they have; a look-up beside it leaves its row here.
    let task = ContributionRecords { ledger: InMemoryEffects::default(), ..task };
    for event in [StripeEvent::paid().to_json(), refund] {
        let before = *task.records.saves.borrow();
        let (tally, _) = deliver(&task, &[event]).await;
        assert_eq!(tally.skipped, [("already_done", 1)].into());
        assert_eq!((*task.records.saves.borrow() - before, task.ledger.rows()), (1, vec![]));
    }
}

#[tokio::test]
async fn folds_again_onto_a_record_that_changed_meanwhile() {
    let task = task();
    let read = |event: StripeEvent| {
        let event = stripe_events::Event::from_value(event.to_json()).unwrap();
        SessionEvent::from_event(&event, false).unwrap()
    };
    *task.records.meddler.borrow_mut() = vec![read(StripeEvent::unpaid().at(T + 50))];
    let (tally, _) = deliver(&task, &[StripeEvent::async_succeeded().at(T + 300).to_json()]).await;
    assert_eq!(tally.done, 1);
    let contributions = task.records.contributions.borrow();
    let contribution = &contributions[&PaymentId::new("pi_Example")].contribution;
    assert_eq!((contribution.pending_at, contribution.paid_at), (Some(T + 50), Some(T + 300)));
}

#[tokio::test]
async fn goes_back_when_the_record_never_holds_still() {
    let task = task();
    let read = |at| {
        let event = StripeEvent::unpaid().at(at).event_id(&format!("evt_{at}")).to_json();
        SessionEvent::from_event(&stripe_events::Event::from_value(event).unwrap(), false).unwrap()
    };
    *task.records.meddler.borrow_mut() = (0..20).map(|i| read(T + 1000 - i)).rev().collect();
    let (tally, _) = deliver(&task, &[StripeEvent::async_succeeded().at(T + 300).to_json()]).await;
    assert_eq!((tally.done, tally.retried), (0, 1));
}

#[tokio::test]
async fn a_broken_link_contract_is_parked_under_the_effect_it_should_have_had() {
    let task = task();
    let broken = StripeEvent::paid().metadata(json!({ "fulfilment": "donation" })).to_json();
    let (tally, queue) = deliver(&task, &[broken]).await;
    assert_eq!(tally.parked, 1);
    assert_eq!(queue.dead_letters.borrow()[0].1, "broken_link_contract");
    let names_key_and_values =
        "metadata key `fulfilment` is \"donation\"; it must be contribution, download or membership";
    assert!(queue.causes.borrow()[0].ends_with(names_key_and_values), "{:?}", queue.causes.borrow());
    assert_eq!(rows(&task)["effects"], json!(["contribution#paid parked"]));
    // Fixed and redriven, it is done like any other.
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

#[tokio::test]
async fn status_and_supporter_row_follow_refunds() {
    let task = task();
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    for (refund, expected, entry) in [
        (
            CorrectionEvent::refund("Example", "re_1", "created"),
            ContributionStatus::PartRefunded,
            "contribution#refund#re_1 done 5.00 gbp",
        ),
        (
            CorrectionEvent::refund("Example", "re_2", "created").amount(750, "gbp").status("pending"),
            ContributionStatus::Refunded,
            "contribution#refund#re_2 done 7.50 gbp",
        ),
        (
            CorrectionEvent::refund("Example", "re_2", "failed").amount(750, "gbp"),
            ContributionStatus::PartRefunded,
            "contribution#refund#re_2 done 0.00 gbp",
        ),
    ] {
        let (tally, _) = deliver(&task, &[refund.to_json()]).await;
        assert_eq!((tally.done, status(&task)), (1, expected));
        let rows = rows(&task);
        assert_eq!(rows["supporters"][0]["status"], json!(expected));
        assert!(rows["effects"].as_array().unwrap().contains(&json!(entry)), "{rows}");
    }
}

#[tokio::test]
async fn status_and_supporter_row_follow_disputes() {
    let task = task();
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    let dispute = |what, status| CorrectionEvent::dispute("Example", "dp_1", what).status(status);
    for (at, dispute, expected, held) in [
        (1, dispute("created", "warning_needs_response"), ContributionStatus::Paid, "0.00"),
        (2, dispute("created", "needs_response"), ContributionStatus::Disputed, "0.00"),
        (3, dispute("funds_withdrawn", "needs_response"), ContributionStatus::Disputed, "12.50"),
        (4, dispute("closed", "won"), ContributionStatus::Paid, "0.00"),
        (5, dispute("closed", "lost"), ContributionStatus::Lost, "12.50"),
    ] {
        let event = dispute.at(1_795_001_000 + at).event_id(&format!("evt_{at}")).to_json();
        let (tally, _) = deliver(&task, &[event]).await;
        assert_eq!((tally.done, status(&task)), (1, expected), "{at}");
        let rows = rows(&task);
        assert_eq!(rows["supporters"][0]["status"], json!(expected));
        assert_eq!(rows["effects"][0], format!("contribution#dispute#dp_1 done {held} gbp"));
    }
}

#[tokio::test]
async fn a_refund_of_an_unknown_payment_is_gone_after_a_week_without_an_alarm() {
    let task = task();
    let (tally, queue) = deliver(
        &task,
        &[
            CorrectionEvent::refund("Example", "re_1", "created").to_json(),
            CorrectionEvent::dispute("Example", "dp_1", "funds_withdrawn").to_json(),
        ],
    )
    .await;
    assert_eq!((tally.done, tally.parked, tally.unknown), (2, 0, 0));
    assert!(queue.dead_letters.borrow().is_empty());
    let in_a_week = task.clock.now_ms() / 1000 + 7 * 86_400;
    let rows = rows(&task);
    assert_eq!(rows["expires_at"], json!([in_a_week]));
    assert!(task.ledger.rows().iter().all(|(_, row)| row.expires_at == Some(in_a_week)));
    assert_eq!(rows["supporters"], json!([]));
}

#[tokio::test]
async fn the_payment_keeps_the_refund_that_waited_for_it() {
    let task = task();
    deliver(&task, &[CorrectionEvent::refund("Example", "re_1", "created").to_json()]).await;
    assert_eq!(rows(&task)["effects"], json!(["contribution#refund#re_1 done 5.00 gbp for a week"]));
    task.clock.advance_ms(86_400_000);
    deliver(&task, &[StripeEvent::paid().at(T + 1000).to_json()]).await;
    let rows = rows(&task);
    assert_eq!(rows["effects"], json!(["contribution#paid done", "contribution#refund#re_1 done 5.00 gbp"]));
    let retention = task.policy.kind(fulfilment::FulfilmentKind::Contribution).retention_days * 86_400;
    assert_eq!(rows["expires_at"], json!([T + 1000 + retention]));
    assert_eq!(rows["supporters"][0]["status"], "part_refunded");
}

#[tokio::test]
async fn a_refund_delivered_twice_is_skipped() {
    let task = task();
    let refund = CorrectionEvent::refund("Example", "re_1", "created");
    let (tally, _) = deliver(&task, &[refund.to_json(), refund.to_json()]).await;
    assert_eq!((tally.done, tally.skipped), (1, [("already_done", 1)].into()));
}

#[tokio::test]
async fn refunds_that_cannot_be_ours_leave_nothing() {
    let task = task();
    let events = [
        CorrectionEvent::refund("Example", "re_1", "created").object("payment_intent", json!(null)).to_json(),
        CorrectionEvent::dispute("Example", "dp_1", "created").livemode().to_json(),
    ];
    let (tally, _) = deliver(&task, &events).await;
    assert_eq!(tally.skipped, [("no_payment_intent", 1), ("other_livemode", 1)].into());
    assert_eq!(rows(&task)["contributions"], json!([]));
}

#[tokio::test]
async fn a_refund_without_an_amount_is_parked_under_its_own_effect() {
    let task = task();
    let broken = CorrectionEvent::refund("Example", "re_1", "created").object("amount", json!(null));
    let (tally, queue) = deliver(&task, &[broken.to_json()]).await;
    assert_eq!(tally.parked, 1);
    assert_eq!(queue.dead_letters.borrow()[0].1, "no_amount");
    assert_eq!(rows(&task)["effects"], json!(["contribution#refund#re_1 parked"]));
}

#[tokio::test]
async fn writes_the_rows_its_events_call_for() {
    let policy = Policy::compiled_in().unwrap();
    let make = || {
        let task = task();
        task.lookup.stripe.began_the_recorded();
        let ledger = task.ledger.clone();
        (task, ledger)
    };
    let own = |effect: &str| effect.starts_with("contribution#");
    testkit::expected_effects::check("contribution-records", &ManualClock::default(), &policy, own, make)
        .await;
}

#[tokio::test]
async fn a_ledger_that_forgot_a_record_is_settled_again() {
    let task = task();
    let event = StripeEvent::paid().to_json();
    deliver(&task, std::slice::from_ref(&event)).await;
    let key = EffectKey::new("pi_Example", effects::contribution(SessionOutcome::Paid));
    task.ledger.forget(&key);
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!(tally.skipped, [("already_recorded", 1)].into());
    let skipped = EffectState::Skipped { reason: "already_recorded".to_owned() };
    assert_eq!(task.ledger.state(&key), Some(skipped));
}

fn thanks() -> EffectKey {
    EffectKey { subject: Subject::new("pi_Example"), effect: effects::email_about(SessionOutcome::Paid) }
}

#[tokio::test]
async fn the_thank_yous_version_is_raised_by_every_refund_and_by_nothing_else() {
    let task = task();
    let refund = |what| CorrectionEvent::refund("Example", "re_1", what).to_json();
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    let dispute = CorrectionEvent::dispute("Example", "dp_1", "funds_withdrawn").to_json();
    deliver(&task, &[dispute]).await;
    assert_eq!(task.ledger.waiting_version(&thanks()), None);
    deliver(&task, &[refund("created"), refund("created")]).await;
    assert_eq!(task.ledger.waiting_version(&thanks()), Some((1, None)));
    task.ledger.put(&thanks(), EffectState::Done);
    deliver(&task, &[refund("failed")]).await;
    assert_eq!(task.ledger.row(&thanks()).unwrap().version, 1, "what was put there anew had none");
}

#[tokio::test]
async fn word_of_a_refund_of_an_unknown_payment_goes_away_unless_the_payment_comes() {
    let task = task();
    deliver(&task, &[CorrectionEvent::refund("Example", "re_1", "created").to_json()]).await;
    let in_a_week = task.clock.now_ms() / 1000 + 7 * 86_400;
    assert_eq!(task.ledger.waiting_version(&thanks()), Some((1, Some(in_a_week))));
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    assert_eq!(task.ledger.waiting_version(&thanks()), Some((2, None)));
}

/// The mail may be there before the record, and its row must not expire.
#[tokio::test]
async fn word_of_a_refund_of_a_payment_that_only_the_mail_knows_makes_nothing_expire() {
    let task = task();
    task.ledger.put(&thanks(), EffectState::Done);
    let (tally, _) = deliver(&task, &[CorrectionEvent::refund("Example", "re_1", "created").to_json()]).await;
    let row = task.ledger.row(&thanks()).unwrap();
    assert_eq!((tally.done, row.state, row.version, row.expires_at), (1, EffectState::Done, 1, None));
}

fn contribution(task: &TestTask) -> Contribution {
    task.records.contributions.borrow()[&PaymentId::new("pi_Example")].contribution.clone()
}

/// What DynamoDB's TTL does after so many days.
fn days_pass(task: &TestTask, days: i64) {
    task.clock.advance_ms(days * 86_400_000);
    let now = task.clock.now_ms() / 1000;
    let mut expires_at = task.records.expires_at.borrow_mut();
    for (payment_id, _) in expires_at.extract_if(.., |_, at| *at < now) {
        task.records.contributions.borrow_mut().remove(&payment_id);
    }
    for (key, row) in task.ledger.rows() {
        if row.expires_at.is_some_and(|at| at < now) {
            task.ledger.forget(&key);
        }
    }
}

fn broken() -> Value {
    StripeEvent::paid().metadata(json!({ "fulfilment": "donation" })).to_json()
}

fn dispute(what: &str, status: &str, at: i64) -> CorrectionEvent {
    CorrectionEvent::dispute("Example", "dp_1", what).status(status).at(at)
}

#[tokio::test]
async fn what_came_before_or_after_a_parked_payment_waits_until_it_is_sent_again() {
    let refund = CorrectionEvent::refund("Example", "re_1", "created").amount(250, "gbp").to_json();
    let lost = dispute("closed", "lost", 1_795_000_900).amount(1000, "gbp").to_json();
    let histories = [
        [broken(), refund.clone(), lost.clone()],
        [refund.clone(), broken(), lost.clone()],
        [refund, lost, broken()],
    ];
    for (number, history) in histories.iter().enumerate() {
        for days in [8, 14] {
            let task = task();
            deliver(&task, history).await;
            days_pass(&task, days);
            deliver(&task, &[StripeEvent::paid().to_json()]).await;
            assert_eq!(status(&task), ContributionStatus::Lost, "{number} {days}");
            // By these the thanks know.
            for row in [
                "contribution#dispute#dp_1 done 10.00 gbp",
                "contribution#dispute#dp_1#lost done 10.00 gbp",
                "contribution#refund#re_1 done 2.50 gbp",
            ] {
                assert!(told_rows(&task).contains(&row.to_owned()), "{row} {number} {days}");
            }
        }
    }
}

fn told_rows(task: &TestTask) -> Vec<String> {
    task.ledger.rows().iter().map(|(_, row)| shown(row)).collect()
}

#[tokio::test]
async fn what_comes_for_another_businesss_payment_goes_away_after_a_week() {
    let task = task();
    let lost = dispute("closed", "lost", 1_795_000_900).to_json();
    deliver(&task, &[CorrectionEvent::refund("Example", "re_1", "created").to_json(), lost]).await;
    days_pass(&task, 8);
    assert!(task.records.contributions.borrow().is_empty());
    assert!(told_rows(&task).is_empty());
}

#[tokio::test]
async fn a_record_that_was_erased_is_not_written_again() {
    let paid = StripeEvent::paid().to_json();
    let refund = CorrectionEvent::refund("Example", "re_1", "created").to_json();
    let lost = dispute("closed", "lost", 1_795_000_900).to_json();
    let task = task();
    deliver(&task, &[paid.clone(), refund.clone()]).await;
    task.records.contributions.borrow_mut().clear();
    task.records.supporters.borrow_mut().clear();
    // Redelivered, reported by a second event, made by reconciliation, and what the ledger has not seen yet.
    let twin = StripeEvent::paid().event_id("evt_twin").to_json();
    let made = StripeEvent::paid().event_id("evt_reconcile_cs_test_Example").to_json();
    let events = [paid, twin, made, refund, lost];
    for _ in 0..2 {
        let (tally, _) = deliver(&task, &events).await;
        assert_eq!(tally.skipped, [("erased_or_expired", 5)].into());
        assert_eq!(tally.counted, [].into());
    }
    assert!(task.records.contributions.borrow().is_empty());
    assert!(task.records.supporters.borrow().is_empty());
    // Reconciliation looks for nothing: the ledger knows them all.
    let lost = effects::contribution_dispute_status("dp_1", fulfilment::DisputeStatus::Lost);
    assert!(task.records.is_settled(&PaymentId::new("pi_Example"), &lost));
}

/// Version a4e61b4 filed every step of a dispute in one row.
#[tokio::test]
async fn a_verdict_is_recorded_where_an_earlier_version_noted_the_dispute() {
    let task = task();
    deliver(
        &task,
        &[
            StripeEvent::paid().to_json(),
            dispute("created", "needs_response", 1_795_000_100).to_json(),
            dispute("funds_withdrawn", "needs_response", 1_795_000_101).to_json(),
        ],
    )
    .await;
    assert_eq!(told_rows(&task), ["contribution#dispute#dp_1 done 12.50 gbp", "contribution#paid done"]);
    let lost = dispute("closed", "lost", 1_797_000_000).to_json();
    let (tally, _) = deliver(&task, &[lost.clone(), lost]).await;
    assert_eq!((tally.done, tally.skipped), (1, [("already_done", 1)].into()));
    assert_eq!(status(&task), ContributionStatus::Lost);
}

#[tokio::test]
async fn what_stripe_has_now_is_newer_than_what_its_events_said_and_older_than_what_they_say_later() {
    let opened = json!(1_795_000_100);
    let real = |what: &str, status: &str, at: i64| {
        dispute(what, status, at).event_id(&format!("evt_{at}")).object("created", opened.clone()).to_json()
    };
    let made = |status: &str, at: i64| {
        let event = dispute("funds_withdrawn", status, at).event_id("evt_reconcile_dp_1");
        event.object("created", opened.clone()).to_json()
    };
    let so_far = [
        StripeEvent::paid().to_json(),
        real("created", "needs_response", 1_795_000_100),
        real("funds_withdrawn", "under_review", 1_795_000_101),
    ];
    // Dated by when Stripe was asked, and by an earlier version by when the dispute was opened.
    for made_at in [1_798_000_000, 1_795_000_100] {
        check_every_order(&[&so_far[..], &[made("lost", made_at)]].concat()).await;
        let task = task();
        deliver(&task, &so_far).await;
        deliver(&task, &[made("lost", made_at)]).await;
        assert_eq!(status(&task), ContributionStatus::Lost, "{made_at}");
        let appeal = real("updated", "appeal_under_review", 1_799_000_000);
        deliver(&task, &[appeal]).await;
        assert_eq!(status(&task), ContributionStatus::Disputed, "{made_at}");
        deliver(&task, &[real("closed", "won", 1_799_100_000)]).await;
        assert_eq!(status(&task), ContributionStatus::Paid, "{made_at}");
    }
}

#[tokio::test]
async fn a_made_event_does_not_move_the_days_that_stripe_reported() {
    let opened = 1_795_000_000;
    let paid = 1_795_000_000 + 5 * 86_400;
    let of = |event: StripeEvent, at: i64| event.session("created", json!(opened)).at(at).to_json();
    let made = of(StripeEvent::paid().event_id("evt_reconcile_cs_test_Example"), opened);
    let events =
        [of(StripeEvent::unpaid(), opened + 300), of(StripeEvent::async_succeeded(), paid), made.clone()];
    for events in [events.clone(), [&events[2..], &events[..2]].concat().try_into().unwrap()] {
        let task = task();
        deliver(&task, &events).await;
        let record = contribution(&task);
        assert_eq!((record.pending_at, record.paid_at), (Some(opened + 300), Some(paid)));
        assert!(record.made_dates.is_empty());
    }
    let task = task();
    deliver(&task, &[made]).await;
    assert_eq!(contribution(&task).paid_at, Some(opened), "while there is no better one");
}
