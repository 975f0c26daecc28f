//! Days on which a Payment Link was made wrong.

use serde_json::json;
use testkit::stripe::SessionEvent;

use crate::day::Day;
use crate::stack::of;

/// docs/runbooks/parked.md, "A wrong link".
#[test]
fn drill_05_a_links_kind_is_mistyped() {
    let day = Day::begins();
    let event = of(SessionEvent::paid(), "Donation").metadata(json!({ "fulfilment": "donation" }));
    day.cloud.post(&event);
    for effect in ["contribution#paid", "email#thank-you", "consents", "acquisition"] {
        day.cloud.wait_for_effect("pi_Donation", &format!("{effect} parked (broken_link_contract)"));
    }
    // Who paid, and how much, although there is no record.
    day.expect(
        3,
        &["explain", "pi_Donation"],
        &[
            "at Stripe paid 12.50 GBP",
            "d***@e***.org",
            "`afterlink complete pi_Donation",
            "the campaign's to fix",
        ],
    );
    // The session keeps the metadata that it was made with: retrying alone parks it again, and says so.
    day.expect(
        3,
        &["complete", "pi_Donation", "--as", "contribution"],
        &["A dry run: 1 payment would be completed"],
    )
    .contains("out of DLQs");
    day.does(0, &["complete", "pi_Donation", "--as", "contribution"], &["1 payment completed"]);
    day.cloud.wait_for_effect("pi_Donation", "contribution#paid done");
    day.cloud.wait_for_effect("pi_Donation", "email#thank-you done");
    day.mails("Donation", 1);

    // The other way: the session itself was corrected at Stripe.
    let typo = of(SessionEvent::paid(), "Corrected").metadata(json!({ "fulfilment": "donation" }));
    day.cloud.post(&typo);
    for task in ["ThankYouEmail", "ContributionRecords", "SoftOptIns", "AcquisitionEvents"] {
        day.wait_for_dead_letters(task, 1);
    }
    let corrected = of(SessionEvent::paid(), "Corrected").event_id("evt_Corrected_later").to_json();
    day.cloud.stack.record_event(&corrected.to_string()).unwrap();
    for task in ["thank-you-email", "contribution-records", "soft-opt-ins", "acquisition-events"] {
        let redrive = ["redrive", "--task", task, "--reason", "broken_link_contract", "--from-session"];
        day.does(0, &redrive, &["1 message sent back"]);
    }
    day.cloud.wait_for_effect("pi_Corrected", "contribution#paid done");
    day.cloud.wait_for_effect("pi_Corrected", "email#thank-you done");
    day.mails("Corrected", 1);
    day.ends_quietly();
}

/// docs/runbooks/misspelt-key.md.
#[test]
fn drill_06_a_links_key_is_misspelt() {
    let day = Day::begins();
    let event = of(SessionEvent::paid(), "Misspelt").metadata(json!({ "fullfilment": "contribution" }));
    // Its event came, and no rule lets it through.
    let (status, _) = day.cloud.stack.post(&event.to_json().to_string()).unwrap();
    assert_eq!(status, 200);
    day.expect(
        1,
        &["explain", " pi_Misspelt "],
        &[
            "Stripe has its session",
            "the key `fullfilment`, which must be `fulfilment`",
            "`afterlink complete pi_Misspelt",
        ],
    );
    day.does(0, &["complete", "pi_Misspelt", "--as", "contribution"], &["1 payment completed"]);
    day.cloud.wait_for_effect("pi_Misspelt", "contribution#paid done");
    day.cloud.wait_for_effect("pi_Misspelt", "email#thank-you done");
    day.mails("Misspelt", 1);
    day.ends_quietly();
}

/// docs/OPERATIONS.md: "My download says that I fetched it too often".
#[test]
fn drill_13_a_customer_has_fetched_their_files_too_often() {
    let day = Day::begins();
    day.put_file("drill/often.pdf");
    let event = of(SessionEvent::paid(), "Often")
        .metadata(json!({ "fulfilment": "download", "files": "drill/often.pdf" }));
    day.cloud.post(&event);
    day.cloud.wait_for_effect("pi_Often", "email#thank-you done");
    let mail = day.cloud.mails_to(&crate::stack::address("Often")).pop().unwrap();
    let link = mail.text.split_whitespace().find(|word| word.contains("/d/")).unwrap().to_owned();
    let link = day.cloud.stack.reachable(&link).unwrap();
    let fetch = || xtask::pages::ask("POST", &link, "file=1").unwrap().status;
    while fetch() == 303 {}
    assert_eq!(fetch(), 429);
    let explained = day.expect(0, &["explain", "pi_Often"], &["drill/often.pdf  fetched "]);
    let counted = explained.split("fetched ").nth(1).unwrap().split(" times").next().unwrap();
    let (fetched, at_most) = counted.split_once(" of ").unwrap();
    assert_eq!(fetched, at_most, "the limit is shown");
    day.does(0, &["reset-fetches", "pi_Often"], &["From now on counted anew"]);
    assert_eq!(fetch(), 303);
    day.ends_quietly();
}
