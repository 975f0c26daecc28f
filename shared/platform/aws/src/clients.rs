use std::str::FromStr;
use std::time::Duration;
use std::{fs, io};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{RequestChecksumCalculation, ResponseChecksumValidation};

use crate::Environment;
use crate::http_client::{Http1Client, Roots};

/// The configuration all SDK clients of a function share: one HTTP client, explicit timeouts.
///
/// Lambda keeps region and credentials in the environment for the life of the process, so `aws-config`'s chain
/// of providers, with its start-up cost, is not needed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
///
/// It trusts whom the system trusts, so that other services than AWS's can be called as well.
///
/// `None` when something is missing, which `env` has recorded.
pub fn sdk_config<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<SdkConfig> {
    config(env, Roots::System)
}

/// Like [`sdk_config`], for AWS alone: it trusts Amazon's own roots only, five in place of the system's 140, which take
/// longer to read than everything else at a function's start. `AWS_CA_BUNDLE` names a file with others, as for every
/// AWS SDK. <https://docs.aws.amazon.com/sdkref/latest/guide/feature-gen-config.html>
///
/// `None` when something is missing, which `env` has recorded.
pub fn aws_sdk_config<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<SdkConfig> {
    let roots = match env.optional("AWS_CA_BUNDLE") {
        Some(_) => env.parsed::<CaBundle>("AWS_CA_BUNDLE").map(|bundle| bundle.0),
        None => Some(AMAZON_ROOTS.to_vec()),
    };
    // With whatever else is missing recorded as well.
    let config = config(env, Roots::These(roots.clone().unwrap_or_default()));
    roots.and(config)
}

/// An HTTP client that trusts whom the system trusts, for configurations that are loaded elsewhere: a person's profile.
pub fn http_client() -> SharedHttpClient {
    SharedHttpClient::new(Http1Client::new(Roots::System))
}

/// The same configuration over connections to others than AWS: with whom the system trusts, read before the first of
/// these connections and never if there is none.
pub fn for_others(sdk: &SdkConfig) -> SdkConfig {
    sdk.to_builder().http_client(Http1Client::new(Roots::System)).build()
}

/// The same configuration for calls that a page or a mail waits for, and that are sooner tried again later than waited
/// for: one second to connect, two attempts, three seconds in all.
pub fn with_little_time(sdk: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_millis(1500))
        .operation_timeout(Duration::from_secs(3))
        .build();
    let retries = RetryConfig::standard().with_max_attempts(2);
    sdk.to_builder().timeout_config(timeouts).retry_config(retries).build()
}

/// Every endpoint of AWS's services leads up to one of these.
pub(crate) const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// The content of a file of certificates, by its path.
struct CaBundle(Vec<u8>);

impl FromStr for CaBundle {
    type Err = io::Error;

    fn from_str(path: &str) -> io::Result<Self> {
        fs::read(path).map(Self)
    }
}

fn config<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>, roots: Roots) -> Option<SdkConfig> {
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
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Http1Client::new(roots))
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts)
        // The timeouts end a call that stalls, and TLS protects the data.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()));
    config.set_endpoint_url(endpoint_url);
    Some(config.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: [(&str, &str); 4] = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", "https://127.0.0.1:1"),
    ];

    fn set(name: &str) -> Option<String> {
        SET.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_missing_file_of_roots_is_reported_with_everything_else_that_is_missing() {
        let mut env = Environment::new(|name: &str| match name {
            "AWS_CA_BUNDLE" => Some("/nowhere".to_owned()),
            "AWS_REGION" => None,
            other => set(other),
        });
        let config = aws_sdk_config(&mut env);
        let error = env.finish(|| config).unwrap_err().to_string();
        assert!(error.contains("AWS_CA_BUNDLE cannot be read") && error.contains("AWS_REGION"), "{error}");
    }
}
