//! A membership: its first payment, which two events report, a renewal, and that renewal's money given back.

use serde_json::json;
use testkit::stripe::{CorrectionEvent, InvoiceEvent, SessionEvent};

use crate::account::{Account, address, kinds_and_sum};

#[test]
fn a_renewal_is_recorded_and_its_refund_finds_it_by_asking_stripe() {
    let account = Account::new();
    let subscription = json!({
        "id": "sub_Member", "object": "subscription", "status": "active", "metadata": {},
        "items": { "object": "list", "data": [{
            "id": "si_Member", "object": "subscription_item",
            "price": { "id": "price_Member", "object": "price",
                "recurring": { "interval": "month", "interval_count": 1 } }
        }] }
    });
    account.stripe.put(&subscription);
    let joined = SessionEvent::paid().subscription("Member").email(&address("Member"));
    account.post(&joined);
    account.post_json(&InvoiceEvent::first("Member").to_json());
    let reported = account.ledger("in_MemberFirst");
    for effect in ["acquisition done", "contribution#paid done", "email#thank-you done"] {
        assert!(reported.contains(&effect.to_owned()), "{reported:?}");
    }
    assert_eq!(account.contribution("in_MemberFirst")["status"], "paid");
    assert_eq!(kinds_and_sum(&account.take_published()), (vec!["acquisition"], 500));
    assert_eq!(account.mails_to("Member").len(), 1);

    account.post_json(&InvoiceEvent::renewal("Member", "Two").to_json());
    assert_eq!(account.contribution("in_MemberTwo")["status"], "paid");
    let published = account.take_published();
    assert_eq!(kinds_and_sum(&published), (vec!["acquisition"], 500));
    assert_eq!(published[0]["payment_id"], "in_MemberTwo");
    assert_eq!(account.mails_to("Member").len(), 1, "a renewal is thanked only if policy.toml says so");

    // Only Stripe knows which invoice the payment intent paid.
    let payment = json!({
        "id": "inpay_MemberTwo", "object": "invoice_payment", "invoice": "in_MemberTwo", "status": "paid",
        "payment": { "type": "payment_intent", "payment_intent": "pi_MemberTwo" }
    });
    account.stripe.put(&payment);
    let refund = CorrectionEvent::refund("MemberTwo", "re_MemberTwo", "created").amount(500, "gbp");
    account.post_json(&refund.to_json());
    assert_eq!(account.contribution("in_MemberTwo")["status"], "refunded");
    assert_eq!(account.contribution("in_MemberFirst")["status"], "paid");
    assert_eq!(kinds_and_sum(&account.take_published()), (vec!["reversal"], -500));
    assert!(account.stripe.requests().iter().any(|request| request.contains("pi_MemberTwo")), "it was asked");
}
