#![doc = include_str!("../README.md")]

mod bucket;
mod config;
mod consumer;
mod folder;
mod notice;
mod owner;
mod sender;
mod upload;

use aws_types::SdkConfig;
use fulfilment::Policy;
use lambda_runtime::Error;
use task_runtime::{Consumer, run_consumer};

use crate::bucket::TemplatesBucket;
pub use crate::config::Config;
use crate::consumer::WordingCheck;
use crate::sender::NoticeSender;

/// The function's name, in logs, metrics and the template.
pub const NAME: &str = "wording-check";

/// Runs the function until Lambda stops the process. `variable` looks up an environment variable.
///
/// # Errors
///
/// When the configuration is incomplete or Lambda's runtime API cannot be reached.
pub async fn run(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    run_consumer(NAME, variable, Config::from_env, |config, sdk, _clock| consumer(&config, sdk)).await
}

/// The consumer over AWS's own clients.
///
/// # Errors
///
/// When the compiled-in policy cannot be read.
pub fn consumer(config: &Config, sdk: &SdkConfig) -> Result<impl Consumer + use<>, Error> {
    Ok(check_with(config, sdk, Policy::compiled_in()?))
}

fn check_with(config: &Config, sdk: &SdkConfig, policy: Policy) -> WordingCheck {
    let (bucket, sender) = (TemplatesBucket::new(sdk, config), NoticeSender::new(sdk, config));
    WordingCheck::new(bucket, sender, policy, config.stage.clone())
}
