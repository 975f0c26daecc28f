//! What becomes of payments.

use serde_json::json;
use testkit::stripe::SessionEvent;

use crate::stack::{Cloud, address, of};

#[test]
fn a_payment_becomes_records_and_one_mail() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "Once").customer("Ada <b>Example</b>", &address("Once"));
    cloud.post(&event);
    cloud.wait_for_ledger("pi_Once", &["contribution#paid done", "email#thank-you done"]);

    let contribution = cloud.contribution("pi_Once").unwrap();
    assert_eq!(contribution["status"], "paid");
    assert_eq!(contribution["amount"], 1250);
    assert_eq!(contribution["currency"], "gbp");
    assert_eq!(contribution["email"], "once@example.org");
    let supporters = cloud.supporter_rows("pi_Once");
    assert_eq!(supporters.len(), 1);
    assert_eq!(supporters[0]["supporter_id"], contribution["supporter_id"]);
    assert_eq!(supporters[0]["product"], "CONTRIBUTION");

    let mails = cloud.mails_to("once@example.org");
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains("£12.50"), "{}", mails[0].text);
    assert!(mails[0].html.contains("Ada &lt;b&gt;Example"), "customer text is escaped");
}

#[test]
fn the_same_event_ten_times_at_once_is_one_mail() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "TenTimes");
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| cloud.post(&event));
        }
    });
    cloud.wait_for_ledger("pi_TenTimes", &["contribution#paid done", "email#thank-you done"]);
    // The duplicates that met a running claim are received once more; then all is quiet.
    cloud.wait_until(true, || cloud.stack.settle(std::time::Duration::from_secs(1)).unwrap());
    assert_eq!(cloud.mails_to("tentimes@example.org").len(), 1);
    assert_eq!(cloud.supporter_rows("pi_TenTimes").len(), 1);
}

#[test]
fn a_bank_debit_is_reported_as_pending_and_thanked_when_the_money_is_there() {
    let cloud = Cloud::shared();
    cloud.post(&of(SessionEvent::unpaid(), "Debit").locale("de"));
    cloud.wait_for_ledger("pi_Debit", &["contribution#pending done", "email#payment-pending done"]);
    assert_eq!(cloud.contribution("pi_Debit").unwrap()["status"], "pending");

    cloud.post(&of(SessionEvent::async_succeeded(), "Debit").locale("de"));
    let expected = [
        "contribution#paid done",
        "contribution#pending done",
        "email#payment-pending done",
        "email#thank-you done",
    ];
    cloud.wait_for_ledger("pi_Debit", &expected);
    assert_eq!(cloud.contribution("pi_Debit").unwrap()["status"], "paid");
    let mails = cloud.mails_to("debit@example.org");
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| mail.text.contains("12,50\u{a0}£")), "{mails:?}");
}

#[test]
fn a_bank_debit_that_fails_is_reported_and_never_thanked() {
    let cloud = Cloud::shared();
    cloud.post(&of(SessionEvent::unpaid(), "Bounced"));
    cloud.wait_for_ledger("pi_Bounced", &["contribution#pending done", "email#payment-pending done"]);
    cloud.post(&of(SessionEvent::async_failed(), "Bounced"));
    let expected = [
        "contribution#failed done",
        "contribution#pending done",
        "email#payment-failed done",
        "email#payment-pending done",
    ];
    cloud.wait_for_ledger("pi_Bounced", &expected);
    assert_eq!(cloud.contribution("pi_Bounced").unwrap()["status"], "failed");
}

#[test]
fn an_older_event_that_comes_late_changes_nothing_and_is_not_mailed() {
    let cloud = Cloud::shared();
    cloud.post(&of(SessionEvent::async_succeeded().at(1_795_000_300), "Late"));
    cloud.wait_for_ledger("pi_Late", &["contribution#paid done", "email#thank-you done"]);
    cloud.post(&of(SessionEvent::unpaid().at(1_795_000_000), "Late"));
    let expected = [
        "contribution#paid done",
        "contribution#pending done",
        "email#payment-pending skipped (overtaken)",
        "email#thank-you done",
    ];
    cloud.wait_for_ledger("pi_Late", &expected);
    let contribution = cloud.contribution("pi_Late").unwrap();
    assert_eq!(
        (&contribution["status"], &contribution["pending_at"]),
        (&json!("paid"), &json!(1_795_000_000))
    );
    assert_eq!(cloud.mails_to("late@example.org").len(), 1);
}

#[test]
fn the_mail_shows_what_the_customer_saw_and_the_books_what_was_charged() {
    let cloud = Cloud::shared();
    let event = of(SessionEvent::paid(), "Adaptive")
        .amount(1000, "usd")
        .session("presentment_details", json!({ "presentment_amount": 1500, "presentment_currency": "kwd" }));
    cloud.post(&event);
    cloud.wait_for_ledger("pi_Adaptive", &["contribution#paid done", "email#thank-you done"]);
    assert!(cloud.mails_to("adaptive@example.org")[0].text.contains("KWD\u{a0}1.500"));
    let contribution = cloud.contribution("pi_Adaptive").unwrap();
    assert_eq!((&contribution["amount"], &contribution["currency"]), (&json!(1000), &json!("usd")));
    assert_eq!(contribution["presentment_amount"], 1500);
}

#[test]
fn a_broken_link_contract_is_parked_by_every_task_with_its_reason() {
    let cloud = Cloud::shared();
    cloud.post(&of(SessionEvent::paid(), "Broken").metadata(json!({ "fulfilment": "donation" })));
    let expected =
        ["contribution#paid parked (broken_link_contract)", "email#thank-you parked (broken_link_contract)"];
    cloud.wait_for_ledger("pi_Broken", &expected);
    for task in ["ContributionRecords", "ThankYouEmail"] {
        let (_, reason) = cloud.wait_for_dead_letter(task, "pi_Broken");
        assert_eq!(reason, "broken_link_contract");
    }
    assert!(cloud.mails_to("broken@example.org").is_empty());
}
