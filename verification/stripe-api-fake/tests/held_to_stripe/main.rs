//! The client, the events and the fake, held to what Stripe publishes (`stripe-types/types.json`).
//!
//! A test fails when code sends a parameter, reads a field, waits for an event or knows a value that Stripe's types do
//! not have, and when the fake answers a shape that they do not allow. It says what to do.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test of sources over foreign syntax trees"
)]

mod answers;
mod reads;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use stripe_api_fake::Published;
use stripe_client::{API_VERSION, Permission, Request, Write};

use crate::reads::{Legacy, Reader};
use crate::source::{Known, files, in_repository, public_functions, requests_in, types_in};

/// Where Stripe's objects are read, the structs that are read from whole objects, and Stripe's name of each.
const READERS: [(&str, &[(&str, &str)]); 3] = [
    (
        "shared/platform/stripe-events/src",
        &[
            ("CheckoutSession", "Checkout.Session"),
            ("Dispute", "Dispute"),
            ("EarlyFraudWarning", "Radar.EarlyFraudWarning"),
            ("Invoice", "Invoice"),
            ("InvoicePayment", "InvoicePayment"),
            ("Refund", "Refund"),
            ("Subscription", "Subscription"),
            ("PaymentIntent", "PaymentIntent"),
            ("Charge", "Charge"),
            ("WireEvent", "EventBase"),
        ],
    ),
    (
        "shared/platform/stripe-client/src/object.rs",
        &[
            ("EventDestination", "V2.Core.EventDestination"),
            ("EventVersion", "EventBase"),
            ("LineItem", "LineItem"),
            ("PaymentLink", "PaymentLink"),
        ],
    ),
    ("shared/features/download-claims/src/bought.rs", &[("LineItem", "LineItem")]),
];

/// Structs that are not read from Stripe's objects, and from what.
const OTHERS: [(&str, &str); 13] = [
    ("BoughtFile", "our own record of a file"),
    ("CorrectedContract", "our own envelope: what an operator says a link should have said"),
    ("Currency", "a code of three letters"),
    ("Envelope", "EventBridge's envelope"),
    ("Head", "the id and time of any object"),
    ("Expandable", "an id or any object with an id"),
    ("Money", "our own amount: minor units and a currency"),
    ("Personal", "a wrapper that prints redacted"),
    ("ThinEvent", "an event of API v2, acknowledged only"),
    ("WireEnvelope", "EventBridge's envelope"),
    ("WireList", "the list of either API version"),
    ("WireResend", "our own request to deliver an event again"),
    ("Resend", "our own request to deliver an event again"),
];

/// Fields that events and objects of older API versions have, and that are read because events keep the version that
/// their destination or account had; and fields that only one of the types has that a struct reads.
const LEGACY: &[Legacy] = &[
    ("Invoice", "subscription", None, "2025-03-31: moved into `parent`"),
    ("Invoice", "subscription_details", None, "2025-03-31: moved into `parent`"),
    ("Invoice", "total_tax_amounts", None, "2025-03-31: `total_taxes` takes its place"),
    ("Invoice", "tax", None, "2025-03-31: `total_taxes` has it"),
    ("InvoiceLine", "price", None, "2025-03-31: moved into `pricing`"),
    ("InvoiceLine", "proration", None, "2025-03-31: moved into `parent`"),
    ("Subscription", "current_period_end", None, "2025-03-31: moved to the items"),
    ("DropdownAnswer", "value", Some("PaymentLink.CustomField.Dropdown"), "only a session has an answer"),
    ("CustomFieldAnswer", "value", Some("PaymentLink.CustomField.Text"), "only a session has an answer"),
    ("CustomFieldAnswer", "value", Some("PaymentLink.CustomField.Numeric"), "only a session has an answer"),
    ("InvoiceLine", "type", None, "2025-03-31: `parent.type` takes its place"),
];

/// Structs that are only reached over a field of [`LEGACY`], and what they are read as.
const REACHED_BY_LEGACY: &[(&str, &str)] = &[("Price", "Price")];

#[test]
fn every_field_that_is_read_is_one_of_stripes() {
    let events = types_in("shared/platform/stripe-events/src");
    let mut problems = Vec::new();
    let mut needed = BTreeSet::new();
    for (path, roots) in READERS {
        let types = types_in(path);
        let mut reader = Reader {
            published: Published::get(),
            types: vec![&types, &events],
            legacy: LEGACY,
            seen: BTreeSet::new(),
            compared: BTreeSet::new(),
            problems: Vec::new(),
            needed: BTreeSet::new(),
        };
        for (name, stripe) in roots.iter().filter(|(name, _)| types.contains_key(*name)) {
            reader.read(name, stripe);
        }
        for (name, stripe) in REACHED_BY_LEGACY.iter().filter(|(name, _)| types.contains_key(*name)) {
            reader.read(name, stripe);
        }
        for (name, known) in &types {
            let open = matches!(known, Known::Values(_));
            if !open && !reader.seen.contains(name) && !OTHERS.iter().any(|(other, _)| other == name) {
                reader.problems.push(format!(
                    "{path}: {name} is deserialized, and nothing says from which of Stripe's types: add it to READERS, \
                     or to OTHERS if it is none of Stripe's"
                ));
            }
        }
        problems.extend(reader.problems);
        needed.extend(reader.needed);
    }
    for unneeded in LEGACY.iter().filter(|legacy| !needed.contains(*legacy)) {
        problems.push(format!("{unneeded:?} is read no more: take it out of LEGACY"));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_event_type_is_one_of_stripes() {
    let Some(Known::Values(types)) =
        types_in("shared/platform/stripe-events/src/event.rs").remove("EventType")
    else {
        panic!("there is no open_enum! EventType any more");
    };
    let published = Published::get();
    let unknown: Vec<_> = types.iter().filter(|name| !published.has_event(name)).collect();
    assert!(unknown.is_empty(), "EventType has types that Stripe does not have: {unknown:?}");

    // The rules' patterns and the pages that list them.
    let firsts: BTreeSet<_> = published.events().filter_map(|name| name.split('.').next()).collect();
    let sources = [("cdk/lib", "ts", '\''), ("docs", "md", '`')];
    let mut seen = 0;
    for (folder, extension, quote) in sources {
        for file in files(&in_repository(folder), extension) {
            let text = std::fs::read_to_string(&file).unwrap();
            for word in text.split(quote).filter(|word| is_event_name(word, &firsts)) {
                seen += 1;
                // Some names are those of objects: `checkout.session`.
                let known = published.has_event(word) || published.type_of(word).is_some();
                assert!(known, "{}: Stripe has no event `{word}`", file.display());
            }
        }
    }
    assert!(seen > 20, "the patterns and the pages name event types");
}

fn is_event_name(word: &str, firsts: &BTreeSet<&str>) -> bool {
    // Names of objects and fields of ours begin like events too.
    const ENDS: [&str; 12] = [
        "paid",
        "created",
        "updated",
        "deleted",
        "failed",
        "succeeded",
        "completed",
        "closed",
        "canceled",
        "captured",
        "funds_withdrawn",
        "funds_reinstated",
    ];
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.';
    let first = word.split('.').next().unwrap_or_default();
    let last = word.rsplit('.').next().unwrap_or_default();
    word.contains('.')
        && word.bytes().all(plain)
        && firsts.contains(first)
        && ENDS.iter().any(|end| last.ends_with(end))
}

#[test]
fn the_types_are_of_the_version_that_the_client_asks_for() {
    let published = Published::get().api_version();
    assert_eq!(
        API_VERSION, published,
        "the package `stripe` and the client's API_VERSION are changed together"
    );
}

/// How lists are narrowed, where the source of `Request` alone does not show at which endpoint.
fn narrowed() -> Vec<Request> {
    let all = |request: Request| request.created(1, 2).starting_after("a").ending_before("b").limit(3);
    vec![
        all(Request::events(&["refund.created"])),
        all(Request::sessions()),
        all(Request::completed_sessions()),
        all(Request::refunds()),
        all(Request::disputes()),
        all(Request::products()),
        all(Request::prices()).of_product("guide").active(false),
        Request::sessions().of_payment_link("plink_1").expand("data.line_items"),
        Request::sessions().of_payment_intent("pi_1"),
        Request::refunds().of_payment_intent("pi_1"),
        Request::disputes().of_payment_intent("pi_1"),
        Request::line_items("cs_1").expand("data.price.product"),
        Request::payment_links().active(true).expand("data.line_items"),
        Request::payment_link("plink_1").expand("line_items"),
        Request::event_destinations(),
    ]
}

#[test]
fn every_parameter_that_is_asked_with_is_one_of_stripes() {
    let published = Published::get();
    let mut problems = Vec::new();
    for request in narrowed() {
        let path = request.endpoint().replace("{id}", "x");
        let taken = request.parameters().map(|name| published.takes("GET", &path, name, None));
        problems.extend(taken.filter_map(Result::err).map(|misfit| misfit.to_string()));
    }
    // Every function, also those that are new: the endpoint it names and the parameters it adds.
    for function in requests_in("shared/platform/stripe-client/src/request.rs") {
        let unknown = match &function.endpoint {
            Some(endpoint) => {
                let path = endpoint.replace("{id}", "x");
                let taken = function.parameters.iter().map(|name| published.takes("GET", &path, name, None));
                let any = if endpoint.starts_with("/v2/") { "limit" } else { "expand[]" };
                let listed = published.takes("GET", &path, any, None);
                taken.chain([listed]).find_map(Result::err).map(|misfit| misfit.to_string())
            }
            None => function
                .parameters
                .iter()
                .find(|name| !published.is_taken_somewhere(name))
                .map(|name| format!("no list of Stripe's that is read can be narrowed by `{name}`")),
        };
        problems.extend(unknown.map(|problem| format!("Request::{}: {problem}", function.name)));
        // `doctor` tries each permission, and docs/DEPLOY.md lists them for operators.
        if let Some(endpoint) =
            function.endpoint.filter(|endpoint| Permission::of_endpoint(endpoint).is_none())
        {
            problems.push(format!(
                "Request::{}: no permission of `stripe_client::Permission` covers {endpoint}: add it there and to \
                 docs/DEPLOY.md",
                function.name
            ));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_endpoint_that_is_written_to_is_one_of_stripes() {
    let published = Published::get();
    let writes: BTreeMap<_, _> = [
        ("new_product", Write::new_product().with("id", "x").with("name", "x").with("images[0]", "x")),
        ("product", Write::product("x").with("default_price", "x").with("metadata[a]", "x")),
        (
            "new_price",
            Write::new_price()
                .with("unit_amount", "1")
                .with("transfer_lookup_key", "true")
                .with("custom_unit_amount[enabled]", "true")
                .with("custom_unit_amount[preset]", "1")
                .with("custom_unit_amount[minimum]", "1")
                .with("custom_unit_amount[maximum]", "1")
                .with("recurring[interval]", "month")
                .with("recurring[interval_count]", "1"),
        ),
        ("price", Write::price("x").with("lookup_key", "x").with("active", "true")),
        ("new_payment_link", Write::new_payment_link().with("line_items[0][price]", "x")),
        (
            "payment_link",
            Write::payment_link("x")
                .with("active", "false")
                .with("subscription_data[metadata][a]", "x")
                .with("subscription_data[trial_period_days]", ""),
        ),
        ("new_file", Write::new_file("x", "image/png", Vec::new()).with("purpose", "business_logo")),
    ]
    .into();
    for (name, write) in &writes {
        for parameter in write.parameters() {
            // What `publish` says beyond this, the fake refuses by the same types.
            let taken = published.takes("POST", &write.endpoint().replace("{id}", "x"), parameter, None);
            assert!(taken.is_ok(), "Write::{name}: {taken:?}");
        }
    }
    let others = ["with", "once", "path", "body", "endpoint", "parameters"];
    for name in public_functions("shared/platform/stripe-client/src/write.rs", "Write") {
        assert!(
            writes.contains_key(name.as_str()) || others.contains(&name.as_str()),
            "Write::{name} is new: add an example of it to this test"
        );
    }
}

#[test]
fn what_stripe_does_not_publish_is_refused() {
    let published = Published::get();
    for (method, path, name, value) in [
        ("GET", "/v1/prices", "state", "active"),
        ("GET", "/v1/prices", "active", "yes"),
        ("GET", "/v1/customers", "limit", "1"),
        ("POST", "/v1/payment_links", "custom_fields[0][name]", "x"),
        ("POST", "/v1/payment_links", "custom_fields[0][type]", "checkbox"),
        ("POST", "/v1/payment_links/plink_1", "currency", "gbp"),
        ("POST", "/v1/payment_links/plink_1", "metadata[a][b]", "x"),
    ] {
        assert!(published.takes(method, path, name, Some(value)).is_err(), "{method} {path} {name}");
    }
    let refund = serde_json::json!({ "id": "re_1", "object": "refund", "amount": "1250", "colour": "red",
        "reason": "because", "metadata": { "a": 1 } });
    let problems = published.problems("Refund", &refund, false);
    for part in ["Refund.amount", "Refund.colour", "Refund.metadata.a"] {
        assert!(problems.iter().any(|problem| problem.starts_with(part)), "{part}: {problems:?}");
    }
    assert!(
        published
            .problems("Refund", &refund, true)
            .iter()
            .any(|problem| problem == "Refund.charge is missing")
    );
}
