//! SQS: visibility, receive counts, redrive.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::message::check_message;
use super::{Response, read};

mod message;

/// Queues by their URL.
#[derive(Debug, Default)]
pub(super) struct Sqs {
    queues: BTreeMap<String, Queue>,
    sent: u64,
}

/// What a queue is made with.
#[derive(Debug, Clone)]
pub struct QueueDefinition {
    /// Its URL, by which it is called.
    pub url: String,
    /// How long a message that was received stays away.
    pub visibility_ms: i64,
    /// Where a message goes that was received too often.
    pub redrive: Option<Redrive>,
}

/// A redrive policy.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>
#[derive(Debug, Clone)]
pub struct Redrive {
    /// The dead-letter queue's URL.
    pub dlq_url: String,
    /// How often a message is received before it goes there.
    pub max_receive_count: u32,
}

/// A message in a queue, or in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Stays the same when the message moves to the DLQ; a redrive gives it another.
    pub message_id: String,
    /// Of the last time it was received; empty before.
    pub receipt_handle: String,
    /// The body.
    pub body: String,
    /// Its attributes, by name.
    pub attributes: BTreeMap<String, MessageAttribute>,
    /// When it was first sent, in Unix milliseconds. It stays when the message moves to the DLQ.
    pub sent_at_ms: i64,
    /// From when it can be received (again), in Unix milliseconds.
    pub visible_at_ms: i64,
    /// How often it was received.
    pub receive_count: u32,
    first_received_ms: Option<i64>,
}

/// A message attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct MessageAttribute {
    /// `String` or `Number`.
    pub data_type: String,
    /// The text.
    pub string_value: String,
}

impl Message {
    /// The message as Lambda hands it to a function.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>
    pub fn lambda_record(&self) -> Value {
        let attributes = self.attributes.iter().map(|(name, attribute)| {
            let attribute = json!({
                "dataType": attribute.data_type, "stringValue": attribute.string_value,
                "stringListValues": [], "binaryListValues": []
            });
            (name.clone(), attribute)
        });
        json!({
            "messageId": self.message_id, "receiptHandle": self.receipt_handle, "body": self.body,
            "attributes": self.system_attributes(),
            "messageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
            "eventSource": "aws:sqs", "awsRegion": "us-east-1"
        })
    }

    fn system_attributes(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("ApproximateReceiveCount", self.receive_count.to_string()),
            ("SentTimestamp", self.sent_at_ms.to_string()),
            ("ApproximateFirstReceiveTimestamp", self.first_received_ms.unwrap_or_default().to_string()),
            ("SenderId", "AIDAEXAMPLE".to_owned()),
        ])
    }
}

#[derive(Debug)]
struct Queue {
    visibility_ms: i64,
    redrive: Option<Redrive>,
    /// In the order they came.
    messages: Vec<Message>,
}

/// Error code, as the JSON protocol names it; message; HTTP status.
type Failure = (&'static str, String, u16);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendMessage {
    queue_url: String,
    message_body: String,
    #[serde(default)]
    delay_seconds: i64,
    #[serde(default)]
    message_attributes: BTreeMap<String, MessageAttribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReceiveMessage {
    queue_url: String,
    #[serde(default = "one")]
    max_number_of_messages: usize,
    visibility_timeout: Option<i64>,
    #[serde(rename = "WaitTimeSeconds")]
    _wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

const fn one() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetQueueAttributes {
    queue_url: String,
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Received {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>
const MAX_VISIBILITY_SECONDS: i64 = 43_200;

impl Sqs {
    pub(super) fn create_queue(&mut self, definition: QueueDefinition) {
        let QueueDefinition { url, visibility_ms, redrive } = definition;
        self.queues.insert(url, Queue { visibility_ms, redrive, messages: Vec::new() });
    }

    pub(super) fn answer(&mut self, now_ms: i64, operation: &str, body: &[u8]) -> Response {
        let answered = match operation {
            "SendMessage" => {
                let SendMessage { queue_url, message_body, delay_seconds, message_attributes } =
                    read(operation, body);
                self.send(now_ms, &queue_url, message_body, message_attributes, delay_seconds * 1000)
                    .map(|id| json!({ "MessageId": id }))
            }
            "ReceiveMessage" => self.receive_call(now_ms, &read(operation, body)),
            "DeleteMessage" => {
                let Received { queue_url, receipt_handle, .. } = read(operation, body);
                self.delete(&queue_url, &receipt_handle).map(|()| json!({}))
            }
            "GetQueueAttributes" => self.attributes(now_ms, &read(operation, body)),
            "ChangeMessageVisibility" => self.change_visibility(now_ms, &read(operation, body)),
            _ => panic!("the cloud in memory does not know SQS's {operation}"),
        };
        match answered {
            Ok(answer) => Response::json(200, &answer),
            Err(failure) => refused(failure),
        }
    }

    /// The new message's id.
    pub(super) fn send(
        &mut self,
        now_ms: i64,
        queue_url: &str,
        body: String,
        attributes: BTreeMap<String, MessageAttribute>,
        delay_ms: i64,
    ) -> Result<String, Failure> {
        check_message(&body, &attributes)?;
        self.sent += 1;
        let message_id = format!("{:08x}-0000-4000-8000-000000000000", self.sent);
        let message = Message {
            message_id: message_id.clone(),
            receipt_handle: String::new(),
            body,
            attributes,
            sent_at_ms: now_ms,
            visible_at_ms: now_ms + delay_ms,
            receive_count: 0,
            first_received_ms: None,
        };
        self.queue(queue_url)?.messages.push(message);
        Ok(message_id)
    }

    /// Hands out messages that are visible, oldest first. A message received too often goes to the DLQ instead.
    pub(super) fn receive(
        &mut self,
        now_ms: i64,
        queue_url: &str,
        at_most: usize,
        visibility_ms: Option<i64>,
    ) -> Result<Vec<Message>, Failure> {
        let queue = self.queue(queue_url)?;
        let visibility_ms = visibility_ms.unwrap_or(queue.visibility_ms);
        let mut received = Vec::new();
        let mut dead = Vec::new();
        let redrive = queue.redrive.clone();
        queue.messages.retain_mut(|message| {
            if message.visible_at_ms > now_ms || received.len() == at_most {
                return true;
            }
            if redrive.as_ref().is_some_and(|redrive| message.receive_count >= redrive.max_receive_count) {
                dead.push(message.clone());
                return false;
            }
            message.receive_count += 1;
            message.visible_at_ms = now_ms + visibility_ms;
            message.first_received_ms.get_or_insert(now_ms);
            message.receipt_handle = format!("{}#{}", message.message_id, message.receive_count);
            received.push(message.clone());
            true
        });
        if let Some(redrive) = redrive {
            let dlq = self.queue(&redrive.dlq_url)?;
            dlq.messages.extend(dead.into_iter().map(|message| Message {
                visible_at_ms: now_ms,
                receive_count: 0,
                first_received_ms: None,
                ..message
            }));
        }
        Ok(received)
    }

    fn receive_call(&mut self, now_ms: i64, call: &ReceiveMessage) -> Result<Value, Failure> {
        let visibility_ms = call.visibility_timeout.map(|seconds| seconds * 1000);
        let messages = self.receive(now_ms, &call.queue_url, call.max_number_of_messages, visibility_ms)?;
        let wanted =
            |names: &[String], name: &str| names.iter().any(|wanted| wanted == name || wanted == "All");
        let messages = messages.iter().map(|message| {
            let mut system = message.system_attributes();
            system.retain(|name, _| {
                wanted(&call.attribute_names, name) || wanted(&call.message_system_attribute_names, name)
            });
            let mut attributes = message.attributes.clone();
            attributes.retain(|name, _| wanted(&call.message_attribute_names, name));
            json!({
                "MessageId": message.message_id, "ReceiptHandle": message.receipt_handle,
                "Body": message.body, "Attributes": system, "MessageAttributes": attributes
            })
        });
        Ok(json!({ "Messages": messages.collect::<Vec<_>>() }))
    }

    /// How many messages there are. Numbers are text.
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
    fn attributes(&mut self, now_ms: i64, call: &GetQueueAttributes) -> Result<Value, Failure> {
        let queue = self.queue(&call.queue_url)?;
        // A message that was never received and is not visible is delayed.
        let is_hidden = |message: &&Message| message.visible_at_ms > now_ms;
        let delayed =
            queue.messages.iter().filter(is_hidden).filter(|message| message.receive_count == 0).count();
        let hidden = queue.messages.iter().filter(is_hidden).count() - delayed;
        let counts = [
            ("ApproximateNumberOfMessages", queue.messages.len() - hidden - delayed),
            ("ApproximateNumberOfMessagesNotVisible", hidden),
            ("ApproximateNumberOfMessagesDelayed", delayed),
        ];
        let mut attributes = serde_json::Map::new();
        for name in &call.attribute_names {
            let count = counts.iter().find(|(known, _)| known == name);
            let (_, count) =
                count.unwrap_or_else(|| panic!("the cloud in memory does not know the attribute {name}"));
            attributes.insert(name.clone(), json!(count.to_string()));
        }
        Ok(json!({ "Attributes": attributes }))
    }

    /// A receipt handle of an earlier time, or of a message that is gone, deletes nothing and is no error.
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html>
    pub(super) fn delete(&mut self, queue_url: &str, receipt_handle: &str) -> Result<(), Failure> {
        check_handle(receipt_handle)?;
        let queue = self.queue(queue_url)?;
        queue.messages.retain(|message| message.receipt_handle != receipt_handle);
        Ok(())
    }

    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>
    fn change_visibility(&mut self, now_ms: i64, call: &Received) -> Result<Value, Failure> {
        check_handle(&call.receipt_handle)?;
        let seconds = call.visibility_timeout.unwrap_or_default();
        let invalid = |message: String| ("InvalidParameterValue", message, 400);
        if !(0..=MAX_VISIBILITY_SECONDS).contains(&seconds) {
            return Err(invalid(format!(
                "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be between 0 and 43200."
            )));
        }
        let mut messages = self.queue(&call.queue_url)?.messages.iter_mut();
        let Some(message) = messages.find(|message| message.receipt_handle == call.receipt_handle) else {
            return Err(invalid(format!(
                "Value {} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.",
                call.receipt_handle
            )));
        };
        if message.visible_at_ms <= now_ms {
            return Err(("MessageNotInflight", "The specified message isn't in flight.".to_owned(), 400));
        }
        message.visible_at_ms = now_ms + seconds * 1000;
        Ok(json!({}))
    }

    /// Sends everything in a DLQ back to a queue, as new messages.
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html>
    pub(super) fn redrive(&mut self, now_ms: i64, dlq_url: &str, queue_url: &str) -> Result<usize, Failure> {
        let messages = std::mem::take(&mut self.queue(dlq_url)?.messages);
        let count = messages.len();
        for Message { body, attributes, .. } in messages {
            self.send(now_ms, queue_url, body, attributes, 0)?;
        }
        Ok(count)
    }

    pub(super) fn messages(&self, queue_url: &str) -> &[Message] {
        let queue = self.queues.get(queue_url);
        &queue.unwrap_or_else(|| panic!("no queue {queue_url} was created")).messages
    }

    fn queue(&mut self, url: &str) -> Result<&mut Queue, Failure> {
        self.queues
            .get_mut(url)
            .ok_or_else(|| ("QueueDoesNotExist", "The specified queue does not exist.".to_owned(), 400))
    }
}

fn check_handle(handle: &str) -> Result<(), Failure> {
    if handle.contains('#') {
        return Ok(());
    }
    Err((
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
        400,
    ))
}

/// What SQS answers when it throttles.
pub(super) fn throttled() -> Response {
    refused(("RequestThrottled", "Request is throttled.".to_owned(), 403))
}

/// The older names of two errors travel in a header.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-faqs.html>
fn refused((code, message, status): Failure) -> Response {
    let old = match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        "MessageNotInflight" => "AWS.SimpleQueueService.MessageNotInflight",
        same => same,
    };
    let mut response =
        Response::json(status, &json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message }));
    response.headers.push(("x-amzn-query-error", format!("{old};Sender")));
    response
}
