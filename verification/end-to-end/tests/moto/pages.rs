//! A file that was bought: from the page after paying to the file's own bytes, until the money goes back.

use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, SessionEvent};
use xtask::aws::http;

use crate::account::{Account, now, of};

fn body(answer: &Value) -> &str {
    answer["body"].as_str().unwrap()
}

#[test]
fn a_file_is_mailed_and_fetched_until_the_money_goes_back() {
    let account = Account::new();
    account.aws.put_object(&account.output("FilesBucketName"), "files/moto/guide.pdf", "the guide").unwrap();
    let bought = now() - 3600;
    let purchase = of(SessionEvent::paid(), "Fetched")
        .at(bought)
        .session("created", json!(bought - 90))
        .metadata(json!({ "fulfilment": "download", "files": "moto/guide.pdf" }));
    account.post(&purchase);
    let mail = account.mails_to("Fetched").pop().unwrap();
    let html = mail.html.replace("&#x2f;", "/");
    let (_, link) = html.split_once("https://pages.example.org/d/").expect(&html);
    let path = format!("/d/{}", link.split('"').next().unwrap());

    let page = account.ask("downloads", "GET", "/thanks", "session_id=cs_test_Fetched", "");
    assert_eq!(page["statusCode"], 200, "{page}");
    assert!(body(&page).contains("guide.pdf"), "the session's index led to the payment: {page}");
    let page = account.ask("downloads", "GET", &path, "", "");
    assert!(body(&page).contains("9\u{a0}B"), "{page}");
    for _ in 0..2 {
        let answer = account.ask("downloads", "POST", &path, "", "file=1");
        assert_eq!(answer["statusCode"], 303, "{answer}");
        let signed = answer["headers"]["location"].as_str().unwrap();
        let mut file = http().get(signed).call().unwrap();
        assert_eq!(file.body_mut().read_to_string().unwrap(), "the guide");
    }
    let rows = account.rows("DownloadsTableName", "pi_Fetched");
    assert_eq!(rows.len(), 1, "{rows:?}");

    let refund = CorrectionEvent::refund("Fetched", "re_fetched", "created").amount(1250, "gbp");
    account.post_json(&refund.to_json());
    let answer = account.ask("downloads", "POST", &path, "", "file=1");
    assert_ne!(answer["statusCode"], 303, "{answer}");
    assert!(!body(&answer).contains("guide.pdf"), "{answer}");
}
