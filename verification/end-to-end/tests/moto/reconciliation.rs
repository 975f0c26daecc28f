//! What no source delivered is found at Stripe, and done.

use serde_json::json;
use testkit::stripe::SessionEvent;

use crate::account::{Account, now, of};

#[test]
fn a_payment_that_no_event_reports_is_found_and_done_and_nothing_is_done_twice() {
    let account = Account::new();
    // Within the window of a run that begins now, and old enough to be looked at.
    let paid_at = now() - 120;
    let paid = |payment: &str| of(SessionEvent::paid(), payment).at(paid_at).marketing(Some("yes"));
    account.post(&paid("Known"));
    account.stripe.record(&paid("Withheld").to_json().to_string());

    let report = account.invoke("reconcile", &json!({}));
    assert_eq!((&report["complete"], &report["put_back"]), (&json!(true), &json!(1)), "{report}");
    account.settle();
    let done = ["acquisition done", "consents done", "contribution#paid done", "email#thank-you done"];
    for payment in ["Known", "Withheld"] {
        assert_eq!(account.ledger(&format!("pi_{payment}")), done);
        assert_eq!(account.mails_to(payment).len(), 1);
    }
    let again = account.invoke("reconcile", &json!({}));
    assert_eq!((&again["complete"], &again["put_back"]), (&json!(true), &json!(0)), "{again}");
}
