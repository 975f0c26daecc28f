use std::error::Error;
use std::time::Duration;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::timeout::TimeoutConfig;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::{SendEmailError, SendEmailOutput};
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageTag};
use aws_smithy_runtime_api::http::Response;
use aws_types::SdkConfig;
use effect_ledger::Attempted;

use crate::config::Config;
use crate::sender::{EmailSender, OutgoingMail, SendError};

/// SES, one HTTP call a mail.
pub(crate) struct SesEmailSender {
    client: Client,
    sender: String,
    configuration_set: String,
}

impl SesEmailSender {
    /// `SendEmail` has no idempotency token, and the SDK's own retry covers lost replies: one call could send
    /// two mails. So this client never retries, and has timeouts of its own, which SES's client lacks.
    pub(crate) fn new(sdk: &SdkConfig, config: &Config) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_timeout(Duration::from_secs(8))
            .operation_attempt_timeout(Duration::from_secs(8))
            .build();
        let ses = aws_sdk_sesv2::config::Builder::from(sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(ses),
            sender: config.sender.clone(),
            configuration_set: config.configuration_set.clone(),
        }
    }

    async fn call(
        &self,
        mail: &OutgoingMail,
    ) -> Result<Result<SendEmailOutput, SdkError<SendEmailError, Response>>, BuildError> {
        let content = |text: &str| Content::builder().data(text).charset("UTF-8").build();
        let body =
            Body::builder().html(content(mail.html.expose())?).text(content(mail.text.expose())?).build();
        let message = Message::builder().subject(content(mail.subject.expose())?).body(body).build();
        // SES allows letters, digits, `_` and `-` in tags; Stripe's ids are made of them.
        let tag = |name: &str, value: &str| {
            let value = value.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-");
            MessageTag::builder().name(name).value(value).build()
        };
        Ok(self
            .client
            .send_email()
            .from_email_address(&self.sender)
            .reply_to_addresses(&mail.reply_to)
            .configuration_set_name(&self.configuration_set)
            .destination(Destination::builder().to_addresses(mail.to.expose()).build())
            .content(EmailContent::builder().simple(message).build())
            .email_tags(tag("payment", mail.key.payment_id.as_str())?)
            .email_tags(tag("effect", mail.key.effect.as_str())?)
            .send()
            .await)
    }
}

impl EmailSender for SesEmailSender {
    async fn send(&self, mail: &OutgoingMail) -> Attempted<SendError> {
        match self.call(mail).await {
            Ok(Ok(sent)) => Attempted::Accepted(sent.message_id.unwrap_or_default()),
            Ok(Err(error)) => classify(&error),
            Err(_) => Attempted::Rejected(SendError::Rejected("incomplete".to_owned())),
        }
    }
}

/// What a failed call proves.
///
/// Only what proves that nothing was sent may be tried again; whatever is neither proof nor refusal is
/// ambiguous. <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>
fn classify(error: &SdkError<SendEmailError, Response>) -> Attempted<SendError> {
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
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or("no code").to_owned();
            match (status, answer.err()) {
                (429, _)
                | (
                    _,
                    SendEmailError::TooManyRequestsException(_) | SendEmailError::LimitExceededException(_),
                ) => Attempted::NotDone(SendError::Throttled(code)),
                (
                    _,
                    SendEmailError::BadRequestException(_)
                    | SendEmailError::MessageRejected(_)
                    | SendEmailError::MailFromDomainNotVerifiedException(_),
                ) => Attempted::Rejected(SendError::Rejected(code)),
                // Paused, suspended, not allowed, configuration set missing: refused before it was sent, and
                // mended without touching this mail.
                (400..=499, _) => Attempted::NotDone(SendError::Unavailable(code)),
                // A server error may come after the mail was accepted, and so may a success nobody can read.
                _ => Attempted::Ambiguous(SendError::ReplyLost(format!("{status} {code}"))),
            }
        }
        _ => Attempted::Ambiguous(SendError::ReplyLost("unreadable reply".to_owned())),
    }
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
