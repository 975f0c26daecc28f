//! What earlier versions wrote, read by this one: an upgrade loses nothing and does nothing twice.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use Task::{AcquisitionEvents, ContributionRecords, SoftOptIns};
use aws::Clock;
use aws_in_memory::sdk_config;
use catalogue::Task;
use download_claims::{DynamoDbDownloads, Fetch, TokenKeys, Verified};
use effect_ledger::{DynamoDbEffects, Verb};
use fulfilment::PaymentId;
use reconciliation::{DynamoDbJournal, Journal};
use serde_json::{Value, json};
use simulation::dlq_url;
use simulation::fault::Scripted;
use simulation::world::World;
use testkit::clock::ManualClock;
use testkit::queue::envelope;
use testkit::stripe::{CorrectionEvent, SessionEvent};

/// Everything a version left behind, in a world of this version.
struct Upgraded {
    world: World<Scripted>,
    before: BTreeMap<String, Vec<Value>>,
    /// Who had got which mail.
    mailed: BTreeSet<String>,
    queues: Value,
    dead_letters: Value,
}

const AT: i64 = 1_795_000_000;

fn fixture(version: &str, file: &str) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testkit/upgrade/{version}/{file}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))).unwrap()
}

/// The file keeps a body as JSON where it was JSON.
fn body(message: &Value) -> String {
    message["body"].as_str().map_or_else(|| message["body"].to_string(), str::to_owned)
}

impl Upgraded {
    fn from(version: &str) -> Self {
        let world = World::new(Scripted::new(Vec::new(), 0));
        let tables: BTreeMap<String, Vec<Value>> =
            serde_json::from_value(fixture(version, "tables")).unwrap();
        for table in ["contributions", "supporters", "consents", "effects", "downloads"] {
            for row in &tables[table] {
                world.cloud.put_row(table, row);
            }
        }
        let mails = fixture(version, "mails");
        let mailed = mails.as_array().unwrap().iter().map(|mail| mail["to"][0].as_str().unwrap().to_owned());
        Self {
            world,
            before: tables,
            mailed: mailed.collect(),
            queues: fixture(version, "queues"),
            dead_letters: fixture(version, "dead-letters"),
        }
    }

    /// The messages of the queues come again, and what the tasks make of it.
    fn deliver_queues(&mut self) {
        for task in Task::ALL {
            for message in self.queues[task.name()].as_array().unwrap() {
                self.world.send(task, &body(message));
            }
        }
        self.world.run(None);
    }

    /// Every session event that any queue or dead-letter queue holds, once more to every task.
    fn repeat_everything(&mut self) {
        let messages =
            [&self.queues, &self.dead_letters].into_iter().flat_map(|of| of.as_object().unwrap().values());
        let bodies: BTreeSet<_> =
            messages.flat_map(|messages| messages.as_array().unwrap()).map(body).collect();
        for body in bodies.iter().filter(|body| !body.contains("resend_id")) {
            for task in Task::ALL {
                self.world.send(task, body);
            }
        }
        self.world.run(None);
    }

    fn deliver(&mut self, tasks: &[Task], event: &Value) {
        for task in tasks {
            self.world.send(*task, &envelope("afterlink.webhook", event));
            self.world.run(None);
        }
    }

    fn effect(&self, payment_id: &str, effect: &str) -> String {
        let row = self.world.cloud.row("effects", &[payment_id, effect]).unwrap_or_default();
        row["state"].as_str().unwrap_or_default().to_owned()
    }

    fn status(&self, payment_id: &str) -> String {
        let row = self.world.cloud.row("contributions", &[payment_id]).unwrap_or_default();
        row["status"].as_str().unwrap_or_default().to_owned()
    }

    /// How many mails this version sent to the customer of this name in the fixtures.
    fn mails_to(&self, name: &str) -> usize {
        let address = format!("{}@example.org", name.to_lowercase());
        self.world.cloud.mails().iter().filter(|mail| mail.to.contains(&address)).count()
    }

    fn answers(&self, name: &str) -> BTreeSet<String> {
        let states = self.world.cloud.rows("consents");
        let records = self.world.cloud.rows("contributions");
        let email = format!("{}@example.org", name.to_lowercase());
        let supporter =
            records.iter().find(|row| row["email"] == json!(email)).map(|row| row["supporter_id"].clone());
        let of_them = states
            .iter()
            .filter(|row| row["rank"].is_string() && Some(&row["supporter_id"]) == supporter.as_ref());
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        of_them
            .map(|row| format!("{} {} {}", text(row, "consent"), text(row, "answer"), text(row, "basis")))
            .collect()
    }
}

fn session(event: SessionEvent, name: &str, kind: &str, at: i64) -> SessionEvent {
    event
        .payment(name)
        .customer("Ada Example", &format!("{}@example.org", name.to_lowercase()))
        .country("GB")
        .metadata(json!({ "fulfilment": kind, "files": "guide.pdf", "campaign": "autumn" }))
        .at(AT + at)
        .session("created", json!(AT + at - 60))
}

fn subscription(event: SessionEvent, name: &str, at: i64) -> SessionEvent {
    session(event, name, "membership", at)
        .session("mode", json!("subscription"))
        .session("payment_intent", Value::Null)
        .session("invoice", json!(format!("in_{name}")))
        .session("subscription", json!(format!("sub_{name}")))
}

#[test]
fn work_in_flight_is_finished_by_the_next_version() {
    let mut upgraded = Upgraded::from("0.1.0");
    upgraded.deliver_queues();
    for row in upgraded.world.cloud.rows("effects") {
        let payment = row["payment_id"].as_str().unwrap();
        let effect = row["effect"].as_str().unwrap();
        let Some(state) = row["state"].as_str() else { continue };
        assert!(
            !["claimed", "retry"].contains(&state) || effect.starts_with("acquisition#"),
            "{payment} {effect} {state}"
        );
    }
    for source in ["FromPartner", "FromWebhook", "FromReconcile"] {
        for effect in ["email#thank-you", "contribution#paid", "consents", "acquisition"] {
            assert_eq!(upgraded.effect(&format!("pi_{source}"), effect), "done", "{source} {effect}");
        }
    }
    assert_eq!(upgraded.effect("pi_Throttled", "email#thank-you"), "done");
    // A customer whose mail may have gone out is not mailed by itself.
    for row in &upgraded.before["effects"] {
        if row["effect"] == "email#thank-you" && row["state"] == "claimed" {
            let payment = row["payment_id"].as_str().unwrap();
            assert_eq!(upgraded.effect(payment, "email#thank-you"), "unknown", "{payment}");
        }
    }
    // The operator's second mail, to another address.
    assert_eq!(upgraded.effect("pi_Paid", "email#thank-you#resend#r2"), "done");
}

#[test]
fn nothing_that_was_done_is_done_again() {
    let mut upgraded = Upgraded::from("0.1.0");
    upgraded.deliver_queues();
    upgraded.repeat_everything();
    for mail in upgraded.world.cloud.mails() {
        let payment = mail.tags.get("payment_id").cloned().unwrap_or_default();
        let again = upgraded.mailed.contains(&mail.to[0]) && !mail.to[0].starts_with("missing@");
        assert!(!again, "{payment} {:?} was mailed again", mail.to);
    }
    // A row that was done stays as it was, and no payment has two keys.
    for before in &upgraded.before["effects"] {
        if before["state"] != "done" {
            continue;
        }
        let key = [before["payment_id"].as_str().unwrap(), before["effect"].as_str().unwrap()];
        let after = upgraded.world.cloud.row("effects", &key).unwrap();
        assert_eq!((&after["state"], &after["first_at"]), (&before["state"], &before["first_at"]), "{key:?}");
    }
    let rows = upgraded.world.cloud.rows("effects");
    let keys: BTreeSet<_> = rows.iter().map(|row| row["payment_id"].as_str().unwrap()).collect();
    for key in &keys {
        let session = key.strip_prefix("in_").map(|name| format!("cs_test_{name}"));
        assert!(session.is_none_or(|session| !keys.contains(session.as_str())), "{key} has two keys");
    }
}

#[test]
fn a_broken_link_that_was_parked_can_still_be_redriven() {
    let mut upgraded = Upgraded::from("0.1.0");
    for task in Task::ALL {
        for message in upgraded.dead_letters[task.name()].as_array().unwrap().clone() {
            upgraded.world.send(task, &body(&message));
        }
    }
    upgraded.world.run(None);
    for effect in ["email#thank-you", "contribution#paid", "consents", "acquisition"] {
        assert_eq!(upgraded.effect("pi_Broken", effect), "parked", "{effect}");
    }
    // A body that is no event stays in the dead-letter queue.
    for task in Task::ALL {
        let letters = upgraded.world.cloud.messages(&dlq_url(task));
        assert!(letters.iter().any(|letter| letter.body == "no event at all"), "{}", task.name());
    }
    // Its session as a later version of the link would have it.
    let made_good = session(SessionEvent::paid(), "Broken", "contribution", 18).to_json();
    upgraded.deliver(&Task::ALL, &made_good);
    for effect in ["email#thank-you", "contribution#paid", "consents", "acquisition"] {
        assert!(["done", "skipped"].contains(&upgraded.effect("pi_Broken", effect).as_str()), "{effect}");
    }
    assert_eq!(upgraded.mails_to("Broken"), 1);
}

#[test]
fn a_correction_that_waited_finds_its_payment() {
    let mut upgraded = Upgraded::from("0.1.0");
    let early = session(SessionEvent::paid(), "Early", "contribution", 29).to_json();
    let part = session(SessionEvent::paid(), "EarlyPart", "contribution", 29).to_json();
    upgraded.deliver(&Task::ALL, &early);
    upgraded.deliver(&Task::ALL, &part);
    assert_eq!(
        (upgraded.status("pi_Early"), upgraded.status("pi_EarlyPart")),
        ("refunded".into(), "part_refunded".into())
    );
    assert_eq!(upgraded.effect("pi_Early", "acquisition#refund#re_Early"), "done");
    assert_eq!(upgraded.effect("pi_EarlyPart", "acquisition#refund#re_EarlyPart"), "done");
    assert_eq!(
        upgraded.effect("pi_Early", "email#thank-you"),
        "skipped",
        "what was given back is not thanked for"
    );
    assert_eq!(upgraded.mails_to("EarlyPart"), 1);
    // Another business's still goes away by itself.
    let foreign = upgraded.world.cloud.row("contributions", &["pi_Foreign"]).unwrap();
    assert!(foreign["expires_at"].is_number());
}

#[test]
fn money_that_moves_later_reaches_the_record_that_was_there() {
    let mut upgraded = Upgraded::from("0.1.0");
    let refund = |name: &str, id: &str, what: &str, amount, at| {
        CorrectionEvent::refund(name, id, what)
            .amount(amount, "gbp")
            .object("created", json!(AT + at))
            .at(AT + at)
            .to_json()
    };
    let money = [ContributionRecords, AcquisitionEvents];
    upgraded.deliver(&money, &refund("PartRefund", "re_Rest", "created", 750, 5_000));
    upgraded.deliver(&money, &refund("Paid", "re_Paid", "created", 1250, 5_001));
    upgraded.deliver(&money, &refund("Refunded", "re_Full", "failed", 1250, 5_002));
    assert_eq!(upgraded.status("pi_PartRefund"), "refunded");
    assert_eq!(upgraded.status("pi_Paid"), "refunded");
    assert_eq!(upgraded.status("pi_Refunded"), "paid");
    assert_eq!(upgraded.effect("pi_Refunded", "acquisition#refund#re_Full#failed"), "done");
    let paid = session(SessionEvent::async_succeeded(), "Pending", "contribution", 6_000);
    upgraded.deliver(&Task::ALL, &paid.session("created", json!(AT)).marketing(Some("no")).to_json());
    assert_eq!((upgraded.status("pi_Pending"), upgraded.mails_to("Pending")), ("paid".into(), 1));
    assert_eq!(upgraded.answers("Pending"), ["supporter_newsletter no explicit".to_owned()].into());
}

#[test]
fn consents_keep_winning() {
    let mut upgraded = Upgraded::from("0.1.0");
    let of = |upgraded: &Upgraded| {
        ["Paid", "Refused", "Guide", "Perhaps", "Debit", "Member"].map(|name| upgraded.answers(name))
    };
    let before = of(&upgraded);
    assert_eq!(before[1], ["similar_products no explicit".to_owned()].into());
    upgraded.repeat_everything();
    assert_eq!(of(&upgraded), before);
    // An older yes that comes late, and a sale, do not undo the no.
    let again = |name: &str, at| {
        session(SessionEvent::paid(), name, "download", at).notice().email("refused@example.org")
    };
    upgraded.deliver(&[SoftOptIns], &again("Older", -100).marketing(Some("yes")).to_json());
    upgraded.deliver(&[SoftOptIns], &again("Sale", 100).to_json());
    assert_eq!(upgraded.answers("Refused"), before[1]);
    upgraded.deliver(&[SoftOptIns], &again("Newer", 200).marketing(Some("yes")).to_json());
    assert_eq!(upgraded.answers("Refused"), ["similar_products yes explicit".to_owned()].into());
}

/// The first payment of a subscription was filed under its session, and is filed under its invoice now.
#[test]
fn a_subscription_keeps_the_key_of_its_first_payment() {
    let mut upgraded = Upgraded::from("0.1.0");
    let member = |event: SessionEvent| subscription(event, "Member", 14).marketing(Some("yes")).to_json();
    upgraded.deliver(&Task::ALL, &member(SessionEvent::paid()));
    assert_eq!(upgraded.mails_to("Member"), 0, "the customer was thanked by the version before");
    for effect in ["email#thank-you", "contribution#paid", "consents", "acquisition"] {
        assert_eq!(upgraded.effect("cs_test_Member", effect), "done", "{effect}");
        assert_eq!(upgraded.effect("in_Member", effect), "", "{effect}");
    }
    assert!(upgraded.world.cloud.row("contributions", &["in_Member"]).is_none());
    let debit =
        subscription(SessionEvent::async_succeeded(), "MemberDebit", 300).session("created", json!(AT));
    upgraded.deliver(&Task::ALL, &debit.to_json());
    assert_eq!(upgraded.status("cs_test_MemberDebit"), "paid");
    assert_eq!(upgraded.mails_to("MemberDebit"), 1);
    // One that is new has its invoice for a key.
    upgraded.deliver(&Task::ALL, &subscription(SessionEvent::paid(), "NewMember", 400).to_json());
    assert_eq!(upgraded.status("in_NewMember"), "paid");
    assert_eq!(
        (upgraded.mails_to("NewMember"), upgraded.effect("in_NewMember", "acquisition")),
        (1, "done".into())
    );
    assert_eq!(upgraded.effect("in_MemberWaiting", "email#thank-you"), "");
}

#[tokio::test]
async fn tables_that_no_task_writes_can_be_read() {
    let upgraded = Upgraded::from("0.1.0");
    let cloud = &upgraded.world.cloud;
    for row in &upgraded.before["reconciliation"] {
        cloud.put_row("reconciliation", row);
    }
    let clock = ManualClock::default();
    let now = clock.now_ms() / 1000;
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk_config(cloud, clock));

    let journal = DynamoDbJournal::new(dynamodb.clone(), "reconciliation");
    let position = journal.position().await.unwrap().unwrap();
    assert_eq!((position.revision, position.until), (1, AT));
    let missing: Vec<_> =
        journal.missing().await.unwrap().into_iter().map(|it| it.payment_id.to_string()).collect();
    assert_eq!(missing, ["pi_Gone", "cs_test_MemberGone"]);
    journal.save(&position).await.unwrap().unwrap();

    let ledger = DynamoDbEffects::new(dynamodb.clone(), "effects");
    let history = ledger.history(&PaymentId::new("pi_Paid")).await.unwrap();
    let [action] = &history.actions[..] else { panic!("{:?}", history.actions) };
    assert_eq!((action.verb, action.because.as_deref()), (Verb::Resend, Some("a customer asked")));
    for row in &upgraded.before["effects"] {
        let payment_id = PaymentId::new(row["payment_id"].as_str().unwrap());
        ledger.history(&payment_id).await.unwrap_or_else(|error| panic!("{payment_id}: {error}"));
    }
    let open = ledger.open_effects("").await.unwrap().rows;
    let before = upgraded.before["effects"].iter().filter(|row| row["open"].is_string());
    assert_eq!(open.len(), before.count());

    let downloads = DynamoDbDownloads::new(dynamodb, "downloads");
    for row in &upgraded.before["downloads"] {
        let payment_id = PaymentId::new(row["payment_id"].as_str().unwrap());
        let kept = downloads.of_payment(&payment_id).await.unwrap().unwrap();
        assert_eq!(kept.files[0].key, "guide.pdf", "{payment_id}");
    }
    let guide = PaymentId::new("pi_Guide");
    assert_eq!(downloads.count_fetch(&guide, 20, now).await.unwrap(), Fetch::Counted(3));
}

#[test]
fn links_in_mails_that_are_out_work() {
    let links = fixture("0.1.0", "links");
    // The key may have been replaced since, and the old one is kept beside the new one.
    let keys = format!("{} {}", "f".repeat(44), links["token_keys"].as_str().unwrap());
    let keys = TokenKeys::parse(&keys).unwrap();
    for link in links["links"].as_array().unwrap() {
        let (_, token) = link["link"].as_str().unwrap().rsplit_once("/d/").unwrap();
        let payment_id = PaymentId::new(link["payment_id"].as_str().unwrap());
        assert_eq!(keys.verify(token), Verified::Payment { payment_id, generation: 0 }, "{link}");
    }
}

/// Stripe's event about an object of a subscription, from the recorded shape.
fn recorded(file: &str, name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testkit/fixtures/{file}.json"));
    let mut event: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    event["id"] = json!(format!("evt_{name}_{file}"));
    let object = &mut event["data"]["object"];
    if file == "invoice_payment_paid" {
        object["id"] = json!(format!("inpay_{name}"));
        object["invoice"] = json!(format!("in_{name}"));
        object["payment"]["payment_intent"] = json!(format!("pi_InvoiceOf{name}"));
    } else {
        object["id"] = json!(format!("in_{name}"));
        object["parent"]["subscription_details"]["subscription"] = json!(format!("sub_{name}"));
        object["parent"]["subscription_details"]["metadata"] = json!({});
    }
    event
}

#[test]
fn a_refund_of_a_subscription_reaches_the_payment_that_was_filed_under_its_session() {
    let mut upgraded = Upgraded::from("0.1.0");
    let session = subscription(SessionEvent::paid(), "Member", 14).marketing(Some("yes")).to_json();
    let invoice = recorded("invoice_paid_first", "Member");
    let paid = recorded("invoice_payment_paid", "Member");
    let began = json!({
        "id": "evt_Member_subscription", "object": "event", "type": "customer.subscription.created", "created": AT,
        "livemode": false,
        "data": { "object": {
            "id": "sub_Member", "object": "subscription", "created": AT, "items": { "object": "list", "data": [] }
        } },
    });
    for event in [&began, &session, &invoice, &paid] {
        upgraded.world.cloud.record_at_stripe(event);
    }
    // What reconciliation finds in Stripe's list of events and puts back.
    let money = [ContributionRecords, AcquisitionEvents];
    upgraded.deliver(&money, &invoice);
    upgraded.deliver(&[ContributionRecords], &paid);
    assert_eq!(upgraded.effect("in_Member", "contribution#term"), "skipped", "{}", upgraded.world.logs());
    let refund = CorrectionEvent::refund("InvoiceOfMember", "re_OfMember", "created")
        .amount(1250, "gbp")
        .object("created", json!(AT + 5_000))
        .at(AT + 5_000);
    upgraded.deliver(&money, &refund.to_json());
    assert_eq!(upgraded.status("cs_test_Member"), "refunded");
    assert_eq!(upgraded.effect("cs_test_Member", "acquisition#refund#re_OfMember"), "done");
    for key in ["in_Member", "pi_InvoiceOfMember"] {
        assert!(upgraded.world.cloud.row("contributions", &[key]).is_none(), "{key}");
    }
}
