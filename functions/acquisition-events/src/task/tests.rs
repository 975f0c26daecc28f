use std::cell::RefCell;
use std::collections::BTreeMap;

use effect_ledger::{
    Attempted, Claim, Disposition, EffectState, Executor, NotGranted, Refused, Settlement, Subject,
};
use effect_ledger::{Effect, EffectRow};
use fulfilment::{AcquisitionKind, Cause, Money, PaymentId, effects};
use proptest::prelude::*;
use serde_json::{Value, json};
use task_runtime::Tally;
use testkit::clock::ManualClock;
use testkit::ledger::InMemoryEffects;
use testkit::queue::InMemoryQueue;
use testkit::stripe::{CorrectionEvent, SessionEvent as StripeEvent};
use testkit::subscriptions::SubscriptionsAtStripe;

use super::*;

/// A bus that remembers its entries, and first gives the replies that a test sets. No entry breaks the schema.
#[derive(Default)]
struct InMemoryBus {
    published: RefCell<Vec<AcquisitionEvent>>,
    answers: RefCell<Vec<Attempted<NotPublished>>>,
}

impl AcquisitionBus for InMemoryBus {
    async fn publish(&self, event: &AcquisitionEvent) -> Attempted<NotPublished> {
        let violations = testkit::acquisition::violations(&serde_json::to_value(event).unwrap());
        assert_eq!(violations, Vec::<String>::new(), "{event:?}");
        let answer = self.answers.borrow_mut().pop().unwrap_or(Attempted::Accepted("eb-1".to_owned()));
        if matches!(answer, Attempted::Accepted(_) | Attempted::Ambiguous(_)) {
            self.published.borrow_mut().push(event.clone());
        }
        answer
    }
}

type TestTask<L = InMemoryEffects> = AcquisitionEvents<SubscriptionsAtStripe, L, InMemoryBus, ManualClock>;

fn task() -> TestTask {
    task_over(InMemoryEffects::default())
}

fn task_over<L: Clone>(ledger: L) -> TestTask<L> {
    let clock = ManualClock::default();
    AcquisitionEvents {
        lookup: PaymentLookup {
            stripe: SubscriptionsAtStripe::default(),
            ledger: ledger.clone(),
            clock: clock.clone(),
        },
        ledger,
        bus: InMemoryBus::default(),
        policy: Policy::compiled_in().unwrap(),
        livemode: false,
        supporter_namespace: Uuid::from_u128(7),
        clock,
    }
}

async fn deliver<L: EffectStore>(task: &TestTask<L>, events: &[Value]) -> (Tally, InMemoryQueue) {
    deliver_from("afterlink.webhook", task, events).await
}

async fn deliver_from<L: EffectStore>(
    source: &str,
    task: &TestTask<L>,
    events: &[Value],
) -> (Tally, InMemoryQueue) {
    testkit::queue::deliver("acquisition-events", task, &task.clock, source, events).await
}

fn key_of(effect: Effect) -> EffectKey {
    EffectKey { subject: Subject::new("pi_Example"), effect }
}

fn acquisition() -> EffectKey {
    key_of(effects::acquisition())
}

fn refund(id: &str) -> EffectKey {
    key_of(effects::acquisition_correction(&Movement::Refund(id.to_owned())))
}

fn state(task: &TestTask, key: &EffectKey) -> Option<&'static str> {
    task.ledger.state(key).map(|state| state.name())
}

/// The published events, in order, as kind and amount.
fn published<L>(task: &TestTask<L>) -> Vec<(AcquisitionKind, i64)> {
    task.bus.published.borrow().iter().map(|event| (event.kind, event.amount)).collect()
}

/// What a consumer that drops repeats adds up to.
fn kept<L>(task: &TestTask<L>) -> i64 {
    let published = task.bus.published.borrow();
    let by_id: BTreeMap<_, _> = published.iter().map(|event| (event.event_id, event.amount)).collect();
    by_id.values().sum()
}

const PAID: (AcquisitionKind, i64) = (AcquisitionKind::Acquisition, 1250);

mod subscriptions;

#[tokio::test]
async fn publishes_a_payment_once_however_often_it_hears_of_it() {
    let task = task();
    let event = StripeEvent::paid().to_json();
    let twin = StripeEvent::paid().event_id("evt_twin").to_json();
    let (tally, _) = deliver(&task, &[event.clone(), event, twin]).await;
    assert_eq!((tally.done, tally.skipped), (1, [("already_done", 2)].into()));
    deliver(&task, &[StripeEvent::async_succeeded().to_json()]).await;
    assert_eq!(published(&task), [PAID]);
}

#[tokio::test]
async fn publishes_nothing_that_is_not_paid_or_not_ours() {
    let task = task();
    let events = [
        StripeEvent::unpaid().to_json(),
        StripeEvent::async_failed().to_json(),
        StripeEvent::unpaid().metadata(json!({ "fulfilment": "donation" })).to_json(),
        StripeEvent::paid().without_marker().to_json(),
        StripeEvent::paid().livemode().to_json(),
        CorrectionEvent::refund("Example", "re_1", "created").livemode().to_json(),
    ];
    let (tally, _) = deliver(&task, &events).await;
    let expected = [("another_business", 1), ("not_paid", 3), ("other_livemode", 2)];
    assert_eq!(tally.skipped, expected.into());
    assert_eq!(published(&task), []);
    assert_eq!(task.ledger.of_subject(&PaymentId::new("pi_Example")).await.unwrap(), []);
}

#[tokio::test]
async fn a_free_session_is_an_acquisition_too() {
    let task = task();
    let free = StripeEvent::paid().session("payment_status", json!("no_payment_required"));
    let free = free.amount(0, "gbp").session("payment_intent", json!(null));
    deliver(&task, &[free.to_json()]).await;
    assert_eq!(published(&task), [(AcquisitionKind::Acquisition, 0)]);
    assert_eq!(task.bus.published.borrow()[0].payment_id.as_str(), "cs_test_Example");
}

#[tokio::test]
async fn attributes_the_sale_and_the_visit_wins() {
    let task = task();
    let link = json!({
        "fulfilment": "download", "campaign": "autumn", "source": "newsletter", "labels": "a, b",
        "component": "footer", "component_type": "banner", "ab_test": "colour:blue"
    });
    let visit = json!({ "c": "winter", "i": "header", "v": "pv1", "b": "bw1", "a": ["price:high"] });
    deliver(&task, &[StripeEvent::paid().metadata(link).visit(&visit).to_json()]).await;
    let published = task.bus.published.borrow();
    let event = serde_json::to_value(&published[0]).unwrap();
    let expected = json!({
        "product": "DOWNLOAD", "campaign_codes": ["winter"], "source": "newsletter", "labels": ["a", "b"],
        "component_id": "header", "component_type": "banner", "page_view_id": "pv1", "browser_id": "bw1",
        "ab_tests": [{ "name": "price", "variant": "high" }]
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&event[field], value, "{field}");
    }
}

#[tokio::test]
async fn says_what_reconciliation_found() {
    for (source, replayed) in [("afterlink.webhook", false), ("afterlink.reconcile", true)] {
        let task = task();
        deliver_from(source, &task, &[StripeEvent::paid().to_json()]).await;
        assert_eq!(task.bus.published.borrow()[0].replayed, replayed, "{source}");
    }
}

/// Consumers drop repeats by it, also what reconciliation finds although it had been published.
#[tokio::test]
async fn a_replay_has_the_id_of_what_it_repeats() {
    let task = task();
    for source in ["afterlink.webhook", "afterlink.reconcile"] {
        deliver_from(source, &task, &[StripeEvent::paid().to_json()]).await;
        task.ledger.put(&acquisition(), EffectState::Retry { reason: "forgotten".to_owned() });
    }
    let published = task.bus.published.borrow();
    let ids: Vec<_> = published.iter().map(|event| (event.event_id, event.replayed)).collect();
    assert_eq!(ids, [(ids[0].0, false), (ids[0].0, true)]);
}

#[tokio::test]
async fn a_broken_link_contract_is_parked_but_never_hides_what_was_published() {
    let task = task();
    let broken = StripeEvent::paid().metadata(json!({ "fulfilment": "donation" })).to_json();
    let (tally, queue) = deliver(&task, std::slice::from_ref(&broken)).await;
    assert_eq!((tally.parked, state(&task, &acquisition())), (1, Some("parked")));
    assert_eq!(queue.dead_letters.borrow()[0].1, "broken_link_contract");
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    let (tally, _) = deliver(&task, &[broken]).await;
    assert_eq!((tally.skipped, published(&task)), ([("already_done", 1)].into(), vec![PAID]));
}

#[tokio::test]
async fn an_entry_that_was_not_taken_is_sent_again_alone() {
    let task = task();
    let throttled = Attempted::NotDone(NotPublished::NotTaken("ThrottlingException".to_owned()));
    *task.bus.answers.borrow_mut() = vec![throttled];
    let one = StripeEvent::paid().to_json();
    let other = StripeEvent::paid().payment("Other").to_json();
    let (tally, _) = deliver(&task, &[one.clone(), other.clone()]).await;
    assert_eq!((tally.done, tally.retried), (1, 1));
    let (tally, _) = deliver(&task, &[one, other]).await;
    assert_eq!((tally.done, tally.skipped), (1, [("already_done", 1)].into()));
    assert_eq!(published(&task).len(), 2);
}

#[tokio::test]
async fn a_lost_reply_is_published_again_under_the_same_id() {
    let task = task();
    *task.bus.answers.borrow_mut() = vec![Attempted::Ambiguous(NotPublished::NoAnswer("timeout".into()))];
    let event = [StripeEvent::paid().to_json()];
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.retried, state(&task, &acquisition())), (1, Some("retry")));
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.done, published(&task), kept(&task)), (1, vec![PAID, PAID], 1250));
}

#[tokio::test]
async fn what_somebody_died_at_is_published_again() {
    let task = task();
    let now = task.clock.now_ms();
    let claim = Claim { owner: "died".to_owned(), attempt: 1, lease_until: now + 60_000 };
    task.ledger.put(&acquisition(), EffectState::Claimed(claim));
    let event = [StripeEvent::paid().to_json()];
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.retried, published(&task)), (1, vec![]), "the other may still be at it");
    task.clock.advance_ms(60_001);
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.done, published(&task)), (1, vec![PAID]));
}

#[tokio::test]
async fn an_entry_the_bus_refuses_is_parked() {
    let task = task();
    *task.bus.answers.borrow_mut() =
        vec![Attempted::Rejected(NotPublished::Refused("MalformedDetail".to_owned()))];
    let (tally, queue) = deliver(&task, &[StripeEvent::paid().to_json()]).await;
    assert_eq!((tally.parked, state(&task, &acquisition())), (1, Some("parked")));
    assert_eq!(queue.dead_letters.borrow()[0].1, "entry_refused");
}

#[tokio::test]
async fn each_refund_takes_its_own_amount_away_once() {
    use AcquisitionKind::Reversal;
    let task = task();
    let refunds = [
        CorrectionEvent::refund("Example", "re_1", "created").amount(200, "gbp").to_json(),
        CorrectionEvent::refund("Example", "re_1", "updated").amount(200, "gbp").to_json(),
        CorrectionEvent::refund("Example", "re_2", "created").amount(1050, "gbp").to_json(),
    ];
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    let (tally, _) = deliver(&task, &refunds).await;
    assert_eq!((tally.done, tally.skipped), (2, [("already_done", 1)].into()));
    assert_eq!(published(&task), [PAID, (Reversal, -200), (Reversal, -1050)]);
    let published = task.bus.published.borrow();
    assert!(published[1..].iter().all(|event| event.reverses == Some(published[0].event_id)));
    assert_eq!(published[1].occurred_at, "2026-11-18T11:16:40Z");
}

#[tokio::test]
async fn a_refund_that_fails_later_gives_its_amount_back() {
    use AcquisitionKind::{Reinstatement, Reversal};
    let task = task();
    let created = CorrectionEvent::refund("Example", "re_1", "created").to_json();
    let failed = CorrectionEvent::refund("Example", "re_1", "failed").to_json();
    deliver(&task, &[StripeEvent::paid().to_json(), created.clone(), failed.clone()]).await;
    assert_eq!(published(&task), [PAID, (Reversal, -500), (Reinstatement, 500)]);
    let published_ids: Vec<_> = task.bus.published.borrow().iter().map(|event| event.event_id).collect();
    assert_eq!(task.bus.published.borrow()[2].reverses, Some(published_ids[1]));
    // The other way round it is the same three.
    let other = self::task();
    deliver(&other, &[StripeEvent::paid().to_json(), failed, created]).await;
    assert_eq!(published(&other), published(&task));
}

#[tokio::test]
async fn a_dispute_takes_money_only_when_it_does() {
    use AcquisitionKind::{Reinstatement, Reversal};
    let task = task();
    let dispute = |what| CorrectionEvent::dispute("Example", "dp_1", what).to_json();
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    let (tally, _) = deliver(&task, &[dispute("created"), dispute("closed")]).await;
    assert_eq!((tally.skipped, published(&task)), ([("no_money_moved", 2)].into(), vec![PAID]));
    deliver(&task, &[dispute("funds_withdrawn")]).await;
    assert_eq!(published(&task), [PAID, (Reversal, -1250)]);
    deliver(&task, &[dispute("funds_reinstated"), dispute("funds_withdrawn")]).await;
    assert_eq!(published(&task), [PAID, (Reversal, -1250), (Reinstatement, 1250)]);
}

#[tokio::test]
async fn an_inquiry_moves_no_money() {
    let task = task();
    let inquiry = CorrectionEvent::dispute("Example", "du_1", "closed").status("warning_closed").to_json();
    let (tally, _) = deliver(&task, &[StripeEvent::paid().to_json(), inquiry]).await;
    assert_eq!((tally.skipped, kept(&task)), ([("no_money_moved", 1)].into(), 1250));
}

#[tokio::test]
async fn a_refund_that_comes_before_its_payment_waits_for_it() {
    let task = task();
    let created = CorrectionEvent::refund("Example", "re_1", "created").to_json();
    let failed = CorrectionEvent::refund("Example", "re_2", "failed").to_json();
    let (tally, _) = deliver(&task, &[created.clone(), failed]).await;
    assert_eq!((tally.skipped, published(&task)), ([("payment_unknown", 2)].into(), vec![]));
    let expires_at = task.ledger.row(&refund("re_1")).unwrap().expires_at;
    assert_eq!(expires_at, Some(task.clock.now_ms() / 1000 + 7 * 86_400));
    assert_eq!(task.ledger.waiting_version(&acquisition()), Some((2, expires_at)));
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    assert_eq!((published(&task).len(), kept(&task)), (4, 750));
    assert_eq!(task.ledger.row(&refund("re_1")).unwrap().expires_at, None, "it is a payment of ours");
    let (tally, _) = deliver(&task, &[created]).await;
    assert_eq!((tally.skipped, published(&task).len()), ([("already_done", 1)].into(), 4));
}

#[tokio::test]
async fn a_correction_says_why_also_when_it_has_waited() {
    let refund = CorrectionEvent::refund("Example", "re_1", "created")
        .object("reason", json!("requested_by_customer"))
        .to_json();
    let dispute = CorrectionEvent::dispute("Example", "du_1", "funds_withdrawn")
        .object("reason", json!("fraudulent"))
        .to_json();
    let paid = StripeEvent::paid().to_json();
    for order in [[&paid, &refund, &dispute], [&refund, &dispute, &paid]] {
        let task = task();
        deliver(&task, &order.map(Clone::clone)).await;
        let published = task.bus.published.borrow();
        let causes: Vec<_> = published
            .iter()
            .filter(|event| event.kind == AcquisitionKind::Reversal)
            .map(|event| (event.cause, event.cause_id.as_deref(), event.reason.as_deref()))
            .collect();
        let expected = [
            (Some(Cause::Refund), Some("re_1"), Some("requested_by_customer")),
            (Some(Cause::Dispute), Some("du_1"), Some("fraudulent")),
        ];
        assert!(expected.iter().all(|cause| causes.contains(cause)), "{causes:?}");
        assert_eq!(causes.len(), 2);
    }
}

/// Versions up to 0.2.0 left no word for why in the ledger.
#[tokio::test]
async fn a_correction_that_an_earlier_version_left_waiting_has_no_reason() {
    let task = task();
    let amount = Money::new(500, "gbp".try_into().unwrap());
    let row = EffectRow {
        moved: Some(MovedMoney { amount, occurred_at: 1_795_000_600 }),
        version: 0,
        ..EffectRow::new(refund("re_1").effect, EffectState::Retry { reason: PAYMENT_UNKNOWN.to_owned() })
    };
    task.ledger.put_row(&acquisition().subject, row);
    task.ledger.put_version(&acquisition(), None);
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    let published = task.bus.published.borrow();
    let correction = &published[1];
    let cause = (correction.cause, correction.cause_id.as_deref(), correction.reason.as_deref());
    assert_eq!((correction.amount, cause), (-500, (Some(Cause::Refund), Some("re_1"), None)));
}

#[tokio::test]
async fn a_copy_says_when_it_was_published() {
    let task = task();
    let event = [StripeEvent::paid().to_json()];
    deliver(&task, &event).await;
    task.ledger.put(&acquisition(), EffectState::Retry { reason: "forgotten".to_owned() });
    task.clock.advance_ms(60_000);
    deliver(&task, &event).await;
    let published = task.bus.published.borrow();
    let [first, second] = &published[..] else { panic!("{published:?}") };
    assert!(first.published_at < second.published_at, "{} {}", first.published_at, second.published_at);
    let published_at = first.published_at.clone();
    assert_eq!(AcquisitionEvent { published_at, ..second.clone() }, *first, "all else is the same");
}

#[tokio::test]
async fn a_waiting_refund_that_is_not_taken_is_sent_with_the_next_try() {
    let task = task();
    deliver(&task, &[CorrectionEvent::refund("Example", "re_1", "created").to_json()]).await;
    // Answers are taken from the end: the acquisition's first.
    let throttled = Attempted::NotDone(NotPublished::NotTaken("ThrottlingException".to_owned()));
    *task.bus.answers.borrow_mut() = vec![throttled, Attempted::Accepted("eb-1".to_owned())];
    let event = [StripeEvent::paid().to_json()];
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.retried, kept(&task)), (1, 1250));
    deliver(&task, &event).await;
    assert_eq!((published(&task).len(), kept(&task)), (2, 750));
}

#[tokio::test]
async fn a_refund_of_a_parked_payment_waits_until_that_is_fixed() {
    let task = task();
    let broken = StripeEvent::paid().metadata(json!({ "fulfilment": "donation" })).to_json();
    deliver(&task, &[broken, CorrectionEvent::refund("Example", "re_1", "created").to_json()]).await;
    assert_eq!((published(&task), state(&task, &refund("re_1"))), (vec![], Some("retry")));
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    assert_eq!(kept(&task), 750);
}

#[tokio::test]
async fn a_strange_refund_is_parked_only_when_the_payment_is_ours() {
    let task = task();
    let strange = CorrectionEvent::refund("Example", "re_1", "created").object("amount", json!(null));
    let (tally, _) = deliver(&task, &[strange.to_json()]).await;
    assert_eq!((tally.skipped, state(&task, &refund("re_1"))), ([("payment_unknown", 1)].into(), None));
    let (tally, queue) = deliver(&task, &[StripeEvent::paid().to_json(), strange.to_json()]).await;
    assert_eq!((tally.parked, state(&task, &refund("re_1"))), (1, Some("parked")));
    assert_eq!(queue.dead_letters.borrow()[0].1, "no_amount");
}

/// A ledger in which the payment is published by another delivery just after a correction began to wait.
#[derive(Clone)]
struct PaidMeanwhile(InMemoryEffects);

impl EffectStore for PaidMeanwhile {
    async fn claim(
        &self,
        key: &EffectKey,
        executor: &Executor<'_>,
        now: i64,
    ) -> Result<Result<Claim, NotGranted>, StoreError> {
        self.0.claim(key, executor, now).await
    }

    async fn settle(
        &self,
        key: &EffectKey,
        claim: &Claim,
        settlement: &Settlement,
        now: i64,
    ) -> Result<Result<u32, Refused>, StoreError> {
        self.0.settle(key, claim, settlement, now).await
    }

    async fn write_disposition(
        &self,
        key: &EffectKey,
        disposition: Disposition<'_>,
        event_id: &str,
        now: i64,
    ) -> Result<Result<(), EffectRow>, StoreError> {
        let written = self.0.write_disposition(key, disposition, event_id, now).await;
        self.0.put(&acquisition(), EffectState::Done);
        written
    }

    async fn raise_version(
        &self,
        key: &EffectKey,
        expires_at: i64,
    ) -> Result<Option<EffectState>, StoreError> {
        self.0.raise_version(key, expires_at).await
    }

    async fn mark_contended(&self, key: &EffectKey, claim: &Claim) -> Result<(), StoreError> {
        self.0.mark_contended(key, claim).await
    }

    async fn of_subject(&self, subject: &Subject) -> Result<Vec<EffectRow>, StoreError> {
        self.0.of_subject(subject).await
    }
}

#[tokio::test]
async fn a_payment_that_is_published_meanwhile_is_not_missed() {
    let task = task_over(PaidMeanwhile(InMemoryEffects::default()));
    let (tally, _) = deliver(&task, &[CorrectionEvent::refund("Example", "re_1", "created").to_json()]).await;
    assert_eq!((tally.done, published(&task)), (1, vec![(AcquisitionKind::Reversal, -500)]));
}

/// Stripe's events of a payment of £12.50: its session, three refunds and two disputes, some undone.
fn history(failed: &[bool; 3], reinstated: &[bool; 2]) -> (Vec<Value>, i64) {
    let mut events = vec![StripeEvent::paid().to_json(), StripeEvent::async_succeeded().to_json()];
    let mut kept = 1250;
    for (number, failed) in failed.iter().enumerate() {
        let amount = 100 + i64::try_from(number).unwrap();
        let refund = |what| {
            CorrectionEvent::refund("Example", &format!("re_{number}"), what).amount(amount, "gbp").to_json()
        };
        events.extend([refund("created"), refund("updated")]);
        if *failed {
            events.push(refund("failed"));
        } else {
            kept -= amount;
        }
    }
    for (number, reinstated) in reinstated.iter().enumerate() {
        let dispute =
            |what| CorrectionEvent::dispute("Example", &format!("dp_{number}"), what).amount(300, "gbp");
        events.extend(["created", "funds_withdrawn", "closed"].map(|what| dispute(what).to_json()));
        if *reinstated {
            events.push(dispute("funds_reinstated").to_json());
        } else {
            kept -= 300;
        }
    }
    (events, kept)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_any_order_with_any_faults_analysts_count_the_money_kept(
        failed: [bool; 3],
        reinstated: [bool; 2],
        order in proptest::collection::vec(any::<u16>(), 40),
        faults in proptest::collection::vec(0u8..4, 0..12),
    ) {
        let (mut events, expected) = history(&failed, &reinstated);
        // Some events come twice.
        events.extend(events.clone().into_iter().step_by(3));
        let mut by_order: Vec<_> = order.into_iter().cycle().zip(events).collect();
        by_order.sort_by_key(|(place, _)| *place);
        let task = task();
        *task.bus.answers.borrow_mut() = faults
            .iter()
            .map(|fault| match fault {
                0 => Attempted::NotDone(NotPublished::NotTaken("ThrottlingException".to_owned())),
                1 => Attempted::Ambiguous(NotPublished::NoAnswer("timeout".into())),
                _ => Attempted::Accepted("eb-1".to_owned()),
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            // What fails comes again at the end, as the queue would bring it.
            let mut waiting: Vec<_> = by_order.into_iter().map(|(_, event)| event).collect();
            while !waiting.is_empty() {
                let mut again = Vec::new();
                for event in waiting {
                    let (tally, _) = deliver(&task, std::slice::from_ref(&event)).await;
                    if tally.retried > 0 {
                        again.push(event);
                    }
                }
                waiting = again;
            }
        });
        prop_assert_eq!(kept(&task), expected);
        let published = task.bus.published.borrow();
        let ids: Vec<_> = published.iter().map(|event| event.event_id).collect();
        prop_assert!(published.iter().filter_map(|event| event.reverses).all(|id| ids.contains(&id)));
    }
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
    let own = |effect: &str| effect.starts_with("acquisition");
    testkit::expected_effects::check("acquisition-events", &ManualClock::default(), &policy, own, make).await;
}

fn dispute(what: &str, status: &str) -> CorrectionEvent {
    CorrectionEvent::dispute("Example", "dp_1", what).status(status)
}

/// What DynamoDB's TTL does after so many days.
fn days_pass(task: &TestTask, days: i64) {
    task.clock.advance_ms(days * 86_400_000);
    let now = task.clock.now_ms() / 1000;
    for (key, row) in task.ledger.rows() {
        if row.expires_at.is_some_and(|at| at < now) {
            task.ledger.forget(&key);
        }
    }
}

#[tokio::test]
async fn what_came_before_or_after_a_parked_payment_waits_until_it_is_sent_again() {
    let broken = StripeEvent::paid().metadata(json!({ "fulfilment": "donation" })).to_json();
    let refund = CorrectionEvent::refund("Example", "re_1", "created").amount(250, "gbp").to_json();
    let lost = dispute("closed", "lost").amount(1000, "gbp").to_json();
    let histories = [
        [broken.clone(), refund.clone(), lost.clone()],
        [refund.clone(), broken.clone(), lost.clone()],
        [refund, lost, broken],
    ];
    for (number, history) in histories.iter().enumerate() {
        for days in [8, 14] {
            let task = task();
            deliver(&task, history).await;
            assert_eq!(published(&task), []);
            days_pass(&task, days);
            deliver(&task, &[StripeEvent::paid().to_json()]).await;
            assert_eq!((published(&task).len(), kept(&task)), (3, 0), "{number} {days}");
        }
    }
}

#[tokio::test]
async fn a_loss_that_only_the_verdict_shows_is_published_once() {
    let closed = CorrectionEvent::lost_at_once("Example", "dp_1").to_json();
    let withdrawn = dispute("funds_withdrawn", "lost").balance("gbp", &[-1250]).to_json();
    let created = dispute("created", "lost").to_json();
    for events in
        [[&closed, &withdrawn, &created], [&withdrawn, &created, &closed], [&created, &closed, &withdrawn]]
    {
        let task = task();
        deliver(&task, &[StripeEvent::paid().to_json()]).await;
        deliver(&task, &events.map(Clone::clone)).await;
        assert_eq!(published(&task), [PAID, (AcquisitionKind::Reversal, -1250)]);
    }
}

#[tokio::test]
async fn a_part_that_comes_back_is_published_as_that_part() {
    let task = task();
    deliver(
        &task,
        &[
            StripeEvent::paid().to_json(),
            CorrectionEvent::refund("Example", "re_1", "created").amount(500, "gbp").to_json(),
            dispute("funds_withdrawn", "needs_response").balance("gbp", &[-1250]).to_json(),
            CorrectionEvent::returned_in_part("Example", "dp_1").to_json(),
        ],
    )
    .await;
    assert_eq!(published(&task)[3], (AcquisitionKind::Reinstatement, 500));
    assert_eq!(kept(&task), 0);
}

#[tokio::test]
async fn a_return_of_an_unknown_amount_is_counted_and_not_published() {
    let returned = dispute("funds_reinstated", "lost").to_json();
    let (tally, _) = deliver(&task(), std::slice::from_ref(&returned)).await;
    assert_eq!(tally.counted, [].into(), "another business's, for all that is known");
    let task = task();
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    let (tally, _) = deliver(&task, &[returned]).await;
    assert_eq!(published(&task), [PAID, (AcquisitionKind::Reversal, -1250)]);
    let lines = testkit::metrics::of_task(crate::NAME, &tally);
    testkit::metrics::assert_golden(&lines, include_str!("../../metrics.golden.json"));
    // As soon as an event says how much, it is published.
    deliver(&task, &[CorrectionEvent::returned_in_part("Example", "dp_1").to_json()]).await;
    assert_eq!(kept(&task), 500);
}

#[tokio::test]
async fn a_campaign_that_the_policy_does_not_list_is_counted_once_and_published_as_it_is() {
    let sale = |campaign: &str| {
        StripeEvent::paid().metadata(json!({ "fulfilment": "contribution", "campaign": campaign })).to_json()
    };
    for (campaigns, campaign, expected) in [
        (&["autumn-2026"][..], "“Autumn-2026”", Some((NEW_CAMPAIGN, 1))),
        (&["autumn-2026"], "“autumn-2026”", None),
        (&[], "Autumn-2026", None),
    ] {
        let mut task = task();
        task.policy.attribution.campaigns = campaigns.iter().map(|code| (*code).to_owned()).collect();
        let (tally, _) = deliver(&task, &[sale(campaign)]).await;
        assert_eq!(tally.counted, expected.into_iter().collect(), "{campaign}");
        let codes = task.bus.published.borrow()[0].campaign_codes.clone();
        assert_eq!(codes, [campaign.trim_matches(['“', '”'])]);
        let (tally, _) = deliver(&task, &[sale(campaign)]).await;
        assert_eq!(tally.counted, [].into(), "a duplicate is no news");
    }
}

#[tokio::test]
async fn what_became_of_a_prevented_dispute_is_published() {
    for (case_type, expected) in [("block", 1250), ("resolution", 0), ("deflection", 1250)] {
        let task = task();
        let prevented = CorrectionEvent::prevented("Example", "dp_1", case_type).to_json();
        deliver(&task, &[StripeEvent::paid().to_json(), prevented.clone(), prevented]).await;
        assert_eq!(kept(&task), expected, "{case_type}");
    }
}

#[tokio::test]
async fn a_withdrawal_that_is_published_twice_is_the_same() {
    let task = task();
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    task.bus.answers.borrow_mut().push(Attempted::Ambiguous(NotPublished::NoAnswer("lost".into())));
    deliver(&task, &[dispute("funds_withdrawn", "needs_response").at(1_795_000_900).to_json()]).await;
    deliver(&task, &[dispute("funds_reinstated", "won").at(1_795_900_000).to_json()]).await;
    let published = task.bus.published.borrow();
    assert_eq!(published[1], published[2]);
    assert_eq!(published.len(), 4);
}

/// What can happen to the balance of a dispute: taken and come back in turn, in parts.
fn any_balance() -> impl Strategy<Value = Vec<i64>> {
    let round = (1i64..2000, proptest::collection::vec(1i64..1000, 0..3));
    proptest::collection::vec(round, 0..4)
        .prop_map(|rounds| rounds.into_iter().flat_map(|(out, backs)| [vec![-out], backs].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The events of a dispute's life: each lists what had moved until then, and any of them may be lost but the last.
    #[test]
    fn whatever_comes_of_a_dispute_the_sum_is_what_its_balance_transactions_sum_to(
        balance in any_balance(),
        kept_events in proptest::collection::vec(any::<bool>(), 16),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        keys in proptest::collection::vec(any::<u32>(), 32),
    ) {
        let opened = dispute("created", "needs_response").to_json();
        let mut life = vec![opened];
        for (moved, amount) in (1..).zip(&balance) {
            let what = if *amount < 0 { "funds_withdrawn" } else { "funds_reinstated" };
            let event = dispute(what, "under_review").balance("gbp", &balance[..moved]);
            life.push(event.at(1_795_000_700 + i64::try_from(moved).unwrap()).to_json());
        }
        let closed = dispute("updated", "under_review").balance("gbp", &balance).at(1_799_000_000).to_json();
        let mut events: Vec<_> =
            life.into_iter().zip(&kept_events).filter(|(_, is_kept)| **is_kept).map(|(event, _)| event).collect();
        events.extend([closed, StripeEvent::paid().to_json()]);
        let repeated: Vec<_> = again.iter().map(|index| index.get(&events).clone()).collect();
        events.extend(repeated);
        let mut order: Vec<_> = events.into_iter().zip(keys).collect();
        order.sort_by_key(|(_, key)| *key);
        let events: Vec<_> = order.into_iter().map(|(event, _)| event).collect();
        let task = task();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(deliver(&task, &events));
        prop_assert_eq!(kept(&task), 1250 + balance.iter().sum::<i64>());
    }
}
