//! What becomes of payments, and of what changes them later.

use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, SessionEvent};

use crate::account::{Account, address, kinds_and_sum, now, of};

#[test]
fn a_payment_is_recorded_thanked_and_published_once_however_often_it_is_delivered() {
    let account = Account::new();
    let event = of(SessionEvent::paid(), "Once")
        .customer("Ada <b>Example</b>", &address("Once"))
        .marketing(Some("yes"))
        .visit(&json!({ "c": "spring", "a": "button:green", "v": "view-1" }));
    let reported = ["acquisition done", "consents done", "contribution#paid done", "email#thank-you done"];
    // The second time in another event, as Stripe sometimes does.
    for event in [event.clone(), event.clone().event_id("evt_OnceMore"), event] {
        account.post(&event);
        assert_eq!(account.ledger("pi_Once"), reported);
    }

    let contribution = account.contribution("pi_Once");
    assert_eq!((&contribution["status"], &contribution["amount"]), (&json!("paid"), &json!(1250)));
    assert_eq!(contribution["email"], "once@example.org");
    let supporters = account.rows("SupportersTableName", "pi_Once");
    assert_eq!(supporters.len(), 1);
    assert_eq!(supporters[0]["supporter_id"], contribution["supporter_id"]);
    let consents = account.rows("ConsentsTableName", "pi_Once");
    assert!(!consents.is_empty());
    assert!(consents.iter().all(|row| row["supporter_id"] == contribution["supporter_id"]), "{consents:?}");

    let mails = account.mails_to("Once");
    assert_eq!(mails.len(), 1);
    assert!(mails[0].html.contains("£12.50") && mails[0].html.contains("Ada &lt;b&gt;Example"), "{mails:?}");
    let published = account.take_published();
    assert_eq!(kinds_and_sum(&published), (vec!["acquisition"], 1250));
    assert_eq!(published[0]["ab_tests"], json!([{ "name": "button", "variant": "green" }]));
}

#[test]
fn refunds_after_the_payment_leave_the_money_kept() {
    let account = Account::new();
    account.post(&of(SessionEvent::paid(), "Refunded"));
    for event in [
        CorrectionEvent::refund("Refunded", "re_one", "created").amount(500, "gbp"),
        CorrectionEvent::refund("Refunded", "re_two", "created").amount(250, "gbp"),
        CorrectionEvent::refund("Refunded", "re_two", "failed").amount(250, "gbp"),
        // Delivered twice.
        CorrectionEvent::refund("Refunded", "re_one", "created").amount(500, "gbp"),
    ] {
        account.post_json(&event.to_json());
    }
    let reported = [
        "acquisition done",
        "acquisition#refund#re_one done",
        "acquisition#refund#re_two done",
        "acquisition#refund#re_two#failed done",
        "consents skipped (nothing_to_record)",
        "contribution#paid done",
        "contribution#refund#re_one done",
        "contribution#refund#re_two done",
        "contribution#refund#re_two#failed parked (refund_failed)",
        "email#thank-you done",
    ];
    assert_eq!(account.ledger("pi_Refunded"), reported);
    assert_eq!(account.contribution("pi_Refunded")["status"], "part_refunded");
    assert_eq!(account.rows("SupportersTableName", "pi_Refunded")[0]["status"], "part_refunded");
    let published = account.take_published();
    assert_eq!(
        kinds_and_sum(&published),
        (vec!["acquisition", "reinstatement", "reversal", "reversal"], 750)
    );
    for reversal in published.iter().filter(|event| event["kind"] == "reversal") {
        assert_eq!(reversal["reverses"], published[0]["event_id"]);
    }
    assert_eq!(account.mails_to("Refunded").len(), 1);
}

#[test]
fn a_refund_before_its_payment_is_published_with_it_and_no_thank_you_is_sent() {
    let account = Account::new();
    let refund = CorrectionEvent::refund("Early", "re_early", "created").amount(1250, "gbp");
    account.post_json(&refund.to_json());
    let soon = now() + 8 * 86_400;
    let expires_soon = |row: &Value| row["expires_at"].as_i64().is_some_and(|at| at < soon);
    for table in ["ContributionsTableName", "EffectsTableName"] {
        let rows = account.rows(table, "pi_Early");
        assert!(
            !rows.is_empty() && rows.iter().all(expires_soon),
            "what nobody pays for goes away: {rows:?}"
        );
    }
    assert!(account.take_published().is_empty());

    account.post(&of(SessionEvent::paid(), "Early"));
    let contribution = account.contribution("pi_Early");
    assert_eq!(contribution["status"], "refunded");
    assert!(account.ledger("pi_Early").contains(&"email#thank-you skipped (refunded)".to_owned()));
    assert_eq!(account.rows("SupportersTableName", "pi_Early")[0]["status"], "refunded");
    assert_eq!(kinds_and_sum(&account.take_published()), (vec!["acquisition", "reversal"], 0));
    assert!(account.mails_to("Early").is_empty());
    for table in ["ContributionsTableName", "SupportersTableName", "EffectsTableName"] {
        let mut rows = account.rows(table, "pi_Early");
        // What Stripe answered when it was asked whose the payment intent is.
        rows.retain(|row| row["effect"] != "lookup");
        assert!(!rows.is_empty() && !rows.iter().any(expires_soon), "what is paid for stays: {rows:?}");
    }
}

#[test]
fn a_dispute_takes_the_money_and_gives_it_back() {
    let account = Account::new();
    account.post(&of(SessionEvent::paid(), "Disputed"));
    let dispute = |what: &str| CorrectionEvent::dispute("Disputed", "du_one", what).amount(1250, "gbp");
    account.post_json(&dispute("created").to_json());
    account.post_json(&dispute("funds_withdrawn").to_json());
    assert_eq!(account.contribution("pi_Disputed")["status"], "disputed");
    assert_eq!(kinds_and_sum(&account.take_published()), (vec!["acquisition", "reversal"], 0));
    account.post_json(&dispute("funds_reinstated").status("won").to_json());
    account.post_json(&dispute("closed").status("won").to_json());
    assert_eq!(account.contribution("pi_Disputed")["status"], "paid");
    assert_eq!(kinds_and_sum(&account.take_published()), (vec!["reinstatement"], 1250));
}

#[test]
fn a_bank_debit_is_reported_as_pending_and_thanked_when_the_money_is_there() {
    let account = Account::new();
    account.post(&of(SessionEvent::unpaid(), "Debit").locale("de"));
    assert_eq!(account.ledger("pi_Debit"), ["contribution#pending done", "email#payment-pending done"]);
    assert_eq!(account.contribution("pi_Debit")["status"], "pending");
    assert!(account.take_published().is_empty());

    account.post(&of(SessionEvent::async_succeeded(), "Debit").locale("de"));
    let reported = [
        "acquisition done",
        "consents skipped (nothing_to_record)",
        "contribution#paid done",
        "contribution#pending done",
        "email#payment-pending done",
        "email#thank-you done",
    ];
    assert_eq!(account.ledger("pi_Debit"), reported);
    assert_eq!(account.contribution("pi_Debit")["status"], "paid");
    let mails = account.mails_to("Debit");
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| mail.html.contains("12,50\u{a0}£")), "{mails:?}");
    assert_eq!(kinds_and_sum(&account.take_published()), (vec!["acquisition"], 1250));
}

#[test]
fn a_bank_debit_that_fails_is_reported_and_never_thanked() {
    let account = Account::new();
    account.post(&of(SessionEvent::unpaid(), "Bounced"));
    account.post(&of(SessionEvent::async_failed(), "Bounced"));
    let reported = [
        "contribution#failed done",
        "contribution#pending done",
        "email#payment-failed done",
        "email#payment-pending done",
    ];
    assert_eq!(account.ledger("pi_Bounced"), reported);
    assert_eq!(account.contribution("pi_Bounced")["status"], "failed");
    assert!(account.take_published().is_empty());
}

#[test]
fn an_older_event_that_comes_late_changes_nothing_and_is_not_mailed() {
    let account = Account::new();
    account.post(&of(SessionEvent::async_succeeded().at(1_795_000_300), "Late"));
    account.post(&of(SessionEvent::unpaid().at(1_795_000_000), "Late"));
    let ledger = account.ledger("pi_Late");
    assert!(ledger.contains(&"email#payment-pending skipped (overtaken)".to_owned()), "{ledger:?}");
    let contribution = account.contribution("pi_Late");
    assert_eq!(
        (&contribution["status"], &contribution["pending_at"]),
        (&json!("paid"), &json!(1_795_000_000))
    );
    assert_eq!(account.mails_to("Late").len(), 1);
}
