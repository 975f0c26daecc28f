use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use effect_ledger::Clock;

use crate::Environment;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the real time")]
    fn now_ms(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The configuration all SDK clients of a function share: one HTTP client, explicit timeouts.
///
/// Lambda keeps region and credentials in the environment for the life of the process, so `aws-config`'s chain
/// of providers, with its start-up cost, is not needed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
///
/// `None` when something is missing, which `env` has noted.
pub fn sdk_config<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<SdkConfig> {
    let region = env.text("AWS_REGION");
    let access_key_id = env.text("AWS_ACCESS_KEY_ID");
    let secret_access_key = env.text("AWS_SECRET_ACCESS_KEY");
    let session_token = env.optional("AWS_SESSION_TOKEN");
    let endpoint_url = env.optional("AWS_ENDPOINT_URL");
    let credentials =
        Credentials::new(access_key_id?, secret_access_key?, session_token, None, "environment");
    // No call may outlive a function's timeout, and two attempts must fit: 2 × 4 s and a pause.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(9))
        .build();
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut config = SdkConfig::builder()
        .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
        .region(Region::new(region?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client)
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()));
    config.set_endpoint_url(endpoint_url);
    Some(config.build())
}
