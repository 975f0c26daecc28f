//! The templates bucket, by the two S3 calls it takes.
//!
//! Not by S3's SDK: that would make the function's package larger by a third (4.2 MB instead of 3.2) for two plain
//! GETs, and every cold start reads the package. What makes a call an AWS call (signature, retries, timeouts, the
//! connection) is what the other clients of this function use as well.

use std::iter;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use effect_ledger::Clock;

use crate::overrides::{ListedFile, TemplateFiles, TemplatesError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Template files in an S3 bucket, their paths being the keys.
pub(crate) struct S3TemplateFiles<C> {
    get: Operation<HttpRequest, Vec<u8>, Answer>,
    /// `https://…`, without a path.
    origin: String,
    /// What comes before a key.
    root: String,
    region: String,
    credentials: SharedCredentialsProvider,
    clock: C,
}

/// An answer that is not the file.
#[derive(Debug, thiserror::Error)]
#[error("{status} {code}")]
struct Answer {
    status: u16,
    code: String,
}

impl<C: Clock> S3TemplateFiles<C> {
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub(crate) fn new(sdk: &SdkConfig, bucket: &str, clock: C) -> Result<Self, BoxError> {
        let region = sdk.region().ok_or("no region")?.to_string();
        let (origin, root) = match sdk.endpoint_url() {
            // A host name per bucket needs DNS, which a cloud on loopback lacks.
            Some(url) => (url.trim_end_matches('/').to_owned(), format!("/{bucket}/")),
            None => (format!("https://{bucket}.s3.{region}.amazonaws.com"), "/".to_owned()),
        };
        // Short, because the customer's mail waits, and what is left of the function's time belongs to SES.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_millis(1500))
            .operation_timeout(Duration::from_secs(3))
            .build();
        let get = Operation::builder()
            .service_name("s3")
            .operation_name("Get")
            .http_client(sdk.http_client().ok_or("no HTTP client")?)
            .sleep_impl(sdk.sleep_impl().ok_or("no timer")?)
            .endpoint_url(&origin)
            .no_auth()
            .standard_retry(&RetryConfig::standard().with_max_attempts(2))
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Answer>::new())
            .timeout_config(timeouts)
            .serializer(Ok)
            .deserializer(read_answer)
            .build();
        let credentials = sdk.credentials_provider().ok_or("no credentials")?;
        Ok(Self { get, origin, root, region, credentials, clock })
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, SdkError<Answer, HttpResponse>> {
        let request = self.signed(&format!("{}{path}", self.root)).await;
        self.get.invoke(request.map_err(SdkError::construction_failure)?).await
    }

    /// A GET, signed. <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
    async fn signed(&self, path: &str) -> Result<HttpRequest, BoxError> {
        let identity = self.credentials.provide_credentials().await?.into();
        let now_ms = u64::try_from(self.clock.now_ms())?;
        // S3 takes paths as they are and wants the body's hash, unlike most services.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms))
            .settings(settings)
            .build()?
            .into();
        let uri = format!("{}{path}", self.origin);
        let unsigned = SignableRequest::new("GET", uri, iter::empty(), SignableBody::empty())?;
        let (instructions, _signature) = sign(unsigned, &params)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(path)?;
        for header in instructions.into_parts().0 {
            request.headers_mut().insert(header.name(), header.value().to_owned());
        }
        Ok(request)
    }
}

impl<C: Clock> TemplateFiles for S3TemplateFiles<C> {
    async fn list(&self) -> Result<Vec<ListedFile>, TemplatesError> {
        let mut files = Vec::new();
        let mut query = "?list-type=2".to_owned();
        loop {
            let page = self.get(&query).await.map_err(|error| classify(&error))?;
            let page = String::from_utf8_lossy(&page);
            files.extend(page.split("<Contents>").skip(1).filter_map(listed));
            let Some(token) = between(&page, "NextContinuationToken") else {
                return Ok(files);
            };
            query = format!("?continuation-token={}&list-type=2", utf8_percent_encode(token, &RESERVED));
        }
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TemplatesError> {
        match self.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.as_service_error().is_some_and(|answer| answer.code == "NoSuchKey") => {
                Ok(None)
            }
            Err(error) => Err(classify(&error)),
        }
    }
}

fn read_answer(response: &HttpResponse) -> Result<Vec<u8>, OrchestratorError<Answer>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return Ok(body.to_vec());
    }
    let code = between(&String::from_utf8_lossy(body), "Code").unwrap_or("no code").to_owned();
    Err(OrchestratorError::operation(Answer { status: response.status().as_u16(), code }))
}

/// One entry of a listing. S3 writes it without prefixes, attributes or white space.
///
/// A path with other characters than these cannot be named by a template, so nothing has to be unescaped.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html#API_ListObjectsV2_ResponseSyntax>
fn listed(entry: &str) -> Option<ListedFile> {
    let path = between(entry, "Key")?;
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c));
    plain.then_some(ListedFile {
        path: path.to_owned(),
        version: between(entry, "ETag")?.to_owned(),
        size: between(entry, "Size")?.parse().ok()?,
    })
}

/// What is between a tag and its end.
fn between<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once(&format!("</{tag}>"))?.0)
}

/// Everything but what RFC 3986 calls unreserved.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether an answer is worth waiting for.
fn classify(error: &SdkError<Answer, HttpResponse>) -> TemplatesError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not a service's answer may be one next time")]
    match error {
        SdkError::ServiceError(answer) => {
            let Answer { status, code } = answer.err();
            match (status, code.as_str()) {
                (408 | 429 | 500.., _) | (_, "RequestTimeout" | "SlowDown") => {
                    TemplatesError::Unavailable(code.clone())
                }
                _ => TemplatesError::Refused(code.clone()),
            }
        }
        SdkError::ConstructionFailure(_) => TemplatesError::Refused("request not built".to_owned()),
        SdkError::TimeoutError(_) => TemplatesError::Unavailable("timeout".to_owned()),
        _ => TemplatesError::Unavailable("no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests;
