#![doc = include_str!("../README.md")]

mod config;

use std::error::Error as StdError;
use std::io;

use aws::{
    Clock, Environment, EventBridgeBus, MetricsContext, SecretSource, StoredSecret, SystemClock, cause_chain,
    init_telemetry, sdk_config, write_counts,
};
use aws_types::SdkConfig;
use effect_ledger::DynamoDbEffects;
use fulfilment::{Policy, PolicyError};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use reconciliation::{DynamoDbJournal, Reconciliation, RunError, RunReport, Settings, Tally};
use serde_json::{Value, json};
use stripe_client::{ApiKey, NotAClient, NotAKey, StripeClient};
use stripe_events::shown_id;
use tracing::{error, info, warn};

pub use crate::config::Config;

/// The function's name, in logs, metrics and the template.
pub const NAME: &str = "reconcile";

/// How long one page may take on a bad day: four attempts at Stripe and the pauses between them.
const PAGE_MS: i64 = 75_000;

/// Requests to Stripe in one run. A hundred thousand events, at less than Stripe's own limits.
const REQUESTS: u32 = 1000;

/// Events put back in one run, so that they do not crowd out live traffic.
const PUT_BACK_AT_MOST: u64 = 1000;

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("Secrets Manager does not give Stripe's key")]
    NoSecret(#[source] Box<dyn StdError + Send + Sync>),
    #[error("the secret holds no key: put a restricted key of Stripe's into it")]
    NotAKey(#[source] NotAKey),
    #[error("Stripe cannot be asked with this key")]
    NotAClient(#[source] NotAClient),
    #[error("the SDK's configuration has no {0}")]
    Incomplete(&'static str),
    #[error("what is compiled in cannot be read")]
    NoPolicy(#[source] PolicyError),
    #[error("the run broke off")]
    Broken(#[source] RunError),
}

/// Runs the function until Lambda stops the process. `variable` looks up an environment variable.
///
/// # Errors
///
/// When the configuration is incomplete or Lambda's runtime API cannot be reached.
pub async fn run(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    init_telemetry(&variable);
    let mut env = Environment::new(variable);
    let config = Config::from_env(&mut env);
    let sdk = sdk_config(&mut env);
    let (config, sdk) = env.finish(|| Some((config?, sdk?)))?;
    let config = &config;
    let sdk = &sdk;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline_ms = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        Ok::<_, Error>(summary(&handle(config, sdk, &SystemClock, deadline_ms).await?))
    }))
    .await
}

/// One invocation: a run, its log lines, its metrics.
///
/// # Errors
///
/// When the run broke off. Lambda counts it; the next one goes on where it was.
pub async fn handle(
    config: &Config,
    sdk: &SdkConfig,
    clock: &impl Clock,
    deadline_ms: i64,
) -> Result<RunReport, Error> {
    let report = match reconcile(config, sdk, clock, deadline_ms).await {
        Ok(report) => report,
        Err(failed) => {
            let cause = cause_chain(&failed);
            error!(cause, "failed: {cause}");
            return Err(failed.into());
        }
    };
    for missing in &report.missing {
        warn!(
            event.id = %shown_id(&missing.event_id),
            event.kind = missing.event_type,
            payment.id = %missing.payment_id.reference(),
            effects = ?missing.effects,
            "missing"
        );
    }
    for misspelt in &report.misspelt {
        warn!(
            payment.id = %misspelt.payment_id.reference(),
            link.id = misspelt.payment_link_id.as_deref().unwrap_or_default(),
            reason = "misspelt_marker",
            "paid over a link whose key `fulfilment` is misspelt: nothing is done for it"
        );
    }
    info!(
        examined = report.examined,
        put_back = report.put_back,
        unexplained = report.unexplained,
        pending = report.pending,
        unreadable = report.unreadable,
        misspelt = report.misspelt.len(),
        complete = report.complete,
        overtaken = report.overtaken,
        "reconciled"
    );
    write_metrics(config, &report, clock.now_ms())?;
    Ok(report)
}

async fn reconcile(
    config: &Config,
    sdk: &SdkConfig,
    clock: &impl Clock,
    deadline_ms: i64,
) -> Result<RunReport, Failed> {
    let http = sdk.http_client().ok_or(Failed::Incomplete("HTTP client"))?;
    let sleep = sdk.sleep_impl().ok_or(Failed::Incomplete("timer"))?;
    // Each time, so that a key that was rolled is used at once; four calls an hour.
    let key = stripe_key(sdk, &config.stripe_key_secret_name).await?;
    let stripe = StripeClient::new(&config.stripe_api_base_url, key, http, sleep, REQUESTS);
    let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
    let reconciliation = Reconciliation {
        stripe: &stripe.map_err(Failed::NotAClient)?,
        ledger: &DynamoDbEffects::new(dynamodb.clone(), &config.effects_table),
        journal: &DynamoDbJournal::new(dynamodb, &config.reconciliation_table),
        bus: &EventBridgeBus::new(sdk, &config.fulfilment_bus),
        clock,
        livemode: config.livemode,
        policy: &Policy::compiled_in().map_err(Failed::NoPolicy)?,
        settings: Settings {
            lag_seconds: config.lag_seconds,
            overlap_seconds: config.overlap_seconds,
            deadline_ms: deadline_ms.saturating_sub(PAGE_MS),
            put_back_at_most: PUT_BACK_AT_MOST,
            again: false,
        },
    };
    reconciliation.run().await.map_err(Failed::Broken)
}

async fn stripe_key(sdk: &SdkConfig, secret_name: &str) -> Result<ApiKey, Failed> {
    let secret = StoredSecret::new(sdk, secret_name).fetch().await.map_err(Failed::NoSecret)?;
    ApiKey::new(&secret).map_err(Failed::NotAKey)
}

/// The metrics of a run, and the proof of each day.
fn write_metrics(config: &Config, report: &RunReport, now_ms: i64) -> io::Result<()> {
    let context = MetricsContext { stage: config.stage.clone(), task: NAME };
    let mut out = io::stdout().lock();
    write_counts(&context, &run_counts(report, now_ms / 1000), now_ms, &mut out)?;
    report
        .proofs
        .iter()
        .try_for_each(|proof| write_counts(&context, &day_counts(&proof.tally), now_ms, &mut out))
}

/// `now` is in Unix seconds.
fn run_counts(report: &RunReport, now: i64) -> [(&'static str, u32); 8] {
    let age = |since: Option<i64>| {
        let seconds = since.map_or(0, |since| now - since);
        u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
    };
    [
        ("Completed", u32::from(report.complete)),
        ("Examined", count(report.examined)),
        ("PutBack", count(report.put_back)),
        ("Missing", count(report.unexplained)),
        ("MisspeltMarker", u32::try_from(report.misspelt.len()).unwrap_or(u32::MAX)),
        ("OldestUnexplainedAge", age(report.oldest_unexplained_at)),
        ("Pending", count(report.pending)),
        ("OldestPendingAge", age(report.oldest_pending_at)),
    ]
}

fn day_counts(tally: &Tally) -> [(&'static str, u32); 4] {
    [
        ("Paid", count(tally.paid)),
        ("Fulfilled", count(tally.fulfilled)),
        ("Open", count(tally.open)),
        ("Unexplained", count(tally.unexplained)),
    ]
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The reply to the caller of an invocation.
fn summary(report: &RunReport) -> Value {
    json!({
        "complete": report.complete,
        "examined": report.examined,
        "put_back": report.put_back,
        "unexplained": report.unexplained,
        "pending": report.pending,
        "unreadable": report.unreadable,
        "misspelt": report.misspelt.len(),
    })
}

#[cfg(test)]
mod tests;
