#![doc = include_str!("../README.md")]

mod config;
mod dynamodb;
mod records;
mod task;

use effect_ledger::DynamoDbEffects;
use fulfilment::Policy;
use task_runtime::{Environment, QueueConfig, SystemClock, init_telemetry, run_task, sdk_config};

use crate::config::Config;
use crate::dynamodb::DynamoDbRecords;
use crate::task::ContributionRecords;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    init_telemetry();
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    let mut env = Environment::new(variable);
    let (config, queue) = (Config::from_env(&mut env), QueueConfig::from_env(&mut env));
    let sdk = sdk_config(&mut env);
    let (config, queue, sdk) = env.finish(|| Some((config?, queue?, sdk?)))?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk);
    let task = ContributionRecords {
        ledger: DynamoDbEffects::new(dynamodb.clone(), &config.effects_table),
        records: DynamoDbRecords::new(dynamodb, &config),
        policy: Policy::compiled_in()?,
        livemode: config.livemode,
        supporter_namespace: config.supporter_namespace,
        clock: SystemClock,
    };
    run_task("contribution-records", task, queue, &sdk).await
}
