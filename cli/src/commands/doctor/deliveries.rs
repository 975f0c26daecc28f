//! Whether Stripe's events reach the webhook: Stripe knows which did not.

use reconciliation::EVENT_TYPES;
use stripe_client::{Request, StripeClient, StripeError};

use super::Check;
use crate::page::count;

/// So far back is looked, in seconds. Stripe tries for three days.
const SINCE_SECONDS: i64 = 86_400;

/// What is newer may be on its way, in seconds.
const ON_ITS_WAY_SECONDS: i64 = 300;

/// The events of a day that an endpoint of the account has not taken. Stripe's list does not say which endpoint.
///
/// <https://docs.stripe.com/webhooks#retries>
pub(super) async fn of_deliveries(client: &StripeClient, now: i64) -> Check {
    const WHAT: &str = "webhook deliveries";
    let now = now / 1000;
    let types: Vec<_> = EVENT_TYPES.iter().map(|event_type| event_type.as_str()).collect();
    let request = Request::undelivered_events(&types).created(now - SINCE_SECONDS, now - ON_ITS_WAY_SECONDS);
    match client.all(request).await {
        Ok(events) if events.is_empty() => Check::pass(WHAT, "Stripe delivered every event of the last day"),
        Ok(events) => {
            let newest = events.first().map(|event| event.id.as_str()).unwrap_or_default();
            Check::fail(
                WHAT,
                format!(
                    "Stripe could not deliver {} of the last day, the newest {newest}",
                    count(events.len(), "event")
                ),
                "look at the destination's deliveries in Workbench, Webhooks: with 400 the signing secret is not the \
                 destination's (docs/runbooks/webhook-refused.md). If they are another endpoint's of the account, all is well",
            )
        }
        // What the key lacks is named with its permissions.
        Err(StripeError::KeyRefused { .. }) => {
            Check::skipped(WHAT, "the key may not read events", "see above")
        }
        Err(error) => Check::unchecked(WHAT, error.to_string(), "run it again later"),
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_async::rt::sleep::SharedAsyncSleep;
    use stripe_client::ApiKey;
    use testkit::stripe::SessionEvent;
    use testkit::stripe_api::{KEY, StripeApi};

    use super::super::CheckResult;
    use super::*;

    const NOW: i64 = 1_795_000_000;

    #[tokio::test]
    async fn what_stripe_could_not_deliver_fails_with_the_newest() {
        let stripe = StripeApi::start(|| NOW);
        let sleep = SharedAsyncSleep::new(aws_smithy_async::rt::sleep::TokioSleep::new());
        let client =
            StripeClient::new(stripe.url(), ApiKey::new(KEY).unwrap(), aws::http_client(), sleep, 50)
                .unwrap();
        let event = |payment: &str, ago: i64| SessionEvent::paid().payment(payment).at(NOW - ago).to_json();
        for (payment, ago) in [("Old", 100_000), ("New", 10), ("Lost", 4_000), ("Fine", 4_000)] {
            stripe.record(&event(payment, ago).to_string());
        }
        assert_eq!(of_deliveries(&client, NOW * 1000).await.result, CheckResult::Pass);
        for payment in ["Old", "New", "Lost"] {
            stripe.not_delivered(event(payment, 0)["id"].as_str().unwrap());
        }
        let check = of_deliveries(&client, NOW * 1000).await;
        assert_eq!(check.result, CheckResult::Fail);
        assert!(check.seen.contains("1 event of the last day, the newest evt_Lost"), "{}", check.seen);
    }
}
