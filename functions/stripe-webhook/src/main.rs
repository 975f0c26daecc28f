#![doc = include_str!("../README.md")]

mod concern;
mod config;
mod event_bus;
mod signing_secrets;
mod webhook;

use std::io;

use aws::{
    CachedSecret, Clock, Environment, EventBridgeBus, MetricsContext, SystemClock, aws_sdk_config,
    init_telemetry, write_counts,
};
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::config::Config;
use crate::signing_secrets::SigningSecrets;
use crate::webhook::Webhook;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    init_telemetry(variable);
    let mut env = Environment::new(variable);
    let config = Config::from_env(&mut env);
    let sdk = aws_sdk_config(&mut env);
    let (config, sdk) = env.finish(|| Some((config?, sdk?)))?;
    let secret = CachedSecret::stored(&sdk, config.signing_secret_name, SystemClock);
    let webhook = &Webhook {
        secrets: SigningSecrets(secret),
        bus: EventBridgeBus::new(&sdk, config.fulfilment_bus),
        clock: SystemClock,
    };
    // During init, which has a full CPU: the first request finds the secrets there.
    webhook.secrets.0.warm_up().await;
    let metrics = &MetricsContext { stage: config.stage, task: env!("CARGO_PKG_NAME") };
    lambda_runtime::run(service_fn(|event: LambdaEvent<LambdaFunctionUrlRequest>| async move {
        let answer = webhook.answer(event.payload).await;
        write_counts(metrics, &[(answer.metric(), 1)], SystemClock.now_ms(), &mut io::stdout().lock())?;
        Ok::<_, Error>(answer.into_response())
    }))
    .await
}
