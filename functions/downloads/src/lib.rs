#![doc = include_str!("../README.md")]

mod access;
mod config;
mod ledger;
mod origin;
mod page;
mod payments;
mod records;
mod request;
mod site;
mod size;
mod unknown_sessions;

use std::io;

use aws::{
    CachedSecret, Clock, Environment, MetricsContext, SystemClock, aws_sdk_config, for_others,
    init_telemetry, write_counts,
};
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use aws_types::SdkConfig;
use download_claims::AwsPurchases;
use fulfilment::Policy;
use lambda_runtime::{Error, LambdaEvent, service_fn};

pub use crate::config::Config;
use crate::ledger::DynamoDbLedger;
use crate::origin::Origin;
use crate::page::Renderer;
use crate::payments::Payments;
use crate::records::DynamoDbRecords;
use crate::site::Site;
use crate::unknown_sessions::UnknownSessions;

/// The function's name, in logs, metrics and the template.
pub const NAME: &str = "downloads";

/// Runs the function until Lambda stops the process. `variable` looks up an environment variable.
///
/// # Errors
///
/// When the configuration is incomplete or Lambda's runtime API cannot be reached.
pub async fn run(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    init_telemetry(&variable);
    let mut env = Environment::new(variable);
    let config = Config::from_env(&mut env);
    let sdk = aws_sdk_config(&mut env);
    let (config, sdk) = env.finish(|| Some((config?, sdk?)))?;
    let metrics = &MetricsContext { stage: config.stage.clone(), task: NAME };
    let site = &site(&config, &sdk, &for_others(&sdk), SystemClock)?;
    let origin = &Origin::new(&config, &sdk, SystemClock);
    // During init, which has a full CPU: the first customer finds the keys there.
    site.warm_up().await;
    lambda_runtime::run(service_fn(|event: LambdaEvent<LambdaFunctionUrlRequest>| async move {
        let (response, counts) = match origin.refusal(&event.payload).await {
            Some(refusal) => (refusal, Vec::new()),
            None => site.answer(&event.payload).await,
        };
        write_counts(metrics, &counts, SystemClock.now_ms(), &mut io::stdout().lock())?;
        Ok::<_, Error>(response)
    }))
    .await
}

/// The site over AWS's own clients, and over `network` for Stripe.
fn site<C: Clock + Clone>(
    config: &Config,
    sdk: &SdkConfig,
    network: &SdkConfig,
    clock: C,
) -> Result<Site<C>, Error> {
    let policy = Policy::compiled_in()?;
    let purchases = AwsPurchases::new(&config.purchases, sdk, network, &policy, clock.clone())?.paced();
    Ok(Site {
        pages: Renderer::new(&policy.organisation, &purchases.files().origin()?),
        keys: CachedSecret::stored(sdk, &config.purchases.token_keys_secret_name, clock.clone()),
        payments: Payments {
            records: DynamoDbRecords::new(sdk, &config.contributions_table),
            ledger: DynamoDbLedger::new(sdk, &config.effects_table),
            unknown_sessions: UnknownSessions::default(),
            livemode: config.livemode,
        },
        purchases,
        policy,
        clock,
    })
}
