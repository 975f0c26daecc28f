use std::io;

use aws::{Clock, Environment, MetricsContext, SystemClock, aws_sdk_config, init_telemetry};
use aws_lambda_events::sqs::SqsEvent;
use aws_types::SdkConfig;
use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::task::EventConsumer;
use crate::{Backoff, Consumer, Invocation, SqsQueue, Task, consume_batch};

/// What every task behind a queue is configured with.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// `local`, `test` or `live`.
    pub stage: String,
    /// The task's queue.
    pub queue_url: String,
    /// Where its permanent failures go.
    pub dlq_url: String,
    /// Delays after retryable failures.
    pub backoff: Backoff,
}

impl QueueConfig {
    /// Reads `STAGE`, `QUEUE_URL`, `DLQ_URL`, `RETRY_BASE_SECONDS`, `RETRY_CAP_SECONDS` and
    /// `RETRY_GIVE_UP_SECONDS`.
    ///
    /// `None` when something is missing or wrong, which `env` has recorded.
    pub fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let stage = env.text("STAGE");
        let queue_url = env.text("QUEUE_URL");
        let dlq_url = env.text("DLQ_URL");
        let base = env.parsed("RETRY_BASE_SECONDS");
        let cap = env.parsed("RETRY_CAP_SECONDS");
        let give_up = env.parsed("RETRY_GIVE_UP_SECONDS");
        Some(Self {
            stage: stage?,
            queue_url: queue_url?,
            dlq_url: dlq_url?,
            backoff: Backoff { base_seconds: base?, cap_seconds: cap?, give_up_seconds: give_up? },
        })
    }
}

/// Runs a task as a Lambda function behind its queue, until Lambda stops the process.
///
/// `variable` looks up an environment variable, `config` reads the task's part of them, `task` makes the task over what
/// [`aws_sdk_config`] gives.
///
/// # Errors
///
/// When the configuration is incomplete or Lambda's runtime API cannot be reached.
pub async fn run_task<L, K, T, E>(
    name: &'static str,
    variable: L,
    config: impl FnOnce(&mut Environment<L>) -> Option<K>,
    task: impl FnOnce(K, &SdkConfig, SystemClock) -> Result<T, E>,
) -> Result<(), Error>
where
    L: Fn(&str) -> Option<String>,
    T: Task,
    Error: From<E>,
{
    let (config, sdk, task) = started(variable, config, task)?;
    serve(name, &EventConsumer(&task), config, sdk).await
}

/// As [`run_task`], for a consumer of other messages than Stripe's events.
///
/// # Errors
///
/// When the configuration is incomplete or Lambda's runtime API cannot be reached.
pub async fn run_consumer<L, K, T, E>(
    name: &'static str,
    variable: L,
    config: impl FnOnce(&mut Environment<L>) -> Option<K>,
    consumer: impl FnOnce(K, &SdkConfig, SystemClock) -> Result<T, E>,
) -> Result<(), Error>
where
    L: Fn(&str) -> Option<String>,
    T: Consumer,
    Error: From<E>,
{
    let (config, sdk, consumer) = started(variable, config, consumer)?;
    serve(name, &consumer, config, sdk).await
}

fn started<L, K, T, E>(
    variable: L,
    config: impl FnOnce(&mut Environment<L>) -> Option<K>,
    make: impl FnOnce(K, &SdkConfig, SystemClock) -> Result<T, E>,
) -> Result<(QueueConfig, SdkConfig, T), Error>
where
    L: Fn(&str) -> Option<String>,
    Error: From<E>,
{
    init_telemetry(&variable);
    let mut env = Environment::new(variable);
    let own = config(&mut env);
    let config = QueueConfig::from_env(&mut env);
    let sdk = aws_sdk_config(&mut env);
    let (own, config, sdk) = env.finish(|| Some((own?, config?, sdk?)))?;
    let made = make(own, &sdk, SystemClock)?;
    Ok((config, sdk, made))
}

async fn serve<T: Consumer>(
    name: &'static str,
    consumer: &T,
    config: QueueConfig,
    sdk: SdkConfig,
) -> Result<(), Error> {
    let metrics = &MetricsContext { stage: config.stage, task: name };
    let queue = &SqsQueue::new(sdk, config.queue_url, config.dlq_url);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let invocation = Invocation {
            deadline_ms: i64::try_from(event.context.deadline).unwrap_or(i64::MAX),
            request_id: event.context.request_id,
        };
        // In a box: the compiler's limit for nested futures would be reached otherwise.
        let handled =
            consume_batch(name, consumer, queue, &SystemClock, config.backoff, event.payload, &invocation);
        let (response, tally) = Box::pin(handled).await;
        tally.write(metrics, SystemClock.now_ms(), &mut io::stdout().lock())?;
        Ok::<_, Error>(response)
    }))
    .await
}
