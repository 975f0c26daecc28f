//! Days on which something is wrong between Stripe and us.

use testkit::stripe::{CorrectionEvent, SessionEvent};
use xtask::aws::unix_now;

use crate::day::Day;
use crate::stack::of;

fn ago(seconds: i64) -> i64 {
    i64::try_from(unix_now()).unwrap() - seconds
}

/// docs/OPERATIONS.md: "events never came".
#[test]
fn drill_11_the_destination_was_disabled_and_a_refund_happened_meanwhile() {
    let day = Day::begins();
    for (payment, age) in [("Lost1", 900), ("Lost2", 800), ("Given", 700)] {
        day.cloud
            .stack
            .record_event(&of(SessionEvent::paid(), payment).at(ago(age)).to_json().to_string())
            .unwrap();
    }
    let refund =
        CorrectionEvent::refund("Given", "re_Given", "created").amount(1250, "gbp").at(ago(600)).to_json();
    day.cloud.stack.record_event(&refund.to_string()).unwrap();
    day.expect(
        1,
        &["explain", "pi_Lost1"],
        &["no event of it has come", "it is paid", "`afterlink reconcile"],
    );
    day.expect(3, &["status"], &["pi_Lost1", "pi_Lost2", "`afterlink reconcile` puts back"]);
    day.expect(3, &["reconcile", "--since", "1h"], &["A dry run: 4 events would be put back"]);
    day.does(0, &["reconcile", "--since", "1h"], &["4 events put back on the bus"]);
    for payment in ["Lost1", "Lost2"] {
        day.cloud.wait_for_effect(&format!("pi_{payment}"), "email#thank-you done");
        day.mails(payment, 1);
    }
    day.cloud.wait_for_effect("pi_Given", "contribution#refund#re_Given done");
    // One row a deed, though they are of one moment.
    let deeds = day.json(&["log", "--since", "1h"]);
    let of_given =
        deeds["deeds"].as_array().unwrap().iter().filter(|deed| deed["payment_id"] == "pi_Given").count();
    assert_eq!(of_given, 2, "{deeds}");
    day.ends_quietly();
}

/// docs/runbooks/refund-failed.md.
#[test]
fn drill_14_a_refund_fails_after_the_customer_was_told_of_it() {
    let day = Day::begins();
    day.paid_and_done("Refund");
    let refund = |what: &str| CorrectionEvent::refund("Refund", "re_Refund", what).amount(1250, "gbp");
    day.cloud.post_json(&refund("created").to_json());
    day.cloud.wait_for_effect("pi_Refund", "contribution#refund#re_Refund done");
    day.expect(0, &["explain", "pi_Refund"], &["refunded"]);
    day.cloud.post_json(&refund("failed").status("failed").at(ago(0) + 5).to_json());
    day.cloud.wait_for_effect("pi_Refund", "contribution#refund#re_Refund#failed parked (refund_failed)");
    day.expect(3, &["tasks", "--reason", "refund_failed"], &["pi_Refund", "an operator's to fix"]);
    day.expect(
        3,
        &["explain", "pi_Refund"],
        &["the customer did not get the money", "pay the customer in another way"],
    );
    let close = ["close", "pi_Refund", "contribution#refund#re_Refund#failed"];
    day.does(0, &close, &["is closed"]);
    day.ends_quietly();
}

/// docs/runbooks/webhook-refused.md.
#[test]
fn drill_15_the_signing_secret_is_not_the_destinations() {
    let day = Day::begins();
    let right = day.cloud.stack.output("signing_secret").unwrap().to_owned();
    // Stripe's side was rolled, and the secret was not.
    day.put_secret("SigningSecretName", "whsec_c29tZSBvdGhlciBzZWNyZXQ");
    day.restarts("stripe-webhook");
    let event = of(SessionEvent::paid(), "Rolled").at(ago(600));
    let post = || day.cloud.stack.post(&event.to_json().to_string()).unwrap().0;
    assert_eq!(post(), 400);
    let deliveries = ["FAIL", "webhook deliveries", "Stripe could not deliver 1 event", "webhook-refused.md"];
    day.expect(3, &["doctor"], &deliveries);
    day.expect(3, &["status"], &["pi_Rolled"]);
    day.put_secret("SigningSecretName", &format!("{right} whsec_c29tZSBvdGhlciBzZWNyZXQ"));
    // Stripe tries again.
    day.cloud.wait_until(200, post);
    day.cloud.wait_for_effect("pi_Rolled", "email#thank-you done");
    day.mails("Rolled", 1);
    day.put_secret("SigningSecretName", &right);
    day.ends_quietly();
}

/// docs/DEPLOY.md, "The key for reconciliation".
#[test]
fn drill_16_the_stripe_key_is_revoked_or_wrong() {
    let day = Day::begins();
    let right = "rk_test_fake";
    for (key, said) in [
        ("rk_test_revoked00000000", "Stripe does not let it in (401)"),
        ("rk_live_ofanothermode000", "of the other mode"),
        ("not a key", "Stripe key's secret"),
        (" ", "is empty"),
    ] {
        day.put_secret("StripeKeyName", key);
        let doctor = day.expect(3, &["doctor"], &["FAIL", said]);
        assert!(!doctor.contains("put a random line in"), "{doctor}");
    }
    // A secret that cannot be read is a third thing, and says nothing of what is in it.
    day.put_secret("StripeKeyName", right);
    let denied =
        fault_proxy::Fault::refuse(400, "AccessDeniedException", "User is not authorized to perform");
    day.breaks("secretsmanager", "GetSecretValue", denied);
    let doctor = day.expect(
        1,
        &["doctor"],
        &["keys of download links", "you may not look (secretsmanager:GetSecretValue)", "change nothing"],
    );
    assert!(!doctor.contains("put ") && !doctor.contains("FAIL"), "{doctor}");
    day.is_repaired();
    day.ends_quietly();
}
