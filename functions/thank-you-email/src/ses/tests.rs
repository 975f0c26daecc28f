//! What goes over the wire to SES, and what each answer proves.

use std::time::Duration;

use effect_ledger::{Effect, EffectKey};
use fulfilment::PaymentId;
use serde_json::json;
use stripe_events::Personal;
use task_runtime::Environment;
use testkit::aws::{Endpoint, Reply};
use testkit::clock::ManualClock;
use testkit::cloud::{Cloud, Quota, sdk_config};
use testkit::silence::{SilentAws, Waited};

use super::*;

fn mail() -> OutgoingMail {
    OutgoingMail {
        key: EffectKey { payment_id: PaymentId::new("pi_1"), effect: Effect::email("thank-you") },
        to: Personal::new("ada@example.org".to_owned()),
        reply_to: "hello@example.org".to_owned(),
        subject: Personal::new("Thank you".to_owned()),
        html: Personal::new("<p>Thank you</p>".to_owned()),
        text: Personal::new("Thank you".to_owned()),
    }
}

fn sender(sdk: &SdkConfig) -> SesEmailSender {
    let variables = |name: &str| {
        let value = match name {
            "LIVEMODE" => "false",
            "SENDER" => "Example Project <thanks@example.org>",
            "CONFIGURATION_SET" => "afterlink-test",
            _ => "elsewhere",
        };
        Some(value.to_owned())
    };
    let config = Config::from_env(&mut Environment::new(variables)).unwrap();
    SesEmailSender::new(sdk, &config).unwrap()
}

fn name(attempted: &Attempted<SendError>) -> &'static str {
    match attempted {
        Attempted::Accepted(_) => "sent",
        Attempted::NotDone(_) => "not sent",
        Attempted::Rejected(_) => "rejected",
        Attempted::Ambiguous(_) => "ambiguous",
    }
}

/// The mail is sent to an SES that answers like this; it must have come to one HTTP call.
async fn check(reply: Reply, expected: &str) {
    let shown = format!("{reply:?}");
    // An answer for every retry the SDK might make.
    let ses = Endpoint::start(std::iter::repeat_n(reply, 5));
    let attempted = sender(&ses.sdk_config()).send(&mail()).await;
    assert_eq!(name(&attempted), expected, "{shown}: {attempted:?}");
    assert_eq!(ses.count(), 1, "{shown}");
}

#[tokio::test]
async fn one_mail_is_one_call_and_carries_ids_only_as_tags() {
    let ses = Endpoint::start([Reply::json(200, &json!({ "MessageId": "ses-1" }))]);
    let attempted = sender(&ses.sdk_config()).send(&mail()).await;
    assert!(matches!(attempted, Attempted::Accepted(id) if id == "ses-1"));
    let text = |data: &str| json!({ "Data": data, "Charset": "UTF-8" });
    let expected = json!({
        "FromEmailAddress": "Example Project <thanks@example.org>",
        "Destination": { "ToAddresses": ["ada@example.org"] },
        "ReplyToAddresses": ["hello@example.org"],
        "Content": { "Simple": {
            "Subject": text("Thank you"),
            "Body": { "Text": text("Thank you"), "Html": text("<p>Thank you</p>") }
        } },
        "EmailTags": [
            { "Name": "payment", "Value": "pi_1" },
            { "Name": "effect", "Value": "email-thank-you" }
        ],
        "ConfigurationSetName": "afterlink-test"
    });
    assert_eq!(ses.bodies(), [expected]);
}

#[tokio::test]
async fn only_proof_that_nothing_was_sent_allows_another_try() {
    let error = |status, code: &str| {
        Reply::json(status, &json!({ "__type": code, "message": "about ada@example.org" }))
    };
    for (reply, expected) in [
        (error(429, "TooManyRequestsException"), "not sent"),
        (error(400, "LimitExceededException"), "not sent"),
        (error(429, "SomethingNew"), "not sent"),
        (error(400, "AccountSuspendedException"), "not sent"),
        (error(400, "SendingPausedException"), "not sent"),
        (error(403, "AccessDeniedException"), "not sent"),
        (error(404, "NotFoundException"), "not sent"),
        (error(400, "BadRequestException"), "rejected"),
        (error(400, "MessageRejected"), "rejected"),
        (error(400, "MailFromDomainNotVerifiedException"), "rejected"),
        (error(500, "InternalServiceErrorException"), "ambiguous"),
        (error(502, "BadGateway"), "ambiguous"),
        (error(503, "ServiceUnavailable"), "ambiguous"),
        (error(504, "GatewayTimeout"), "ambiguous"),
        (Reply::Answer(200, "not what SES says".to_owned()), "ambiguous"),
        (Reply::json(200, &json!({ "message": "accepted" })), "ambiguous"),
        (Reply::Close, "ambiguous"),
    ] {
        check(reply, expected).await;
    }
}

/// <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>
#[tokio::test]
async fn an_errors_code_is_read_wherever_it_stands() {
    for told in [
        "MessageRejected",
        "com.amazonaws.sesv2#MessageRejected",
        "MessageRejected:http://internal.amazon.com/coral/com.amazonaws.sesv2/",
        "com.amazonaws.sesv2#MessageRejected:http://internal.amazon.com/coral/com.amazonaws.sesv2/",
    ] {
        for field in ["__type", "code"] {
            check(Reply::json(400, &json!({ field: told })), "rejected").await;
        }
    }
    check(Reply::Answer(400, "no JSON".to_owned()), "not sent").await;
}

#[tokio::test]
async fn a_connection_that_was_never_made_sent_nothing() {
    let attempted = sender(&Endpoint::unreachable().sdk_config()).send(&mail()).await;
    assert_eq!(name(&attempted), "not sent", "{attempted:?}");
}

#[tokio::test]
async fn silence_ends_after_eight_seconds_and_one_call_and_proves_nothing() {
    let ses = SilentAws::start();
    let (sender, mail) = (sender(&ses.sdk_config()), mail());
    let (attempted, waited) = ses.wait(Duration::from_secs(2), sender.send(&mail)).await;
    assert_eq!(name(&attempted), "ambiguous", "{attempted:?}");
    assert_eq!(waited, Waited { elapsed: Duration::from_secs(8), requests: 1 });
}

#[test]
fn errors_hold_codes_and_never_the_services_own_words() {
    let error = SendError::Rejected("MessageRejected".to_owned());
    assert_eq!(error.to_string(), "the mail service rejects this mail (MessageRejected)");
}

/// SES's own rules for addresses, tags and quotas, which a scripted answer does not know.
#[tokio::test]
async fn ses_takes_the_mail_until_the_quota_is_used_up() {
    let cloud = Cloud::new();
    cloud.set_mail_quota(Quota { per_second: None, per_day: Some(1) });
    let sender = sender(&sdk_config(&cloud, ManualClock::default()));
    assert!(
        matches!(sender.send(&mail()).await, Attempted::Accepted(id) if id == cloud.mails()[0].message_id)
    );
    assert!(matches!(sender.send(&mail()).await, Attempted::NotDone(SendError::Throttled(_))));
    assert_eq!(cloud.mails().len(), 1);
    assert_eq!(cloud.mails()[0].tags["effect"], "email-thank-you");
}
