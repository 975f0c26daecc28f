#![doc = include_str!("../README.md")]

mod config;
mod date_format;
mod displayed;
mod locale;
mod mail;
mod money_format;
mod overrides;
pub mod preview;
mod s3;
mod sender;
mod ses;
mod task;
mod wording;

use effect_ledger::DynamoDbEffects;
use fulfilment::Policy;
use task_runtime::{Environment, QueueConfig, SystemClock, init_telemetry, run_task, sdk_config};

use crate::config::Config;
use crate::overrides::Overrides;
use crate::s3::S3TemplateFiles;
use crate::ses::SesEmailSender;
use crate::task::ThankYouEmail;

/// Runs the function until Lambda stops the process. `variable` looks up an environment variable.
///
/// # Errors
///
/// When the configuration is incomplete or Lambda's runtime API cannot be reached.
pub async fn run(variable: impl Fn(&str) -> Option<String> + Copy) -> Result<(), lambda_runtime::Error> {
    init_telemetry();
    let mut env = Environment::new(variable);
    let (config, queue) = (Config::from_env(&mut env), QueueConfig::from_env(&mut env));
    let sdk = sdk_config(&mut env);
    let (config, queue, sdk) = env.finish(|| Some((config?, queue?, sdk?)))?;
    let templates = S3TemplateFiles::new(&sdk, &config.templates_bucket, SystemClock)?;
    let task = ThankYouEmail {
        ledger: DynamoDbEffects::new(aws_sdk_dynamodb::Client::new(&sdk), &config.effects_table),
        sender: SesEmailSender::new(&sdk, &config),
        overrides: Overrides::new(templates, SystemClock),
        policy: Policy::compiled_in()?,
        livemode: config.livemode,
        clock: SystemClock,
    };
    run_task("thank-you-email", task, queue, &sdk).await
}
