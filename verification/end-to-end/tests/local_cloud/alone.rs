//! Bad days that disturb everybody, one at a time.

use serde_json::json;
use testkit::stripe::SessionEvent;
use xtask::aws::unix_now;
use xtask::checkout::Checkout;

use crate::downloads::{fetch_by, link, purchase, upload};
#[cfg(target_os = "linux")]
use crate::processes::processes_of;
use crate::stack::{Cloud, address, of};

/// Frozen while it has the message in hand, then killed: as a crash, or a timeout that kills late.
#[cfg(target_os = "linux")]
#[test]
fn a_function_that_dies_with_a_message_in_hand_gets_it_again() {
    let cloud = Cloud::alone();
    cloud.post(&of(SessionEvent::paid(), "BeforeCrash"));
    cloud.wait_for_ledger("pi_BeforeCrash", &["contribution#paid done", "email#thank-you done"]);

    for process in processes_of(&cloud, "contribution-records") {
        process.signal("STOP");
    }
    cloud.post(&of(SessionEvent::paid(), "Crash"));
    let in_hand = || {
        let input = json!({
            "QueueUrl": cloud.stack.output("ContributionRecordsQueueUrl").unwrap(),
            "AttributeNames": ["ApproximateNumberOfMessagesNotVisible"]
        });
        let answer = cloud.stack.aws.json("sqs", "AmazonSQS.GetQueueAttributes", &input).unwrap();
        answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"].as_str().unwrap().to_owned()
    };
    cloud.wait_until("1", in_hand);
    for process in processes_of(&cloud, "contribution-records") {
        process.signal("KILL");
    }
    cloud.wait_for_ledger("pi_Crash", &["contribution#paid done", "email#thank-you done"]);
    assert_eq!(cloud.supporter_rows("pi_Crash").len(), 1);
    assert_eq!(cloud.mails_to("crash@example.org").len(), 1, "the other task noticed nothing");
}

#[test]
fn a_sender_that_ses_does_not_know_parks_the_mail_and_leaves_the_record_alone() {
    let cloud = Cloud::alone();
    // The local cloud keeps identities of SES's two APIs apart, and either is enough to send.
    cloud.stack.aws.rest("ses", "DELETE", "/v2/email/identities/example.org", None).unwrap();
    let form = "Action=DeleteIdentity&Version=2010-12-01&Identity=example.org";
    cloud.stack.aws.query("ses", form).unwrap();
    cloud.post(&of(SessionEvent::paid(), "Refused"));
    cloud.wait_for_ledger(
        "pi_Refused",
        &["contribution#paid done", "email#thank-you parked (sender_refused)"],
    );
    let (body, reason) = cloud.wait_for_dead_letter("ThankYouEmail", "pi_Refused");
    assert_eq!(reason, "sender_refused");
    assert_eq!(cloud.contribution("pi_Refused").unwrap()["status"], "paid");
    assert!(cloud.mails_to("refused@example.org").is_empty());

    // Fixed and redriven, it is sent.
    let mended = json!({ "EmailIdentity": "example.org" });
    cloud.stack.aws.rest("ses", "POST", "/v2/email/identities", Some(&mended)).unwrap();
    let queue = cloud.stack.output("ThankYouEmailQueueUrl").unwrap();
    let input = json!({ "QueueUrl": queue, "MessageBody": body });
    cloud.stack.aws.json("sqs", "AmazonSQS.SendMessage", &input).unwrap();
    cloud.wait_for_ledger("pi_Refused", &["contribution#paid done", "email#thank-you done"]);
    assert_eq!(cloud.mails_to("refused@example.org").len(), 1);
}

/// The function reads the bucket when it starts, and then every few minutes; a new process reads it at once.
#[cfg(target_os = "linux")]
#[test]
fn a_campaigns_own_wording_wins_and_a_broken_one_loses_no_mail() {
    let cloud = Cloud::alone();
    let bucket = cloud.stack.output("TemplatesBucketName").unwrap();
    let upload = |file: &str, text: &str| {
        cloud.stack.aws.put_object(bucket, &format!("e2e-campaign/{file}"), text).unwrap();
    };
    upload("en.subject.txt", "You did it");
    upload("en.txt", "Dear {{ customer.name }}, {{ amount }} plants a tree.");
    upload("en.html", "<p>Dear {{ customer.name }}, {{ amount }} plants a tree.</p>");
    let campaign = |payment: &str, template: &str| {
        of(SessionEvent::paid(), payment)
            .metadata(json!({ "fulfilment": "contribution", "thank_you": template }))
            .customer("Ada <Example>", &address(payment))
    };
    cloud.stack.aws.put_object(bucket, "e2e-broken/en.subject.txt", "Hello").unwrap();
    cloud.stack.aws.put_object(bucket, "e2e-broken/en.txt", "Hello {{ customer.nmae }}").unwrap();
    cloud.stack.aws.put_object(bucket, "e2e-broken/en.html", "{% if %}").unwrap();
    for process in processes_of(&cloud, "thank-you-email") {
        process.signal("KILL");
    }
    cloud.post(&campaign("Worded", "e2e-campaign"));
    cloud.wait_for_effect("pi_Worded", "email#thank-you done");
    let mail = &cloud.mails_to("worded@example.org")[0];
    assert_eq!(mail.subject, "You did it");
    assert_eq!(mail.html, "<p>Dear Ada &lt;Example&gt;, £12.50 plants a tree.</p>");

    cloud.post(&campaign("Broken2", "e2e-broken"));
    cloud.wait_for_effect("pi_Broken2", "email#thank-you done");
    let mail = &cloud.mails_to("broken2@example.org")[0];
    assert!(mail.html.contains("Example Project"), "the built-in wording was used");
    let log = cloud.stack.log("thank-you-email").unwrap().join("\n");
    assert!(log.contains("BrokenWording") && log.contains("e2e-broken/en"), "and somebody is told");
}

/// Looks at everything that every function has logged so far, whatever ran before, and has each log something of a
/// customer's first. A function that this drives into no log line fails the test, because nothing of it was looked at.
#[test]
fn no_log_line_and_no_ledger_row_holds_personal_data() {
    let cloud = Cloud::alone();
    upload(&cloud, "files/e2e/private.txt", "private");
    // A template's owner is a person too. The bucket's events come to the check by themselves.
    let templates = cloud.stack.output("TemplatesBucketName").unwrap();
    cloud.stack.aws.put_object(templates, "e2e-private/owner.txt", "grace-secret@example.org").unwrap();
    cloud.stack.aws.put_object(templates, "e2e-private/en.txt", "Hello").unwrap();
    cloud.wait_until(1, || cloud.mails_to("grace-secret@example.org").len());
    let metadata = json!({ "fulfilment": "download", "files": "e2e/private.txt" });
    let private = |payment: &str| {
        of(SessionEvent::paid(), payment).customer("Grace Secret", &address(payment)).marketing(Some("yes"))
    };
    cloud.post(&purchase(private("Private"), "Private", metadata));
    for effect in ["contribution#paid done", "consents done", "acquisition done", "email#thank-you done"] {
        cloud.wait_for_effect("pi_Private", effect);
    }
    let link = link(&cloud, "Private");
    assert_eq!(fetch_by(&link).0, "private");
    // What never came is put back by reconciliation, which so has a customer's event in hand.
    let never_came = private("PrivateLost").at(i64::try_from(unix_now()).unwrap() - 120);
    cloud.stack.record_event(&never_came.to_json().to_string()).unwrap();
    cloud.wait_until(true, || cloud.stack.invoke("reconcile").unwrap()["put_back"].as_u64() > Some(0));
    cloud.wait_for_effect("pi_PrivateLost", "email#thank-you done");
    cloud.post(
        &of(SessionEvent::paid(), "Poison")
            .email("poison-secret@example.org")
            .session("amount_total", json!("x")),
    );
    cloud.wait_for_dead_letter("ThankYouEmail", "poison-secret");

    let mut everything = serde_json::to_string(&cloud.stack.rows("EffectsTableName").unwrap()).unwrap();
    for function in Checkout::find().unwrap().functions().unwrap() {
        let log = cloud.stack.log(&function).unwrap();
        let own = log.iter().any(|line| line.starts_with('{') && line.contains("\"level\""));
        assert!(
            own,
            "{function} has logged nothing: have this test call it with a customer's data\n{log:#?}"
        );
        everything.push_str(&log.join("\n"));
    }
    let token = link.rsplit('/').next().unwrap();
    for personal in ["@example.org", "Grace", "Secret", "Ada", "N1 9GU", token] {
        assert!(!everything.contains(personal), "{personal} was written down");
    }
}
