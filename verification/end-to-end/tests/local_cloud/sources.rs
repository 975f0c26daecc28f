//! What comes in at the webhook, and what does not get past the rules.

use serde_json::json;
use testkit::stripe::{SessionEvent, signature_header};
use xtask::aws::{http, unix_now};

use crate::stack::{Cloud, of};

/// Posts a body with any signature header and hands back the status.
fn post_raw(cloud: &Cloud, signature: Option<&str>, body: &str) -> u16 {
    let mut request = http().post(cloud.stack.output("WebhookUrl").unwrap());
    if let Some(signature) = signature {
        request = request.header("stripe-signature", signature);
    }
    request.send(body).unwrap().status().as_u16()
}

/// Everything posted before a payment has been through the bus when that payment is done.
fn let_a_payment_through(cloud: &Cloud, payment: &str) {
    cloud.post(&of(SessionEvent::paid(), payment));
    cloud.wait_for_ledger(&format!("pi_{payment}"), &["contribution#paid done", "email#thank-you done"]);
}

#[test]
fn what_stripe_did_not_sign_never_reaches_the_bus() {
    let cloud = Cloud::shared();
    let body = of(SessionEvent::paid(), "Forged").to_json().to_string();
    let now = unix_now().try_into().unwrap();
    let secret = cloud.stack.output("signing_secret").unwrap();
    for (name, signature) in [
        ("none", None),
        ("another's secret", Some(signature_header("whsec_of-somebody-else", now, &body))),
        ("stale", Some(signature_header(secret, now - 301, &body))),
        ("of another body", Some(signature_header(secret, now, "{}"))),
    ] {
        assert_eq!(post_raw(&cloud, signature.as_deref(), &body), 400, "{name}");
    }
    let_a_payment_through(&cloud, "AfterForged");
    assert_eq!(cloud.contribution("pi_Forged"), None);
    assert_eq!(cloud.ledger("pi_Forged"), Vec::<String>::new());
}

#[test]
fn other_methods_and_other_bodies_are_answered_plainly() {
    let cloud = Cloud::shared();
    let get = http().get(cloud.stack.output("WebhookUrl").unwrap()).call().unwrap();
    assert_eq!(get.status().as_u16(), 405);
    let thin =
        json!({ "id": "evt_thin", "object": "v2.core.event", "type": "v1.checkout.session.completed" });
    assert_eq!(cloud.stack.post(&thin.to_string()).unwrap().0, 200);
    assert_eq!(cloud.stack.post("not JSON").unwrap().0, 400);
}

#[test]
fn no_task_sees_what_is_none_of_our_business() {
    let cloud = Cloud::shared();
    for event in [
        of(SessionEvent::paid(), "OtherBusiness").without_marker(),
        of(SessionEvent::paid(), "LiveMoney").livemode(),
        of(SessionEvent::paid(), "Setup").session("mode", json!("setup")),
    ] {
        // The webhook keeps some of it out, the rules the rest; Stripe hears the same of both.
        assert_eq!(cloud.stack.post(&event.to_json().to_string()).unwrap().0, 200);
    }
    let_a_payment_through(&cloud, "AfterOthers");
    for payment_id in ["pi_OtherBusiness", "pi_LiveMoney", "pi_Setup"] {
        assert_eq!(cloud.ledger(payment_id), Vec::<String>::new(), "{payment_id}");
    }
    // Not even called: nothing was skipped by a function that should not have been asked.
    for task in ["thank-you-email", "contribution-records"] {
        let log = cloud.stack.log(task).unwrap().join("\n");
        for payment in ["OtherBusiness", "LiveMoney", "Setup"] {
            assert!(!log.contains(&format!("evt_{payment}_")), "{task} saw {payment}");
        }
    }
}
