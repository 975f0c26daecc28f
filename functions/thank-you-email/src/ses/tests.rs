//! What goes over the wire to SES, and what each answer proves.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use aws::Environment;
use aws_in_memory::{Cloud, Quota, sdk_config};
use effect_ledger::EffectKey;
use fulfilment::effects;
use serde_json::json;
use stripe_events::Personal;
use testkit::aws::{Endpoint, Reply};
use testkit::clock::ManualClock;
use testkit::silence::{SilentAws, Waited};

use super::*;

fn mail() -> OutgoingMail {
    OutgoingMail {
        key: EffectKey::new("pi_1", effects::email("thank-you")),
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
    SesEmailSender::new(sdk, &config)
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
    let sender = sender(&ses.sdk_config());
    let mail = mail();
    let (attempted, waited) = ses.wait(Duration::from_secs(2), sender.send(&mail)).await;
    assert_eq!(name(&attempted), "ambiguous", "{attempted:?}");
    assert_eq!(waited, Waited { elapsed: Duration::from_secs(8), requests: 1 });
}

#[test]
fn errors_hold_codes_and_never_the_services_own_words() {
    let error = SendError::Rejected(Refused::Content, "MessageRejected".to_owned());
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

#[test]
fn sender_recipient_and_content_are_refused_for_reasons_of_their_own() {
    let check = |code: &str, sentence: &str, expected: Refused| {
        let sender = "Example Project <thanks@example.org>";
        assert_eq!(refused(code, sentence, sender, "ada@example.net"), expected, "{sentence}");
    };
    let unverified = |identities: &str| {
        format!(
            "Email address is not verified. The following identities failed the check in region EU-WEST-1: {identities}"
        )
    };
    check("MessageRejected", &unverified("ada@example.net"), Refused::Recipient);
    check("MessageRejected", &unverified("thanks@example.org"), Refused::Sender);
    check("MessageRejected", &unverified("ada@example.net, thanks@example.org"), Refused::Sender);
    check("MessageRejected", &unverified("Example Project <thanks@example.org>"), Refused::Sender);
    check("MailFromDomainNotVerifiedException", "", Refused::Sender);
    check("BadRequestException", "Local address contains dot-dot", Refused::Recipient);
    check("BadRequestException", "Domain contains illegal character", Refused::Recipient);
    check("BadRequestException", "Missing final '@domain'", Refused::Recipient);
    check("BadRequestException", "Message length is more than 10485760 bytes", Refused::Content);
    check("MessageRejected", "Transaction failed: Expected disposition", Refused::Content);
}

/// An SES on loopback that keeps connections open, and what becomes of a connection that has answered once.
#[derive(Clone, Copy)]
enum Afterwards {
    /// Nothing is read from it again, and nothing shows: a connection that was dropped while the process was frozen.
    Silent,
    /// Closed in order.
    Closed,
    /// Reset.
    Reset,
}

fn serve_once_a_connection(afterwards: Afterwards) -> (SdkConfig, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&served);
    thread::spawn(move || {
        let mut dropped = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            read_request(&mut connection);
            let body = "{\"MessageId\":\"ses-1\"}";
            let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", body.len());
            connection.write_all((head + body).as_bytes()).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            match afterwards {
                Afterwards::Silent => dropped.push(connection),
                Afterwards::Closed => connection.shutdown(Shutdown::Both).unwrap(),
                // Unread bytes when a socket closes make the kernel reset the connection.
                Afterwards::Reset => drop(connection),
            }
        }
    });
    let variables = move |name: &str| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        "AWS_ENDPOINT_URL" => Some(url.clone()),
        _ => None,
    };
    (aws::sdk_config(&mut Environment::new(variables)).unwrap(), served)
}

/// Reads up to the end of a request's body.
fn read_request(connection: &mut TcpStream) {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&received);
        let length =
            text.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if let (Some(length), Some(body)) = (length, body)
            && body >= length
        {
            return;
        }
        match connection.read(&mut buffer).unwrap() {
            0 => return,
            n => received.extend_from_slice(&buffer[..n]),
        }
    }
}

/// Lambda freezes the process between two invocations, and drops its idle connections meanwhile.
/// <https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html#function-code>
#[tokio::test]
async fn a_mail_never_meets_a_connection_from_before_a_freeze() {
    for afterwards in [Afterwards::Silent, Afterwards::Closed, Afterwards::Reset] {
        let (sdk, served) = serve_once_a_connection(afterwards);
        let sender = sender(&sdk);
        for mails in 1..=3 {
            let attempted = sender.send(&mail()).await;
            assert_eq!(name(&attempted), "sent", "mail {mails}: {attempted:?}");
            assert_eq!(served.load(Ordering::SeqCst), mails);
        }
    }
}

/// A load balancer that resets what it cannot serve: the connection is made, and ends before the request.
#[tokio::test]
async fn a_reset_before_the_first_byte_of_the_request_proves_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            // The client's first words of TLS stay unread, so closing resets the connection.
            let mut first = [0; 1];
            let _ = connection.unwrap().read(&mut first);
        }
    });
    let variables = move |name: &str| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        "AWS_ENDPOINT_URL" => Some(url.clone()),
        _ => None,
    };
    let sdk = aws::sdk_config(&mut Environment::new(variables)).unwrap();
    let attempted = sender(&sdk).send(&mail()).await;
    assert_eq!(name(&attempted), "not sent", "{attempted:?}");
}
