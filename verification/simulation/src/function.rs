//! The functions, as Lambda would run them: the tasks' own code over the real SDK clients.

use std::rc::Rc;
use std::sync::LazyLock;

use aws::{Environment, sdk_config};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use aws_types::region::Region;
use catalogue::Task;
use fulfilment::Policy;
use futures_util::future::LocalBoxFuture;
use lambda_runtime::Error;
use task_runtime::{Backoff, Invocation, SqsQueue, Tally, handle_batch};

use crate::time::InstanceClock;

/// The address of a task's queue.
pub(crate) fn queue_url(task: Task) -> String {
    format!("https://sqs.us-east-1.amazonaws.com/123456789012/{}", task.name())
}

/// The address of a task's dead-letter queue.
pub fn dlq_url(task: Task) -> String {
    format!("{}-dlq", queue_url(task))
}

/// What the live template gives every task. The CDK's tests hold the template to these.
pub(crate) const FUNCTION_TIMEOUT_MS: i64 = 30_000;
pub(crate) const VISIBILITY_TIMEOUT_MS: i64 = 6 * FUNCTION_TIMEOUT_MS;
pub(crate) const MAX_RECEIVE_COUNT: u32 = 200;
pub(crate) const LARGEST_BATCH: usize = 10;
const BACKOFF: Backoff = Backoff { base_seconds: 30, cap_seconds: 3600, give_up_seconds: 36_000 };

pub(crate) const EFFECTS_TABLE: &str = "effects";
pub(crate) const CONTRIBUTIONS_TABLE: &str = "contributions";
pub(crate) const SUPPORTERS_TABLE: &str = "supporters";
pub(crate) const CONSENTS_TABLE: &str = "consents";
pub(crate) const ACQUISITION_BUS: &str = "acquisition";
pub(crate) const TEMPLATES_BUCKET: &str = "templates";
pub(crate) const FILES_BUCKET: &str = "files";
pub(crate) const STRIPE_KEY_SECRET: &str = "stripe-key";
pub(crate) const TOKEN_KEYS_SECRET: &str = "token-keys";

/// A function that has been started.
pub(crate) trait Function {
    /// Handles one batch, as one invocation.
    fn handle(
        self: Rc<Self>,
        batch: SqsEvent,
        invocation: Invocation,
    ) -> LocalBoxFuture<'static, (SqsBatchResponse, Tally)>;
}

struct Started<T> {
    name: &'static str,
    task: T,
    queue: SqsQueue,
    clock: InstanceClock,
}

impl<T: task_runtime::Task + 'static> Function for Started<T> {
    fn handle(
        self: Rc<Self>,
        batch: SqsEvent,
        invocation: Invocation,
    ) -> LocalBoxFuture<'static, (SqsBatchResponse, Tally)> {
        Box::pin(async move {
            handle_batch(self.name, &self.task, &self.queue, &self.clock, BACKOFF, batch, &invocation).await
        })
    }
}

/// Starts a function: what happens in a cold start.
///
/// `region` names the world: the SDK keeps its retry quota by region for the life of the process, and one world must
/// not use up another's.
pub(crate) fn start(
    task: Task,
    region: String,
    http: SharedHttpClient,
    policy: &Policy,
    clock: InstanceClock,
) -> Result<Rc<dyn Function>, Error> {
    let sdk = SDK_CONFIG
        .clone()
        .ok_or("the SDK configuration of the simulation is incomplete")?
        .into_builder()
        .region(Region::new(region))
        .http_client(http)
        .sleep_impl(SharedAsyncSleep::new(clock.clone()))
        .time_source(SharedTimeSource::new(clock.clone()))
        .build();
    let queue = SqsQueue::new(sdk.clone(), queue_url(task), dlq_url(task));
    let name = task.name();
    macro_rules! started {
        // The simulated Stripe is asked over the same connection as the simulated AWS.
        ($function:ident, $($more:expr),*) => {{
            let mut env = Environment::new(variable);
            let config = $function::Config::from_env(&mut env);
            let config = env.finish(|| config)?;
            let task = $function::task(config, &sdk, $($more,)* clock.clone())?;
            Rc::new(Started { name, task, queue, clock })
        }};
    }
    Ok(match task {
        Task::ThankYouEmail => started!(thank_you_email, &sdk, policy.clone()),
        Task::ContributionRecords => started!(contribution_records, &sdk),
        Task::SoftOptIns => started!(soft_opt_ins,),
        Task::AcquisitionEvents => started!(acquisition_events, &sdk),
    })
}

/// Timeouts and retries as in production. Made once, because it reads the machine's certificates.
static SDK_CONFIG: LazyLock<Option<SdkConfig>> =
    LazyLock::new(|| sdk_config(&mut Environment::new(variable)));

/// The environment of every function.
fn variable(name: &str) -> Option<String> {
    let value = match name {
        "AWS_REGION" => "us-east-1",
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "simulated",
        "AWS_ENDPOINT_URL" => "http://192.0.2.1",
        "LIVEMODE" => "false",
        "EFFECTS_TABLE" => EFFECTS_TABLE,
        "CONTRIBUTIONS_TABLE" => CONTRIBUTIONS_TABLE,
        "SUPPORTERS_TABLE" => SUPPORTERS_TABLE,
        "CONSENTS_TABLE" => CONSENTS_TABLE,
        "ACQUISITION_BUS" => ACQUISITION_BUS,
        "TEMPLATES_BUCKET" => TEMPLATES_BUCKET,
        "PAGES_URL" => "https://pages.invalid",
        "DOWNLOADS_TABLE" => "downloads",
        "FILES_BUCKET" => FILES_BUCKET,
        "TOKEN_KEYS_SECRET_NAME" => TOKEN_KEYS_SECRET,
        // Asked for payments that the ledger does not know. The simulated links name their files.
        "STRIPE_KEY_SECRET_NAME" => STRIPE_KEY_SECRET,
        "SENDER" => "Example Project <thanks@example.org>",
        "CONFIGURATION_SET" => "simulated",
        "SUPPORTER_NAMESPACE" => SUPPORTER_NAMESPACE,
        _ => return None,
    };
    Some(value.to_owned())
}

pub(crate) const SUPPORTER_NAMESPACE: &str = "7d0f3a52-6a55-4d0e-9a4f-2f6f4f3f9f11";
