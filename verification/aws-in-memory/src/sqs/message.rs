//! What a message may hold.

use std::collections::BTreeMap;

use super::{Failure, MessageAttribute};

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub(super) fn check_message(
    body: &str,
    attributes: &BTreeMap<String, MessageAttribute>,
) -> Result<(), Failure> {
    let sendable = |text: &str| {
        !text.contains(|c: char| (c < ' ' && !"\t\n\r".contains(c)) || matches!(c, '\u{FFFE}' | '\u{FFFF}'))
    };
    let invalid = |message: String| Err(("InvalidParameterValue", message, 400));
    if body.is_empty() {
        return Err((
            "MissingParameter",
            "The request must contain the parameter MessageBody.".to_owned(),
            400,
        ));
    }
    let mut bytes = body.len();
    for (name, attribute) in attributes {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return invalid(format!("The message attribute name '{name}' is invalid."));
        }
        if attribute.string_value.is_empty() {
            return invalid(format!(
                "Message (user) attribute '{name}' must contain a non-empty message attribute value for message attribute type (user) '{}'.",
                attribute.data_type
            ));
        }
        bytes += name.len() + attribute.data_type.len() + attribute.string_value.len();
    }
    if attributes.len() > 10 {
        return invalid("Number of message attributes exceeds the allowed maximum [10].".to_owned());
    }
    if !sendable(body) || !attributes.values().all(|attribute| sendable(&attribute.string_value)) {
        return Err(("InvalidMessageContents", "Invalid characters found.".to_owned(), 400));
    }
    if bytes > MAX_MESSAGE_BYTES {
        return invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {MAX_MESSAGE_BYTES} bytes."
        ));
    }
    Ok(())
}
