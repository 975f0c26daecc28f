//! SES v2: a log of the mails that were accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use super::{Response, read};

#[derive(Debug, Default)]
pub(super) struct Ses {
    pub(super) mails: Vec<Mail>,
    pub(super) quota: Quota,
    pub(super) rejected: BTreeSet<String>,
}

/// How much may be sent; nothing limits what is `None`. Counted in recipients.
/// <https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas.html>
#[derive(Debug, Clone, Copy, Default)]
pub struct Quota {
    /// In any second.
    pub per_second: Option<usize>,
    /// In any 24 hours.
    pub per_day: Option<usize>,
}

/// A mail that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// What SES called it.
    pub message_id: String,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// Where an answer would go.
    pub reply_to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The HTML part, if there is one.
    pub html: Option<String>,
    /// The text part, if there is one.
    pub text: Option<String>,
    /// Headers of our own, in order.
    pub headers: Vec<(String, String)>,
    /// What SES's events about this mail carry.
    pub tags: BTreeMap<String, String>,
    /// Where those events go.
    pub configuration_set: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendEmail {
    from_email_address: String,
    #[serde(default)]
    reply_to_addresses: Vec<String>,
    destination: Destination,
    content: Content,
    #[serde(default)]
    email_tags: Vec<NameAndValue>,
    configuration_set_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Destination {
    #[serde(default)]
    to_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Content {
    simple: Simple,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Simple {
    subject: Text,
    body: Body,
    #[serde(default)]
    headers: Vec<NameAndValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Body {
    html: Option<Text>,
    text: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Text {
    data: String,
    #[serde(rename = "Charset")]
    _charset: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NameAndValue {
    name: String,
    value: String,
}

const SECOND_MS: i64 = 1000;
const DAY_MS: i64 = 86_400_000;

impl Ses {
    pub(super) fn answer(&mut self, now_ms: i64, operation: &str, body: &[u8]) -> Response {
        assert_eq!(operation, "SendEmail", "the cloud in memory knows no other operation of SES");
        let call: SendEmail = read(operation, body);
        if let Err((code, message)) = check(&call) {
            return refused(400, code, message);
        }
        if let Some(address) = call.destination.to_addresses.iter().find(|to| self.rejected.contains(*to)) {
            let message = format!(
                "Email address is not verified. The following identities failed the check in region US-EAST-1: {address}"
            );
            return refused(400, "MessageRejected", &message);
        }
        let sent_within = |ms: i64| -> usize {
            let recent = self.mails.iter().rev().take_while(|mail| mail.at_ms > now_ms - ms);
            recent.map(|mail| mail.to.len()).sum()
        };
        if self.quota.per_second.is_some_and(|quota| sent_within(SECOND_MS) >= quota) {
            return throttled();
        }
        if self.quota.per_day.is_some_and(|quota| sent_within(DAY_MS) >= quota) {
            return refused(429, "TooManyRequestsException", "Daily message quota exceeded.");
        }
        let message_id = format!("{:016x}-00000000-0000-4000-8000-000000000000-000000", self.mails.len() + 1);
        let Simple { subject, body, headers } = call.content.simple;
        self.mails.push(Mail {
            message_id: message_id.clone(),
            at_ms: now_ms,
            from: call.from_email_address,
            to: call.destination.to_addresses,
            reply_to: call.reply_to_addresses,
            subject: subject.data,
            html: body.html.map(|text| text.data),
            text: body.text.map(|text| text.data),
            headers: headers.into_iter().map(|header| (header.name, header.value)).collect(),
            tags: call.email_tags.into_iter().map(|tag| (tag.name, tag.value)).collect(),
            configuration_set: call.configuration_set_name,
        });
        Response::json(200, &json!({ "MessageId": message_id }))
    }
}

/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>,
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html>
fn check(call: &SendEmail) -> Result<(), (&'static str, &'static str)> {
    let bad_request = |message| Err(("BadRequestException", message));
    let to = &call.destination.to_addresses;
    if to.is_empty() {
        return bad_request("Missing required header 'To'.");
    }
    for address in to.iter().chain(&call.reply_to_addresses).chain([&call.from_email_address]) {
        let plain =
            address.rsplit_once('<').map_or(address.as_str(), |(_, plain)| plain.trim_end_matches('>'));
        if !plain.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()) {
            return bad_request("Missing final '@domain'");
        }
        if plain.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return bad_request("Local address contains control or whitespace");
        }
        // No SMTPUTF8: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html>
        let (local, domain) = plain.rsplit_once('@').unwrap_or_default();
        if !local.is_ascii() {
            return bad_request("Local address contains illegal characters");
        }
        if local.contains("..") || local.starts_with('.') || local.ends_with('.') {
            return bad_request("Local address contains dot-dot");
        }
        if !domain.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
            return bad_request("Domain contains illegal character");
        }
        if domain.contains("..") || domain.starts_with('.') || domain.ends_with('.') {
            return bad_request("Domain contains dot-dot");
        }
    }
    let simple = &call.content.simple;
    if simple.body.html.is_none() && simple.body.text.is_none() {
        return bad_request("Body is missing.");
    }
    if simple.subject.data.contains(['\r', '\n']) {
        return bad_request("Header value contains a line break.");
    }
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= 256
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    if !call.email_tags.iter().all(|tag| plain(&tag.name) && plain(&tag.value)) {
        return bad_request("A tag contains characters that are not allowed.");
    }
    Ok(())
}

/// What SES answers when mails come too fast.
pub(super) fn throttled() -> Response {
    refused(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
}

fn refused(status: u16, code: &str, message: &str) -> Response {
    let mut response = Response::json(status, &json!({ "message": message }));
    response.headers.push(("x-amzn-errortype", code.to_owned()));
    response
}
