//! What an operator looks up and repairs: queries of indexes, and transactions on condition that nothing has changed.

use end_to_end::operator::{json_of, refusal};
use serde_json::json;
use testkit::stripe::SessionEvent;

use crate::account::{Account, of};

const MAIL: &str = "email#thank-you";

/// Leaves a mail in a state, as history would have.
fn put_mail(account: &Account, payment: &str, state: &str, reason: &str) {
    let item = json!({
        "payment_id": { "S": format!("pi_{payment}") }, "effect": { "S": MAIL }, "state": { "S": state },
        "reason": { "S": reason }, "event_id": { "S": format!("evt_{payment}_completed") },
        "updated_at": { "N": "1795000000000" }, "owner": { "S": "req/m1" }, "attempt": { "N": "1" },
        "open": { "S": "00" }
    });
    let input = json!({ "TableName": account.output("EffectsTableName"), "Item": item });
    account.aws.json("dynamodb", "DynamoDB_20120810.PutItem", &input).unwrap();
}

#[test]
fn a_payment_is_explained_by_any_of_its_names() {
    let account = Account::new();
    account.post(&of(SessionEvent::paid(), "Explained").marketing(Some("no")));
    for name in ["pi_Explained", "cs_test_Explained", "explained@example.org"] {
        let explained = json_of(account.afterlink(), &["explain", name]);
        let payment = &explained["payments"][0];
        assert_eq!(payment["payment_id"], "pi_Explained", "{name}");
        assert_eq!(payment["effects"].as_array().unwrap().len(), 4);
        assert_eq!(payment["consents"][0]["answer"], "no");
    }
}

#[test]
fn an_unknown_mail_is_resolved_either_way_and_never_sent_twice() {
    let account = Account::new();
    for (payment, how, mails) in [("ResolvedSent", "--sent", 0), ("ResolvedNotSent", "--not-sent", 1)] {
        let payment_id = format!("pi_{payment}");
        put_mail(&account, payment, "unknown", "lease_expired");
        account.post(&of(SessionEvent::paid(), payment));
        assert!(account.ledger(&payment_id).contains(&format!("{MAIL} unknown (lease_expired)")));
        assert!(refusal(account.afterlink(), &["retry", &payment_id, MAIL]).contains("resolve"));

        let act = ["resolve", &payment_id, MAIL, how, "--yes", "--because", "she says so"];
        assert_eq!(json_of(account.afterlink(), &act)["acted"], true);
        account.settle();
        let ledger = account.ledger(&payment_id);
        assert!(ledger.contains(&format!("{MAIL} done")), "{ledger:?}");
        assert_eq!(account.mails_to(payment).len(), mails, "{how}");
        assert!(refusal(account.afterlink(), &act).contains("not unknown"), "a second resolution is refused");
    }
}

#[test]
fn a_parked_mail_is_redriven_and_a_mail_is_resent_only_on_request() {
    let account = Account::new();
    account.aws.rest("ses", "DELETE", "/v2/email/identities/example.org", None).unwrap();
    account.post(&of(SessionEvent::paid(), "Redriven"));
    assert!(account.mails_to("Redriven").is_empty());
    let mended = json!({ "EmailIdentity": "example.org" });
    account.aws.rest("ses", "POST", "/v2/email/identities", Some(&mended)).unwrap();
    let redrive = ["redrive", "--task", "thank-you-email", "--reason", "sender_refused"];
    assert_eq!(json_of(account.afterlink(), &redrive)["messages"], 1, "a dry run counts");
    let act = [&redrive[..], &["--yes", "--because", "the identity is there"]].concat();
    assert_eq!(json_of(account.afterlink(), &act)["messages"], 1);
    account.settle();
    assert!(account.ledger("pi_Redriven").contains(&format!("{MAIL} done")));
    assert_eq!(account.mails_to("Redriven").len(), 1);

    let resend = ["resend", "pi_Redriven", "--template", "thank-you", "--to", "elsewhere@example.org"];
    let act = [&resend[..], &["--yes", "--because", "mistyped"]].concat();
    let effect = json_of(account.afterlink(), &act)["effect"].clone();
    account.settle();
    assert!(account.ledger("pi_Redriven").contains(&format!("{} done", effect.as_str().unwrap())));
    assert_eq!((account.mails_to("Redriven").len(), account.mails_to("Elsewhere").len()), (1, 1));
}
