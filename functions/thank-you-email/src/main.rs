#![doc = include_str!("../README.md")]

mod config;
mod date_format;
mod displayed;
mod locale;
mod mail;
mod money_format;
mod sender;
mod ses;
mod task;
mod wording;

use effect_ledger::DynamoDbEffects;
use fulfilment::Policy;
use task_runtime::{Environment, QueueConfig, SystemClock, init_telemetry, run_task, sdk_config};

use crate::config::Config;
use crate::ses::SesEmailSender;
use crate::task::ThankYouEmail;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    init_telemetry();
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    let config = Config::from_env(Environment::new(variable))?;
    let queue = QueueConfig::from_env(Environment::new(variable))?;
    let sdk = sdk_config(Environment::new(variable))?;
    let task = ThankYouEmail {
        ledger: DynamoDbEffects::new(aws_sdk_dynamodb::Client::new(&sdk), &config.effects_table),
        sender: SesEmailSender::new(&sdk, &config),
        policy: Policy::compiled_in()?,
        livemode: config.livemode,
        clock: SystemClock,
    };
    run_task("thank-you-email", task, queue, &sdk).await
}
