//! What goes over the wire to SQS, and how long anybody waits for AWS.

use std::time::Duration;

use serde_json::json;
use task_runtime::{Queue, SqsQueue};
use testkit::aws::{Endpoint, Reply};
use testkit::silence::SilentAws;

fn queue(sdk: &aws_types::SdkConfig) -> SqsQueue {
    SqsQueue::new(sdk.clone(), "http://queue".to_owned(), "http://dlq".to_owned())
}

#[tokio::test]
async fn a_dead_letter_says_whose_it_is_and_why() {
    let sqs = Endpoint::start([Reply::json(200, &json!({ "MessageId": "m" }))]);
    let cause = "metadata key `fulfilment` is \"a\u{7}b\"";
    queue(&sqs.sdk_config())
        .dead_letter("{}", "thank-you-email", "broken_link_contract", cause)
        .await
        .unwrap();
    let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
    let expected = json!({
        "QueueUrl": "http://dlq", "MessageBody": "{}",
        "MessageAttributes": {
            "task": text("thank-you-email"), "reason": text("broken_link_contract"),
            "cause": text("metadata key `fulfilment` is \"ab\"")
        }
    });
    assert_eq!(sqs.bodies(), [expected]);
}

#[tokio::test]
async fn a_delay_is_shown_in_seconds() {
    let sqs = Endpoint::start([Reply::json(200, &json!({}))]);
    queue(&sqs.sdk_config()).delay("r1", Duration::from_millis(90_500)).await.unwrap();
    let expected = json!({ "QueueUrl": "http://queue", "ReceiptHandle": "r1", "VisibilityTimeout": 90 });
    assert_eq!(sqs.bodies(), [expected]);
}

#[tokio::test]
async fn a_silent_queue_is_given_up_after_nine_seconds() {
    let aws = SilentAws::start();
    let queue = queue(&aws.sdk_config());
    let (delayed, waited) =
        aws.wait(Duration::from_secs(2), queue.delay("r1", Duration::from_secs(30))).await;
    assert_eq!(delayed.unwrap_err().operation, "ChangeMessageVisibility");
    assert_eq!(waited.elapsed, Duration::from_secs(9));
    // The remaining time after two tries and short pauses may begin a third.
    assert!((2..=3).contains(&waited.requests), "{waited:?}");
}

#[test]
fn two_tries_and_their_pause_fit_into_a_call_and_a_call_into_every_function() {
    let sdk = Endpoint::unreachable().sdk_config();
    let timeouts = sdk.timeout_config().unwrap();
    let retries = sdk.retry_config().unwrap();
    let attempt = timeouts.operation_attempt_timeout().unwrap();
    let call = timeouts.operation_timeout().unwrap();
    assert!(timeouts.connect_timeout().unwrap() < attempt);
    assert!(attempt * 2 + retries.initial_backoff() <= call);
    assert!(retries.max_attempts() >= 2);
    let stages = include_str!("../../../../cdk/lib/stages.ts");
    let functions: Vec<u64> = stages
        .split("functionTimeout: Duration.seconds(")
        .skip(1)
        .map(|rest| rest.split_once(')').unwrap().0.parse().unwrap())
        .collect();
    assert!(functions.len() >= 2, "{functions:?}");
    assert!(functions.iter().all(|seconds| call < Duration::from_secs(*seconds)), "{functions:?}");
}
