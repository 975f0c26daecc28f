use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use effect_ledger::Attempted;
use serde_json::{Value, json};
use signed_requests::{Answer, AwsService, Body, Request, ServiceConfig};

use crate::config::Config;
use crate::sender::{EmailSender, OutgoingMail, SendError};

/// SES, one HTTP call a mail.
pub(crate) struct SesEmailSender {
    ses: AwsService,
    sender: String,
    configuration_set: String,
}

impl SesEmailSender {
    /// `SendEmail` has no idempotency token, and a retry that covers lost replies could send two mails. So this client
    /// never retries.
    pub(crate) fn new(sdk: &SdkConfig, config: &Config) -> Result<Self, BoxError> {
        let ses = ServiceConfig {
            name: "ses",
            host: "email".to_owned(),
            retries: RetryConfig::disabled(),
            timeouts: TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_timeout(Duration::from_secs(8))
                .operation_attempt_timeout(Duration::from_secs(8))
                .build(),
        };
        Ok(Self {
            ses: AwsService::new(sdk, ses)?,
            sender: config.sender.clone(),
            configuration_set: config.configuration_set.clone(),
        })
    }

    /// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>
    fn request(&self, mail: &OutgoingMail) -> Result<Request<'static>, serde_json::Error> {
        let content = |text: &str| json!({ "Data": text, "Charset": "UTF-8" });
        // SES allows letters, digits, `_` and `-` in tags; Stripe's ids are made of them.
        let tag = |name: &str, value: &str| {
            let value = value.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-");
            json!({ "Name": name, "Value": value })
        };
        let body = json!({
            "FromEmailAddress": self.sender,
            "ReplyToAddresses": [mail.reply_to],
            "ConfigurationSetName": self.configuration_set,
            "Destination": { "ToAddresses": [mail.to.expose()] },
            "Content": { "Simple": {
                "Subject": content(mail.subject.expose()),
                "Body": { "Html": content(mail.html.expose()), "Text": content(mail.text.expose()) },
            } },
            "EmailTags": [
                tag("payment", mail.key.payment_id.as_str()),
                tag("effect", mail.key.effect.as_str()),
            ],
        });
        Ok(Request {
            method: "POST",
            path: "/v2/email/outbound-emails",
            headers: vec![("content-type", "application/json".to_owned())],
            body: Body::Text(serde_json::to_string(&body)?),
        })
    }
}

impl EmailSender for SesEmailSender {
    async fn send(&self, mail: &OutgoingMail) -> Attempted<SendError> {
        let sent = match self.request(mail) {
            Ok(request) => self.ses.call(request).await,
            Err(error) => Err(SdkError::construction_failure(error)),
        };
        match sent {
            Ok(sent) => match json_text(&sent, "MessageId") {
                Some(message_id) => Attempted::Accepted(message_id),
                // A success that does not say of what.
                None => Attempted::Ambiguous(SendError::ReplyLost("unreadable reply".to_owned())),
            },
            Err(error) => classify(&error),
        }
    }
}

/// What a failed call proves.
///
/// Only what proves that nothing was sent may be tried again; whatever is neither proof nor refusal is
/// ambiguous. <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>
fn classify(error: &SdkError<Answer, Response>) -> Attempted<SendError> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what a later SDK adds proves nothing")]
    match error {
        SdkError::ConstructionFailure(_) => {
            Attempted::NotDone(SendError::Unavailable("request not built".to_owned()))
        }
        SdkError::DispatchFailure(failure) => {
            let never_connected = failure.as_connector_error().is_some_and(|error| never_connected(error));
            if never_connected {
                Attempted::NotDone(SendError::Unavailable("no connection".to_owned()))
            } else {
                Attempted::Ambiguous(SendError::ReplyLost("connection lost".to_owned()))
            }
        }
        SdkError::TimeoutError(_) => Attempted::Ambiguous(SendError::ReplyLost("timeout".to_owned())),
        SdkError::ServiceError(answer) => {
            let (status, code) = (answer.err().status, code(answer.err()));
            match (status, code.as_str()) {
                (429, _) | (_, "TooManyRequestsException" | "LimitExceededException") => {
                    Attempted::NotDone(SendError::Throttled(code))
                }
                (_, "BadRequestException" | "MessageRejected" | "MailFromDomainNotVerifiedException") => {
                    Attempted::Rejected(SendError::Rejected(code))
                }
                // Paused, suspended, not allowed, configuration set missing: refused before it was sent, and
                // mended without touching this mail.
                (400..=499, _) => Attempted::NotDone(SendError::Unavailable(code)),
                // A server error may come after the mail was accepted.
                _ => Attempted::Ambiguous(SendError::ReplyLost(format!("{status} {code}"))),
            }
        }
        _ => Attempted::Ambiguous(SendError::ReplyLost("unreadable reply".to_owned())),
    }
}

/// Which error it is, without namespace and address.
/// <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>
fn code(refusal: &Answer) -> String {
    let told = refusal.header("x-amzn-errortype").map(str::to_owned);
    let told = told.or_else(|| json_text(refusal, "code")).or_else(|| json_text(refusal, "__type"));
    let told = told.unwrap_or_else(|| "no code".to_owned());
    let without_address = told.split(':').next().unwrap_or_default();
    without_address.rsplit('#').next().unwrap_or_default().to_owned()
}

/// A text that an answer has under this name.
fn json_text(answer: &Answer, name: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    Some(body.get(name)?.as_str()?.to_owned())
}

/// Whether the connection was never made: then nothing can have been sent.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
