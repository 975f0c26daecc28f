//! What the functions are given to do: a payment's events, as Lambda hands them over.

use serde_json::{Value, json};
use testkit::queue::envelope;
use testkit::stripe::{CorrectionEvent, SessionEvent, signature_header};

use crate::aws::{names, unix_ms};

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A queue hands it batches.
    Queue,
    /// A function URL hands it requests.
    Url,
    /// It takes anything and does nothing.
    Nothing,
}

/// The do-nothing function.
pub(crate) const FLOOR: &str = "floor";

/// How a function is called; `None` for one that nobody has described here yet.
pub(crate) fn trigger(function: &str) -> Option<Trigger> {
    match function {
        "acquisition-events" | "contribution-records" | "soft-opt-ins" | "thank-you-email" => {
            Some(Trigger::Queue)
        }
        "stripe-webhook" => Some(Trigger::Url),
        FLOOR => Some(Trigger::Nothing),
        _ => None,
    }
}

/// What happens to a payment, each told by one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// It is paid at once.
    Paid,
    /// Stripe, or the queue, tells so again.
    PaidAgain,
    /// The customer is done and the money is on its way.
    Pending,
    /// Some of a paid payment is given back.
    Refunded,
}

impl Scenario {
    pub(crate) const ALL: [Self; 4] = [Self::Paid, Self::PaidAgain, Self::Pending, Self::Refunded];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::PaidAgain => "paid, again",
            Self::Pending => "pending",
            Self::Refunded => "refunded",
        }
    }
}

/// A Stripe event about the payment called `payment`, of a supporter of their own.
pub(crate) fn event(scenario: Scenario, payment: &str) -> Value {
    let now = unix_ms() / 1000;
    let session = match scenario {
        Scenario::Paid | Scenario::PaidAgain => SessionEvent::paid(),
        Scenario::Pending => SessionEvent::unpaid(),
        Scenario::Refunded => {
            return CorrectionEvent::refund(payment, &format!("re_{payment}"), "created").at(now).to_json();
        }
    };
    session
        .payment(payment)
        .customer("Ada Example", &format!("{payment}@example.org"))
        .marketing(Some("yes"))
        .visit(&json!({ "c": "spring", "s": "newsletter", "v": "k2j4h5", "b": "browser-1" }))
        .at(now)
        .to_json()
}

/// Stripe events as Lambda hands them to a function: one batch from its queue, or, to the webhook, one request.
pub(crate) fn invocation(trigger: Trigger, events: &[Value]) -> Vec<u8> {
    match (trigger, events) {
        (Trigger::Url, [event]) => request(event),
        _ => batch(events),
    }
    .to_string()
    .into_bytes()
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>
fn batch(events: &[Value]) -> Value {
    let records = events.iter().enumerate().map(|(number, event)| {
        let now = unix_ms();
        json!({
            "messageId": format!("059f36b4-87a3-44ab-83d2-{:012x}", now + i64::try_from(number).unwrap_or(0)),
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".repeat(4),
            "body": envelope("aws.partner/stripe.com/ed_example", event),
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": now.to_string(),
                "SenderId": "AIDAIENQZJOLO23YVJ4VO", "ApproximateFirstReceiveTimestamp": now.to_string()
            },
            "messageAttributes": {}, "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:task", "awsRegion": "us-east-1"
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>
fn request(event: &Value) -> Value {
    let body = event.to_string();
    let signature = signature_header(names::SIGNING_SECRET_TEXT, unix_ms() / 1000, &body);
    json!({
        "version": "2.0", "rawPath": "/", "rawQueryString": "", "isBase64Encoded": false, "body": body,
        "headers": {
            "content-type": "application/json; charset=utf-8", "stripe-signature": signature,
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
        },
        "requestContext": {
            "accountId": "anonymous", "apiId": "abc", "domainName": "abc.lambda-url.us-east-1.on.aws",
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "3.18.12.63",
                "userAgent": "Stripe/1.0" },
            "requestId": "1", "routeKey": "$default", "stage": "$default",
            "time": "18/Nov/2026:11:06:40 +0000", "timeEpoch": unix_ms()
        }
    })
}
