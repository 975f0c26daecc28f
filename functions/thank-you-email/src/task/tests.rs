use std::cell::RefCell;
use std::time::Duration;

use aws::Environment;
use download_claims::{
    BoughtFile, OfferedFile, Period, PeriodUnit, PurchasesError, Recurring, SessionsError, SoldItem,
};
use effect_ledger::{Attempted, Claim, DynamoDbEffects, EffectRow, EffectState, MovedMoney, Subject};
use fulfilment::{FulfilmentKind, Money, PaymentId, SessionEvent, effects};
use serde_json::{Value, json};
use task_runtime::{Backoff, Invocation, Tally, handle_batch};
use testkit::clock::ManualClock;
use testkit::ledger::InMemoryEffects;
use testkit::policy::with_renewals_thanked;
use testkit::queue::InMemoryQueue;
use testkit::silence::SilentAws;
use testkit::stripe::SessionEvent as StripeEvent;
use testkit::subscriptions::SubscriptionsAtStripe;

use super::*;
use crate::config::Config;
use crate::downloads::{Bought, DownloadsError};
use crate::limit::LimitError;
use crate::overrides::tests::InMemoryTemplates;
use crate::sender::Refused;
use crate::ses::SesEmailSender;
use mail_rendering::Download;

/// A mail service that remembers what it accepted (recipient and text), and first gives the replies that a test sets.
#[derive(Default)]
struct InMemoryMail {
    accepted: RefCell<Vec<(String, String)>>,
    answers: RefCell<Vec<Attempted<SendError>>>,
}

impl EmailSender for InMemoryMail {
    async fn send(&self, mail: &OutgoingMail) -> Attempted<SendError> {
        let answer = self.answers.borrow_mut().pop().unwrap_or(Attempted::Accepted("ses-1".to_owned()));
        if matches!(answer, Attempted::Accepted(_) | Attempted::Ambiguous(_)) {
            let sent = (mail.to.expose().clone(), mail.text.expose().clone());
            self.accepted.borrow_mut().push(sent);
        }
        answer
    }
}

/// A bucket in memory: what of a link's files is there.
#[derive(Default)]
struct InMemoryDownloads {
    there: RefCell<Vec<&'static str>>,
    asked: RefCell<u32>,
    /// What Stripe says of any session; nothing where it takes too long.
    sold: RefCell<Option<Vec<SoldItem>>>,
    asked_what_was_sold: RefCell<u32>,
}

impl Downloads for InMemoryDownloads {
    async fn of(&self, event: &SessionEvent) -> Result<Bought, DownloadsError> {
        *self.asked.borrow_mut() += 1;
        let there = self.there.borrow();
        let files = BoughtFile::of_link(&event.link.files).into_iter().map(|file| {
            let size = there.contains(&file.key.as_str()).then_some(1200);
            OfferedFile { file, size }
        });
        let download = Download { files: files.collect(), link: "https://example.org/d/token".to_owned() };
        Ok(Bought { download, sold: Vec::new() })
    }

    async fn sold(&self, _: &SessionEvent) -> Result<Vec<SoldItem>, DownloadsError> {
        *self.asked_what_was_sold.borrow_mut() += 1;
        self.sold
            .borrow()
            .clone()
            .ok_or(DownloadsError::Purchases(PurchasesError::Stripe(SessionsError::TooSlow)))
    }
}

/// Counts in memory: how many mails there are to come for each address.
struct InMemoryLimit(RefCell<Vec<(String, EffectKey)>>, usize);

impl AddressLimit for InMemoryLimit {
    async fn admit(&self, to: &str, mail: &EffectKey) -> Result<Admission, LimitError> {
        let mut counted = self.0.borrow_mut();
        let entry = (to.to_owned(), mail.clone());
        let so_far = counted.iter().filter(|(address, _)| address == to).count();
        if counted.contains(&entry) {
            return Ok(Admission::Admitted);
        }
        if so_far >= self.1 {
            return Ok(Admission::OverLimit);
        }
        counted.push(entry);
        Ok(Admission::Admitted)
    }
}

type TestTask = ThankYouEmail<
    InMemoryEffects,
    SubscriptionsAtStripe,
    InMemoryMail,
    InMemoryTemplates,
    InMemoryDownloads,
    InMemoryLimit,
    ManualClock,
>;

fn task() -> TestTask {
    with_templates(&InMemoryTemplates::default())
}

/// The task with a bucket of templates.
fn with_templates(templates: &InMemoryTemplates) -> TestTask {
    let clock = ManualClock::default();
    let ledger = InMemoryEffects::default();
    let stripe = SubscriptionsAtStripe::default();
    ThankYouEmail {
        lookup: PaymentLookup { stripe, ledger: ledger.clone(), clock: clock.clone() },
        ledger,
        sender: InMemoryMail::default(),
        overrides: Overrides::new(templates.clone(), clock.clone()),
        downloads: InMemoryDownloads { there: vec!["guide.pdf"].into(), ..InMemoryDownloads::default() },
        limit: InMemoryLimit(RefCell::default(), 5),
        policy: Policy::compiled_in().unwrap(),
        livemode: false,
        clock,
    }
}

async fn deliver(task: &TestTask, events: &[Value]) -> (Tally, InMemoryQueue) {
    testkit::queue::deliver("thank-you-email", task, &task.clock, "afterlink.webhook", events).await
}

fn key(effect: &str) -> EffectKey {
    EffectKey { subject: Subject::new("pi_Example"), effect: effects::email(effect) }
}

fn state(task: &TestTask, effect: &str) -> Option<&'static str> {
    task.ledger.state(&key(effect)).map(|state| state.name())
}

fn mails(task: &TestTask) -> Vec<String> {
    task.sender.accepted.borrow().iter().map(|(_, text)| text.clone()).collect()
}

#[tokio::test]
async fn thanks_once_however_often_it_hears_of_the_payment() {
    let task = task();
    let event = StripeEvent::paid().to_json();
    let twin = StripeEvent::paid().event_id("evt_twin").to_json();
    let (tally, _) = deliver(&task, &[event.clone(), event.clone(), twin]).await;
    assert_eq!((tally.done, tally.skipped), (1, [("already_done", 2)].into()));
    deliver(&task, &[event, StripeEvent::async_succeeded().to_json()]).await;
    assert_eq!(task.sender.accepted.borrow().len(), 1);
    assert_eq!(task.sender.accepted.borrow()[0].0, "ada@example.org");
    assert_eq!(state(&task, "thank-you"), Some("done"));
}

#[tokio::test]
async fn a_bank_debit_is_announced_and_thanked_once_each() {
    let task = task();
    deliver(&task, &[StripeEvent::unpaid().to_json()]).await;
    assert_eq!(state(&task, "thank-you"), None, "no thanks before the money");
    assert_eq!(state(&task, "payment-pending"), Some("done"));
    deliver(&task, &[StripeEvent::async_succeeded().to_json()]).await;
    assert_eq!(mails(&task).len(), 2);
    assert_eq!(state(&task, "thank-you"), Some("done"));
}

#[tokio::test]
async fn an_older_state_is_not_mailed_after_a_newer_one() {
    let task = task();
    deliver(&task, &[StripeEvent::async_succeeded().to_json()]).await;
    let (tally, _) =
        deliver(&task, &[StripeEvent::unpaid().to_json(), StripeEvent::async_failed().to_json()]).await;
    assert_eq!(tally.skipped, [("overtaken", 2)].into());
    assert_eq!(state(&task, "payment-pending"), Some("skipped"));
    assert_eq!(mails(&task).len(), 1);
    // A failure overtakes the waiting, too.
    let task = self::task();
    deliver(&task, &[StripeEvent::async_failed().to_json(), StripeEvent::unpaid().to_json()]).await;
    assert_eq!(
        (state(&task, "payment-failed"), state(&task, "payment-pending")),
        (Some("done"), Some("skipped"))
    );
}

#[tokio::test]
async fn the_customer_reads_the_amount_they_saw_in_their_language() {
    let task = task();
    let event = StripeEvent::paid()
        .locale("de")
        .amount(1000, "usd")
        .session("presentment_details", json!({ "presentment_amount": 1370, "presentment_currency": "eur" }));
    deliver(&task, &[event.to_json()]).await;
    let mail = &mails(&task)[0];
    assert!(mail.contains("13,70\u{a0}€"), "{mail}");
}

#[tokio::test]
async fn the_mail_names_what_was_bought() {
    let sold =
        |name: &str| SoldItem { name: name.to_owned(), quantity: 1, amount: Some(1250), recurring: None };
    let download = |more: Value| {
        let mut metadata = json!({ "fulfilment": "download", "files": "guide.pdf" });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        StripeEvent::paid().metadata(metadata)
    };
    // The event, whether Stripe answers, what the mail names, and how often Stripe was asked.
    let cases = [
        (download(json!({ "shown_as": "The field guide" })), true, "For: The field guide", 0),
        (download(json!({})), true, "For: The guide", 1),
        (download(json!({})), false, "For: Download", 1),
        (
            StripeEvent::paid().metadata(json!({ "fulfilment": "contribution", "shown_as": "Forty trees" })),
            true,
            "For: Forty trees",
            0,
        ),
        (StripeEvent::paid(), true, "For: Contribution", 0),
        (StripeEvent::paid().subscription("Ada"), false, "For: Membership", 1),
    ];
    for (event, answers, named, asked) in cases {
        let task = task();
        if answers {
            *task.downloads.sold.borrow_mut() = Some(vec![sold("The guide")]);
        }
        let (tally, _) = deliver(&task, &[event.to_json()]).await;
        assert_eq!(tally.done, 1, "{named}: no mail waits for Stripe");
        let mail = &mails(&task)[0];
        assert!(mail.contains(named), "{named}: {mail}");
        assert_eq!(*task.downloads.asked_what_was_sold.borrow(), asked, "{named}");
    }
}

#[tokio::test]
async fn a_first_payment_says_how_the_subscription_goes_on_and_a_duplicate_asks_nothing() {
    let task = task();
    let period = Period { unit: PeriodUnit::Month, count: 1 };
    let recurring = Some(Recurring { period, amount: Some(500) });
    let friend = SoldItem { name: "Friend".to_owned(), quantity: 1, amount: Some(500), recurring };
    *task.downloads.sold.borrow_mut() = Some(vec![friend]);
    let event = StripeEvent::paid().subscription("Ada").to_json();
    deliver(&task, std::slice::from_ref(&event)).await;
    let mail = mails(&task).remove(0);
    let expected =
        "Your payment renews every month for £5.00 until you cancel. To cancel, write to hello@example.org.";
    assert!(mail.contains(expected) && mail.contains("For: Friend"), "{mail}");
    deliver(&task, &[event]).await;
    assert_eq!((mails(&task).len(), *task.downloads.asked_what_was_sold.borrow()), (1, 1));
}

#[tokio::test]
async fn a_throttled_mail_comes_back_and_is_sent() {
    let task = task();
    let throttled = || Attempted::NotDone(SendError::Throttled("TooManyRequestsException".to_owned()));
    *task.sender.answers.borrow_mut() = vec![throttled(), throttled()];
    let event = [StripeEvent::paid().to_json()];
    for _ in 0..2 {
        let (tally, _) = deliver(&task, &event).await;
        assert_eq!((tally.retried, state(&task, "thank-you")), (1, Some("retry")));
    }
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.done, mails(&task).len()), (1, 1));
}

/// The golden file is what the alarms on wording, files and throttles are checked against.
#[tokio::test]
async fn counts_broken_wording_missing_files_throttled_and_limited_mails() {
    let task = TestTask { limit: InMemoryLimit(RefCell::default(), 0), ..task() };
    *task.sender.answers.borrow_mut() =
        vec![Attempted::NotDone(SendError::Throttled("TooManyRequestsException".to_owned()))];
    let metadata = json!({ "fulfilment": "download", "files": "audio.mp3", "thank_you": "gala" });
    let paid = StripeEvent::paid().metadata(metadata).to_json();
    let unpaid = StripeEvent::unpaid().session("id", json!("cs_2")).session("payment_intent", json!("pi_2"));
    let (tally, _) = deliver(&task, &[paid, unpaid.to_json()]).await;
    let lines = testkit::metrics::of_task(crate::NAME, &tally);
    testkit::metrics::assert_golden(&lines, include_str!("../../metrics.golden.json"));
}

#[tokio::test]
async fn a_lost_reply_is_never_sent_again() {
    let task = task();
    let lost = Attempted::Ambiguous(SendError::ReplyLost("timeout".to_owned()));
    *task.sender.answers.borrow_mut() = vec![lost];
    let event = [StripeEvent::paid().to_json()];
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.unknown, state(&task, "thank-you")), (1, Some("unknown")));
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.skipped, mails(&task).len()), ([("already_unknown", 1)].into(), 1));
}

/// The whole way, from the socket to what the message becomes.
#[tokio::test]
async fn a_mail_service_that_never_answers_leaves_the_mail_unknown() {
    let ses = SilentAws::start();
    let variables = |name: &str| {
        let value = match name {
            "LIVEMODE" => "false",
            "SENDER" => "Example Project <thanks@example.org>",
            _ => "elsewhere",
        };
        Some(value.to_owned())
    };
    let config = Config::from_env(&mut Environment::new(variables)).unwrap();
    let TestTask { ledger, lookup, overrides, limit, policy, livemode, clock, .. } = task();
    let sender = SesEmailSender::new(&ses.sdk_config(), &config);
    let downloads = InMemoryDownloads::default();
    let task = ThankYouEmail { ledger, lookup, sender, overrides, downloads, limit, policy, livemode, clock };
    let event = [StripeEvent::paid().to_json()];
    let delivered =
        testkit::queue::deliver("thank-you-email", &task, &task.clock, "afterlink.webhook", &event);
    let ((tally, _), waited) = ses.wait(Duration::from_secs(2), delivered).await;
    assert_eq!((tally.unknown, waited.requests), (1, 1));
    assert_eq!(task.ledger.state(&key("thank-you")).map(|state| state.name()), Some("unknown"));
}

#[tokio::test]
async fn a_ledger_that_never_answers_sends_the_message_back_and_no_mail() {
    let dynamodb = SilentAws::start();
    let TestTask { lookup, sender, overrides, limit, policy, livemode, clock, .. } = task();
    let ledger = DynamoDbEffects::new(aws_sdk_dynamodb::Client::new(&dynamodb.sdk_config()), "effects");
    let lookup = PaymentLookup { stripe: lookup.stripe, ledger: ledger.clone(), clock: clock.clone() };
    let downloads = InMemoryDownloads::default();
    let task = ThankYouEmail { ledger, lookup, sender, overrides, downloads, limit, policy, livemode, clock };
    let event = [StripeEvent::paid().to_json()];
    let delivered =
        testkit::queue::deliver("thank-you-email", &task, &task.clock, "afterlink.webhook", &event);
    let ((tally, _), _) = dynamodb.wait(Duration::from_secs(2), delivered).await;
    assert_eq!((tally.retried, task.sender.accepted.borrow().len()), (1, 0));
}

#[tokio::test]
async fn a_crash_after_the_claim_is_never_sent_again() {
    let task = task();
    let now = task.clock.now_ms();
    let claim = Claim { owner: "died".to_owned(), attempt: 1, lease_until: now + 60_000 };
    task.ledger.put(&key("thank-you"), EffectState::Claimed(claim));
    let event = [StripeEvent::paid().to_json()];
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!(tally.retried, 1, "the other may still be at it");
    task.clock.advance_ms(60_001);
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.unknown, state(&task, "thank-you")), (1, Some("unknown")));
    assert_eq!(mails(&task).len(), 0);
}

#[tokio::test]
async fn a_rejected_mail_is_parked_and_sent_once_fixed() {
    let task = task();
    let rejected = Attempted::Rejected(SendError::Rejected(Refused::Content, "MessageRejected".to_owned()));
    *task.sender.answers.borrow_mut() = vec![rejected];
    let event = [StripeEvent::paid().to_json()];
    let (tally, queue) = deliver(&task, &event).await;
    assert_eq!((tally.parked, state(&task, "thank-you")), (1, Some("parked")));
    assert_eq!(queue.dead_letters.borrow()[0].1, "mail_rejected");
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.done, mails(&task).len()), (1, 1));
}

#[tokio::test]
async fn an_address_that_cannot_be_one_is_parked_before_anything_is_sent() {
    for email in ["", "ada", "ada@", "@example.org", "a@b@example.org", "ada@example.org, eve@example.org"] {
        check_no_recipient(StripeEvent::paid().email(email)).await;
    }
    check_no_recipient(StripeEvent::paid().email("ada@example.org\r\nBcc: eve@example.org")).await;
    check_no_recipient(StripeEvent::paid().session("customer_details", json!(null))).await;
}

async fn check_no_recipient(event: StripeEvent) {
    let task = task();
    let (tally, queue) = deliver(&task, &[event.to_json()]).await;
    assert_eq!((tally.parked, state(&task, "thank-you")), (1, Some("parked")), "{event:?}");
    assert_eq!(queue.dead_letters.borrow()[0].1, "no_recipient");
    assert!(mails(&task).is_empty());
}

#[tokio::test]
async fn a_broken_link_contract_is_parked_but_never_hides_a_sent_mail() {
    let task = task();
    let broken = StripeEvent::paid().metadata(json!({ "fulfilment": "donation" })).to_json();
    let (tally, queue) = deliver(&task, std::slice::from_ref(&broken)).await;
    assert_eq!((tally.parked, state(&task, "thank-you")), (1, Some("parked")));
    assert_eq!(queue.dead_letters.borrow()[0].1, "broken_link_contract");
    deliver(&task, &[StripeEvent::paid().to_json()]).await;
    let (tally, _) = deliver(&task, &[broken]).await;
    assert_eq!((tally.skipped, state(&task, "thank-you")), ([("already_done", 1)].into(), Some("done")));
}

#[tokio::test]
async fn others_sessions_get_no_mail() {
    let task = task();
    let events = [StripeEvent::paid().without_marker().to_json(), StripeEvent::paid().livemode().to_json()];
    let (tally, _) = deliver(&task, &events).await;
    assert_eq!(tally.skipped, [("another_business", 1), ("other_livemode", 1)].into());
    assert!(mails(&task).is_empty());
}

/// The event of a link that names its own template, whose files are in the bucket.
fn gala(templates: &InMemoryTemplates) -> Value {
    templates.put("gala/en.subject.txt", "The gala");
    templates.put("gala/en.html", "<p>See you at the gala.</p>");
    templates.put("gala/en.txt", "See you at the gala.");
    let metadata = json!({ "fulfilment": "contribution", "thank_you": "gala" });
    StripeEvent::paid().metadata(metadata).to_json()
}

#[tokio::test]
async fn a_campaigns_own_wording_is_sent() {
    let templates = InMemoryTemplates::default();
    let task = with_templates(&templates);
    let (tally, _) = deliver(&task, &[gala(&templates)]).await;
    assert_eq!(mails(&task), ["See you at the gala."]);
    assert_eq!((tally.done, tally.counted), (1, [].into()));
}

#[tokio::test]
async fn a_name_that_cannot_be_one_falls_back_and_is_counted() {
    let task = with_templates(&InMemoryTemplates::default());
    let metadata = json!({ "fulfilment": "contribution", "thank_you": "Hello!" });
    let (tally, _) = deliver(&task, &[StripeEvent::paid().metadata(metadata).to_json()]).await;
    assert_eq!((tally.done, tally.counted), (1, [("BrokenWording", 1)].into()));
}

#[tokio::test]
async fn a_broken_wording_falls_back_and_is_counted_once_a_mail() {
    let templates = InMemoryTemplates::default();
    let task = with_templates(&templates);
    let event = gala(&templates);
    templates.put("gala/en.html", "{{ ammount }}");
    templates.put("contribution/en.html", "{% if %}");
    let (tally, _) = deliver(&task, std::slice::from_ref(&event)).await;
    assert_eq!((tally.done, tally.counted), (1, [("BrokenWording", 1)].into()));
    assert!(mails(&task)[0].contains("Hello Ada Example,"), "{:?}", mails(&task));
    // A duplicate sends nothing, so there is nothing to pass over.
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!((tally.skipped, tally.counted), ([("already_done", 1)].into(), [].into()));
}

#[tokio::test]
async fn a_template_that_was_never_uploaded_falls_back_and_is_counted() {
    let task = task();
    let metadata = json!({ "fulfilment": "contribution", "thank_you": "gala" });
    let (tally, _) = deliver(&task, &[StripeEvent::paid().metadata(metadata).to_json()]).await;
    assert_eq!((tally.done, tally.counted), (1, [("BrokenWording", 1)].into()));
}

#[tokio::test]
async fn a_mail_waits_for_a_bucket_that_is_away_and_then_has_its_own_words() {
    let templates = InMemoryTemplates::default();
    let task = with_templates(&templates);
    let event = [gala(&templates)];
    templates.fail(Some(FilesError::Unavailable("SlowDown".to_owned())));
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.retried, state(&task, "thank-you")), (1, None));
    templates.fail(None);
    deliver(&task, &event).await;
    assert_eq!(mails(&task), ["See you at the gala."]);
}

#[tokio::test]
async fn no_mail_waits_for_a_bucket_that_refuses() {
    let templates = InMemoryTemplates::default();
    let task = with_templates(&templates);
    templates.fail(Some(FilesError::Refused("AccessDenied".to_owned())));
    let (tally, _) = deliver(&task, &[StripeEvent::paid().to_json()]).await;
    assert_eq!((tally.done, tally.counted), (1, [("BrokenWording", 1)].into()));
    assert_eq!(mails(&task).len(), 1);
}

/// What contribution-records has in the ledger after a refund.
fn refund(task: &TestTask, refund_id: &str, minor: i64, currency: &str) {
    let amount = Money::new(minor, currency.parse().unwrap());
    let done = EffectRow::new(effects::contribution_refund(refund_id), EffectState::Done);
    let row = EffectRow { moved: Some(MovedMoney { amount, occurred_at: 1_795_000_000 }), ..done };
    task.ledger.put_row(&PaymentId::new("pi_Example"), row);
    task.ledger.put_version(&key("thank-you"), None);
}

/// The payment of £12.50, some of which went back before its event came.
async fn after_refunds(refunds: &[(i64, &str)]) -> (TestTask, Tally) {
    let task = task();
    for (index, (minor, currency)) in refunds.iter().enumerate() {
        refund(&task, &format!("re_{index}"), *minor, currency);
    }
    let (tally, _) = deliver(&task, &[StripeEvent::paid().amount(1250, "gbp").to_json()]).await;
    (task, tally)
}

#[tokio::test]
async fn a_refunded_payment_is_not_thanked() {
    for refunds in [&[(1250, "gbp")][..], &[(250, "gbp"), (1000, "gbp")]] {
        let (task, tally) = after_refunds(refunds).await;
        assert_eq!(tally.skipped, [("refunded", 1)].into());
        assert_eq!((state(&task, "thank-you"), mails(&task).len()), (Some("skipped"), 0));
    }
    // Part of it, none of it since the refund failed, or money that is not the payment's.
    for refunds in [&[(1249, "gbp")][..], &[(0, "gbp")], &[(1250, "usd")], &[]] {
        let (task, tally) = after_refunds(refunds).await;
        assert_eq!((tally.done, mails(&task).len()), (1, 1), "{refunds:?}");
    }
}

#[tokio::test]
async fn a_refund_that_comes_while_the_mail_waits_is_heard_of() {
    let task = task();
    let throttled = Attempted::NotDone(SendError::Throttled("TooManyRequestsException".to_owned()));
    task.sender.answers.borrow_mut().push(throttled);
    let event = [StripeEvent::paid().amount(1250, "gbp").to_json()];
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.retried, state(&task, "thank-you")), (1, Some("retry")));
    refund(&task, "re_1", 1250, "gbp");
    let (tally, _) = deliver(&task, &event).await;
    assert_eq!((tally.skipped, mails(&task).len()), ([("refunded", 1)].into(), 0));
}

#[tokio::test]
async fn a_free_order_is_never_taken_for_a_refunded_one() {
    let task = task();
    deliver(&task, &[StripeEvent::paid().amount(0, "gbp").to_json()]).await;
    assert_eq!(mails(&task).len(), 1);
}

#[tokio::test]
async fn a_refund_after_the_mail_changes_nothing() {
    let (task, _) = after_refunds(&[]).await;
    refund(&task, "re_1", 1250, "gbp");
    let (tally, _) = deliver(&task, &[StripeEvent::paid().event_id("evt_twin").to_json()]).await;
    assert_eq!((tally.skipped, state(&task, "thank-you")), ([("already_done", 1)].into(), Some("done")));
}

fn reasons(queue: &InMemoryQueue) -> Vec<String> {
    queue.dead_letters.borrow().iter().map(|(_, reason)| reason.clone()).collect()
}

fn download(files: &str) -> StripeEvent {
    StripeEvent::paid().metadata(json!({ "fulfilment": "download", "files": files }))
}

#[tokio::test]
async fn a_download_is_listed_with_its_link_and_nothing_else_asks_for_files() {
    let task = task();
    deliver(&task, &[download("guide.pdf").to_json(), StripeEvent::paid().payment("Gift").to_json()]).await;
    let mails = mails(&task);
    let with_link: Vec<_> =
        mails.iter().filter(|text| text.contains("https://example.org/d/token")).collect();
    assert_eq!((mails.len(), with_link.len(), *task.downloads.asked.borrow()), (2, 1, 1));
    assert!(with_link[0].contains("- guide.pdf\n"), "{}", with_link[0]);
    assert!(!with_link[0].contains("to follow"), "{}", with_link[0]);
    assert_eq!(state(&task, "files-ready"), None);
    deliver(
        &task,
        &[StripeEvent::unpaid()
            .payment("Later")
            .metadata(json!({ "fulfilment": "download", "files": "guide.pdf" }))
            .to_json()],
    )
    .await;
    assert_eq!(*task.downloads.asked.borrow(), 1, "no goods before the money");
}

#[tokio::test]
async fn a_missing_file_is_promised_parked_and_announced_once_when_it_is_there() {
    let task = task();
    let event = download("guide.pdf, audio.mp3").to_json();
    let (tally, queue) = deliver(&task, std::slice::from_ref(&event)).await;
    assert_eq!((tally.parked, &tally.counted), (1, &[("FilesMissing", 1)].into()));
    assert_eq!(reasons(&queue), ["file_missing"]);
    assert_eq!((state(&task, "thank-you"), state(&task, "files-ready")), (Some("done"), Some("parked")));
    assert!(mails(&task)[0].contains("- audio.mp3 (to follow)"), "{}", mails(&task)[0]);
    assert!(mails(&task)[0].contains("We’ll email you when they are"), "{}", mails(&task)[0]);

    // Redriven too early: parked again, and no mail.
    let (tally, _) = deliver(&task, std::slice::from_ref(&event)).await;
    assert_eq!((tally.parked, mails(&task).len()), (1, 1));

    task.downloads.there.borrow_mut().push("audio.mp3");
    deliver(&task, &[event.clone(), event.clone()]).await;
    assert_eq!(mails(&task).len(), 2);
    assert!(mails(&task)[1].contains("- audio.mp3\n") && !mails(&task)[1].contains("to follow"));
    assert_eq!(state(&task, "files-ready"), Some("done"));
    deliver(&task, &[event]).await;
    assert_eq!(mails(&task).len(), 2);
}

#[tokio::test]
async fn a_link_that_names_no_file_is_thanked_for_and_parked() {
    let task = task();
    let (tally, queue) = deliver(&task, &[download(" ").to_json()]).await;
    assert_eq!((tally.parked, reasons(&queue)), (1, vec!["no_files".to_owned()]));
    assert!(mails(&task)[0].contains("Your files will follow."), "{}", mails(&task)[0]);
}

#[tokio::test]
async fn files_that_come_before_the_mail_that_would_promise_them_are_announced_once() {
    let task = task();
    task.sender.answers.borrow_mut().push(Attempted::NotDone(SendError::Throttled("429".to_owned())));
    let event = download("audio.mp3").to_json();
    let (tally, _) = deliver(&task, std::slice::from_ref(&event)).await;
    assert_eq!((tally.retried, state(&task, "files-ready")), (1, Some("parked")));
    task.downloads.there.borrow_mut().push("audio.mp3");
    deliver(&task, std::slice::from_ref(&event)).await;
    assert_eq!((mails(&task).len(), state(&task, "files-ready")), (1, Some("skipped")));
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!((mails(&task).len(), tally.skipped), (1, [("already_done", 1)].into()));
}

#[tokio::test]
async fn no_mail_announces_files_whose_money_went_back() {
    let task = task();
    let event = download("audio.mp3").to_json();
    deliver(&task, std::slice::from_ref(&event)).await;
    refund(&task, "re_1", 1250, "gbp");
    task.downloads.there.borrow_mut().push("audio.mp3");
    let (tally, _) = deliver(&task, &[event]).await;
    assert_eq!((tally.skipped, mails(&task).len()), ([("refunded", 1)].into(), 1));
}

/// Delivers an event as the queue does the second time and later.
async fn deliver_again(task: &TestTask, event: &Value, receive_count: u32) -> Tally {
    let body = testkit::queue::envelope("afterlink.webhook", event);
    let mut batch = testkit::queue::batch(&[body]);
    for record in &mut batch.records {
        record.attributes.insert("ApproximateReceiveCount".to_owned(), receive_count.to_string());
    }
    let invocation = Invocation { request_id: "again".to_owned(), deadline_ms: task.clock.now_ms() + 30_000 };
    let backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };
    let queue = InMemoryQueue::default();
    handle_batch("thank-you-email", task, &queue, &task.clock, backoff, batch, &invocation).await.1
}

/// A wording that ends the process leaves no trace but the message that is received again.
#[tokio::test]
async fn a_message_that_comes_back_without_a_trace_is_mailed_with_the_built_in_wording() {
    let templates = InMemoryTemplates::default();
    let event = gala(&templates);
    let task = with_templates(&templates);
    let tally = deliver_again(&task, &event, 2).await;
    assert_eq!((tally.done, tally.counted.get(BROKEN_WORDING)), (1, Some(&1)));
    assert!(!mails(&task)[0].contains("gala"), "{:?}", mails(&task));
    // Without a wording of its own nothing is passed over.
    let task = self::task();
    let tally = deliver_again(&task, &StripeEvent::paid().to_json(), 2).await;
    assert_eq!((tally.done, tally.counted.get(BROKEN_WORDING)), (1, None));
}

#[tokio::test]
async fn a_throttled_mail_keeps_its_own_wording_however_often_it_is_retried() {
    let templates = InMemoryTemplates::default();
    let event = gala(&templates);
    let task = with_templates(&templates);
    let throttled = || Attempted::NotDone(SendError::Throttled("TooManyRequestsException".to_owned()));
    *task.sender.answers.borrow_mut() = vec![throttled(), throttled()];
    for receive_count in 1..=3 {
        deliver_again(&task, &event, receive_count).await;
    }
    assert_eq!(mails(&task), ["See you at the gala."]);
}

/// An operator may hand on a parked message, and other mails are not held up by it.
#[tokio::test]
async fn mails_that_cost_nothing_are_limited_for_an_address_and_paid_ones_are_not() {
    let task = task();
    let free = |payment: &str| {
        let event =
            StripeEvent::paid().amount(0, "gbp").session("payment_status", json!("no_payment_required"));
        event.session("id", json!(payment)).session("payment_intent", json!(null)).event_id(payment).to_json()
    };
    let events: Vec<_> = (1..=6).map(|n| free(&format!("cs_test_free{n}"))).collect();
    let (tally, queue) = deliver(&task, &events).await;
    assert_eq!((tally.done, tally.parked, tally.counted.get(MAIL_LIMITED)), (5, 1, Some(&1)));
    assert_eq!(queue.dead_letters.borrow()[0].1, "too_many_to_one_address");
    let (tally, _) = deliver(&task, &[StripeEvent::paid().to_json()]).await;
    assert_eq!(tally.done, 1, "a payment is thanked for all the same");
    let event = StripeEvent::unpaid().session("id", json!("cs_2")).session("payment_intent", json!("pi_2"));
    let (tally, _) = deliver(&task, &[event.to_json()]).await;
    assert_eq!(tally.parked, 1, "a pending payment costs nothing either");
    let event = StripeEvent::paid().amount(0, "gbp");
    let tally = resend(&task, event.to_json(), "r-1", None).await;
    assert_eq!(tally.done, 1, "an operator decides alone");
}

/// A first delivery promised the files and died at SES, and the mail may have been sent. The files arrive, and the
/// message is received again.
#[tokio::test]
async fn a_promise_that_may_have_been_sent_is_kept() {
    let task = task();
    let event =
        StripeEvent::paid().metadata(json!({ "fulfilment": "download", "files": "later.pdf" })).to_json();
    task.ledger.put(&key("files-ready"), EffectState::Parked { reason: "file_missing".to_owned() });
    let claim = Claim { owner: "died".to_owned(), attempt: 1, lease_until: task.clock.now_ms() - 1 };
    task.ledger.put(&key("thank-you"), EffectState::Claimed(claim));
    task.downloads.there.borrow_mut().push("later.pdf");
    deliver(&task, std::slice::from_ref(&event)).await;
    assert_eq!((state(&task, "thank-you"), state(&task, "files-ready")), (Some("unknown"), Some("parked")));
    // The operator finds the mail in SES's log: `resolve --sent`, then `retry email#files-ready`.
    task.ledger.put(&key("thank-you"), EffectState::Done);
    deliver(&task, &[event]).await;
    assert_eq!(state(&task, "files-ready"), Some("done"));
}

/// The refund came first, and failed later: the purchase stands, and an operator sends the mail that was left out.
#[tokio::test]
async fn thanks_that_a_refund_left_out_can_be_resent_when_the_refund_fails() {
    let task = task();
    let event = StripeEvent::paid().amount(1250, "gbp");
    refund(&task, "re_1", 1250, "gbp");
    deliver(&task, &[event.to_json()]).await;
    assert_eq!(state(&task, "thank-you"), Some("skipped"));
    refund(&task, "re_1", 0, "gbp");
    let tally = resend(&task, event.to_json(), "r-1", None).await;
    assert_eq!((tally.done, mails(&task).len()), (1, 1));
}

#[tokio::test]
async fn an_address_is_trimmed_and_its_domain_is_mailed_in_punycode() {
    for (typed, sent) in [
        (" ada@example.org", "ada@example.org"),
        ("ada@example.org\u{200b}", "ada@example.org"),
        ("Ada@Müller.de", "Ada@xn--mller-kva.de"),
    ] {
        let task = task();
        deliver(&task, &[StripeEvent::paid().email(typed).to_json()]).await;
        assert_eq!(task.sender.accepted.borrow()[0].0, sent);
    }
    for (typed, reason) in
        [("adä@example.org", "recipient_not_ascii"), ("a..da@example.org", "recipient_malformed")]
    {
        let task = task();
        let (_, queue) = deliver(&task, &[StripeEvent::paid().email(typed).to_json()]).await;
        assert_eq!(queue.dead_letters.borrow()[0].1, reason);
        assert!(mails(&task).is_empty());
    }
}

/// An operator asks for the mail of an event once more.
async fn resend(task: &TestTask, event: Value, id: &str, to: Option<&str>) -> Tally {
    let wishes = [json!({ "event": event, "resend_id": id, "to": to })];
    testkit::queue::deliver("thank-you-email", task, &task.clock, "afterlink.operator", &wishes).await.0
}

#[tokio::test]
async fn an_operators_second_mail_is_an_effect_of_its_own_and_sent_once() {
    let task = task();
    let event = StripeEvent::paid();
    deliver(&task, &[event.to_json()]).await;
    for _delivered_twice in 0..2 {
        resend(&task, event.to_json(), "r-1", None).await;
        resend(&task, event.to_json(), "r-2", Some("other@example.org")).await;
    }
    let recipients: Vec<_> = task.sender.accepted.borrow().iter().map(|(to, _)| to.clone()).collect();
    assert_eq!(recipients, ["ada@example.org", "ada@example.org", "other@example.org"]);
    assert_eq!(mails(&task)[0], mails(&task)[1], "the same mail");
    let states = ["thank-you", "thank-you#resend#r-1", "thank-you#resend#r-2"].map(|kind| state(&task, kind));
    assert_eq!(states, [Some("done"); 3]);
}

#[tokio::test]
async fn a_second_mail_follows_the_rules_of_the_first() {
    let task = task();
    refund(&task, "re_1", 1250, "gbp");
    let tally = resend(&task, StripeEvent::paid().amount(1250, "gbp").to_json(), "r-1", None).await;
    assert_eq!(tally.skipped, [("refunded", 1)].into());
    assert_eq!(state(&task, "thank-you#resend#r-1"), Some("skipped"));

    let tally = resend(
        &self::task(),
        StripeEvent::paid().to_json(),
        "r-2",
        Some("two@example.org, people@example.org"),
    )
    .await;
    assert_eq!(tally.parked, 1, "one address and nothing else");
    let tally = resend(&self::task(), StripeEvent::paid().without_marker().to_json(), "r-3", None).await;
    assert_eq!(tally.skipped, [("another_business", 1)].into());
    assert!(mails(&task).is_empty());
}

#[tokio::test]
async fn writes_the_rows_its_events_call_for() {
    // Also of a kind that is not the recorded one: then the row says that its renewals are not thanked for.
    for kinds in [&[][..], &[FulfilmentKind::Membership], &[FulfilmentKind::Contribution]] {
        let policy = with_renewals_thanked(kinds);
        let make = || {
            let task = TestTask { policy: policy.clone(), ..task() };
            task.lookup.stripe.began_the_recorded();
            let ledger = task.ledger.clone();
            (task, ledger)
        };
        let own = |effect: &str| effect.starts_with("email#");
        testkit::expected_effects::check("thank-you-email", &ManualClock::default(), &policy, own, make)
            .await;
    }
}

mod renewals;
