#![doc = include_str!("../README.md")]

mod config;
mod customer_name;
mod date_format;
mod displayed;
mod downloads;
mod limit;
mod mail;
mod money_format;
mod overrides;
pub mod preview;
mod recipient;
mod sender;
mod ses;
mod task;
mod templates_bucket;
mod wording;

use aws_types::SdkConfig;
use effect_ledger::{Clock, DynamoDbEffects};
use fulfilment::Policy;
use lambda_runtime::Error;
use task_runtime::{Task, run_task};

pub use crate::config::Config;
use crate::downloads::AwsDownloads;
use crate::limit::DynamoDbAddressLimit;
use crate::overrides::Overrides;
use crate::ses::SesEmailSender;
use crate::task::ThankYouEmail;
use crate::templates_bucket::S3TemplateFiles;

/// The function's name, in logs, metrics and the template.
pub const NAME: &str = "thank-you-email";

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
/// When what is compiled in cannot be read.
pub fn task<C: Clock + Clone>(
    config: Config,
    sdk: &SdkConfig,
    clock: C,
) -> Result<impl Task + use<C>, Error> {
    let policy = Policy::compiled_in()?;
    let templates = S3TemplateFiles::new(sdk, &config.templates_bucket);
    Ok(ThankYouEmail {
        ledger: DynamoDbEffects::new(aws_sdk_dynamodb::Client::new(sdk), &config.effects_table),
        sender: SesEmailSender::new(sdk, &config),
        overrides: Overrides::new(templates, clock.clone()),
        limit: DynamoDbAddressLimit::new(&config, sdk, policy.mail.free_mails_a_day, clock.clone()),
        downloads: AwsDownloads::new(&config, sdk, &policy, clock.clone())?,
        policy,
        livemode: config.livemode,
        clock,
    })
}
