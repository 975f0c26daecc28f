//! Tests of all functions together; `cargo xtask test` runs them.
//!
//! * `tests/local_cloud/`: the deployed stack. Real events in at the webhook, real functions on the local cloud, real rows
//!   and mails out, IAM enforced.
//! * `tests/moto/`: a second opinion. The same functions before moto, an AWS emulator of other people's making that
//!   shares no code with the local cloud.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

pub mod dynamodb;
pub mod operator;

use serde_json::Value;
use testkit::stripe::SessionEvent;

/// An event of a payment of its own, to an address of its own.
pub fn of(event: SessionEvent, payment: &str) -> SessionEvent {
    event.payment(payment).email(&address(payment))
}

/// The address of a test's customer.
pub fn address(payment: &str) -> String {
    format!("{}@example.org", payment.to_lowercase())
}

/// What the ledger's rows say was begun, as `effect state` or `effect state (reason)`.
pub fn effects(rows: &[Value]) -> Vec<String> {
    let mut effects: Vec<_> = rows
        .iter()
        .filter(|row| !row["state"].is_null())
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let reason = text("reason");
            let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
            format!("{} {}{reason}", text("effect"), text("state"))
        })
        .collect();
    effects.sort();
    effects
}
