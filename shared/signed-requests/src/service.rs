use std::fmt::Write as _;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

use crate::{Answer, percent_encoded};

/// An AWS service, ready to be called.
#[derive(Debug)]
pub struct AwsService {
    call: Operation<HttpRequest, Answer, Answer>,
    name: &'static str,
    origin: String,
    region: String,
    credentials: SharedCredentialsProvider,
    time: SharedTimeSource,
}

/// Which service, and how it is called.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// What requests are signed for: `ses`.
    pub name: &'static str,
    /// The beginning of its host name, before the region: `email`. An endpoint that is configured wins.
    pub host: String,
    /// One HTTP request a call when they are disabled.
    pub retries: RetryConfig,
    /// For connecting, an attempt, and a call with all its attempts.
    pub timeouts: TimeoutConfig,
}

/// One call.
#[derive(Debug)]
pub struct Request<'a> {
    /// `GET`
    pub method: &'static str,
    /// Path and query as they go over the wire. Outside of S3, a path must need no encoding: S3 signs paths as they
    /// are, and all others sign them encoded once more.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
    pub path: &'a str,
    /// Names in lower case. Signed with the rest.
    pub headers: Vec<(&'static str, String)>,
    /// May be empty.
    pub body: Body,
}

/// What a call carries.
#[derive(Debug)]
pub enum Body {
    /// At hand.
    Text(String),
    /// Read as it is sent. The service refuses bytes that have another hash.
    Stream {
        /// The bytes.
        bytes: SdkBody,
        /// Their SHA-256, in hexadecimal.
        sha256: String,
    },
}

impl Body {
    /// Nothing.
    pub const fn empty() -> Self {
        Self::Text(String::new())
    }
}

impl AwsService {
    /// A service, called over the connection and with the credentials of `sdk`, at its time.
    ///
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub fn new(sdk: &SdkConfig, config: ServiceConfig) -> Result<Self, BoxError> {
        let region = sdk.region().ok_or("no region")?.to_string();
        let origin = match sdk.endpoint_url() {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let china = if region.starts_with("cn-") { ".cn" } else { "" };
                format!("https://{}.{region}.amazonaws.com{china}", config.host)
            }
        };
        let call = Operation::builder()
            .service_name(config.name)
            .operation_name("Call")
            .http_client(sdk.http_client().ok_or("no HTTP client")?)
            .sleep_impl(sdk.sleep_impl().ok_or("no timer")?)
            .endpoint_url(&origin)
            // Signed before it is handed over.
            .no_auth()
            .standard_retry(&config.retries)
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Answer>::new())
            .timeout_config(config.timeouts)
            .serializer(Ok)
            .deserializer(Answer::read)
            .build();
        let credentials = sdk.credentials_provider().ok_or("no credentials")?;
        let time = sdk.time_source().unwrap_or_default();
        Ok(Self { call, name: config.name, origin, region, credentials, time })
    }

    /// Where the service is, without a path: `https://email.eu-west-1.amazonaws.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Makes a call.
    ///
    /// # Errors
    ///
    /// An [`Answer`] that is no success; or none, and why.
    pub async fn call(&self, request: Request<'_>) -> Result<Answer, SdkError<Answer, HttpResponse>> {
        let request = self.signed(request).await.map_err(SdkError::construction_failure)?;
        self.call.invoke(request).await
    }

    /// An address at which anybody who has it can make a GET for `lifetime` from now. Made without a call.
    ///
    /// It dies with the credentials it was made with, whatever `lifetime` says. `path` has a query.
    ///
    /// # Errors
    ///
    /// When there are no credentials.
    pub async fn presigned(&self, path: &str, lifetime: Duration) -> Result<String, BoxError> {
        let mut settings = settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(lifetime);
        let signed = self.sign("GET", path, &[], settings, SignableBody::UnsignedPayload).await?;
        let mut address = format!("{}{path}", self.origin);
        for (name, value) in signed.into_parts().1 {
            // Writing to a string cannot fail.
            let _infallible = write!(address, "&{name}={}", percent_encoded(&value));
        }
        Ok(address)
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
    async fn signed(&self, request: Request<'_>) -> Result<HttpRequest, BoxError> {
        let Request { method, path, headers, body } = request;
        let mut settings = settings();
        // S3 wants the body's hash as a header, and nobody else minds.
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let hash = match &body {
            Body::Text(text) => SignableBody::Bytes(text.as_bytes()),
            Body::Stream { sha256, .. } => SignableBody::Precomputed(sha256.clone()),
        };
        let signed = self.sign(method, path, &headers, settings, hash).await?;
        let mut http = HttpRequest::new(match body {
            Body::Text(text) => SdkBody::from(text),
            Body::Stream { bytes, .. } => bytes,
        });
        http.set_method(method)?;
        http.set_uri(path)?;
        for (name, value) in headers {
            http.headers_mut().insert(name, value);
        }
        for header in signed.into_parts().0 {
            http.headers_mut().insert(header.name(), header.value().to_owned());
        }
        Ok(http)
    }

    async fn sign(
        &self,
        method: &'static str,
        path: &str,
        headers: &[(&'static str, String)],
        settings: SigningSettings,
        body: SignableBody<'_>,
    ) -> Result<SigningInstructions, BoxError> {
        let identity = self.credentials.provide_credentials().await?.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.name)
            .time(self.time.now())
            .settings(settings)
            .build()?
            .into();
        let uri = format!("{}{path}", self.origin);
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let unsigned = SignableRequest::new(method, uri, headers, body)?;
        Ok(sign(unsigned, &params)?.into_parts().0)
    }
}

/// Paths are signed as they are.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

#[cfg(test)]
mod tests;
