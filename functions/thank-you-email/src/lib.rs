#![doc = include_str!("../README.md")]

mod config;
mod downloads;
mod failure;
mod limit;
mod mailing;
mod overrides;
mod payment;
mod sender;
mod ses;
mod task;
mod templates_bucket;

use aws::{Clock, for_others};
use aws_types::SdkConfig;
use effect_ledger::DynamoDbEffects;
use fulfilment::Policy;
use lambda_runtime::Error;
use payment_lookup::PaymentLookup;
use stripe_access::StripeAccess;
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
    run_task(NAME, variable, Config::from_env, |config, sdk, clock| {
        task(config, sdk, &for_others(sdk), Policy::compiled_in()?, clock)
    })
    .await
}

/// The task over AWS's own clients, and over `network` for Stripe.
///
/// # Errors
///
/// When `network` lacks what every client needs.
pub fn task<C: Clock + Clone>(
    config: Config,
    sdk: &SdkConfig,
    network: &SdkConfig,
    policy: Policy,
    clock: C,
) -> Result<impl Task + use<C>, Error> {
    let templates = S3TemplateFiles::new(sdk, &config.templates_bucket);
    let ledger = DynamoDbEffects::new(aws_sdk_dynamodb::Client::new(sdk), &config.effects_table);
    let stripe = StripeAccess::new(&config.purchases.stripe, sdk, network, clock.clone())?;
    Ok(ThankYouEmail {
        lookup: PaymentLookup { stripe, ledger: ledger.clone(), clock: clock.clone() },
        ledger,
        sender: SesEmailSender::new(sdk, &config),
        overrides: Overrides::new(templates, clock.clone()),
        limit: DynamoDbAddressLimit::new(&config, sdk, policy.mail.free_mails_a_day, clock.clone()),
        downloads: AwsDownloads::new(&config, sdk, network, &policy, clock.clone())?,
        policy,
        livemode: config.livemode,
        clock,
    })
}
