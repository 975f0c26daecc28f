//! Whether a task writes the rows that `fulfilment::ExpectedEffects` says its events call for.

use aws::Clock;
use fulfilment::{ExpectedEffects, Policy, effects};
use serde_json::Value;
use stripe_events::{Event, Source};
use task_runtime::Task;

use crate::ledger::InMemoryEffects;
use crate::queue::deliver;

const RECORDED: [&str; 23] = [
    include_str!("../fixtures/invoice_2020_renewal.json"),
    include_str!("../fixtures/invoice_paid_one_off.json"),
    include_str!("../fixtures/invoice_paid_renewal.json"),
    include_str!("../fixtures/invoice_payment_paid.json"),
    include_str!("../fixtures/early_fraud_warning_created.json"),
    include_str!("../fixtures/dispute_closed_inquiry.json"),
    include_str!("../fixtures/dispute_funds_withdrawn.json"),
    include_str!("../fixtures/refund_created.json"),
    include_str!("../fixtures/session_2020_sparse.json"),
    include_str!("../fixtures/session_2024_currency_conversion.json"),
    include_str!("../fixtures/session_adaptive_pricing.json"),
    include_str!("../fixtures/session_async_payment_failed.json"),
    include_str!("../fixtures/session_async_payment_succeeded.json"),
    include_str!("../fixtures/session_completed_paid.json"),
    include_str!("../fixtures/session_completed_unpaid.json"),
    include_str!("../fixtures/session_custom_fields.json"),
    include_str!("../fixtures/session_download_paid.json"),
    include_str!("../fixtures/session_livemode.json"),
    include_str!("../fixtures/session_no_payment_required.json"),
    include_str!("../fixtures/session_of_another_business.json"),
    include_str!("../fixtures/session_setup.json"),
    include_str!("../fixtures/session_subscription.json"),
    include_str!("../fixtures/thin_session_completed.json"),
];

/// The recorded payloads, and these with every type their object can come with.
fn payloads() -> Vec<Value> {
    let mut payloads = Vec::new();
    for text in RECORDED {
        let event: Value = serde_json::from_str(text).unwrap();
        let types: &[&str] = match event["data"]["object"]["object"].as_str() {
            Some("refund") => &["refund.created", "refund.updated", "refund.failed"],
            Some("dispute") => &[
                "charge.dispute.created",
                "charge.dispute.closed",
                "charge.dispute.funds_withdrawn",
                "charge.dispute.funds_reinstated",
            ],
            _ => &[],
        };
        payloads.extend(types.iter().map(|name| {
            let mut event = event.clone();
            event["type"] = (*name).into();
            event
        }));
        payloads.push(event);
    }
    payloads
}

/// Delivers every payload to a task of its own, in test mode, and compares the rows in its ledger with those
/// expected of it under a policy, which is the task's. `is_own` says which effects are this task's, by their names.
///
/// # Panics
///
/// When a task wrote another row, or none.
pub async fn check<T: Task>(
    name: &'static str,
    clock: &impl Clock,
    policy: &Policy,
    is_own: impl Fn(&str) -> bool,
    make: impl Fn() -> (T, InMemoryEffects),
) {
    let mut rows = 0;
    for payload in payloads() {
        let event = Event::from_value(payload.clone()).unwrap();
        let expected =
            ExpectedEffects::from_event(&event, false, policy).map(|it| it.effects).unwrap_or_default();
        let mut expected: Vec<_> =
            expected.iter().map(ToString::to_string).filter(|effect| is_own(effect)).collect();
        expected.sort();
        let (task, ledger) = make();
        deliver(name, &task, clock, Source::WEBHOOK_SOURCE, std::slice::from_ref(&payload)).await;
        // Look-ups at Stripe and contracts of subscriptions are no task's effects.
        let kept = [effects::lookup(), effects::contract()];
        let mut written: Vec<_> = ledger
            .rows()
            .iter()
            .filter(|(key, _)| !kept.contains(&key.effect))
            .map(|(key, _)| key.effect.to_string())
            .collect();
        written.sort();
        assert_eq!(written, expected, "{} {}", event.type_name(), event.id());
        rows += written.len();
    }
    assert!(rows > 0, "no payload has an expected effect of {name}");
}
