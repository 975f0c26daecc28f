//! Renewals: who is thanked for one, and with what.

use fulfilment::effects;
use testkit::stripe::InvoiceEvent;

use super::*;

const RENEWAL: &str = "in_MSecond";

/// A task that thanks for the renewals of these kinds.
fn thanking(kinds: &[FulfilmentKind]) -> TestTask {
    let task = TestTask { policy: with_renewals_thanked(kinds), ..task() };
    task.lookup.stripe.began("sub_M", &session(), None);
    task
}

fn members() -> TestTask {
    thanking(&[FulfilmentKind::Membership])
}

fn session() -> Value {
    StripeEvent::paid().subscription("M").locale("de").to_json()
}

fn renewal() -> InvoiceEvent {
    InvoiceEvent::renewal("M", "Second").object("customer_email", json!("member@example.org"))
}

async fn deliver(task: &TestTask, events: &[Value]) -> (Tally, InMemoryQueue) {
    testkit::queue::deliver_in_turn("thank-you-email", task, &task.clock, "afterlink.webhook", events).await
}

fn thanks(payment: &str) -> EffectKey {
    EffectKey { subject: Subject::new(payment), effect: effects::email_about(SessionOutcome::Paid) }
}

fn row(task: &TestTask) -> Option<EffectState> {
    task.ledger.state(&thanks(RENEWAL))
}

fn skipped(reason: &str) -> Option<EffectState> {
    Some(EffectState::Skipped { reason: reason.to_owned() })
}

/// The payment's refund is recorded; the version is raised as `contribution-records` does.
fn refund(task: &TestTask, minor: i64) {
    let key = EffectKey::new(RENEWAL, effects::contribution_refund("re_1"));
    let amount = Money::new(minor, "gbp".try_into().unwrap());
    let moved = MovedMoney { amount, occurred_at: 1_795_000_000 };
    let row = EffectRow { moved: Some(moved), ..EffectRow::new(key.effect.clone(), EffectState::Done) };
    task.ledger.put_row(&key.subject, row);
    task.ledger.put_version(&thanks(RENEWAL), None);
}

#[tokio::test]
async fn a_renewal_is_thanked_for_once_in_the_language_of_its_session() {
    let task = members();
    let twin = renewal().event_id("evt_twin").to_json();
    let (tally, _) = deliver(&task, &[renewal().to_json(), renewal().to_json(), twin]).await;
    assert_eq!((tally.done, tally.skipped), (1, [("already_done", 2)].into()));
    let accepted = task.sender.accepted.borrow();
    let [(to, text)] = &accepted[..] else { panic!("{accepted:?}") };
    assert_eq!(to, "member@example.org");
    for part in ["5,00\u{a0}£", "läuft weiter", RENEWAL] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(row(&task), Some(EffectState::Done));
    assert_eq!(task.lookup.stripe.asked.get(), 1, "what began it is asked once");
}

#[tokio::test]
async fn a_renewal_is_thanked_only_if_its_kind_says_so() {
    // Where no kind does, nothing is looked up and nothing written.
    let task = thanking(&[]);
    let (tally, _) = deliver(&task, &[renewal().to_json()]).await;
    assert_eq!(tally.skipped, [("renewals_not_thanked", 1)].into());
    assert_eq!((task.ledger.rows().len(), task.lookup.stripe.asked.get()), (0, 0));
    // Where another does, the row says why there is no mail, so that it is not missing.
    let task = thanking(&[FulfilmentKind::Contribution]);
    let (tally, _) = deliver(&task, &[renewal().to_json()]).await;
    assert_eq!(tally.skipped, [("renewals_not_thanked", 1)].into());
    assert_eq!(row(&task), skipped("renewals_not_thanked"));
    assert!(mails(&task).is_empty());
}

#[tokio::test]
async fn the_first_payment_is_thanked_for_by_its_session_alone() {
    let task = members();
    let first = InvoiceEvent::first("M").to_json();
    let (tally, _) = deliver(&task, &[first.clone(), session(), first]).await;
    assert_eq!((tally.done, tally.skipped), (1, [("told_by_session", 2)].into()));
    assert_eq!(task.ledger.state(&thanks("in_MFirst")), Some(EffectState::Done));
    let text = &mails(&task)[0];
    assert!(text.contains("ist bestätigt"), "{text}");
    assert_eq!(task.lookup.stripe.asked.get(), 0);
}

#[tokio::test]
async fn another_businesss_renewals_are_left_alone_for_one_question() {
    let task = members();
    let foreign = |which: &str| InvoiceEvent::renewal("Another", which).to_json();
    let (tally, _) = deliver(&task, &[foreign("1"), foreign("2")]).await;
    assert_eq!((tally.skipped, task.lookup.stripe.asked.get()), ([("another_business", 2)].into(), 1));
    assert!(
        task.ledger
            .rows()
            .iter()
            .all(|(key, row)| key.effect == effects::lookup() && row.expires_at.is_some())
    );
    let one_off = InvoiceEvent::one_off("Another").to_json();
    let (tally, _) = deliver(&task, &[one_off]).await;
    assert_eq!(tally.skipped, [("no_subscription", 1)].into());
    assert!(mails(&task).is_empty());
}

#[tokio::test]
async fn a_refunded_renewal_is_not_thanked() {
    for (minor, sent) in [(500, 0), (200, 1)] {
        let task = members();
        refund(&task, minor);
        let (tally, _) = deliver(&task, &[renewal().to_json()]).await;
        assert_eq!((tally.done, mails(&task).len()), (sent, sent as usize), "{minor}");
        assert_eq!(row(&task), if sent == 0 { skipped("refunded") } else { Some(EffectState::Done) });
    }
}

#[tokio::test]
async fn a_mail_once_more_follows_the_same_rules() {
    let task = members();
    deliver(&task, &[renewal().to_json()]).await;
    let resend = async |id: &str| super::resend(&task, renewal().to_json(), id, None).await;
    for expected in [1, 0] {
        assert_eq!(resend("r-1").await.done, expected);
    }
    assert_eq!(mails(&task).len(), 2);
    refund(&task, 500);
    assert_eq!(resend("r-2").await.skipped, [("refunded", 1)].into());
    let nobody = thanking(&[]);
    let tally = super::resend(&nobody, renewal().to_json(), "r-3", None).await;
    assert_eq!(tally.skipped, [("renewals_not_thanked", 1)].into());
}

#[tokio::test]
async fn a_renewal_that_cost_nothing_counts_as_a_mail_that_costs_nothing() {
    let task = TestTask { limit: InMemoryLimit(RefCell::default(), 1), ..members() };
    let free = |which: &str| InvoiceEvent::renewal("M", which).amount(0).to_json();
    let (tally, queue) = deliver(&task, &[free("Second"), free("Third")]).await;
    assert_eq!((tally.done, tally.parked), (1, 1));
    assert_eq!(queue.dead_letters.borrow()[0].1, "too_many_to_one_address");
    let text = &mails(&task)[0];
    assert!(text.contains("nichts zu bezahlen") && text.contains("läuft weiter"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_parked_and_what_is_not_known_comes_back() {
    let task = members();
    let nowhere = renewal().object("customer_email", json!(null)).to_json();
    let (tally, queue) = deliver(&task, &[nowhere]).await;
    assert_eq!((tally.parked, queue.dead_letters.borrow()[0].1.as_str()), (1, "no_recipient"));
    assert_eq!(row(&task).map(|state| state.name()), Some("parked"));

    let task = members();
    let broken =
        StripeEvent::paid().subscription("M").metadata(json!({ "fulfilment": "membersip" })).to_json();
    task.lookup.stripe.began("sub_M", &broken, None);
    let (tally, queue) = deliver(&task, &[renewal().to_json()]).await;
    assert_eq!((tally.parked, queue.dead_letters.borrow()[0].1.as_str()), (1, "broken_link_contract"));

    let task = members();
    task.lookup.stripe.down.set(true);
    let (tally, _) = deliver(&task, &[renewal().to_json()]).await;
    assert_eq!((tally.retried, row(&task)), (1, None));
    task.lookup.stripe.down.set(false);
    let (tally, _) = deliver(&task, &[renewal().to_json()]).await;
    assert_eq!((tally.done, mails(&task).len()), (1, 1));
}

#[tokio::test]
async fn a_link_with_a_template_of_its_own_keeps_it() {
    let templates = InMemoryTemplates::default();
    for part in ["subject.txt", "html", "txt"] {
        templates.put(&format!("gala/en.{part}"), "Gala {% if renewal %}again{% endif %}");
    }
    let session = StripeEvent::paid().subscription("M");
    let session = session.metadata(json!({ "fulfilment": "membership", "thank_you": "gala" })).to_json();
    let policy = with_renewals_thanked(&[FulfilmentKind::Membership]);
    let task = TestTask { policy, ..with_templates(&templates) };
    task.lookup.stripe.began("sub_M", &session, None);
    deliver(&task, &[renewal().to_json()]).await;
    assert_eq!(mails(&task), ["Gala again"]);
}
