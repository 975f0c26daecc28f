//! Stripe, as far as the demo plays it: events and their signature.

use anyhow::{Context as _, Result};
use serde_json::Value;
use stripe_events::{SigningSecret, sign};

use crate::aws::unix_now;

/// The `Stripe-Signature` header for a body that is sent now.
pub(crate) fn signature(secret: &str, body: &str) -> Result<String> {
    let secret = SigningSecret::parse_all(secret).pop().context("the signing secret is not a `whsec_…`")?;
    Ok(sign(&secret, body.as_bytes(), unix_now().try_into()?))
}

/// An event as Stripe sends it, with its times moved so that it happened `seconds_ago`, and with some fields of its
/// object changed.
pub(crate) fn event(text: &str, seconds_ago: u64, changes: &[(&str, Value)]) -> Result<String> {
    let mut event: Value = serde_json::from_str(text).context("the event is not JSON")?;
    for (field, value) in changes {
        event["data"]["object"][*field] = value.clone();
    }
    let happened = unix_now().saturating_sub(seconds_ago);
    event["created"] = happened.into();
    // The customer took a minute and a half on Stripe's page.
    event["data"]["object"]["created"] = happened.saturating_sub(90).into();
    Ok(event.to_string())
}
