//! Which effects each event calls for.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

use catalogue::Task;
use effect_key::Effect;
use fulfilment::{ExpectedEffects, FulfilmentKind};
use serde_json::Value;
use stripe_events::Event;
use testkit::policy::with_renewals_thanked;
use testkit::stripe::{CorrectionEvent, InvoiceEvent, SessionEvent};

/// The tasks whose effects are written out here. Each task compares its own rows with what is expected of it
/// (`testkit::expected_effects`).
const WRITTEN_OUT: [Task; 4] =
    [Task::ThankYouEmail, Task::ContributionRecords, Task::SoftOptIns, Task::AcquisitionEvents];

fn check(event: Value, expected: Option<&[&str]>) {
    let shown = event["type"].clone();
    let event = Event::from_value(event).unwrap();
    let named = ExpectedEffects::from_event(&event, false, &with_renewals_thanked(&[]));
    let written_out =
        |effect: &&Effect| Task::of_effect(effect).is_some_and(|task| WRITTEN_OUT.contains(&task));
    let names = |named: ExpectedEffects| {
        named.effects.iter().filter(written_out).map(ToString::to_string).collect::<Vec<_>>()
    };
    let effects = named.map(names);
    let expected = expected.map(|effects| effects.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(effects, expected, "{shown}");
}

#[test]
fn a_session_calls_for_what_its_money_is_worth() {
    let paid = ["email#thank-you", "contribution#paid", "consents", "acquisition"];
    check(SessionEvent::paid().to_json(), Some(&paid));
    check(SessionEvent::async_succeeded().to_json(), Some(&paid));
    let broken = serde_json::json!({ "fulfilment": "donation" });
    check(SessionEvent::paid().metadata(broken).to_json(), Some(&paid));
    let pending = ["email#payment-pending", "contribution#pending"];
    check(SessionEvent::unpaid().to_json(), Some(&pending));
    check(SessionEvent::unpaid().marketing(None).to_json(), Some(&pending));
    let answered = [&pending[..], &["consents#answers"]].concat();
    check(SessionEvent::unpaid().marketing(Some("no")).to_json(), Some(&answered));
    check(SessionEvent::async_failed().to_json(), Some(&["email#payment-failed", "contribution#failed"]));
}

#[test]
fn a_correction_calls_for_what_it_moves() {
    let refund = |what| CorrectionEvent::refund("P", "re_1", what).to_json();
    check(refund("created"), Some(&["contribution#refund#re_1", "acquisition#refund#re_1"]));
    check(
        refund("failed"),
        Some(&["contribution#refund#re_1", "acquisition#refund#re_1", "acquisition#refund#re_1#failed"]),
    );
    let dispute = |what| CorrectionEvent::dispute("P", "dp_1", what).to_json();
    check(dispute("created"), Some(&["contribution#dispute#dp_1"]));
    check(dispute("updated"), Some(&["contribution#dispute#dp_1"]));
    check(dispute("funds_withdrawn"), Some(&["contribution#dispute#dp_1", "acquisition#dispute#dp_1"]));
    let broken = CorrectionEvent::refund("P", "re_1", "created").object("amount", Value::Null);
    check(broken.to_json(), Some(&["contribution#refund#re_1"]));
}

#[test]
fn how_a_dispute_stands_calls_for_a_row_of_its_own_once_it_has_ended() {
    let dispute =
        |what: &str, status: &str| CorrectionEvent::dispute("P", "dp_1", what).status(status).to_json();
    let taken = "acquisition#dispute#dp_1";
    let back = "acquisition#dispute#dp_1#reinstated";
    check(dispute("closed", "warning_closed"), Some(&["contribution#dispute#dp_1"]));
    check(dispute("closed", "lost"), Some(&["contribution#dispute#dp_1#lost", taken]));
    check(dispute("created", "lost"), Some(&["contribution#dispute#dp_1#lost", taken]));
    check(dispute("closed", "won"), Some(&["contribution#dispute#dp_1#won", taken, back]));
    check(dispute("updated", "appeal_under_review"), Some(&["contribution#dispute#dp_1#appealed"]));
    check(dispute("updated", "prevented"), Some(&["contribution#dispute#dp_1#prevented"]));
    let prevented = CorrectionEvent::prevented("P", "dp_1", "block");
    check(prevented.to_json(), Some(&["contribution#dispute#dp_1#blocked"]));
    let prevented = CorrectionEvent::prevented("P", "dp_1", "resolution");
    check(prevented.to_json(), Some(&["contribution#dispute#dp_1#lost", taken]));
    // A return of which nothing says how much it is can be published by no task.
    check(dispute("funds_reinstated", "lost"), Some(&["contribution#dispute#dp_1#lost", taken]));
    let in_part = CorrectionEvent::dispute("P", "dp_1", "funds_reinstated").status("lost");
    let in_part = in_part.balance("gbp", &[-1250, 500]);
    check(in_part.to_json(), Some(&["contribution#dispute#dp_1#lost", taken, back]));
}

#[test]
fn a_renewal_calls_for_thanks_only_where_a_kind_says_so() {
    let effects = |event: Value, thanked: bool| {
        let kinds: &[_] = if thanked { &[FulfilmentKind::Membership] } else { &[] };
        let event = Event::from_value(event).unwrap();
        let expected = ExpectedEffects::from_event(&event, false, &with_renewals_thanked(kinds)).unwrap();
        expected.effects.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let renewal = InvoiceEvent::renewal("Member", "Renewal1").to_json();
    assert_eq!(effects(renewal.clone(), false), ["contribution#paid", "acquisition"]);
    assert_eq!(effects(renewal, true), ["email#thank-you", "contribution#paid", "acquisition"]);
    let first = InvoiceEvent::first("Member").to_json();
    assert_eq!(effects(first.clone(), false), ["contribution#term"]);
    assert_eq!(effects(first, true), ["contribution#term"], "its session calls for the thanks");
}

#[test]
fn what_is_none_of_our_business_calls_for_nothing() {
    check(SessionEvent::paid().without_marker().to_json(), None);
    check(SessionEvent::paid().livemode().to_json(), None);
    check(SessionEvent::paid().session("mode", "setup".into()).to_json(), None);
    check(SessionEvent::paid().set("/type", "checkout.session.expired".into()).to_json(), None);
    let foreign = CorrectionEvent::refund("P", "re_1", "created").object("payment_intent", Value::Null);
    check(foreign.to_json(), None);
}
