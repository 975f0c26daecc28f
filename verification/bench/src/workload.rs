//! What the functions are given to do: a payment's events, as Lambda hands them over.

use aws::{Clock as _, SystemClock};
use catalogue::Function;
use lambda_fake::events::{UrlRequest, sqs_record};
use serde_json::{Value, json};
use testkit::queue::envelope;
use testkit::stripe::{CorrectionEvent, SessionEvent, signature_header};

use crate::{names, purchase, template};

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A queue hands it batches.
    Queue,
    /// A function URL hands it Stripe's requests.
    Url,
    /// A function URL hands it customers' requests.
    Page,
    /// A schedule calls it.
    Schedule,
    /// A queue hands it what S3 says of uploads.
    Upload,
    /// A queue hands it batches, and it reports nothing of single messages.
    WholeBatches,
    /// It takes anything and does nothing.
    Nothing,
}

/// The do-nothing function.
pub(crate) const FLOOR: &str = "floor";

/// The function with every crate's defaults.
pub(crate) const ORDINARY: &str = "ordinary";

/// The functions that the others are compared with, in the order of the tables' last lines.
pub(crate) const REFERENCES: [&str; 2] = [ORDINARY, FLOOR];

/// How a function is called, as the catalogue says; `None` for a program that is not in it.
pub(crate) fn trigger(function: &str) -> Option<Trigger> {
    match function {
        ORDINARY => return Some(Trigger::WholeBatches),
        FLOOR => return Some(Trigger::Nothing),
        _ => {}
    }
    Some(match Function::from_name(function)?.trigger {
        catalogue::Trigger::Events(_) => Trigger::Queue,
        catalogue::Trigger::Webhook => Trigger::Url,
        catalogue::Trigger::Page => Trigger::Page,
        catalogue::Trigger::Schedule => Trigger::Schedule,
        catalogue::Trigger::Upload => Trigger::Upload,
    })
}

/// What a function is given to do: most often, what happens to a payment, reported by one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// It is paid at once.
    Paid,
    /// Stripe, or the queue, delivers that again.
    PaidAgain,
    /// The customer is done and the money is on its way.
    Pending,
    /// Some of a paid payment is given back.
    Refunded,
    /// A customer looks at the page after paying, with one file.
    Looked,
    /// The customer fetches that file.
    Fetched,
    /// A quarter of an hour with a hundred payments is compared, and nothing is missing.
    Compared,
    /// A template in one language is uploaded, and nothing is to be fixed.
    Uploaded,
}

impl Trigger {
    /// Whether one invocation may carry several events.
    pub(crate) const fn batches(self) -> bool {
        match self {
            Self::Queue | Self::WholeBatches | Self::Nothing => true,
            Self::Url | Self::Page | Self::Schedule | Self::Upload => false,
        }
    }
}

impl Scenario {
    /// What happens to payments.
    pub(crate) const OF_PAYMENTS: [Self; 4] = [Self::Paid, Self::PaidAgain, Self::Pending, Self::Refunded];

    /// What no event reports.
    pub(crate) const OF_OTHERS: [Self; 4] = [Self::Looked, Self::Fetched, Self::Compared, Self::Uploaded];

    /// What can happen to a function.
    pub(crate) const fn of(trigger: Trigger) -> &'static [Self] {
        match trigger {
            Trigger::Queue | Trigger::Url | Trigger::WholeBatches | Trigger::Nothing => &Self::OF_PAYMENTS,
            Trigger::Page => &[Self::Looked, Self::Fetched],
            Trigger::Schedule => &[Self::Compared],
            Trigger::Upload => &[Self::Uploaded],
        }
    }

    /// What happens to it most often. Its speed is measured at this.
    pub(crate) const fn first_of(trigger: Trigger) -> Self {
        match trigger {
            Trigger::Queue | Trigger::Url | Trigger::WholeBatches | Trigger::Nothing => Self::Paid,
            Trigger::Page => Self::Looked,
            Trigger::Schedule => Self::Compared,
            Trigger::Upload => Self::Uploaded,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::PaidAgain => "paid, again",
            Self::Pending => "pending",
            Self::Refunded => "refunded",
            Self::Looked => "a page",
            Self::Fetched => "a file",
            Self::Compared => "100 payments compared",
            Self::Uploaded => "a template",
        }
    }
}

/// A Stripe event about the payment called `payment`, of a supporter of their own. An event that reports no payment of
/// its own is about one that is paid.
pub(crate) fn event(scenario: Scenario, payment: &str) -> Value {
    let now = SystemClock.now_ms() / 1000;
    let session = match scenario {
        Scenario::Paid
        | Scenario::PaidAgain
        | Scenario::Looked
        | Scenario::Fetched
        | Scenario::Compared
        | Scenario::Uploaded => SessionEvent::paid(),
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

/// What Lambda hands to a function: Stripe events, as one batch from its queue or, to the webhook, as one request; a
/// customer's request about the one payment for a file; the schedule's tick; an upload, as S3 says it.
pub(crate) fn invocation(function: Trigger, scenario: Scenario, events: &[Value]) -> Vec<u8> {
    match (function, scenario, events) {
        (Trigger::Url, _, [event]) => request(event),
        (Trigger::Page, Scenario::Fetched, _) => {
            customer("POST", &format!("/d/{}", purchase::token()), "", "file=1")
        }
        (Trigger::Page, _, _) => {
            customer("GET", "/thanks", &format!("session_id={}", purchase::session_id()), "")
        }
        (Trigger::Schedule, _, _) => json!({}),
        (Trigger::Upload, _, _) => records(std::iter::once(template::upload())),
        _ => batch(events),
    }
    .to_string()
    .into_bytes()
}

fn batch(events: &[Value]) -> Value {
    records(events.iter().map(|event| envelope("aws.partner/stripe.com/ed_example", event)))
}

/// Messages with these bodies, as Lambda hands them over.
fn records(bodies: impl Iterator<Item = String>) -> Value {
    let records = bodies.enumerate().map(|(number, body)| {
        let now = SystemClock.now_ms();
        let message = json!({
            "MessageId": format!("059f36b4-87a3-44ab-83d2-{:012x}", now + i64::try_from(number).unwrap_or(0)),
            "ReceiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".repeat(4),
            "Body": body,
            "Attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": now.to_string(),
                "SenderId": "AIDAIENQZJOLO23YVJ4VO", "ApproximateFirstReceiveTimestamp": now.to_string()
            },
            "MD5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3"
        });
        sqs_record(&message, "arn:aws:sqs:us-east-1:123456789012:task", "us-east-1")
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn request(event: &Value) -> Value {
    let body = event.to_string();
    let signature = signature_header(names::SIGNING_SECRET_TEXT, SystemClock.now_ms() / 1000, &body);
    let headers = json!({
        "content-type": "application/json; charset=utf-8", "stripe-signature": signature,
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
    });
    UrlRequest {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        body: &body,
        at_ms: SystemClock.now_ms(),
    }
    .to_event()
}

fn customer(method: &str, path: &str, query: &str, form: &str) -> Value {
    let headers = json!({
        "accept-language": "en-GB,en;q=0.9", "content-type": "application/x-www-form-urlencoded",
        "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
    });
    UrlRequest { method, path, query, headers: &headers, body: form, at_ms: SystemClock.now_ms() }.to_event()
}
