#![doc = include_str!("../README.md")]

mod config;
mod dynamodb;
mod ledger_entries;
mod records;
mod task;

use aws::{Clock, for_others};
use aws_types::SdkConfig;
use effect_ledger::DynamoDbEffects;
use fulfilment::Policy;
use lambda_runtime::Error;
use payment_lookup::PaymentLookup;
use stripe_access::StripeAccess;
use task_runtime::{Task, run_task};

pub use crate::config::Config;
use crate::dynamodb::DynamoDbRecords;
use crate::task::ContributionRecords;

/// The function's name, in logs, metrics and the template.
pub const NAME: &str = "contribution-records";

/// Runs the function until Lambda stops the process. `variable` looks up an environment variable.
///
/// # Errors
///
/// When the configuration is incomplete or Lambda's runtime API cannot be reached.
pub async fn run(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    run_task(NAME, variable, Config::from_env, |config, sdk, clock| {
        task(config, sdk, &for_others(sdk), clock)
    })
    .await
}

/// The task over AWS's own clients, and over `network` for Stripe.
///
/// # Errors
///
/// When the compiled-in policy cannot be read, or `network` lacks what every client needs.
pub fn task<C: Clock + Clone>(
    config: Config,
    sdk: &SdkConfig,
    network: &SdkConfig,
    clock: C,
) -> Result<impl Task + use<C>, Error> {
    let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
    let ledger = DynamoDbEffects::new(dynamodb.clone(), &config.effects_table);
    let stripe = StripeAccess::new(&config.stripe, sdk, network, clock.clone())?;
    Ok(ContributionRecords {
        lookup: PaymentLookup { stripe, ledger: ledger.clone(), clock: clock.clone() },
        ledger,
        records: DynamoDbRecords::new(dynamodb, &config),
        policy: Policy::compiled_in()?,
        livemode: config.livemode,
        supporter_namespace: config.supporter_namespace,
        clock,
    })
}
