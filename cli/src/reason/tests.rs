use std::collections::BTreeSet;

use fulfilment::effects;
use xtask::checkout::{Checkout, files_below};

use super::*;

/// The codes in `fn reason` of every error of the tasks, and what the shell gives itself.
fn codes() -> BTreeSet<String> {
    let root = Checkout::find().unwrap().root().to_owned();
    let mut codes = BTreeSet::new();
    for folder in ["functions", "shared"] {
        for file in files_below(&root.join(folder)).unwrap() {
            if file.extension().is_none_or(|ending| ending != "rs") || file.ends_with("skip_reason.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let of_error = text.contains("impl TaskError for") || text.contains("impl NoRecipient");
            for part in text.split("fn reason(").skip(1).filter(|_| of_error) {
                let body = part.split("\n    }\n").next().unwrap_or_default();
                codes.extend(
                    body.split("=> \"").skip(1).filter_map(|rest| Some(rest.split('"').next()?.to_owned())),
                );
            }
        }
    }
    codes
}

#[test]
fn every_reason_of_a_task_has_a_meaning() {
    let codes = codes();
    assert!(codes.len() > 15, "{codes:?}");
    for code in &codes {
        assert!(what(code).is_some(), "{code}");
    }
    let names: Vec<_> = MEANINGS.iter().map(|Meaning(name, ..)| *name).collect();
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn advice_says_what_happened_whose_it_is_and_the_next_command() {
    let said = |effect: effect_ledger::Effect, state: EffectState, detail: Option<&str>| {
        let row = EffectRow { detail: detail.map(str::to_owned), ..EffectRow::new(effect, state) };
        Advice::on(&Subject::new("pi_1"), &row, 0).map(|advice| advice.to_string())
    };
    let reason = |reason: &str| reason.to_owned();
    let mail = || effects::email("thank-you");
    for (effect, state, detail, expected) in [
        (
            mail(),
            EffectState::Parked { reason: reason("sender_refused") },
            None,
            "an operator's to fix). Next: verify the sender",
        ),
        (
            mail(),
            EffectState::Parked { reason: reason("no_recipient") },
            None,
            "--to … --because '…' --yes`, or `afterlink close pi_1 email#thank-you",
        ),
        (
            mail(),
            EffectState::Parked { reason: reason("file_missing") },
            Some("not in the files bucket: a.pdf"),
            "not in the files bucket: a.pdf (the campaign's",
        ),
        (
            mail(),
            EffectState::Unknown { reason: reason("mail_reply_lost") },
            Some("wording contribution/en"),
            "resolve pi_1 email#thank-you --sent",
        ),
        (
            effects::acquisition(),
            EffectState::Retry { reason: reason("bus_unavailable") },
            None,
            "comes back by itself",
        ),
        (
            effects::acquisition(),
            EffectState::Parked { reason: reason("bus_unavailable") },
            None,
            "retry pi_1 acquisition",
        ),
        (
            effects::acquisition(),
            EffectState::Parked { reason: reason("broken_link_contract") },
            None,
            "`afterlink complete pi_1",
        ),
        (
            effects::acquisition(),
            EffectState::Parked { reason: reason("of_a_later_version") },
            None,
            "of_a_later_version. Next:",
        ),
    ] {
        let said = said(effect, state, detail).unwrap();
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert_eq!(said(mail(), EffectState::Done, None), None);
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn what_is_retried_for_long_needs_an_operator_and_after_ten_hours_has_no_message_any_more() {
    let row = |reason: &str, first_at, updated_at, tries| {
        let state = EffectState::Retry { reason: reason.to_owned() };
        let last_claim = Some(("req/m1".to_owned(), tries));
        let row = EffectRow::new(effects::email("thank-you"), state);
        EffectRow { first_at: Some(first_at), updated_at: Some(updated_at), last_claim, ..row }
    };
    let now = 20 * HOUR_MS;
    for (row, long, given_up) in [
        (row("mail_unavailable", now - 60_000, now, 2), false, false),
        (row("mail_unavailable", now - 60_000, now, 4), true, false),
        (row("mail_unavailable", now - 31 * 60_000, now, 2), true, false),
        (row("mail_unavailable", now - 12 * HOUR_MS, now - HOUR_MS, 17), true, false),
        (row("mail_unavailable", now - 14 * HOUR_MS, now - 3 * HOUR_MS, 17), true, true),
        (row("operator", 0, now - 60_000, 17), false, false),
    ] {
        assert_eq!((waits_too_long(&row, now), is_given_up(&row, now)), (long, given_up), "{row:?}");
    }
    let given_up = row("mail_unavailable", 0, 0, 17);
    let said = Advice::on(&Subject::new("pi_1"), &given_up, now).unwrap().to_string();
    assert!(said.contains("`afterlink retry pi_1"), "{said}");
}

#[test]
fn a_reason_that_nothing_has_is_refused_with_the_one_that_was_meant() {
    assert!(check("mail_rejected").is_ok() && check(NO_REASON).is_ok());
    assert!(check("mail_reject").unwrap_err().to_string().contains("did you mean `mail_rejected`?"));
    assert!(check("weather").unwrap_err().to_string().contains("there are: broken_link_contract"));
}
