//! Days on which mails do not go out, or not as they should.

use fault_proxy::Fault;
use serde_json::json;
use testkit::stripe::SessionEvent;

use crate::day::Day;
use crate::stack::{address, of};

const MAIL: &str = "email#thank-you";

/// docs/runbooks/parked.md, "The sender or the account".
#[test]
fn drill_01_the_sender_is_not_verified() {
    let day = Day::begins();
    let refused = "Email address is not verified. The following identities failed the check in region US-EAST-1: \
                   thanks@example.org";
    day.breaks("ses", "SendEmail", Fault::refuse(400, "MessageRejected", refused));
    day.paid("Sender");
    day.cloud.wait_for_effect("pi_Sender", "email#thank-you parked (sender_refused)");
    day.expect(3, &["status"], &["thank-you-email", "parked", "sender_refused"]);
    day.expect(
        3,
        &["explain", "pi_Sender"],
        &[
            "parked",
            "SES refuses the sender (an operator's to fix)",
            "`afterlink retry pi_Sender email#thank-you",
        ],
    );
    day.expect(
        3,
        &["redrive", "--task", "thank-you-email"],
        &["sender_refused", "A dry run: 1 message would go back"],
    );

    day.is_repaired();
    day.does(
        0,
        &["redrive", "--task", "thank-you-email", "--reason", "sender_refused"],
        &["1 message sent back"],
    );
    day.cloud.wait_for_effect("pi_Sender", "email#thank-you done");
    day.mails("Sender", 1);
    day.ends_quietly();
}

/// docs/runbooks/retrying.md.
#[test]
fn drill_02_ses_has_paused_the_account() {
    let day = Day::begins();
    let paused = Fault::refuse(400, "SendingPausedException", "Email sending is paused for your account");
    day.breaks("ses", "SendEmail", paused);
    day.paid("Paused");
    // Four tries are more than a passing fault.
    let said = day.wait_for(3, &["status"]);
    assert!(said.contains("retried for too long") && said.contains("mail_unavailable"), "{said}");
    day.expect(
        3,
        &["explain", "pi_Paused"],
        &[
            "retry",
            "SES takes no mail of ours",
            "`afterlink doctor` says whether SES lets the account",
            "comes back by itself",
        ],
    );
    day.expect(3, &["tasks", "--state", "retry"], &["mail_unavailable", "an operator's to fix"]);
    day.is_repaired();
    day.cloud.wait_for_effect("pi_Paused", "email#thank-you done");
    day.mails("Paused", 1);
    day.ends_quietly();
}

/// docs/runbooks/broken-wording.md.
#[test]
fn drill_03_a_campaigns_template_is_broken() {
    let day = Day::begins();
    let words = |html: &str| {
        day.put_template("drill-appeal/en.subject.txt", "For the drill");
        day.put_template("drill-appeal/en.html", html);
        day.put_template("drill-appeal/en.txt", "Thank you for the drill");
    };
    words("<p>{{ amonut }}</p>");
    day.restarts("thank-you-email");
    let event = of(SessionEvent::paid(), "Wording")
        .metadata(json!({ "fulfilment": "contribution", "thank_you": "drill-appeal" }));
    day.cloud.post(&event);
    day.cloud.wait_for_effect("pi_Wording", "email#thank-you done");
    day.mails("Wording", 1);
    // The customer got the standard wording, and the ledger says so.
    day.expect(
        0,
        &["explain", "pi_Wording"],
        &["wording contribution/en", "passed over: template file drill-appeal/en.html, line 1"],
    );
    // Corrected a moment ago, the mail function may still have the old one.
    words("<p>Thank you for the drill</p>");
    let resend = ["resend", "pi_Wording", "--template", "thank-you"];
    day.expect(1, &resend, &["wording was changed a moment ago", "try again then"]);
    day.mails("Wording", 1);
    day.ends_quietly();
}

/// docs/runbooks/files-missing.md.
#[test]
fn drill_04_a_file_that_was_sold_is_not_there() {
    let day = Day::begins();
    let event = of(SessionEvent::paid(), "File")
        .metadata(json!({ "fulfilment": "download", "files": "drill/guide.pdf" }));
    day.cloud.post(&event);
    day.cloud.wait_for_effect("pi_File", "email#files-ready parked (file_missing)");
    day.mails("File", 1);
    day.expect(
        3,
        &["explain", "pi_File"],
        &["email#files-ready", "not in the files bucket: drill/guide.pdf (the campaign's to fix)"],
    );
    day.put_file("drill/guide.pdf");
    day.does(0, &["retry", "pi_File", "email#files-ready"], &["delivered again, from the dead-letter queue"]);
    day.cloud.wait_for_effect("pi_File", "email#files-ready done");
    day.mails("File", 2);
    day.ends_quietly();
}

/// docs/runbooks/unknown.md.
#[test]
fn drill_10_a_mail_may_or_may_not_have_gone_out() {
    let day = Day::begins();
    day.breaks_once("ses", "SendEmail", Fault::LoseReply);
    day.paid("Sent");
    day.cloud.wait_for_effect("pi_Sent", "email#thank-you unknown (mail_reply_lost)");
    day.breaks_once("ses", "SendEmail", Fault::Drop);
    day.paid("NotSent");
    // Nothing came back either: the function cannot know that nothing was done.
    day.cloud.wait_for_effect("pi_NotSent", "email#thank-you unknown (mail_reply_lost)");

    day.expect(3, &["tasks", "--state", "unknown"], &["pi_Sent", "pi_NotSent", "mail_reply_lost"]);
    day.expect(1, &["retry", "pi_Sent", MAIL], &["it is not known whether", "afterlink resolve pi_Sent"]);
    day.expect(1, &["close", "pi_Sent", MAIL], &["it is not known whether", "afterlink resolve pi_Sent"]);
    day.does(0, &["resolve", "pi_Sent", MAIL, "--sent"], &["unknown → done"]);
    day.does(0, &["resolve", "pi_NotSent", MAIL, "--not-sent"], &["delivered again"]);
    day.cloud.wait_for_effect("pi_NotSent", "email#thank-you done");
    day.mails("Sent", 1);
    day.mails("NotSent", 1);
    day.ends_quietly();
}

/// docs/OPERATIONS.md: "to my other address".
#[test]
fn drill_12_a_customer_mistyped_their_address() {
    let day = Day::begins();
    let event = of(SessionEvent::paid(), "Typo").email("not an address");
    day.cloud.post(&event);
    day.cloud.wait_for_effect("pi_Typo", "email#thank-you parked (no_recipient)");
    day.expect(3, &["explain", "pi_Typo"], &["the customer's to fix", "--to …", "`afterlink close pi_Typo"]);
    let resend = |to| ["resend", "pi_Typo", "--template", "thank-you", "--to", to];
    day.does(1, &resend("still not one"), &["--to is no address that mails reach"]);
    day.does(0, &resend(&address("Typo")), &["in place of the first"]);
    day.cloud.wait_until(1, || day.cloud.mails_to(&address("Typo")).len());
    // The message of the first mail is of no use any more.
    day.expect(
        3,
        &["redrive", "--task", "thank-you-email"],
        &["1 of them for effects that are done, left out"],
    );
    day.does(0, &["discard", "--task", "thank-you-email", "--reason", "no_recipient"], &["1 message"]);

    // Another never gives one: their mail is closed, and its message goes with it.
    day.cloud.post(&of(SessionEvent::paid(), "Silent").email("nobody"));
    day.cloud.wait_for_effect("pi_Silent", "email#thank-you parked (no_recipient)");
    day.wait_for_dead_letters("ThankYouEmail", 1);
    day.does(0, &["close", "pi_Silent", MAIL], &["is closed, and its message leaves", "opens it again"]);
    day.expect(0, &["explain", "pi_Silent"], &["skipped", "closed_by_operator"]);
    day.ends_quietly();
}
