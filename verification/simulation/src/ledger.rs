//! Watches the ledger's rows from outside: whatever the code believes, a row may only change in these ways.

use aws_in_memory::{Request, Service};
use serde_json::Value;

use crate::function::EFFECTS_TABLE;

/// The key of a ledger row: payment and effect.
pub(crate) type RowKey = (String, String);

/// The largest error of a clock that the lease's margin is meant for, in milliseconds.
pub(crate) const LARGEST_SKEW_MS: i64 = 5_000;

/// What one write made of one row.
pub(crate) struct Transition<'a> {
    pub(crate) row: &'a RowKey,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    pub(crate) now_ms: i64,
    /// The invocation that wrote. It may be over, if its call took effect late.
    pub(crate) request_id: Option<&'a str>,
}

/// Remembers violations of the rules.
#[derive(Debug, Default)]
pub(crate) struct LedgerWatch {
    broken: Vec<String>,
    thanked: Vec<(String, i64)>,
}

impl LedgerWatch {
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Each attempt at a thank-you: the payment, and what the ledger had as refunded.
    pub(crate) fn thanked(&self) -> &[(String, i64)] {
        &self.thanked
    }

    /// `rows` is the ledger as it is after the write.
    pub(crate) fn see(&mut self, transition: &Transition<'_>, rows: impl FnOnce() -> Vec<Value>) {
        if transition.before == transition.after {
            return;
        }
        let claimed = |row: &Option<Value>| row.as_ref().is_some_and(|row| state(row) == "claimed");
        if transition.row.1 == "email#thank-you" && claimed(&transition.after) && !claimed(&transition.before)
        {
            let payment_id = transition.row.0.clone();
            let refunded = refunded(&rows(), &payment_id);
            self.thanked.push((payment_id, refunded));
        }
        if let Err(rule) = allowed(transition) {
            let Transition { row, before, after, .. } = transition;
            let before = before.as_ref().map(short);
            let after = after.as_ref().map(short);
            self.broken.push(format!("{} of {}: {rule}: {before:?} became {after:?}", row.1, row.0));
        }
    }
}

fn allowed(transition: &Transition<'_>) -> Result<(), &'static str> {
    let Some(after) = &transition.after else {
        return Err("rows are never deleted by a task");
    };
    let is_outside = |effect: &str| effect.starts_with("email#") || effect == "acquisition";
    if is_outside(&transition.row.1) && !state(after).is_empty() && !after["expires_at"].is_null() {
        return Err("what was begun for a payment of ours expires");
    }
    let Some(before) = &transition.before else {
        return Ok(());
    };
    if before["news"].as_u64() > after["news"].as_u64() {
        return Err("news is forgotten");
    }
    if !state(before).is_empty() && without_news(before) == without_news(after) {
        return Ok(());
    }
    let lease_over =
        before["lease_until"].as_i64().is_some_and(|until| until < transition.now_ms + LARGEST_SKEW_MS);
    match (state(before), state(after)) {
        // The version was raised, and no executor has begun, or one begins now.
        ("", _) => Ok(()),
        ("done", "done") | ("skipped", "skipped" | "parked" | "retry" | "done") | ("retry" | "parked", _) => {
            Ok(())
        }
        ("done", _) => Err("what is done stays done"),
        ("skipped", _) => Err("what is skipped is not begun"),
        ("unknown", _) => Err("only a person ends what is unknown"),
        // Another delivery marked it as contended.
        ("claimed", "claimed") if same_claim(before, after) => Ok(()),
        ("claimed", "claimed") if !lease_over => Err("a claim was taken over while its lease ran"),
        ("claimed", "claimed") if before["attempt"] == after["attempt"] => {
            Err("a claim was taken over without a new attempt")
        }
        ("claimed", "claimed") => Ok(()),
        ("claimed", _) if is_owners(before, transition.request_id) => Ok(()),
        ("claimed", "unknown") if lease_over => Ok(()),
        ("claimed", _) => Err("somebody who does not hold the claim ended it"),
        _ => Err("a state nobody knows"),
    }
}

fn without_news(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(row) = row.as_object_mut() {
        row.remove("news");
    }
    row
}

/// What the ledger has as refunded of a payment, in minor units.
fn refunded(rows: &[Value], payment_id: &str) -> i64 {
    let refunds = rows.iter().filter(|row| {
        let effect = row["effect"].as_str().unwrap_or_default();
        row["payment_id"] == payment_id && effect.starts_with("contribution#refund#") && state(row) == "done"
    });
    refunds.filter_map(|row| row["amount"].as_i64()).sum()
}

fn state(row: &Value) -> &str {
    row["state"].as_str().unwrap_or_default()
}

fn same_claim(before: &Value, after: &Value) -> bool {
    ["owner", "attempt", "lease_until"].into_iter().all(|field| before[field] == after[field])
}

/// Whether the claim belongs to a message of this invocation.
fn is_owners(row: &Value, request_id: Option<&str>) -> bool {
    let owner = row["owner"].as_str().unwrap_or_default();
    request_id.is_some_and(|id| owner.split('/').next() == Some(id))
}

fn short(row: &Value) -> String {
    let fields = ["state", "reason", "owner", "attempt", "lease_until", "event_id"];
    let delivered = fields.iter().filter(|field| !row[**field].is_null());
    delivered.map(|field| format!("{field}={}", row[*field])).collect::<Vec<_>>().join(" ")
}

/// The payment intent or the subscription that Stripe is asked about, when that is what it is asked.
pub(crate) fn asked_about(request: &Request) -> Option<String> {
    if request.service != Service::Stripe {
        return None;
    }
    let (_, query) = request.uri.split_once('?')?;
    let mut values = query.split('&').filter_map(|pair| pair.split_once('=').map(|(_, value)| value));
    values.find(|value| value.starts_with("pi_") || value.starts_with("sub_")).map(str::to_owned)
}

/// The ledger rows that a request may change.
pub(crate) fn rows_touched(request: &Request) -> Vec<RowKey> {
    if request.service != Service::DynamoDb {
        return Vec::new();
    }
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return Vec::new();
    };
    let key = |write: &Value| {
        let of = |name: &str| Some(write["Key"][name]["S"].as_str()?.to_owned());
        let row = (write["TableName"] == EFFECTS_TABLE).then(|| of("payment_id").zip(of("effect")))??;
        // How many mails an address has had is no effect, and follows other rules.
        (!row.0.starts_with("mail-limit#")).then_some(row)
    };
    match body["TransactItems"].as_array() {
        Some(items) => items.iter().filter_map(|item| key(&item["Update"])).collect(),
        None => key(&body).into_iter().collect(),
    }
}
