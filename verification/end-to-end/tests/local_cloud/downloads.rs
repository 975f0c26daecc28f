//! Files that were bought: from the mail and the page to the file's own bytes.

use fulfilment::Policy;
use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, SessionEvent};
use xtask::aws::unix_now;
use xtask::pages::{self, Answer};

use crate::operator::{json_of, says};
use crate::stack::{Cloud, address, of};

fn ask(method: &str, url: &str, form: &str) -> Answer {
    pages::ask(method, url, form).unwrap()
}

pub(crate) fn upload(cloud: &Cloud, key: &str, text: &str) {
    cloud.stack.aws.put_object(cloud.stack.output("FilesBucketName").unwrap(), key, text).unwrap();
}

/// A purchase of an hour ago: a session offers files on its first day.
pub(crate) fn purchase(event: SessionEvent, payment: &str, metadata: Value) -> SessionEvent {
    let bought = i64::try_from(unix_now()).unwrap() - 3600;
    of(event, payment).at(bought).session("created", json!(bought - 90)).metadata(metadata)
}

fn thanks(cloud: &Cloud, payment: &str) -> Answer {
    ask("GET", &thanks_url(cloud, payment), "")
}

/// Where Stripe sends a customer after paying.
pub(crate) fn thanks_url(cloud: &Cloud, payment: &str) -> String {
    format!("{}/thanks?session_id=cs_test_{payment}", cloud.stack.pages_url().unwrap())
}

/// A purchase whose customer is back before its event.
pub(crate) struct Early<'a> {
    cloud: &'a Cloud,
    event: SessionEvent,
    payment: &'static str,
}

impl<'a> Early<'a> {
    /// It happens at Stripe.
    pub(crate) fn deliver(
        cloud: &'a Cloud,
        event: SessionEvent,
        payment: &'static str,
        metadata: Value,
    ) -> Self {
        let event = purchase(event, payment, metadata);
        cloud.stack.record_event(&event.to_json().to_string()).unwrap();
        Self { cloud, event, payment }
    }

    /// Its event comes. One that never does is put back by the next test that reconciles, which counts what it put back.
    pub(crate) fn arrives(self, effect: &str) {
        self.cloud.post(&self.event);
        self.cloud.wait_for_effect(&format!("pi_{}", self.payment), effect);
    }
}

/// The link in the last mail that a payment's customer got, as it answers here.
pub(crate) fn link(cloud: &Cloud, payment: &str) -> String {
    let mails = cloud.mails_to(&address(payment));
    let text = &mails.last().unwrap().text;
    let address = text.split_whitespace().find(|word| word.contains("/d/v1.")).expect(text);
    cloud.stack.reachable(address).unwrap()
}

/// The first file of a payment, by the link in its mail: the file, and how it names itself.
pub(crate) fn fetch(cloud: &Cloud, payment: &str) -> (String, String) {
    fetch_by(&link(cloud, payment))
}

/// The first file behind a link: the file, and how it names itself.
pub(crate) fn fetch_by(link: &str) -> (String, String) {
    let file = ask("GET", &ask("POST", link, "file=1").location, "");
    assert_eq!(file.status, 200, "{}", file.body);
    (file.body, file.disposition)
}

#[test]
fn a_download_is_mailed_and_fetched_until_the_money_goes_back() {
    let cloud = Cloud::shared();
    upload(&cloud, "files/e2e/guide.pdf", "the guide");
    let metadata = json!({ "fulfilment": "download", "files": "e2e/guide.pdf" });
    cloud.post(&purchase(SessionEvent::paid(), "Fetched", metadata));
    cloud.wait_for_ledger("pi_Fetched", &["contribution#paid done", "email#thank-you done"]);

    let link = link(&cloud, "Fetched");
    for method in ["GET", "HEAD", "GET"] {
        assert_eq!(ask(method, &link, "").status, 200);
    }
    let page = ask("GET", &link, "");
    assert!(page.body.contains("guide.pdf") && page.body.contains("9\u{a0}B"), "{}", page.body);
    let page = thanks(&cloud, "Fetched");
    assert!(page.status == 200 && page.body.contains("<h1>Thank you</h1>"), "{}", page.body);
    assert!(
        page.body.contains(&link.rsplit('/').next().unwrap().to_owned()),
        "the page offers the same link"
    );

    let sent_on = ask("POST", &link, "file=1");
    assert_eq!(sent_on.status, 303);
    let file = ask("GET", &sent_on.location, "");
    assert_eq!((file.status, file.body.as_str()), (200, "the guide"));
    assert!(file.disposition.contains("filename=\"guide.pdf\""), "{}", file.disposition);

    // Replaced in the bucket: who bought it before gets the new one.
    upload(&cloud, "files/e2e/guide.pdf", "the second edition");
    let sent_on = ask("POST", &link, "file=1");
    assert_eq!(ask("GET", &sent_on.location, "").body, "the second edition");
    let rows = cloud.stack.rows("DownloadsTableName").unwrap();
    let row = rows.iter().find(|row| row["payment_id"] == "pi_Fetched").unwrap();
    assert_eq!(row["fetches"], 2, "looking counts for nothing: {row}");

    let now = i64::try_from(unix_now()).unwrap();
    let refund = CorrectionEvent::refund("Fetched", "re_Fetched", "created").amount(1250, "gbp").at(now);
    cloud.post_json(&refund.to_json());
    cloud.wait_for_effect("pi_Fetched", "contribution#refund#re_Fetched done");
    let refused = ask("POST", &link, "file=1");
    assert_eq!((refused.status, refused.location.as_str()), (403, ""));
    assert!(refused.body.contains("This payment has been refunded"), "{}", refused.body);
    assert_eq!(cloud.mails_to(&address("Fetched")).len(), 1, "no page sends a mail");
}

#[test]
fn an_address_for_a_file_gives_that_file_by_get_in_its_time_and_nothing_else() {
    let cloud = Cloud::shared();
    upload(&cloud, "files/e2e/one.txt", "one");
    upload(&cloud, "files/e2e/two.txt", "two");
    let metadata = json!({ "fulfilment": "download", "files": "e2e/one.txt" });
    cloud.post(&purchase(SessionEvent::paid(), "Scoped", metadata));
    cloud.wait_for_ledger("pi_Scoped", &["contribution#paid done", "email#thank-you done"]);
    let address = ask("POST", &link(&cloud, "Scoped"), "file=1").location;
    assert_eq!(ask("GET", &address, "").body, "one");
    assert!(address.contains("X-Amz-Expires=300&"), "{address}");

    for (method, address) in [
        ("GET", address.replace("one.txt?", "two.txt?")),
        ("GET", address.replace("/files/e2e/one.txt?", "/?")),
        ("GET", address.replace("X-Amz-Expires=300", "X-Amz-Expires=604800")),
        ("GET", address.replace("X-Amz-Date=2", "X-Amz-Date=3")),
        ("GET", address.replace("filename%3D%22one.txt", "filename%3D%22two.txt")),
        ("GET", address.replace("X-Amz-Signature=", "X-Amz-Signature=0")),
        ("GET", address.split('?').next().unwrap().to_owned()),
        ("PUT", address.clone()),
        ("DELETE", address.clone()),
    ] {
        let refused = ask(method, &address, "");
        assert_eq!(refused.status, 403, "{method} {address}: {}", refused.body);
    }
    assert_eq!(ask("GET", &address, "").body, "one", "it is still there");
}

#[test]
fn products_of_line_items_are_asked_for_their_files() {
    let cloud = Cloud::shared();
    upload(&cloud, "files/e2e/map.png", "the map");
    let item = |file: &str, quantity: i64| {
        json!({ "id": format!("li_{file}"), "object": "item", "description": "Guide & map", "quantity": quantity,
            "price": { "id": "price_1", "product": { "id": "prod_1", "metadata": { "file": file } } } })
    };
    let items: Vec<Value> = (1..=150).map(|n| item(&format!("e2e/part-{n}.txt"), 1)).collect();
    let items = [&[item("e2e/map.png", 3)], &items[..]].concat();
    cloud.stack.bought("cs_test_Items", &json!(items)).unwrap();
    cloud.post(&purchase(SessionEvent::paid(), "Items", json!({ "fulfilment": "download" })));
    cloud.wait_for_effect("pi_Items", "email#thank-you done");
    let page = ask("GET", &link(&cloud, "Items"), "").body;
    assert!(page.contains("Guide &amp; map (&times;&nbsp;3)") && page.contains("part-150.txt"), "{page}");
    assert_eq!(page.matches("<button").count(), 1, "the others are not there yet");
}

#[test]
fn a_missing_file_is_promised_and_announced_once_it_is_there() {
    let cloud = Cloud::shared();
    let metadata = json!({ "fulfilment": "download", "files": "e2e/late.txt" });
    cloud.post(&purchase(SessionEvent::paid(), "LateFile", metadata));
    let promised =
        ["contribution#paid done", "email#files-ready parked (file_missing)", "email#thank-you done"];
    cloud.wait_for_ledger("pi_LateFile", &promised);
    cloud.wait_for_dead_letter("ThankYouEmail", "pi_LateFile");
    let mails = cloud.mails_to(&address("LateFile"));
    assert!(mails[0].text.contains("- late.txt (to follow)"), "{}", mails[0].text);
    assert!(thanks(&cloud, "LateFile").body.contains("This file will follow"));

    upload(&cloud, "files/e2e/late.txt", "better late");
    json_of(&["retry", "pi_LateFile", "email#files-ready", "--because", "the file is there", "--yes"]);
    let kept = ["contribution#paid done", "email#files-ready done", "email#thank-you done"];
    cloud.wait_for_ledger("pi_LateFile", &kept);
    let mails = cloud.mails_to(&address("LateFile"));
    assert_eq!((mails.len(), mails[1].subject.as_str()), (2, "Your files are ready"));
    let sent_on = ask("POST", &link(&cloud, "LateFile"), "file=1");
    assert_eq!(ask("GET", &sent_on.location, "").body, "better late");
}

#[test]
fn who_fetched_too_often_may_go_on_when_an_operator_says_so() {
    let cloud = Cloud::shared();
    upload(&cloud, "files/e2e/often.txt", "often");
    let metadata = json!({ "fulfilment": "download", "files": "e2e/often.txt" });
    cloud.post(&purchase(SessionEvent::paid(), "Often", metadata));
    cloud.wait_for_ledger("pi_Often", &["contribution#paid done", "email#thank-you done"]);
    let link = link(&cloud, "Often");
    let limit = Policy::compiled_in().unwrap().files.fetches;
    for _ in 0..limit {
        assert_eq!(ask("POST", &link, "file=1").status, 303);
    }
    let refused = ask("POST", &link, "file=1");
    assert_eq!((refused.status, refused.location.as_str()), (429, ""));
    assert!(refused.body.contains("pi_Often"), "what to tell the support: {}", refused.body);

    let reset = ["reset-fetches", "pi_Often"];
    assert_eq!(json_of(&reset)["fetches"], limit, "a dry run");
    assert_eq!(ask("POST", &link, "file=1").status, 429);
    assert_eq!(json_of(&[&reset[..], &["--yes", "--because", "a bad line"]].concat())["acted"], true);
    assert_eq!(ask("POST", &link, "file=1").status, 303);
    let reported = says(&["explain", "pi_Often"]);
    assert!(reported.contains("fetched 1 of") && reported.contains("a bad line"), "{reported}");
}

#[test]
fn who_is_back_before_the_event_reads_the_truth_and_who_is_a_stranger_reads_nothing() {
    let cloud = Cloud::shared();
    upload(&cloud, "files/e2e/early.txt", "early");
    let download = || json!({ "fulfilment": "download", "files": "e2e/early.txt" });
    let deliver = |event, payment, metadata| Early::deliver(&cloud, event, payment, metadata);
    let early = deliver(SessionEvent::paid(), "BackEarly", download());
    let page = thanks(&cloud, "BackEarly");
    assert_eq!(page.heading(), Some("Thank you"));
    let action =
        page.body.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#x2f;", "/");
    let url = format!("{}/{action}", cloud.stack.pages_url().unwrap());
    assert_eq!(ask("GET", &ask("POST", &url, "file=1").location, "").body, "early");
    early.arrives("email#thank-you done");

    let debit = deliver(SessionEvent::unpaid().locale("de"), "BackEarlyDebit", download());
    assert_eq!(thanks(&cloud, "BackEarlyDebit").heading(), Some("Ihre Zahlung wird bestätigt"));
    debit.arrives("email#payment-pending done");
    deliver(SessionEvent::paid(), "Stranger", json!({ "order_id": "42" }));
    for session in ["Stranger", "NeverWas"] {
        let page = thanks(&cloud, session);
        assert_eq!((page.status, page.heading()), (404, Some("Page not found")));
    }
}
