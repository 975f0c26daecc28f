use std::time::Duration;

use aws::{OwnConnection, nothing_was_sent};
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::Builder;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::timeout::TimeoutConfig;
use aws_sdk_sesv2::error::{BuildError, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageTag};
use aws_smithy_runtime_api::http::Response;
use aws_types::SdkConfig;
use effect_ledger::Attempted;

use crate::config::Config;
use crate::sender::{EmailSender, OutgoingMail, Refused, SendError};

/// SES: one HTTP call for one mail, over a connection of its own.
pub(crate) struct SesEmailSender {
    ses: Client,
    sender: String,
    configuration_set: String,
}

impl SesEmailSender {
    /// `SendEmail` has no idempotency token, and a retry that covers a lost reply could send two mails. So this client
    /// never retries, and each call has its own connection: a pooled one may have died while the process was frozen,
    /// which shows only once the request is on its way, and then the mail would be `unknown`.
    pub(crate) fn new(sdk: &SdkConfig, config: &Config) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_timeout(Duration::from_secs(8))
            .operation_attempt_timeout(Duration::from_secs(8))
            .build();
        let ses = Builder::from(sdk).retry_config(RetryConfig::disabled()).timeout_config(timeouts).build();
        Self {
            ses: Client::from_conf(ses),
            sender: config.sender.clone(),
            configuration_set: config.configuration_set.clone(),
        }
    }

    async fn call(&self, mail: &OutgoingMail) -> Result<Option<String>, SdkError<SendEmailError, Response>> {
        let call = self
            .ses
            .send_email()
            .from_email_address(&self.sender)
            .reply_to_addresses(&mail.reply_to)
            .configuration_set_name(&self.configuration_set)
            .destination(Destination::builder().to_addresses(mail.to.expose()).build())
            .content(content(mail).map_err(SdkError::construction_failure)?)
            .set_email_tags(Some(tags(mail).map_err(SdkError::construction_failure)?));
        let sent = call.customize().mutate_request(|request| request.add_extension(OwnConnection));
        Ok(sent.send().await?.message_id)
    }
}

fn content(mail: &OutgoingMail) -> Result<EmailContent, BuildError> {
    let text = |text: &str| Content::builder().data(text).charset("UTF-8").build();
    let body = Body::builder().html(text(mail.html.expose())?).text(text(mail.text.expose())?).build();
    let message = Message::builder().subject(text(mail.subject.expose())?).body(body).build();
    Ok(EmailContent::builder().simple(message).build())
}

/// SES allows letters, digits, `_` and `-` in tags; Stripe's ids are made of them.
fn tags(mail: &OutgoingMail) -> Result<Vec<MessageTag>, BuildError> {
    let tags = [("payment", mail.key.subject.as_str()), ("effect", mail.key.effect.as_str())];
    let tag = |(name, value): (&str, &str)| {
        let value = value.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-");
        MessageTag::builder().name(name).value(value).build()
    };
    tags.into_iter().map(tag).collect()
}

impl EmailSender for SesEmailSender {
    async fn send(&self, mail: &OutgoingMail) -> Attempted<SendError> {
        match self.call(mail).await {
            Ok(Some(message_id)) => Attempted::Accepted(message_id),
            // A success without the id of a mail proves nothing.
            Ok(None) => Attempted::Ambiguous(SendError::ReplyLost("unreadable reply".to_owned())),
            Err(error) => classify(&error, &self.sender, mail.to.expose()),
        }
    }
}

/// What a failed call proves.
///
/// Only proof that nothing was sent allows another attempt; any other reply is ambiguous.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>
fn classify(
    error: &SdkError<SendEmailError, Response>,
    sender: &str,
    recipient: &str,
) -> Attempted<SendError> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what a later SDK adds proves nothing")]
    match error {
        SdkError::ConstructionFailure(_) => {
            Attempted::NotDone(SendError::Unavailable("request not built".to_owned()))
        }
        SdkError::DispatchFailure(failure) => {
            if failure.as_connector_error().is_some_and(nothing_was_sent) {
                Attempted::NotDone(SendError::Unavailable("no connection".to_owned()))
            } else {
                Attempted::Ambiguous(SendError::ReplyLost("connection lost".to_owned()))
            }
        }
        SdkError::TimeoutError(_) => Attempted::Ambiguous(SendError::ReplyLost("timeout".to_owned())),
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let refusal = answer.err().meta();
            let code = refusal.code().unwrap_or("no code").to_owned();
            match (status, code.as_str()) {
                (429, _) | (_, "TooManyRequestsException" | "LimitExceededException") => {
                    Attempted::NotDone(SendError::Throttled(code))
                }
                (_, "BadRequestException" | "MessageRejected" | "MailFromDomainNotVerifiedException") => {
                    let refused = refused(&code, refusal.message().unwrap_or_default(), sender, recipient);
                    Attempted::Rejected(SendError::Rejected(refused, code))
                }
                // Paused, suspended, not allowed, configuration set missing: refused before it was sent, and
                // fixed without touching this mail.
                (400..=499, _) => Attempted::NotDone(SendError::Unavailable(code)),
                // A server error may come after the mail was accepted.
                _ => Attempted::Ambiguous(SendError::ReplyLost(format!("{status} {code}"))),
            }
        }
        _ => Attempted::Ambiguous(SendError::ReplyLost("unreadable reply".to_owned())),
    }
}

/// What SES refuses: its codes do not distinguish sender, recipient and content, its sentences do.
///
/// "Email address is not verified. The following identities failed the check in region …: …" lists the sender, or,
/// in the sandbox, the recipient
/// (<https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html>). A malformed address is reported
/// by the part that is wrong: "Local address …", "Domain …", "Missing final '@domain'". Since the sender's own address
/// is checked at deployment, that is the recipient's.
fn refused(code: &str, sentence: &str, sender: &str, recipient: &str) -> Refused {
    let sentence = sentence.to_lowercase();
    if code == "MailFromDomainNotVerifiedException" {
        return Refused::Sender;
    }
    if let Some((_, identities)) = sentence.split_once("identities failed the check") {
        let failed = |mailbox: &str| {
            let mailbox = mailbox.to_lowercase();
            let address = mailbox.rsplit('<').next().unwrap_or_default().trim_end_matches('>');
            identities.split([' ', ',', ':']).any(|identity| !identity.is_empty() && address == identity)
        };
        return if failed(recipient) && !failed(sender) { Refused::Recipient } else { Refused::Sender };
    }
    if sentence.contains("not verified") {
        return Refused::Sender;
    }
    let of_an_address = ["local address", "domain", "illegal address", "address list", "invalid address"];
    if code == "BadRequestException" && of_an_address.iter().any(|words| sentence.contains(words)) {
        return Refused::Recipient;
    }
    Refused::Content
}

#[cfg(test)]
mod tests;
