//! What the functions that act on no event find: a payment for a file, and a hundred payments at Stripe that were all
//! dealt with.

use anyhow::{Context as _, Result};
use aws::{Clock as _, SystemClock};
use aws_in_memory::Cloud;
use download_claims::{FOLDER, TokenKeys};
use fulfilment::ExpectedEffects;
use fulfilment::{Contribution, PaymentId, Policy, SessionEvent};
use serde_json::{Value, json};
use stripe_events::Event;
use testkit::stripe;
use testkit::stripe_api::StripeApi;
use uuid::Uuid;

use crate::names;

const PAYMENT: &str = "ForAFile";
const FILE: &str = "guide.pdf";

/// How many payments one run of `reconcile` compares: a full page of Stripe's list.
const COMPARED: usize = 100;

/// Seconds before now at which they were paid: long enough ago to be looked at, and within one window.
const PAID_AGO: i64 = 3600;

/// The window of a first run, in seconds. Shorter than a message lives, so that no day of it is due for its daily proof:
/// with a longer one, the calls would depend on the time of day.
pub(crate) const WINDOW: &str = "7200";

pub(crate) fn session_id() -> String {
    format!("cs_test_{PAYMENT}")
}

/// The token in the mail's link.
pub(crate) fn token() -> String {
    let keys = TokenKeys::parse(names::TOKEN_KEYS_SECRET_TEXT);
    keys.map(|keys| keys.sign(&PaymentId::new(format!("pi_{PAYMENT}")), 0)).unwrap_or_default()
}

/// Puts all of it there.
///
/// # Errors
///
/// When what is made here is not what the functions would make.
pub(crate) fn prepare(cloud: &Cloud, stripe: &StripeApi) -> Result<()> {
    let metadata = json!({ "fulfilment": "download", "files": FILE });
    let event = read(&paid(PAYMENT).metadata(metadata).to_json())?;
    let payment_id = format!("pi_{PAYMENT}");
    let session = SessionEvent::from_event(&event, false).ok().context("the session is not ours")?;
    let record =
        Contribution::new(PaymentId::new(&payment_id)).with_session_event(&session, &Uuid::from_u128(1));
    let mut row = serde_json::to_value(&record)?;
    // Nothing is null in a table.
    row.as_object_mut().context("the record is no row")?.retain(|_, value| !value.is_null());
    cloud.put_row("contributions", &row);
    let files = json!([{ "key": FILE, "quantity": 1 }]);
    let now = SystemClock.now_ms() / 1000;
    cloud.put_row(
        "downloads",
        &json!({ "payment_id": payment_id, "files": files, "decided_at": now, "expires_at": now + 86_400 }),
    );
    cloud.put_object(names::FILES_BUCKET, &format!("{FOLDER}{FILE}"), b"the guide");

    let policy = Policy::compiled_in()?;
    for number in 0..COMPARED {
        let json = paid(&format!("Compared{number}")).to_json();
        stripe.record(&json.to_string());
        let expected = ExpectedEffects::from_event(&read(&json)?, false, &policy)
            .context("the payment has no expected effects")?;
        for effect in expected.effects {
            let payment_id = expected.payment_id.as_str();
            let row = json!({ "payment_id": payment_id, "effect": effect.as_str(), "state": "done" });
            cloud.put_row("effects", &row);
        }
    }
    forget_reconciliation(cloud);
    Ok(())
}

/// As if `reconcile` had never run: what it does next is the same each time.
pub(crate) fn forget_reconciliation(cloud: &Cloud) {
    cloud.clear_table(names::RECONCILIATION_TABLE);
}

fn paid(payment: &str) -> stripe::SessionEvent {
    stripe::SessionEvent::paid().payment(payment).at(SystemClock.now_ms() / 1000 - PAID_AGO)
}

fn read(event: &Value) -> Result<Event> {
    Event::from_value(event.clone()).context("the event is not one of Stripe's")
}
