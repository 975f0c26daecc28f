use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use aws_types::SdkConfig;
use stripe_events::Personal;

use crate::config::Config;
use crate::notice::Notice;

/// SES, for mails to marketers. A lost reply may send a notice twice, which harms nothing: the SDK may retry.
#[derive(Debug)]
pub(crate) struct NoticeSender {
    ses: Client,
    sender: String,
    configuration_set: String,
}

/// Why a notice was not sent. Codes only: the service's own sentences quote addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSent {
    /// Too many just now.
    #[error("the mail service is busy ({0})")]
    Throttled(String),
    /// The service cannot be used, or did not answer.
    #[error("the mail service cannot be used ({0})")]
    Unavailable(String),
    /// Refused for good: the sender, an address or the content.
    #[error("the mail service rejects the notice ({0})")]
    Rejected(String),
}

impl NoticeSender {
    pub(crate) fn new(sdk: &SdkConfig, config: &Config) -> Self {
        Self {
            ses: Client::new(sdk),
            sender: config.sender.clone(),
            configuration_set: config.configuration_set.clone(),
        }
    }

    pub(crate) async fn send(&self, notice: &Notice, to: &[Personal<String>]) -> Result<(), NotSent> {
        let content = content(notice).map_err(|_| NotSent::Rejected("request not built".to_owned()))?;
        let to = to.iter().map(|address| address.expose().clone()).collect();
        let sent = self
            .ses
            .send_email()
            .from_email_address(&self.sender)
            .configuration_set_name(&self.configuration_set)
            .destination(Destination::builder().set_to_addresses(Some(to)).build())
            .content(content)
            .send()
            .await;
        sent.map(drop).map_err(|error| classify(&error))
    }
}

fn content(notice: &Notice) -> Result<EmailContent, BuildError> {
    let text = |text: &str| Content::builder().data(text).charset("UTF-8").build();
    let body = Body::builder().html(text(&notice.html)?).text(text(&notice.text)?).build();
    let message = Message::builder().subject(text(&notice.subject)?).body(body).build();
    Ok(EmailContent::builder().simple(message).build())
}

/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>
fn classify<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> NotSent {
    let Some(code) = error.as_service_error().and_then(ProvideErrorMetadata::code) else {
        return NotSent::Unavailable("no answer".to_owned());
    };
    match code {
        "TooManyRequestsException" | "LimitExceededException" => NotSent::Throttled(code.to_owned()),
        "BadRequestException" | "MessageRejected" | "MailFromDomainNotVerifiedException" => {
            NotSent::Rejected(code.to_owned())
        }
        code => NotSent::Unavailable(code.to_owned()),
    }
}
