use effect_ledger::Claim;
use fulfilment::{ExpectedEffects, Policy, effects};
use serde_json::{Value, json};
use stripe_events::Delivered;
use testkit::queue::envelope;
use testkit::stripe::SessionEvent as Session;

use super::*;
use crate::page::plain;
use crate::test_stage::{NOW, Stage};

fn event(session: Session, kind: Option<FulfilmentKind>) -> Event {
    let found = Found::of(&session.to_json().to_string()).unwrap();
    found.corrected(kind.map(contract_of)).event
}

fn mistyped() -> Session {
    Session::paid().metadata(json!({ "fulfilment": "donation" }))
}

fn names(effects: Result<Vec<Effect>, String>) -> Result<Vec<String>, String> {
    effects.map(|effects| effects.iter().map(ToString::to_string).collect())
}

#[test]
fn a_mistyped_payment_is_open_in_every_task_and_only_what_is_open_is_done() {
    let corrected = event(mistyped(), Some(FulfilmentKind::Contribution));
    let all: Vec<_> = effects_of_a_payment().iter().map(|(_, effect)| effect.to_string()).collect();
    assert_eq!(names(open_effects(&corrected, &[], false, NOW)), Ok(all.clone()));
    let row = |effect, state| EffectRow::new(effect, state);
    let reason = || BROKEN_CONTRACT.to_owned();
    let claimed = |lease_until| EffectState::Claimed(Claim { owner: "o".into(), attempt: 1, lease_until });
    let mut rows: Vec<_> =
        effects_of_a_payment().into_iter().map(|(_, effect)| row(effect, EffectState::Done)).collect();
    for (effect, state) in [
        (effects::contribution(SessionOutcome::Paid), EffectState::Parked { reason: reason() }),
        (effects::consents(), EffectState::Skipped { reason: reason() }),
        (effects::acquisition(), claimed(NOW)),
    ] {
        rows.retain(|row| row.effect != effect);
        rows.push(row(effect, state));
    }
    let open = names(open_effects(&corrected, &rows, false, NOW));
    assert_eq!(open, Ok(vec!["contribution#paid".to_owned()]));
    let rows = [
        row(effects::email("thank-you"), EffectState::Unknown { reason: reason() }),
        row(effects::acquisition(), claimed(NOW - 1)),
    ];
    assert_eq!(names(open_effects(&corrected, &rows, false, NOW)), Ok(all[1..].to_vec()));
}

#[test]
fn a_session_without_the_marker_can_be_made_ours_and_other_faults_stay_faults() {
    let kind = Some(FulfilmentKind::Download);
    assert_eq!(
        open_effects(&event(Session::paid().without_marker(), kind), &[], false, NOW).unwrap().len(),
        TASKS
    );
    assert_eq!(
        open_effects(&event(Session::unpaid().without_marker(), kind), &[], false, NOW).unwrap().len(),
        2
    );
    for (session, expected) in [
        (
            mistyped().session("amount_total", json!(null)),
            "the session or the invoice has no amount or currency",
        ),
        (mistyped().session("mode", json!("rental")), "session mode \"rental\" is not known to this version"),
        (mistyped().livemode(), "its livemode is not this stage's"),
    ] {
        assert_eq!(names(open_effects(&event(session, kind), &[], false, NOW)), Err(expected.to_owned()));
    }
}

#[test]
fn the_kind_is_read_as_a_marketer_may_type_it() {
    assert_eq!(kind_from(" Download "), Ok(FulfilmentKind::Download));
    assert!(kind_from("donation").unwrap_err().contains("contribution, download, membership"));
}

#[test]
fn says_what_would_be_done_what_was_and_what_cannot_be() {
    let payment = |id: &str| Payment {
        payment_id: id.to_owned(),
        kind: FulfilmentKind::Contribution,
        effects: vec!["acquisition".to_owned(), "email#thank-you".to_owned()],
        events: vec!["evt_1".to_owned()],
        dead_letters: 4,
    };
    let problem = Problem {
        payment_id: "pi_3".to_owned(),
        problem: "the session has no amount or currency".to_owned(),
    };
    let mut report =
        Completed { acted: false, payments: vec![payment("pi_1"), payment("pi_2")], problems: vec![problem] };
    insta::assert_snapshot!(plain(&report, NOW), @r"
      payment  completed as  what is done                  out of DLQs
      pi_1     contribution  acquisition, email#thank-you  4
      pi_2     contribution  acquisition, email#thank-you  4

    A dry run: 2 payments would be completed. With --yes they are.
    pi_3 cannot be completed: the session has no amount or currency
    ");
    assert_eq!(report.verdict(), Verdict::NeedsYou);
    report = Completed { acted: true, payments: vec![payment("pi_1")], problems: Vec::new() };
    assert!(plain(&report, NOW).contains("1 payment completed"));
    assert_eq!(report.verdict(), Verdict::Fine);
    report.payments.clear();
    assert_eq!(plain(&report, NOW).trim(), "Nothing waits for a right contract.");
}

const LINK: &str = "plink_Mistyped";

/// What a paid session is expected to have: an effect of each task.
fn effects_of_a_payment() -> Vec<(Task, Effect)> {
    let paid = Event::from_value(Session::paid().to_json()).unwrap();
    let expected = ExpectedEffects::from_event(&paid, false, &Policy::compiled_in().unwrap()).unwrap();
    let of_tasks: Vec<_> =
        expected.effects.into_iter().map(|effect| (Task::of_effect(&effect).unwrap(), effect)).collect();
    assert_eq!(of_tasks.len(), TASKS);
    of_tasks
}

const TASKS: usize = Task::ALL.len();

impl Stage {
    /// All four tasks have parked the payment.
    fn park_everywhere(&self, session: &Session, reason: &str) {
        let event = session.to_json();
        for (task, effect) in effects_of_a_payment() {
            self.cloud.put_row(
                "effects",
                &json!({ "payment_id": session.payment_id(), "effect": effect.as_str(), "state": "parked",
                    "reason": reason, "event_id": event["id"], "updated_at": NOW }),
            );
            self.send(self.here.dlq_url(task).unwrap(), &envelope("afterlink.webhook", &event), Some(reason));
        }
    }

    /// The payments and kinds in a task's queue.
    fn delivered(&self, task: Task) -> Vec<(String, String)> {
        let messages = self.cloud.messages(self.here.queue_url(task).unwrap());
        let read = |body: &str| {
            let delivered = Delivered::from_json(body.as_bytes()).unwrap();
            let session = SessionEvent::from_event(&delivered.event, false).unwrap();
            (session.payment_id.to_string(), session.link.kind.to_string())
        };
        messages.iter().map(|message| read(&message.body)).collect()
    }

    fn dead_letters(&self) -> usize {
        Task::ALL.iter().map(|task| self.cloud.messages(self.here.dlq_url(*task).unwrap()).len()).sum()
    }

    async fn complete(&self, scope: Scope, kind: Option<FulfilmentKind>, act: bool) -> Completed {
        let operator = Operator::named("arn:aws:iam::1:user/ops", NOW, "typed donation");
        complete(&self.here, &scope, kind, act.then_some(&operator), NOW).await.unwrap()
    }

    fn actions(&self, payment_id: &str) -> Vec<Value> {
        let rows = self.cloud.rows("effects").into_iter();
        rows.filter(|row| row["payment_id"] == payment_id && row["verb"] == "complete").collect()
    }
}

fn mistyped_over_the_link(payment: &str) -> Session {
    mistyped().payment(payment).session("payment_link", json!(LINK))
}

#[tokio::test]
async fn one_command_brings_a_payment_to_every_task_with_the_right_kind() {
    let stage = Stage::new();
    stage.park_everywhere(&mistyped_over_the_link("A"), BROKEN_CONTRACT);
    stage.park_everywhere(&mistyped_over_the_link("B"), BROKEN_CONTRACT);
    let scope = || Scope::Payment(PaymentId::new("pi_A"));
    let dry = stage.complete(scope(), Some(FulfilmentKind::Contribution), false).await;
    assert_eq!((dry.acted, dry.payments.len(), dry.payments[0].dead_letters), (false, 1, TASKS));
    assert_eq!((stage.dead_letters(), stage.delivered(Task::SoftOptIns).len()), (2 * TASKS, 0), "a dry run");
    assert!(stage.actions("pi_A").is_empty());

    let done = stage.complete(scope(), Some(FulfilmentKind::Contribution), true).await;
    assert_eq!((done.acted, done.payments[0].effects.len()), (true, TASKS));
    for task in Task::ALL {
        assert_eq!(stage.delivered(task), [("pi_A".to_owned(), "contribution".to_owned())], "{task:?}");
    }
    assert_eq!(stage.dead_letters(), TASKS, "those of the other payment");
    let actions = stage.actions("pi_A");
    let [action] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((&action["after"], &action["because"]), (&json!("as contribution"), &json!("typed donation")));
    // The kind is remembered for what comes later.
    let history = stage.here.ledger().unwrap().history(&PaymentId::new("pi_A")).await.unwrap();
    assert_eq!(remembered_kind(&history), Some(FulfilmentKind::Contribution));
}

#[tokio::test]
async fn what_the_tasks_have_done_meanwhile_is_not_delivered_again() {
    let stage = Stage::new();
    stage.park_everywhere(&mistyped_over_the_link("A"), BROKEN_CONTRACT);
    for (_, effect) in effects_of_a_payment() {
        stage.cloud.put_row(
            "effects",
            &json!({ "payment_id": "pi_A", "effect": effect.as_str(), "state": "done", "updated_at": NOW }),
        );
    }
    let scope = Scope::Payment(PaymentId::new("pi_A"));
    let done = stage.complete(scope, Some(FulfilmentKind::Download), true).await;
    assert_eq!((done.payments[0].effects.len(), done.payments[0].dead_letters), (0, TASKS));
    assert!(Task::ALL.iter().all(|task| stage.delivered(*task).is_empty()));
    assert!(stage.actions("pi_A").is_empty(), "nothing was decided");
    assert_eq!(stage.dead_letters(), 0, "what is done needs no message");
}

#[tokio::test]
async fn what_is_parked_for_another_reason_stays_where_it_is() {
    let stage = Stage::new();
    stage.park_everywhere(&Session::paid().payment("A"), "no_recipient");
    let scope = Scope::Payment(PaymentId::new("pi_A"));
    let done = stage.complete(scope, Some(FulfilmentKind::Download), true).await;
    assert!(done.payments.is_empty() && done.problems.is_empty());
    assert_eq!(stage.dead_letters(), TASKS);
}
