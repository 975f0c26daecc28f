use fulfilment::effects;
use serde_json::{Value, json};
use stripe_events::Resend;
use testkit::queue::envelope;
use testkit::stripe::{InvoiceEvent as Invoice, SessionEvent as Session};

use super::*;
use crate::commands::resolve::resolve;
use crate::page::plain;
use crate::stripe::Found;
use crate::test_stage::{NOW, Stage};

const QUEUE: &str = "https://sqs.example/ThankYouEmailQueue";
const DLQ: &str = "https://sqs.example/ThankYouEmailDlq";

fn retried(source: Option<Source>, acted: bool) -> Retried {
    Retried {
        payment_id: "pi_1".to_owned(),
        effect: "email#thank-you#resend#r-1".to_owned(),
        acted,
        before: "parked (no_recipient)".to_owned(),
        source,
        then: "The task sends the mail.".to_owned(),
    }
}

#[test]
fn says_whether_the_event_is_delivered_or_the_effect_closed() {
    insta::assert_snapshot!(plain(&retried(Some(Source::DeadLetterQueue), true), 0), @"The event of email#thank-you#resend#r-1 of pi_1 (before: parked (no_recipient)) is delivered again, from the dead-letter queue. The task sends the mail.");
    insta::assert_snapshot!(plain(&retried(None, true), 0), @"email#thank-you#resend#r-1 of pi_1 (before: parked (no_recipient)) is closed: its message is no longer in the dead-letter queue, and no event of Stripe's holds the request. Use resend again: `afterlink resend pi_1 --template thank-you --because …` sends another mail.");
    assert_eq!(retried(Some(Source::StripeEvent), true).verdict(), Verdict::Fine);
    assert_eq!(retried(None, false).verdict(), Verdict::NeedsYou);
}

fn of(session: Session) -> Event {
    Event::OfStripe(Found::of(&session.to_json().to_string()).unwrap())
}

fn key(effect: Effect) -> EffectKey {
    EffectKey::new("pi_Example", effect)
}

fn refunded(minor: i64) -> EffectRow {
    let amount = fulfilment::Money::new(minor, fulfilment::Currency::try_from("gbp").unwrap());
    let moved = Some(effect_ledger::MovedMoney { amount, occurred_at: 1 });
    EffectRow { moved, ..EffectRow::new(effects::contribution_refund("re_1"), EffectState::Done) }
}

#[test]
fn says_that_the_task_leaves_a_mail_out_when_it_will() {
    let thanks = key(effects::email("thank-you"));
    let said = |rows: &[EffectRow]| then(&thanks, &of(Session::paid()), rows, Some(false));
    assert_eq!(said(&[]), "The task sends the mail.");
    assert_eq!(said(&[refunded(1249)]), "The task sends the mail.", "a part is kept");
    assert_eq!(said(&[refunded(1250)]), "The task leaves the mail out: the payment was refunded.");
    let pending = key(effects::email("payment-pending"));
    let thanked = EffectRow::new(thanks.effect.clone(), EffectState::Done);
    let said = |rows: &[EffectRow]| then(&pending, &of(Session::unpaid()), rows, Some(false));
    assert_eq!(said(&[]), "The task sends the mail.");
    assert!(said(&[thanked]).contains("a later mail says what became of the payment"));
}

#[test]
fn says_that_a_renewal_is_not_thanked_for() {
    let renewal = Found::of(&Invoice::renewal("M", "Second").to_json().to_string()).unwrap();
    let said = then(&key(effects::email("thank-you")), &Event::Made(renewal), &[], Some(false));
    let thanks = Policy::compiled_in().unwrap().thanks_renewals();
    assert_eq!(said.contains("policy.toml thanks for no renewals"), !thanks, "{said}");
}

#[test]
fn says_of_a_record_that_nothing_counts_twice() {
    let said = then(&key(effects::contribution_refund("re_1")), &of(Session::paid()), &[], Some(false));
    assert!(said.contains("folded again") && said.contains("nothing counts twice"), "{said}");
}

impl Stage {
    fn stands(&self, effect: &str, state: &str, reason: &str) {
        let event_id = Session::paid().to_json()["id"].clone();
        self.cloud.put_row(
            "effects",
            &json!({ "payment_id": "pi_Example", "effect": effect, "state": state, "reason": reason,
                "event_id": event_id, "updated_at": 7, "open": "00" }),
        );
    }

    fn row(&self, effect: &str) -> Value {
        self.cloud.row("effects", &["pi_Example", effect]).unwrap()
    }

    fn park(&self, body: &str) {
        self.send(DLQ, body, None);
    }

    /// The messages of a queue: the ids of operators' requests, none for the bus's own messages.
    fn messages(&self, url: &str) -> Vec<Option<String>> {
        let messages = self.cloud.messages(url);
        let resend =
            |body: &str| Delivered::from_json(body.as_bytes()).unwrap().resend.map(|resend| resend.id);
        messages.iter().map(|message| resend(&message.body)).collect()
    }
}

fn operator() -> Operator {
    Operator::named("arn:aws:iam::1:user/ops", NOW, "she asked")
}

fn request(id: &str) -> String {
    let event =
        serde_json::from_str::<Box<serde_json::value::RawValue>>(&Session::paid().to_json().to_string());
    Delivered::resend_json(&event.unwrap(), &Resend { id: id.to_owned(), to: None }, None).unwrap()
}

const FIRST: &str = "email#thank-you";
const RESENT: &str = "email#thank-you#resend#r-2";

#[tokio::test]
async fn the_message_of_the_effect_is_delivered_and_no_other() {
    for (effect, expected) in [(FIRST, None), (RESENT, Some("r-2".to_owned()))] {
        let stage = Stage::new();
        stage.stands(FIRST, "parked", "no_recipient");
        stage.stands(RESENT, "parked", "no_recipient");
        for body in
            [request("r-1"), request("r-2"), envelope("afterlink.webhook", &Session::paid().to_json())]
        {
            stage.park(&body);
        }
        let dry = retry(&stage.here, " pi_Example ", effect, From::Nearest, None, NOW).await.unwrap();
        assert_eq!((dry.acted, dry.source), (false, Some(Source::DeadLetterQueue)), "{effect}");
        assert_eq!((stage.depth(DLQ), stage.depth(QUEUE)), (3, 0), "a dry run");
        let done =
            retry(&stage.here, "pi_Example", effect, From::Nearest, Some(&operator()), NOW).await.unwrap();
        assert_eq!((done.acted, done.source), (true, Some(Source::DeadLetterQueue)));
        assert_eq!(stage.messages(QUEUE), [expected], "{effect}");
        assert_eq!(stage.depth(DLQ), 2);
    }
}

#[tokio::test]
async fn a_request_whose_message_is_gone_is_closed_and_open_no_longer() {
    let stage = Stage::new();
    stage.stands(FIRST, "done", "");
    stage.stands(RESENT, "retry", "operator");
    // The first mail's message is not the request's.
    stage.park(&envelope("afterlink.webhook", &Session::paid().to_json()));
    let dry = retry(&stage.here, "pi_Example", RESENT, From::Nearest, None, NOW).await.unwrap();
    assert_eq!((dry.source, stage.row(RESENT)["state"].clone()), (None, json!("retry")));
    retry(&stage.here, "pi_Example", RESENT, From::Nearest, Some(&operator()), NOW).await.unwrap();
    let row = stage.row(RESENT);
    assert_eq!(
        (&row["state"], &row["reason"], &row["open"]),
        (&json!("skipped"), &json!(REQUEST_GONE), &Value::Null)
    );
    let again = retry(&stage.here, "pi_Example", RESENT, From::Nearest, Some(&operator()), NOW).await;
    let again = again.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(again.contains("use resend again"), "{again}");
}

#[tokio::test]
async fn a_resent_mail_that_was_not_sent_is_closed_and_says_to_resend() {
    let stage = Stage::new();
    stage.stands(FIRST, "done", "");
    stage.stands(RESENT, "unknown", "lease_expired");
    stage.park(&envelope("afterlink.webhook", &Session::paid().to_json()));
    let resolved =
        resolve(&stage.here, "pi_Example", RESENT, Asked::NotSent, Some(&operator()), NOW).await.unwrap();
    let said = plain(&resolved, NOW);
    assert!(said.contains("unknown → skipped") && said.contains("Use resend again"), "{said}");
    assert!(!said.contains("delivered"), "{said}");
    let row = stage.row(RESENT);
    assert_eq!(
        (&row["state"], &row["reason"], &row["open"]),
        (&json!("skipped"), &json!("not_sent"), &Value::Null)
    );
    assert!(stage.messages(QUEUE).is_empty(), "the first mail's message stays where it is");
    let actions = stage.here.ledger().unwrap().history(&PaymentId::new("pi_Example")).await.unwrap().actions;
    assert_eq!(actions.len(), 1);
}

#[tokio::test]
async fn a_first_mail_that_was_not_sent_is_delivered_again() {
    let stage = Stage::new();
    stage.stands(FIRST, "unknown", "lease_expired");
    stage.park(&request("r-1"));
    stage.park(&envelope("afterlink.webhook", &Session::paid().to_json()));
    let resolved =
        resolve(&stage.here, "pi_Example", FIRST, Asked::NotSent, Some(&operator()), NOW).await.unwrap();
    let said = plain(&resolved, NOW);
    assert!(said.contains("delivered again, from the dead-letter queue. The task sends the mail."), "{said}");
    assert_eq!(stage.messages(QUEUE), [None]);
    assert_eq!(stage.row(FIRST)["state"], "retry");
}

#[tokio::test]
async fn what_was_closed_is_opened_again() {
    let stage = Stage::new();
    stage.stands(FIRST, "skipped", crate::course::CLOSED);
    stage.park(&envelope("afterlink.webhook", &Session::paid().to_json()));
    retry(&stage.here, "pi_Example", FIRST, From::Nearest, Some(&operator()), NOW).await.unwrap();
    assert_eq!((stage.messages(QUEUE).len(), stage.row(FIRST)["state"].clone()), (1, json!("retry")));
}

#[tokio::test]
async fn a_name_that_is_no_effect_of_the_payment_is_refused() {
    let stage = Stage::new();
    stage.stands("contribution#paid", "done", "");
    stage.park(&envelope("afterlink.webhook", &Session::paid().to_json()));
    assert!(retry(&stage.here, "pi_Example", FIRST, From::Nearest, None, NOW).await.is_ok());
    for typo in ["email#thankyou", "email"] {
        let event = of(Session::paid());
        let refused = called_for(&key(Effect::from(typo)), &event, &[], false).unwrap_err().to_string();
        assert!(refused.contains(&format!("no effect {typo}")) && refused.contains(FIRST), "{refused}");
    }
}
