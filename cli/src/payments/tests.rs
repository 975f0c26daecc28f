use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use effect_ledger::{Effect, EffectKey};
use fulfilment::{SessionOutcome, effects};
use serde_json::json;
use stripe_client::ApiKey;
use testkit::stripe_api::{KEY, StripeApi};

use super::*;

fn object(kind: Kind, id: &str) -> Named {
    Named::Object(kind, id.to_owned())
}

#[test]
fn every_id_that_leads_to_a_payment_is_understood() {
    for (typed, kind) in [
        ("pi_1", Kind::PaymentIntent),
        ("in_1", Kind::Invoice),
        ("cs_test_a1", Kind::Session),
        ("sub_1", Kind::Subscription),
        ("cus_1", Kind::Customer),
        ("ch_1", Kind::Charge),
        ("py_1", Kind::Charge),
        ("re_1", Kind::Refund),
        ("pyr_1", Kind::Refund),
        ("dp_1", Kind::Dispute),
        ("du_1", Kind::Dispute),
        ("evt_1", Kind::Event),
    ] {
        assert_eq!(Named::read(typed), Ok(object(kind, typed)));
        assert_eq!(
            Named::read(&format!(" \u{feff}{typed}\u{a0}\r\n")),
            Ok(object(kind, typed)),
            "blanks around"
        );
        for page in [
            format!("https://dashboard.stripe.com/test/payments/{typed}"),
            format!("https://dashboard.stripe.com/acct_1/payments/{typed}?tab=x#top"),
            format!("dashboard.stripe.com/any/{typed}/"),
            format!(" <https://dashboard.stripe.com/search?query={typed}> "),
        ] {
            assert_eq!(Named::read(&page), Ok(object(kind, typed)), "{page}");
        }
    }
    let nested = "https://dashboard.stripe.com/customers/cus_1/subscriptions/sub_1";
    assert_eq!(Named::read(nested), Ok(object(Kind::Subscription, "sub_1")));
}

#[test]
fn addresses_and_references_are_understood() {
    for typed in ["ada@example.org", "  ada@example.org\n", "<ada@example.org>", "mailto:ada@example.org"] {
        assert_eq!(Named::read(typed), Ok(Named::Address("ada@example.org".to_owned())), "{typed}");
    }
    assert_eq!(Named::read(" ref_0123456789ab "), Ok(Named::Reference("ref_0123456789ab".to_owned())));
}

#[test]
fn whoever_gives_something_else_reads_what_is_accepted() {
    for typed in [
        "",
        " ",
        "pi_",
        "pi",
        "plink_1",
        "prod_1",
        "price_1",
        "acct_1",
        "pi_1 pi_2",
        "PI_1",
        "https://dashboard.stripe.com/test/payments",
        "https://example.org/payment-links/plink_1",
    ] {
        let said = Named::read(typed).unwrap_err();
        for accepted in ["pi_…", "sub_…", "ch_…", "Dashboard", "email address"] {
            assert!(said.contains(accepted), "{typed}: {said}");
        }
    }
    assert!(Named::read("plink_1").unwrap_err().contains("many payments"));
}

#[test]
fn a_subscriptions_payments_are_each_listed_once_and_the_oldest_first() {
    let session = |fields: serde_json::Value| -> CheckoutSession { serde_json::from_value(fields).unwrap() };
    let invoice = |fields: serde_json::Value| -> Invoice { serde_json::from_value(fields).unwrap() };
    let of = json!({ "subscription_details": { "subscription": "sub_1" } });
    let sessions = vec![
        (100, session(json!({ "id": "cs_1", "mode": "subscription", "invoice": "in_First" }))),
        (
            200,
            session(
                json!({ "id": "cs_2", "mode": "payment", "payment_intent": "pi_Once", "invoice": "in_Once" }),
            ),
        ),
    ];
    let invoices = vec![
        (300, invoice(json!({ "id": "in_Renewal", "parent": of }))),
        (101, invoice(json!({ "id": "in_First", "parent": of }))),
        (201, invoice(json!({ "id": "in_Once" }))),
    ];
    let payments = in_order(sessions, invoices);
    assert_eq!(payments, ["in_First", "pi_Once", "in_Renewal"].map(PaymentId::new));
}

#[test]
fn only_a_subscriptions_invoice_is_the_key_of_what_pays_it() {
    let paid = |invoice: serde_json::Value| {
        let paid = json!({ "id": "inpay_1", "object": "invoice_payment", "invoice": invoice });
        ApiObject::from_json(&paid.to_string()).unwrap()
    };
    let renewal = json!({ "id": "in_1", "parent": { "subscription_details": { "subscription": "sub_1" } } });
    assert_eq!(invoice_of(&paid(renewal)), Some(PaymentId::new("in_1")));
    assert_eq!(invoice_of(&paid(json!({ "id": "in_2" }))), None);
}

fn client(stripe: &StripeApi) -> StripeClient {
    let network = testkit::aws::Endpoint::unreachable().sdk_config();
    let http = network.http_client().unwrap();
    let sleep = SharedAsyncSleep::new(TokioSleep::new());
    StripeClient::new(stripe.url(), ApiKey::new(KEY).unwrap(), http, sleep, 100).unwrap()
}

/// A membership that was renewed once, and a one-off payment of the same customer.
fn membership() -> StripeApi {
    let stripe = StripeApi::start(|| 1_795_000_000);
    let parent =
        json!({ "type": "subscription_details", "subscription_details": { "subscription": "sub_1" } });
    for (id, created) in [("in_First", 1_790_000_101), ("in_Renewal", 1_790_000_300)] {
        stripe.put(
            &json!({ "object": "invoice", "id": id, "created": created, "status": "paid", "customer": "cus_1",
            "subscription": "sub_1", "parent": parent }),
        );
    }
    stripe.put(
        &json!({ "object": "checkout.session", "id": "cs_1", "created": 1_790_000_100, "mode": "subscription",
        "status": "complete", "customer": "cus_1", "subscription": "sub_1", "invoice": "in_First" }),
    );
    stripe.put(
        &json!({ "object": "checkout.session", "id": "cs_2", "created": 1_790_000_200, "mode": "payment",
        "status": "complete", "customer": "cus_1", "payment_intent": "pi_Once" }),
    );
    stripe
}

#[tokio::test]
async fn a_subscription_and_a_customer_lead_to_all_their_payments() {
    let stripe = membership();
    let client = client(&stripe);
    let subscription = of_many(&client, Kind::Subscription, "sub_1").await.unwrap();
    assert_eq!(subscription, ["in_First", "in_Renewal"].map(PaymentId::new));
    let customer = of_many(&client, Kind::Customer, "cus_1").await.unwrap();
    assert_eq!(customer, ["in_First", "pi_Once", "in_Renewal"].map(PaymentId::new));
    let nothing = of_many(&client, Kind::Customer, "cus_Guest").await.unwrap_err().to_string();
    assert!(nothing.contains("no customer of a guest"), "{nothing}");
}

#[tokio::test]
async fn only_the_first_payment_of_a_subscription_has_a_session() {
    let stripe = membership();
    let client = client(&stripe);
    let session = async |id: &str| stripe::session(&client, &PaymentId::new(id)).await.unwrap();
    let ids = [session("in_First").await, session("in_Renewal").await, session("in_Unknown").await];
    assert_eq!(ids.map(|object| object.map(|object| object.id)), [Some("cs_1".to_owned()), None, None]);
}

#[tokio::test]
async fn the_event_of_a_renewal_is_made_again_of_its_invoice() {
    let stripe = membership();
    let client = client(&stripe);
    let made = async |id: &str, effect: Effect| {
        let key = EffectKey::new(id, effect);
        let made = stripe::event_again(&client, &key, false).await;
        made.map(|made| format!("{} {}", made.event.type_name(), made.event.id()))
            .map_err(|error| error.to_string())
    };
    let paid = effects::contribution(SessionOutcome::Paid);
    let term = effects::contribution_term();
    let thanks = effects::email_about(SessionOutcome::Paid);
    let of_renewal = Ok("invoice.paid evt_reconcile_in_Renewal".to_owned());
    for effect in [paid.clone(), effects::acquisition(), thanks] {
        assert_eq!(made("in_Renewal", effect).await, of_renewal);
    }
    // A first payment's own events are its session's, but for the one about its term.
    let first = made("in_First", term).await;
    assert_eq!(first, Ok("invoice.paid evt_reconcile_in_First".to_owned()));
    let nothing = made("in_First", paid.clone()).await.unwrap_err();
    assert!(nothing.contains("calls for nothing"), "its session is not paid: {nothing}");
    let unknown = made("in_Unknown", paid).await.unwrap_err();
    assert!(unknown.contains("neither a session nor an invoice"), "{unknown}");
}

#[tokio::test]
async fn charges_refunds_and_disputes_lead_to_their_payment_intent() {
    let stripe = StripeApi::start(|| 1_795_000_000);
    let client = client(&stripe);
    for (object, id) in
        [("charge", "ch_1"), ("charge", "py_1"), ("refund", "re_1"), ("refund", "pyr_1"), ("dispute", "du_1")]
    {
        stripe.put(&json!({ "object": object, "id": id, "created": 1, "payment_intent": "pi_1" }));
        assert_eq!(intent_of(&client, id).await.unwrap(), "pi_1", "{id}");
    }
    stripe.put(&json!({ "object": "charge", "id": "ch_Bare", "created": 1, "payment_intent": null }));
    assert!(intent_of(&client, "ch_Bare").await.unwrap_err().to_string().contains("no payment intent"));
}
