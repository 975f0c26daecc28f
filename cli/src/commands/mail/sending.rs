//! A test mail, by the stage's own sender.

use anyhow::{Context as _, Result};
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageTag};
use mail_rendering::preview::Preview;

use crate::deployment::Deployment;

/// Sends it, and returns SES's message id.
///
/// # Errors
///
/// When SES does not take it.
pub(super) async fn send(deployment: &Deployment, mail: &Preview, to: &str) -> Result<String> {
    // A lost reply says nothing of the mail: a second one is for its writer to ask for.
    let config = aws_sdk_sesv2::config::Builder::from(&deployment.sdk).retry_config(RetryConfig::disabled());
    let ses = Client::from_conf(config.build());
    let sent = ses
        .send_email()
        .from_email_address(deployment.output("MailSender")?)
        .configuration_set_name(deployment.output("MailConfigurationSet")?)
        .destination(Destination::builder().to_addresses(to).build())
        .content(content(mail)?)
        .email_tags(MessageTag::builder().name("effect").value("test").build()?)
        .send()
        .await;
    let sent = sent.context(
        "SES did not take the mail; the operator's policy `act` allows it, and in SES's sandbox the address must be \
         verified",
    )?;
    sent.message_id.context("SES gave the mail no id: it may or may not have gone out")
}

fn content(mail: &Preview) -> Result<EmailContent> {
    let text = |text: &str| Content::builder().data(text).charset("UTF-8").build();
    let body = Body::builder().html(text(&mail.html)?).text(text(&mail.text)?).build();
    let subject = text(&format!("[Test] {}", mail.subject))?;
    Ok(EmailContent::builder().simple(Message::builder().subject(subject).body(body).build()).build())
}
