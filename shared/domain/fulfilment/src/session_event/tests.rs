use serde_json::{Value, json};

use super::*;

fn fixture(name: &str) -> Value {
    let path = format!("{}/../../../verification/testkit/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

fn read(event: Value) -> Result<SessionEvent, NotReadable> {
    SessionEvent::from_event(&Event::from_value(event).unwrap(), false)
}

fn read_fixture(name: &str) -> SessionEvent {
    read(fixture(name)).expect(name)
}

fn changed(field: &str, value: Value) -> Result<SessionEvent, NotReadable> {
    let mut event = fixture("session_completed_paid");
    event["data"]["object"][field] = value;
    read(event)
}

fn broken(result: Result<SessionEvent, NotReadable>) -> (&'static str, SessionOutcome) {
    match result {
        Err(NotReadable::Broken { broken, intended, .. }) => (broken.as_str(), intended),
        other => panic!("{other:?}"),
    }
}

#[test]
fn explains_where_the_money_is() {
    use SessionOutcome::{Failed, Paid, Pending};
    for (name, expected) in [
        ("session_completed_paid", Paid),
        ("session_completed_unpaid", Pending),
        ("session_async_payment_succeeded", Paid),
        ("session_async_payment_failed", Failed),
        ("session_no_payment_required", Paid),
        ("session_subscription", Paid),
        ("session_2020_sparse", Paid),
    ] {
        assert_eq!(read_fixture(name).outcome, expected, "{name}");
    }
}

#[test]
fn skips_what_is_none_of_our_business() {
    use SkipReason::*;
    for (name, expected) in [
        ("session_of_another_business", AnotherBusiness),
        ("session_livemode", OtherLivemode),
        ("session_setup", SetupMode),
        ("refund_created", OtherEventType),
        ("thin_session_completed", ThinEvent),
    ] {
        assert_eq!(read(fixture(name)), Err(NotReadable::Skip(expected)), "{name}");
    }
    let mut misspelt = fixture("session_completed_paid");
    misspelt["data"]["object"]["metadata"] = json!({ "fullfilment": "contribution" });
    assert_eq!(read(misspelt), Err(NotReadable::Skip(MisspeltMarker)));
    let mut connected = fixture("session_completed_paid");
    connected["account"] = json!("acct_1");
    assert_eq!(read(connected), Err(NotReadable::Skip(ConnectedAccount)));
    // Another business's sessions may be as strange as they like.
    let mut strange = fixture("session_of_another_business");
    strange["data"]["object"]["payment_status"] = json!("half_paid");
    strange["livemode"] = json!(true);
    assert_eq!(read(strange), Err(NotReadable::Skip(AnotherBusiness)));
}

#[test]
fn parks_what_is_ours_and_cannot_be_acted_on() {
    use SessionOutcome::{Failed, Paid, Pending};
    assert_eq!(
        broken(changed("metadata", json!({ "fulfilment": "donation" }))),
        ("broken_link_contract", Paid)
    );
    assert_eq!(broken(changed("amount_total", json!(null))), ("no_amount", Paid));
    assert_eq!(broken(changed("currency", json!("pounds"))), ("no_amount", Paid));
    assert_eq!(broken(changed("mode", json!("barter"))), ("unknown_mode", Paid));
    assert_eq!(broken(changed("payment_status", json!("half_paid"))), ("contradictory_payment_status", Paid));
    assert_eq!(broken(changed("payment_status", json!(null))), ("contradictory_payment_status", Paid));
    let mut event = fixture("session_async_payment_succeeded");
    event["data"]["object"]["payment_status"] = json!("unpaid");
    assert_eq!(broken(read(event)), ("contradictory_payment_status", Pending));
    let mut event = fixture("session_async_payment_failed");
    event["data"]["object"]["payment_status"] = json!("paid");
    assert_eq!(broken(read(event)), ("contradictory_payment_status", Failed));
}

#[test]
fn books_one_amount_and_shows_another() {
    let money = |minor, currency: &str| Money::new(minor, Currency::try_from(currency).unwrap());
    for name in ["session_adaptive_pricing", "session_2024_currency_conversion"] {
        let event = read_fixture(name);
        assert_eq!(event.amount, money(1000, "usd"), "{name}");
        assert_eq!(event.shown_amount(), &money(1370, "cad"), "{name}");
    }
    let event = read_fixture("session_completed_paid");
    assert_eq!(event.shown_amount(), &event.amount);
}

#[test]
fn a_customer_who_is_an_account_has_that_id() {
    let customer = |customer: Value, account: Value| {
        let mut event = fixture("session_completed_paid");
        event["data"]["object"]["customer"] = customer;
        event["data"]["object"]["customer_account"] = account;
        read(event).unwrap().customer_id
    };
    assert_eq!(customer(json!("cus_1"), json!(null)).as_deref(), Some("cus_1"));
    assert_eq!(customer(json!(null), json!("acct_1")).as_deref(), Some("acct_1"));
    assert_eq!(customer(json!("cus_1"), json!("acct_1")).as_deref(), Some("cus_1"));
    assert_eq!(customer(json!(null), json!(null)), None);
}

#[test]
fn every_event_of_a_payment_has_its_key() {
    assert_eq!(read_fixture("session_completed_paid").payment_id.as_str(), "pi_3FixtureContribution");
    assert_eq!(read_fixture("session_2020_sparse").payment_id.as_str(), "pi_1Fixture2020");
    assert_eq!(read_fixture("session_subscription").payment_id.as_str(), "in_1Fixture");
    // Stripe makes an invoice of a one-off payment as well where the link asks for it.
    let one_off = changed("invoice", json!("in_2Fixture")).unwrap();
    assert_eq!(one_off.payment_id.as_str(), "pi_3FixtureContribution");
    let mut before_its_invoice = fixture("session_subscription");
    before_its_invoice["data"]["object"]["invoice"] = json!(null);
    assert_eq!(read(before_its_invoice).unwrap().payment_id.as_str(), "cs_test_a1FixtureMembership");
    let Event::Snapshot(refund) = Event::from_value(fixture("refund_created")).unwrap() else { panic!() };
    assert_eq!(PaymentId::of_event(&refund).unwrap().as_str(), "pi_3FixtureContribution");
}

#[test]
fn the_address_is_read_without_what_surrounds_it_unseen() {
    for typed in [" ada@example.org", "ada@example.org ", "\u{200b}ada@example.org\u{feff}\n"] {
        let event = changed("customer_details", json!({ "email": typed })).unwrap();
        assert_eq!(event.email.unwrap().expose(), "ada@example.org", "{typed:?}");
    }
    let event = changed("customer_details", json!({ "email": "\u{200b} " })).unwrap();
    assert_eq!(event.email, None);
}

#[test]
fn a_name_is_found_where_the_page_asked_for_it() {
    let name = |details: Value| {
        let event = changed("customer_details", details).unwrap();
        event.name.map(|name| name.expose().clone())
    };
    let both = json!({ "name": null, "individual_name": "Ada Lovelace", "business_name": "Engines Ltd" });
    assert_eq!(name(both).as_deref(), Some("Ada Lovelace"));
    assert_eq!(name(json!({ "name": " ", "business_name": "Engines Ltd" })).as_deref(), Some("Engines Ltd"));
    assert_eq!(name(json!({ "name": "Ada", "individual_name": "Eve" })).as_deref(), Some("Ada"));
    assert_eq!(name(json!({})), None);
}
