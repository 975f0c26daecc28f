//! What the fake answers, and the fixtures that tests put into it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use stripe_api_fake::{KEY, Published, StripeApi};

use crate::source::{files, in_repository};

fn ask(api: &StripeApi, method: &str, target: &str, form: &str) -> Value {
    let mut connection = TcpStream::connect(api.url().trim_start_matches("http://")).unwrap();
    let form = form.replace('[', "%5B").replace(']', "%5D");
    let request = format!(
        "{method} {target} HTTP/1.1\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut reply = Vec::new();
    let (head, length) = loop {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        reply.push(byte[0]);
        if reply.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(reply).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            break (head.clone(), length.trim().parse().unwrap());
        }
    };
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{method} {target} {form}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn is_complete(object: &Value) {
    let name = object["object"].as_str().unwrap_or_default();
    let published = Published::get();
    let type_name = published.type_of(name).unwrap_or_else(|| panic!("Stripe has no object {name}"));
    let problems = published.problems(type_name, object, true);
    assert!(problems.is_empty(), "the fake's {name}:\n{}\n{object}", problems.join("\n"));
}

#[test]
fn everything_that_the_fake_makes_has_the_whole_shape_of_stripes() {
    let api = StripeApi::start(|| 1_795_000_000);
    let product =
        ask(&api, "POST", "/v1/products", "id=guide&name=The guide&images[0]=https://example.org/a.png");
    let price = ask(
        &api,
        "POST",
        "/v1/prices",
        "product=guide&currency=gbp&unit_amount=1250&lookup_key=guide&transfer_lookup_key=true&metadata[a]=b",
    );
    let link = format!(
        "line_items[0][price]={}&line_items[0][quantity]=1&metadata[fulfilment]=download\
         &after_completion[type]=redirect&after_completion[redirect][url]=https://example.org/thanks\
         &allow_promotion_codes=true&automatic_tax[enabled]=true&billing_address_collection=required\
         &consent_collection[promotions]=auto&custom_fields[0][key]=marketing&custom_fields[0][type]=dropdown\
         &custom_fields[0][optional]=true&custom_fields[0][label][type]=custom\
         &custom_fields[0][label][custom]=May we&custom_fields[0][dropdown][options][0][label]=Yes\
         &custom_fields[0][dropdown][options][0][value]=yes",
        price["id"].as_str().unwrap()
    );
    let link = ask(&api, "POST", "/v1/payment_links", &link);
    let file = ask(&api, "POST", "/v1/files", "purpose=business_logo&file=x&file_link_data[create]=true");
    for object in [&product, &price, &link, &file] {
        is_complete(object);
    }
    let path = format!("/v1/payment_links/{}", link["id"].as_str().unwrap());
    is_complete(&ask(&api, "POST", &path, "active=false&metadata[fulfilment]="));
    is_complete(&ask(&api, "GET", &format!("{path}?expand%5B%5D=line_items"), ""));
    for target in
        ["/v1/products?limit=1", "/v1/prices?limit=1", "/v1/payment_links?expand%5B%5D=data.line_items"]
    {
        let list = ask(&api, "GET", target, "");
        assert_eq!(
            (&list["object"], list["data"].as_array().unwrap().len()),
            (&json!("list"), 1),
            "{target}"
        );
        is_complete(&list["data"][0]);
    }
    for item in ask(&api, "GET", &format!("{path}/line_items"), "")["data"].as_array().unwrap() {
        is_complete(item);
    }
    let chosen = ask(
        &api,
        "POST",
        "/v1/prices",
        "product=guide&currency=gbp&custom_unit_amount[enabled]=true&custom_unit_amount[preset]=1500",
    );
    is_complete(&chosen);
    let recurring = ask(
        &api,
        "POST",
        "/v1/prices",
        "product=guide&currency=gbp&unit_amount=1250&recurring[interval]=month&recurring[interval_count]=3",
    );
    is_complete(&recurring);
    let membership = format!(
        "line_items[0][price]={}&line_items[0][quantity]=1&metadata[fulfilment]=membership\
         &subscription_data[metadata][fulfilment]=membership&subscription_data[trial_period_days]=14",
        recurring["id"].as_str().unwrap()
    );
    is_complete(&ask(&api, "POST", "/v1/payment_links", &membership));
}

/// Fixtures are events as Stripe sends them; those of the pinned version have its whole shape.
#[test]
fn the_events_that_tests_are_made_of_are_stripes() {
    let published = Published::get();
    let mut checked = 0;
    let mut problems = Vec::new();
    for file in files(&in_repository("verification/testkit/fixtures"), "json") {
        let event: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        if event["api_version"] != published.api_version() {
            continue;
        }
        checked += 1;
        let name = event["type"].as_str().unwrap();
        assert!(published.has_event(name), "{}: Stripe has no event {name}", file.display());
        let object = &event["data"]["object"];
        let type_name = published.type_of(object["object"].as_str().unwrap()).unwrap();
        let found = published.problems(type_name, object, false);
        problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", file.display())));
    }
    assert!(checked > 10 && problems.is_empty(), "{checked} fixtures\n{}", problems.join("\n"));
}
