use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use aws_types::SdkConfig;

/// What a task needs of its queue, beyond being handed messages.
pub trait Queue {
    /// Keeps a message away from now on for this long.
    fn delay(&self, receipt_handle: &str, delay: Duration) -> impl Future<Output = Result<(), QueueError>>;

    /// Puts a body into the DLQ, with why as attributes: `reason` in a short word, `cause` in sentences.
    fn dead_letter(
        &self,
        body: &str,
        task: &str,
        reason: &str,
        cause: &str,
    ) -> impl Future<Output = Result<(), QueueError>>;
}

/// The queue did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not answer ({operation})")]
pub struct QueueError {
    /// Which call.
    pub operation: &'static str,
    /// What the SDK said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// A task's queue and DLQ in SQS.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    sdk: SdkConfig,
    client: OnceLock<Client>,
    queue_url: String,
    dlq_url: String,
}

impl SqsQueue {
    /// A queue and its DLQ. A client is made at the first failure: most processes never see one.
    pub const fn new(sdk: SdkConfig, queue_url: String, dlq_url: String) -> Self {
        Self { sdk, client: OnceLock::new(), queue_url, dlq_url }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(&self.sdk))
    }
}

impl Queue for SqsQueue {
    async fn delay(&self, receipt_handle: &str, delay: Duration) -> Result<(), QueueError> {
        self.client()
            .change_message_visibility()
            .queue_url(&self.queue_url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX))
            .send()
            .await
            .map(drop)
            .map_err(|error| QueueError { operation: "ChangeMessageVisibility", source: error.into() })
    }

    async fn dead_letter(&self, body: &str, task: &str, reason: &str, cause: &str) -> Result<(), QueueError> {
        let text =
            |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
        // A cause may quote what a marketer typed, and SQS refuses a message with control characters in it.
        let cause: String = cause.chars().filter(|c| !c.is_control()).collect();
        let failed = |source| QueueError { operation: "SendMessage", source };
        self.client()
            .send_message()
            .queue_url(&self.dlq_url)
            .message_body(body)
            .message_attributes("task", text(task).map_err(|error| failed(error.into()))?)
            .message_attributes("reason", text(reason).map_err(|error| failed(error.into()))?)
            .message_attributes("cause", text(&cause).map_err(|error| failed(error.into()))?)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(error.into()))
    }
}
