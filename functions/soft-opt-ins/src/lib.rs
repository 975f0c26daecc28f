#![doc = include_str!("../README.md")]

mod config;
mod dynamodb;
mod records;
mod task;

use aws::Clock;
use aws_types::SdkConfig;
use effect_ledger::DynamoDbEffects;
use fulfilment::Policy;
use lambda_runtime::Error;
use task_runtime::{Task, run_task};

pub use crate::config::Config;
use crate::dynamodb::DynamoDbConsents;
use crate::task::SoftOptIns;

/// The function's name, in logs, metrics and the template.
pub const NAME: &str = "soft-opt-ins";

/// Runs the function until Lambda stops the process. `variable` looks up an environment variable.
///
/// # Errors
///
/// When the configuration is incomplete or Lambda's runtime API cannot be reached.
pub async fn run(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    run_task(NAME, variable, Config::from_env, task).await
}

/// The task over AWS's own clients.
///
/// # Errors
///
/// When the compiled-in policy cannot be read.
pub fn task<C: Clock>(config: Config, sdk: &SdkConfig, clock: C) -> Result<impl Task + use<C>, Error> {
    let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
    Ok(SoftOptIns {
        ledger: DynamoDbEffects::new(dynamodb.clone(), &config.effects_table),
        records: DynamoDbConsents::new(dynamodb, &config),
        policy: Policy::compiled_in()?,
        livemode: config.livemode,
        supporter_namespace: config.supporter_namespace,
        clock,
    })
}
