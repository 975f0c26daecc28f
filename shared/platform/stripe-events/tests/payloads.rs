//! Real-shaped payloads of every API version decode, and nothing in them is read wrongly.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stripe_events::{
    BillingReason, CheckoutSession, CustomFieldAnswer, Delivered, DisputeStatus, Event, EventHead, Interval,
    InvoiceStatus, Object, PaymentStatus, Promotions, RefundStatus, SessionMode, Source,
};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(folder("../../../verification/testkit/fixtures").join(name)).expect(name)
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files
}

fn object(name: &str) -> Object {
    match Event::from_json(&fixture(name)).expect(name) {
        Event::Snapshot(event) => event.object,
        Event::Thin(_) => panic!("{name} is thin"),
    }
}

fn session(name: &str) -> CheckoutSession {
    let Object::Session(session) = object(name) else { panic!("{name} is no session") };
    *session
}

/// An event, an envelope around one, or an API object: whatever a file holds.
fn decode(file: &Path) -> String {
    let body = fs::read(file).unwrap();
    let value: Value = serde_json::from_slice(&body).unwrap();
    let is_object = !matches!(value["object"].as_str(), Some("event" | "v2.core.event") | None);
    let decoded = if is_object {
        Object::from_value(value).map(|object| format!("{object:?}"))
    } else if value["object"] == "event" && value["created"].is_null() {
        // An excerpt from Stripe's pages. Nothing can be dated by it, nor is it known whose money it is about, so it is
        // read only once it says both.
        assert!(Delivered::from_json(&body).is_err(), "{}", file.display());
        let mut whole = value;
        whole["created"] = 1_795_000_000.into();
        whole["livemode"] = false.into();
        Delivered::from_json(whole.to_string().as_bytes()).map(|delivered| format!("{delivered:?}"))
    } else {
        Delivered::from_json(&body).map(|delivered| format!("{delivered:?}"))
    };
    decoded.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_fixture_decodes() {
    let files = json_files(&folder("../../../verification/testkit/fixtures"));
    assert!(files.len() >= 15, "{files:?}");
    for file in files {
        decode(&file);
    }
}

/// Recorded payloads that some checkouts have beside them; a user of the project needs none.
#[test]
fn every_recorded_payload_decodes() {
    for file in json_files(&folder("../../../../shared/stripe-payloads")) {
        decode(&file);
    }
}

#[test]
fn debug_output_holds_no_personal_data() {
    for file in json_files(&folder("../../../verification/testkit/fixtures")) {
        let printed = decode(&file);
        for personal in ["ada@", "jonas@", "Ada Example", "Jonas", "N1 9GU", "10115"] {
            assert!(!printed.contains(personal), "{personal} in {}", file.display());
        }
    }
}

#[test]
fn reads_a_paid_session() {
    let session = session("session_completed_paid.json");
    assert_eq!(session.mode, Some(SessionMode::Payment));
    assert_eq!(session.payment_status, Some(PaymentStatus::Paid));
    assert_eq!(session.amount_total, Some(1250));
    assert_eq!(session.payment_intent.as_deref(), Some("pi_3FixtureContribution"));
    assert_eq!(session.metadata["fulfilment"], "contribution");
    let customer = session.customer_details.unwrap();
    assert_eq!(customer.email.unwrap().expose(), "ada@example.org");
    assert_eq!(customer.address.unwrap().country.as_deref(), Some("GB"));
}

#[test]
fn reads_what_the_page_asked_and_what_the_customer_answered() {
    let session = session("session_custom_fields.json");
    let [marketing, heard_of_us, age] = &session.custom_fields[..] else { panic!() };
    assert_eq!(marketing.key, "marketing");
    let label = marketing.label.as_ref().and_then(|label| label.custom.as_deref());
    assert_eq!(label, Some("May we write to you about similar guides?"));
    let answer = |answer: &Option<CustomFieldAnswer>| answer.as_ref()?.value.clone();
    let dropdown = marketing.dropdown.as_ref().unwrap();
    assert_eq!(dropdown.value.as_ref().unwrap().expose(), "no");
    assert_eq!(dropdown.chosen_label(), Some("No, thank you"));
    assert!(marketing.text.is_none());
    assert_eq!(answer(&heard_of_us.text).unwrap().expose(), "from Jonas, jonas@example.org");
    assert_eq!(answer(&age.numeric), None);
    assert_eq!(session.consent.unwrap().promotions, Some(Promotions::OptOut));
    let notice = session.custom_text.unwrap().submit.unwrap().message.unwrap();
    assert!(notice.starts_with("We write to you about similar guides."));
}

#[test]
fn a_page_that_asked_nothing_asked_nothing() {
    for fixture in ["session_completed_paid.json", "session_2020_sparse.json"] {
        let session = session(fixture);
        assert!(session.custom_fields.is_empty() && session.consent.is_none(), "{fixture}");
    }
}

#[test]
fn expanded_objects_give_their_id_and_empty_strings_nothing() {
    let session = session("session_2020_sparse.json");
    assert_eq!(session.payment_intent.as_deref(), Some("pi_1Fixture2020"));
    assert_eq!(session.customer.as_deref(), Some("cus_Fixture"));
    assert_eq!(session.subscription, None);
    assert!(session.customer_details.is_none());
}

#[test]
fn unknown_enum_values_are_kept() {
    let mut event: Value = serde_json::from_slice(&fixture("session_completed_paid.json")).unwrap();
    event["data"]["object"]["payment_status"] = json!("half_paid");
    event["type"] = json!("checkout.session.rethought");
    let Event::Snapshot(event) = Event::from_value(event).unwrap() else { panic!() };
    assert_eq!(event.event_type.as_str(), "checkout.session.rethought");
    let Object::Session(session) = event.object else { panic!() };
    assert_eq!(session.payment_status, Some(PaymentStatus::Other("half_paid".into())));
}

#[test]
fn reads_refunds_and_disputes() {
    let Object::Refund(refund) = object("refund_created.json") else { panic!() };
    assert_eq!((refund.amount, refund.status), (Some(500), Some(RefundStatus::Succeeded)));
    let Object::Dispute(dispute) = object("dispute_closed_inquiry.json") else { panic!() };
    assert_eq!(dispute.status, Some(DisputeStatus::WarningClosed));
    assert_eq!(dispute.payment_intent.as_deref(), Some("pi_3FixtureContribution"));
}

#[test]
fn reads_the_source() {
    let source = |source: &str| {
        let detail: Value = serde_json::from_slice(&fixture("session_completed_paid.json")).unwrap();
        let envelope = json!({ "source": source, "detail": detail });
        Delivered::from_json(envelope.to_string().as_bytes()).unwrap().source
    };
    assert_eq!(source("aws.partner/stripe.com/ed_1"), Source::Partner);
    assert_eq!(source("afterlink.webhook"), Source::Webhook);
    assert_eq!(source("afterlink.reconcile"), Source::Reconcile);
    assert_eq!(source("aws.partner/example.com/x"), Source::Other);
    assert_eq!(Delivered::from_json(&fixture("session_completed_paid.json")).unwrap().source, Source::Other);
}

#[test]
fn a_thin_event_is_recognised() {
    let event = Event::from_json(&fixture("thin_session_completed.json")).unwrap();
    assert!(matches!(event, Event::Thin(_)));
    assert_eq!(event.type_name(), "v1.checkout.session.completed");
}

#[test]
fn errors_name_the_place_and_never_the_value() {
    let errors = [
        ("", "not JSON (line 1, column 0)"),
        ("ada@example.org", "not JSON (line 1, column 1)"),
        ("[]", "not a Stripe event: `object` is neither `event` nor `v2.core.event`"),
        (
            r#"{"detail": "ada@example.org"}"#,
            "not a Stripe event: `object` is neither `event` nor `v2.core.event`",
        ),
        (
            r#"{"object": "event", "id": ["ada@example.org"]}"#,
            "event does not have the shape of Stripe's API at `id`",
        ),
        (
            r#"{"object": "event", "id": "evt_1", "type": "t", "created": 1795000000, "livemode": false, "data": {"object":
                {"object": "checkout.session", "id": "cs_1", "customer_details": {"address": "1 Example Street"}}}}"#,
            "checkout.session does not have the shape of Stripe's API at `customer_details.address`",
        ),
    ];
    for (body, expected) in errors {
        assert_eq!(Delivered::from_json(body.as_bytes()).unwrap_err().to_string(), expected);
    }
}

/// The webhook passes on by its head what the tasks read whole: they must not disagree.
#[test]
fn a_field_that_is_there_twice_counts_the_same_everywhere() {
    let body = br#"{
        "object": "charge", "id": 1, "type": "x", "account": null,
        "object": "event", "id": "evt_1", "type": "refund.created", "account": "acct_1",
        "created": 1795000000, "livemode": false,
        "data": { "object": { "object": "refund", "id": "re_1" } }
    }"#;
    let event = Event::from_json(body).unwrap();
    let head = EventHead::Snapshot {
        id: "evt_1".to_owned(),
        event_type: "refund.created".to_owned(),
        account: Some("acct_1".to_owned()),
    };
    assert_eq!((event.id(), event.type_name()), ("evt_1", "refund.created"));
    assert_eq!(EventHead::from_json(body).unwrap(), head);
}

#[test]
fn reads_invoices_of_every_api_version() {
    let invoice = |name: &str| {
        let Object::Invoice(invoice) = object(name) else { panic!("{name} is no invoice") };
        *invoice
    };
    let renewal = invoice("invoice_paid_renewal.json");
    assert_eq!(renewal.billing_reason, Some(BillingReason::SubscriptionCycle));
    assert_eq!((renewal.status.as_ref(), renewal.amount_paid), (Some(&InvoiceStatus::Paid), Some(500)));
    assert_eq!(renewal.subscription_id(), Some("sub_1Fixture"));
    assert_eq!(renewal.customer_email.as_ref().unwrap().expose(), "ada@example.org");
    let [line] = &renewal.lines.as_ref().unwrap().data[..] else { panic!() };
    assert!(line.is_whole_period() && line.period.unwrap().end > line.period.unwrap().start);
    let old = invoice("invoice_2020_renewal.json");
    assert_eq!(old.subscription_id(), Some("sub_1Fixture2020"));
    let price = old.lines.unwrap().data.remove(0).price.unwrap();
    assert_eq!(price.recurring.unwrap().interval, Some(Interval::Year));
    let one_off = invoice("invoice_paid_one_off.json");
    assert_eq!(one_off.subscription_id(), None);
    assert_eq!(one_off.billing_reason, Some(BillingReason::Manual));
}

#[test]
fn reads_what_leads_from_a_payment_intent_to_its_invoice() {
    let Object::InvoicePayment(payment) = object("invoice_payment_paid.json") else { panic!() };
    assert_eq!(payment.invoice_id(), Some("in_1FixtureRenewal"));
    assert_eq!(payment.payment_intent(), Some("pi_3FixtureRenewal"));
    let expanded = json!({
        "object": "invoice_payment", "id": "inpay_1",
        "invoice": { "object": "invoice", "id": "in_1", "parent": null },
        "payment": { "type": "charge", "charge": "ch_1" }
    });
    let Object::InvoicePayment(payment) = Object::from_value(expanded).unwrap() else { panic!() };
    assert_eq!((payment.invoice_id(), payment.payment_intent()), (Some("in_1"), None));
}

#[test]
fn reads_a_warning_of_fraud() {
    let Object::EarlyFraudWarning(warning) = object("early_fraud_warning_created.json") else { panic!() };
    assert_eq!(warning.fraud_type.as_deref(), Some("made_with_stolen_card"));
    assert_eq!(
        (warning.actionable, warning.payment_intent.as_deref()),
        (Some(true), Some("pi_3FixtureContribution"))
    );
}

fn changed(fixture_name: &str, change: impl FnOnce(&mut Value)) -> Result<Event, String> {
    let mut event: Value = serde_json::from_slice(&fixture(fixture_name)).unwrap();
    change(&mut event);
    Event::from_value(event).map_err(|error| error.to_string())
}

#[test]
fn an_event_without_a_possible_time_or_mode_is_not_read() {
    let times = [json!(null), json!(0), json!(-1), json!(1), json!(i64::MAX), json!(1_795_000_000_000_i64)];
    for time in times.into_iter().chain([json!("1795000000"), json!(1795000000.5), json!([])]) {
        let read = changed("session_completed_paid.json", |event| event["created"] = time.clone());
        assert_eq!(read.unwrap_err(), "event does not have the shape of Stripe's API at `created`", "{time}");
    }
    for field in ["created", "livemode"] {
        let read = changed("session_completed_paid.json", |event| {
            event.as_object_mut().unwrap().remove(field);
        });
        assert_eq!(read.unwrap_err(), "event does not have the shape of Stripe's API at `.`", "{field}");
    }
}

#[test]
fn the_events_type_says_what_an_object_is_that_does_not_say_so_itself() {
    for (name, expected) in [
        ("session_completed_paid", "Session"),
        ("refund_created", "Refund"),
        ("dispute_funds_withdrawn", "Dispute"),
        ("invoice_paid_renewal", "Invoice("),
        ("invoice_payment_paid", "InvoicePayment("),
        ("early_fraud_warning_created", "EarlyFraudWarning("),
    ] {
        let name = format!("{name}.json");
        for missing in [None, Some(json!(null))] {
            let read = changed(&name, |event| {
                let object = event["data"]["object"].as_object_mut().unwrap();
                object.remove("object");
                object.extend(missing.map(|value| ("object".to_owned(), value)));
            });
            let Event::Snapshot(event) = read.unwrap() else { panic!("{name} is thin") };
            assert!(format!("{:?}", event.object).starts_with(expected), "{name}");
        }
        for other in [json!("charge"), json!(""), json!(7), json!({})] {
            let read = changed(&name, |event| event["data"]["object"]["object"] = other.clone());
            let expected = "event does not have the shape of Stripe's API at `data.object.object`";
            assert_eq!(read.unwrap_err(), expected, "{name} {other}");
        }
        let read = changed(&name, |event| event["data"]["object"] = json!(null));
        assert_eq!(read.unwrap_err(), "event does not have the shape of Stripe's API at `data.object`");
    }
    // Of a type that is not acted on, nothing has to be known.
    let read = changed("refund_created.json", |event| {
        event["type"] = json!("charge.updated");
        event["data"]["object"]["object"] = json!(null);
    });
    assert!(
        matches!(read, Ok(Event::Snapshot(event)) if matches!(&event.object, Object::Other(name) if name.is_empty()))
    );
}

#[test]
fn half_of_a_surrogate_pair_anywhere_makes_nothing_unreadable() {
    let text = String::from_utf8(fixture("session_completed_paid.json")).unwrap();
    for half in ["\\ud83d", "\\uDE00"] {
        for (from, to) in [
            ("Ada Example", format!("Ada {half}")),
            ("\"metadata\": {", format!("\"metadata\": {{ \"{half}\": \"{half}\",")),
        ] {
            let broken = text.replace(from, &to);
            assert_ne!(broken, text, "{from}");
            let envelope = format!(r#"{{"source":"aws.partner/stripe.com/ed_1","detail":{broken}}}"#);
            for body in [&broken, &envelope] {
                let delivered = Delivered::from_json(body.as_bytes()).expect(&to);
                assert_eq!(delivered.event.type_name(), "checkout.session.completed");
            }
        }
    }
    let broken = text.replace("Ada Example", "Ada \\ud83d\\ude00 \\ud83d");
    let Event::Snapshot(event) = Event::from_json(broken.as_bytes()).unwrap() else { panic!() };
    let Object::Session(session) = event.object else { panic!() };
    let name = session.customer_details.unwrap().name.unwrap();
    assert_eq!(name.expose(), "Ada 😀 \u{fffd}");
}

#[test]
fn an_event_of_a_connected_account_says_so() {
    for (account, expected) in [(json!("acct_1"), Some("acct_1")), (json!(null), None), (json!(""), None)] {
        let read = changed("session_completed_paid.json", |event| event["account"] = account);
        let Event::Snapshot(event) = read.unwrap() else { panic!() };
        assert_eq!(event.account.as_deref(), expected);
    }
}
