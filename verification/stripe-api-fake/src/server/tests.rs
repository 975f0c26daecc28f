//! The fake, asked in the raw. That the client that ships understands it is seen in `reconciliation`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::StripeApi;

use super::*;

fn event(id: &str, created: i64) -> String {
    let object = json!({ "id": format!("cs_{id}"), "object": "checkout.session", "payment_intent": id });
    json!({ "id": id, "object": "event", "type": "a", "created": created, "data": { "object": object } })
        .to_string()
}

/// A request in the raw, for what the client would not send.
fn ask(api: &StripeApi, request: &str) -> (u16, Value) {
    let mut connection = TcpStream::connect(api.url().trim_start_matches("http://")).unwrap();
    connection.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut length = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn get(api: &StripeApi, target: &str) -> (u16, Value) {
    ask(api, &format!("GET {target} HTTP/1.1\nauthorization: Bearer {KEY}\n\n"))
}

fn ids(api: &StripeApi, target: &str) -> (Vec<String>, Value) {
    let (status, body) = get(api, target);
    assert_eq!(status, 200, "{body}");
    let ids = body["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
    (ids.collect(), body["has_more"].clone())
}

#[test]
fn lists_newest_first_and_pages_both_ways() {
    let api = StripeApi::start(|| 100);
    for (id, created) in [("a", 10), ("b", 30), ("c", 20), ("d", 20)] {
        api.record(&event(id, created));
    }
    let check = |target: &str, expected: &[&str], more: bool| {
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(ids(&api, target), (expected, json!(more)), "{target}");
    };
    check("/v1/events", &["b", "d", "c", "a"], false);
    check("/v1/events?limit=2", &["b", "d"], true);
    check("/v1/events?limit=2&starting_after=d", &["c", "a"], false);
    check("/v1/events?limit=2&ending_before=a", &["d", "c"], true);
    check("/v1/events?created%5Bgte%5D=20&created%5Blte%5D=29", &["d", "c"], false);
    check("/v1/events?types%5B%5D=x&types%5B%5D=a&limit=1", &["b"], true);
    check("/v1/checkout/sessions?payment_intent=c", &["cs_c"], false);
    assert_eq!(get(&api, "/v1/events?limit=101").0, 400);
    assert_eq!(get(&api, "/v1/events?starting_after=nobody").0, 400);
    assert_eq!(get(&api, "/v1/events?creator=1").0, 400);
    assert_eq!(get(&api, "/v1/events/a").1["id"], "a");
    assert_eq!(get(&api, "/v1/events/nobody").0, 404);
}

#[test]
fn forgets_events_after_thirty_days_and_sessions_never() {
    let api = StripeApi::start(|| EVENTS);
    const EVENTS: i64 = 31 * 86_400;
    api.record(&event("old", 10));
    assert_eq!(ids(&api, "/v1/events").0, Vec::<String>::new());
    assert_eq!(get(&api, "/v1/events/old").0, 404);
    assert_eq!(ids(&api, "/v1/checkout/sessions").0, ["cs_old"]);
}

#[test]
fn some_events_come_late_into_the_list() {
    let api = StripeApi::start(|| 100);
    api.record_late(&event("late", 10), 2);
    api.record_visible_at(&event("never", 11), 101);
    assert_eq!(ids(&api, "/v1/events").0, Vec::<String>::new());
    assert_eq!(ids(&api, "/v1/events").0, ["late"]);
}

#[test]
fn asks_for_a_key_and_its_permissions() {
    let api = StripeApi::start(|| 0);
    assert_eq!(ask(&api, "GET /v1/events HTTP/1.1\n\n").0, 401);
    assert_eq!(ask(&api, "GET /v1/events HTTP/1.1\nauthorization: Bearer rk_test_other\n\n").0, 401);
    let basic = "GET /v1/events HTTP/1.1\nauthorization: Basic cmtfdGVzdF9mYWtlOg==\n\n";
    assert_eq!(ask(&api, basic).0, 200);
    api.withhold(Some("rak_event_read"));
    let (status, body) = ask(&api, basic);
    assert!(status == 403 && body["error"]["message"].as_str().unwrap().contains("'rak_event_read'"));
    assert_eq!(get(&api, "/v1/refunds").0, 200, "which needs another permission");
}

#[test]
fn fails_as_configured_and_counts() {
    let api = StripeApi::start(|| 0);
    api.fail([Some(Fault::Status(429)), None, Some(Fault::Status(500))]);
    let seen: Vec<_> = (0..4).map(|_| get(&api, "/v1/refunds").0).collect();
    assert_eq!(seen, [429, 200, 500, 200]);
    assert_eq!(api.requests(), vec!["GET /v1/refunds"; 4]);
}

#[test]
fn other_processes_record_events_in_it() {
    let api = StripeApi::start(|| 100);
    let body = event("posted", 10);
    let request = format!("POST /fake/events HTTP/1.1\ncontent-length: {}\n\n{body}", body.len());
    assert_eq!(ask(&api, &request).0, 200);
    let faults = "POST /fake/faults HTTP/1.1\ncontent-length: 5\n\n[503]";
    assert_eq!(ask(&api, faults).0, 200);
    assert_eq!(get(&api, "/v1/events").0, 503);
    assert_eq!(ids(&api, "/v1/events").0, ["posted"]);
}

fn post(api: &StripeApi, target: &str, key: &str, form: &str) -> (u16, Value) {
    let form = form.replace('[', "%5B").replace(']', "%5D");
    let head = format!("POST {target} HTTP/1.1\nauthorization: Bearer {KEY}\nidempotency-key: {key}\n");
    ask(api, &format!("{head}content-length: {}\n\n{form}", form.len()))
}

/// A product, a price and a link; the link's id.
fn sold(api: &StripeApi) -> String {
    for (target, form) in [
        ("/v1/products", "id=guide&name=The guide&metadata[a]=1"),
        ("/v1/prices", "product=guide&currency=gbp&unit_amount=1250&lookup_key=guide"),
    ] {
        let (status, object) = post(api, target, "", form);
        assert_eq!(status, 200, "{object}");
    }
    let price = api.objects("/v1/prices")[0]["id"].as_str().unwrap().to_owned();
    let form =
        format!("line_items[0][price]={price}&line_items[0][quantity]=1&metadata[fulfilment]=download");
    post(api, "/v1/payment_links", "", &form).1["id"].as_str().unwrap().to_owned()
}

#[test]
fn makes_and_changes_what_is_sold() {
    let api = StripeApi::start(|| 100);
    let link = format!("/v1/payment_links/{}", sold(&api));
    let (_, changed) = post(&api, &link, "", "active=false&metadata[campaign]=x&metadata[fulfilment]=");
    assert_eq!((&changed["active"], &changed["metadata"]), (&json!(false), &json!({ "campaign": "x" })));
    let (_, listed) = get(&api, "/v1/payment_links?expand[]=data.line_items");
    let item = &listed["data"][0]["line_items"]["data"][0];
    assert_eq!((&item["price"]["product"], &item["amount_total"]), (&json!("guide"), &json!(1250)));
    let (_, redirected) =
        post(&api, &link, "", "after_completion[type]=redirect&after_completion[redirect][url]=x");
    assert_eq!(redirected["after_completion"], json!({ "type": "redirect", "redirect": { "url": "x" } }));
}

#[test]
fn refuses_what_stripe_refuses() {
    let api = StripeApi::start(|| 100);
    let link = format!("/v1/payment_links/{}", sold(&api));
    let price = api.objects("/v1/prices")[0]["id"].as_str().unwrap().to_owned();
    let of_price = format!("/v1/prices/{price}");
    let another = format!("line_items[0][price]={price}");
    let long = format!("metadata[a]={}", "x".repeat(501));
    for (target, form, code) in [
        ("/v1/products", "id=guide&name=Another", "resource_already_exists"),
        ("/v1/products", "id=nameless", "parameter_missing"),
        ("/v1/products/guide", "colour=red", "parameter_unknown"),
        ("/v1/products/guide", &long, "parameter_invalid"),
        ("/v1/products/nobody", "name=x", "resource_missing"),
        (&of_price, "unit_amount=1", "parameter_unknown"),
        ("/v1/prices", "product=guide&currency=gbp&unit_amount=1.5", "parameter_invalid_integer"),
        ("/v1/prices", "product=nobody&currency=gbp&unit_amount=1", "resource_missing"),
        (
            "/v1/prices",
            "product=guide&currency=gbp&unit_amount=1&lookup_key=guide",
            "resource_already_exists",
        ),
        (&link, &another, "parameter_unknown"),
        ("/v1/refunds", "charge=ch_1", "resource_missing"),
    ] {
        let (status, refused) = post(&api, target, "", form);
        assert!(status >= 400 && refused["error"]["code"] == code, "{target} {form}: {refused}");
    }
    assert_eq!(post(&api, &of_price, "", "active=false").0, 200);
    let (_, refused) = post(&api, "/v1/payment_links", "", &format!("{another}&line_items[0][quantity]=1"));
    assert_eq!(refused["error"]["code"], "price_inactive");
}

#[test]
fn does_once_what_carries_the_same_key() {
    let api = StripeApi::start(|| 100);
    api.fail([Some(Fault::LostReply)]);
    let form = "name=The guide";
    let refused = std::panic::catch_unwind(|| post(&api, "/v1/products", "k1", form));
    assert!(refused.is_err(), "the connection breaks");
    let (_, first) = post(&api, "/v1/products", "k1", form);
    assert_eq!(api.objects("/v1/products"), [first]);
    let (status, mismatch) = post(&api, "/v1/products", "k1", "name=Another");
    assert_eq!((status, &mismatch["error"]["type"]), (400, &json!("idempotency_error")));

    api.fail([Some(Fault::Kept(500))]);
    let statuses: Vec<_> = (0..2).map(|_| post(&api, "/v1/products", "k2", form).0).collect();
    assert_eq!(statuses, [500, 500], "a failure is kept with its key");
    api.forget_idempotency_keys();
    assert_eq!(post(&api, "/v1/products", "k2", form).0, 200);
}

#[test]
fn line_items_come_when_they_are_asked_for() {
    let api = StripeApi::start(|| 100);
    api.record(&event("a", 10));
    api.put_line_items("cs_a", &[json!({ "id": "li_1", "quantity": 2 })]);
    assert!(get(&api, "/v1/checkout/sessions/cs_a").1["line_items"].is_null());
    let expanded = get(&api, "/v1/checkout/sessions/cs_a?expand%5B%5D=line_items").1;
    assert_eq!(expanded["line_items"]["data"][0]["id"], "li_1");
    let listed = get(&api, "/v1/checkout/sessions?expand[]=data.line_items").1;
    assert_eq!(listed["data"][0]["line_items"]["data"][0]["quantity"], 2);
    assert_eq!(get(&api, "/v1/checkout/sessions/cs_a/line_items").1["data"][0]["id"], "li_1");
}

#[test]
fn lists_active_prices_unless_it_is_asked_for_the_others() {
    let api = StripeApi::start(|| 100);
    let link = sold(&api);
    let price = api.objects("/v1/prices")[0]["id"].as_str().unwrap().to_owned();
    assert!(api.can_be_paid(&link));
    assert_eq!(post(&api, &format!("/v1/prices/{price}"), "", "active=false").0, 200);
    assert!(!api.can_be_paid(&link), "an archived price stops its link");
    assert_eq!(ids(&api, "/v1/prices?product=guide").0, Vec::<String>::new());
    assert_eq!(ids(&api, "/v1/prices?product=guide&active=true").0, Vec::<String>::new());
    assert_eq!(ids(&api, "/v1/prices?product=guide&active=false").0, [price]);
}

#[test]
fn keeps_refusals_with_their_key_but_not_those_of_parameters() {
    let api = StripeApi::start(|| 100);
    let price = {
        sold(&api);
        api.objects("/v1/prices")[0]["id"].as_str().unwrap().to_owned()
    };
    let form = format!("line_items[0][price]={price}&line_items[0][quantity]=1&automatic_tax[enabled]=true");
    api.set_up_tax(false);
    assert_eq!(post(&api, "/v1/payment_links", "k1", &form).0, 400);
    api.set_up_tax(true);
    let (status, kept) = post(&api, "/v1/payment_links", "k1", &form);
    assert!(status == 400 && kept["error"]["message"].as_str().unwrap().contains("head office"), "{kept}");
    assert_eq!(post(&api, "/v1/payment_links", "k2", &form).0, 200);
    assert_eq!(post(&api, "/v1/products", "k3", "colour=red").0, 400);
    assert_eq!(post(&api, "/v1/products", "k3", "name=Red").0, 200);
}

#[test]
fn takes_no_text_that_is_longer_than_stripe_does() {
    let api = StripeApi::start(|| 100);
    let link = format!("/v1/payment_links/{}", sold(&api));
    let label = |length: usize| format!("custom_fields[0][label][custom]={}", "é".repeat(length));
    assert_eq!(post(&api, &link, "", &label(100)).0, 200);
    assert_eq!(post(&api, &link, "", &label(101)).0, 400);
    let option = format!("custom_fields[0][dropdown][options][0][label]={}", "x".repeat(101));
    assert_eq!(post(&api, &link, "", &option).0, 400);
    let keys: Vec<_> = (0..51).map(|key| format!("metadata[k{key}]=1")).collect();
    assert_eq!(post(&api, &link, "", &keys.join("&")).0, 400);
}

#[test]
fn a_price_says_what_its_links_may_say() {
    let api = StripeApi::start(|| 100);
    assert_eq!(post(&api, "/v1/products", "", "id=gift&name=Gift").0, 200);
    let price = |form: &str| post(&api, "/v1/prices", "", &format!("product=gift&currency=gbp&{form}"));
    let chosen = "custom_unit_amount[enabled]=true";
    for (form, expected) in [
        (chosen.to_owned(), 200),
        (format!("{chosen}&custom_unit_amount[minimum]=500"), 200),
        (format!("{chosen}&unit_amount=500"), 400),
        (format!("{chosen}&recurring[interval]=month"), 400),
        ("unit_amount=500&recurring[interval]=month&recurring[interval_count]=36".to_owned(), 200),
        ("unit_amount=500&recurring[interval]=month&recurring[interval_count]=37".to_owned(), 400),
        ("unit_amount=500&recurring[interval]=fortnight".to_owned(), 400),
        ("recurring[interval]=month".to_owned(), 400),
    ] {
        assert_eq!(price(&form).0, expected, "{form}");
    }
    let id = |form: &str| price(form).1["id"].as_str().unwrap().to_owned();
    let gift = id(chosen);
    let monthly = id("unit_amount=500&recurring[interval]=month");
    let link = |price: &str, more: &str| {
        let item = format!("line_items[0][price]={price}&line_items[0][quantity]=1{more}");
        post(&api, "/v1/payment_links", "", &item)
    };
    for (price, more, expected) in [
        (&gift, "", 200),
        (&gift, "&allow_promotion_codes=true", 400),
        (&gift, "&subscription_data[trial_period_days]=7", 400),
        (&monthly, "&allow_promotion_codes=true&subscription_data[trial_period_days]=7", 200),
    ] {
        assert_eq!(link(price, more).0, expected, "{more}");
    }
    assert_eq!(
        post(
            &api,
            "/v1/payment_links",
            "",
            &format!("line_items[0][price]={gift}&line_items[0][quantity]=2")
        )
        .0,
        400
    );
    // The metadata of subscriptions is replaced as a whole.
    let made = link(&monthly, "&subscription_data[metadata][a]=1&subscription_data[metadata][b]=2").1;
    let path = format!("/v1/payment_links/{}", made["id"].as_str().unwrap());
    let changed = post(&api, &path, "", "subscription_data[metadata][a]=3").1;
    assert_eq!(changed["subscription_data"]["metadata"], json!({ "a": "3" }));
    let of_gift = format!("/v1/payment_links/{}", link(&gift, "").1["id"].as_str().unwrap());
    assert_eq!(post(&api, &of_gift, "", "allow_promotion_codes=true").0, 400);
}

#[test]
fn an_authorized_payment_is_captured_once_in_whole_or_in_part_or_cancelled() {
    let api = StripeApi::start(|| 100);
    let authorized = |id: &str| {
        api.put(&json!({ "id": id, "object": "payment_intent", "amount": 1250, "amount_capturable": 1250,
            "capture_method": "manual", "status": "requires_capture", "created": 10 }));
        api.put(&json!({ "id": format!("cs_{id}"), "object": "checkout.session", "payment_intent": id,
            "payment_status": "unpaid", "created": 10 }));
    };
    ["pi_whole", "pi_part", "pi_given_up"].into_iter().for_each(authorized);
    let capture = |id: &str, form: &str| post(&api, &format!("/v1/payment_intents/{id}/capture"), "", form);
    let status = |id: &str| get(&api, &format!("/v1/checkout/sessions/cs_{id}")).1["payment_status"].clone();
    assert_eq!(capture("pi_part", "amount_to_capture=1251").0, 400);
    assert_eq!(capture("pi_part", "amount_to_capture=1000").1["amount_received"], 1000);
    assert_eq!(capture("pi_whole", "").1["amount_received"], 1250);
    assert_eq!(
        (status("pi_whole"), status("pi_part"), status("pi_given_up")),
        ("paid".into(), "paid".into(), "unpaid".into())
    );
    let given_up = post(&api, "/v1/payment_intents/pi_given_up/cancel", "", "cancellation_reason=abandoned");
    assert_eq!((given_up.0, &given_up.1["status"]), (200, &json!("canceled")));
    for id in ["pi_whole", "pi_given_up"] {
        let (status, refused) = capture(id, "");
        assert_eq!((status, &refused["error"]["code"]), (400, &json!("payment_intent_unexpected_state")));
    }
    assert_eq!(status("pi_given_up"), "unpaid");
}

#[test]
fn a_session_that_began_a_subscription_implies_it_and_its_first_invoice() {
    let api = StripeApi::start(|| 100);
    let session = json!({
        "id": "cs_1", "object": "checkout.session", "mode": "subscription", "payment_intent": null, "created": 10,
        "invoice": "in_1", "subscription": "sub_1", "customer": "cus_1", "amount_total": 500, "currency": "gbp",
    });
    let payment = json!({
        "id": "inpay_1", "object": "invoice_payment", "invoice": "in_1",
        "payment": { "type": "payment_intent", "payment_intent": "pi_1" },
    });
    for (id, object) in [("evt_1", session), ("evt_2", payment)] {
        let event =
            json!({ "id": id, "object": "event", "type": "a", "created": 10, "data": { "object": object } });
        api.record(&event.to_string());
    }
    let asked = "payment%5Btype%5D=payment_intent&payment%5Bpayment_intent%5D=pi_1&expand%5B%5D=data.invoice";
    let (_, found) = get(&api, &format!("/v1/invoice_payments?{asked}"));
    let invoice = &found["data"][0]["invoice"];
    assert_eq!(invoice["parent"]["subscription_details"]["subscription"], "sub_1", "{found}");
    assert_eq!(invoice["billing_reason"], "subscription_create");
    assert_eq!(get(&api, "/v1/invoices/in_1").1, *invoice);
    assert_eq!(
        get(&api, "/v1/subscriptions/sub_1").1["items"]["data"][0]["price"]["recurring"]["interval"],
        "month"
    );
    assert_eq!(get(&api, "/v1/subscriptions/sub_2").0, 404);
    // It is in no list: tests that list invoices put them.
    assert_eq!(ids(&api, "/v1/invoices").0, Vec::<String>::new());
}
