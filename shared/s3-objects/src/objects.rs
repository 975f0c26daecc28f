use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningInstructions,
    SigningSettings, UriPathNormalizationMode, sign,
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
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// The objects of one S3 bucket.
#[derive(Debug)]
pub struct S3Objects<C> {
    call: Operation<HttpRequest, Found, Answer>,
    /// `https://…`, without a path.
    origin: String,
    /// What comes before a key.
    root: String,
    region: String,
    credentials: SharedCredentialsProvider,
    pub(crate) clock: C,
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// `gala/en.html`
    pub key: String,
    /// Another one when the content is another.
    pub version: String,
    /// In bytes.
    pub size: i64,
}

/// Why objects cannot be had. Codes only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectsError {
    /// No answer, or not now. Soon there will be one.
    #[error("the bucket does not answer ({0})")]
    Unavailable(String),
    /// A refusal that lasts until somebody mends something.
    #[error("the bucket refuses to be read ({0})")]
    Refused(String),
}

/// An answer that is an object, or a page of a listing.
#[derive(Debug)]
pub(crate) struct Found {
    /// In bytes, also when only the head was asked for.
    pub(crate) size: i64,
    /// The SHA-256 that it was uploaded with, in base64, when that was asked for and there is one.
    pub(crate) sha256: Option<String>,
    body: Vec<u8>,
}

/// An answer that is none.
#[derive(Debug, thiserror::Error)]
#[error("{status} {code}")]
pub(crate) struct Answer {
    status: u16,
    code: String,
}

impl<C: Clock> S3Objects<C> {
    /// The objects of a bucket, read with the credentials of `sdk`.
    ///
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub fn new(sdk: &SdkConfig, bucket: &str, clock: C) -> Result<Self, BoxError> {
        // Short, because a customer waits for the page or the mail, and the rest of the function's time has other uses.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_millis(1500))
            .operation_timeout(Duration::from_secs(3))
            .build();
        Self::with_timeouts(sdk, bucket, clock, timeouts)
    }

    /// As [`S3Objects::new`], for whoever has other things to do than a function: uploads take their time.
    ///
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub fn with_timeouts(
        sdk: &SdkConfig,
        bucket: &str,
        clock: C,
        timeouts: TimeoutConfig,
    ) -> Result<Self, BoxError> {
        let region = sdk.region().ok_or("no region")?.to_string();
        let (origin, root) = match sdk.endpoint_url() {
            // A host name per bucket needs DNS, which a cloud on loopback lacks.
            Some(url) => (url.trim_end_matches('/').to_owned(), format!("/{bucket}/")),
            None => (format!("https://{bucket}.s3.{region}.amazonaws.com"), "/".to_owned()),
        };
        let call = Operation::builder()
            .service_name("s3")
            .operation_name("Call")
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
        Ok(Self { call, origin, root, region, credentials, clock })
    }

    /// Every object.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be listed.
    pub async fn list(&self) -> Result<Vec<ListedObject>, ObjectsError> {
        let mut objects = Vec::new();
        let mut query = "?list-type=2".to_owned();
        loop {
            let page = self.call("GET", &query).await.map_err(|error| classify(&error))?;
            let page = String::from_utf8_lossy(&page.body);
            objects.extend(page.split("<Contents>").skip(1).filter_map(listed));
            let Some(token) = between(&page, "NextContinuationToken") else {
                return Ok(objects);
            };
            query = format!("?continuation-token={}&list-type=2", percent_encoded(token));
        }
    }

    /// An object's bytes; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// When the bucket does not answer, or refuses.
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, ObjectsError> {
        match self.call("GET", &path_of(key)).await {
            Ok(found) => Ok(Some(found.body)),
            Err(error) if error.as_service_error().is_some_and(|answer| answer.code == "NoSuchKey") => {
                Ok(None)
            }
            Err(error) => Err(classify(&error)),
        }
    }

    /// How large an object is, in bytes; `None` when it is not there, or may not be read.
    ///
    /// The two cannot be told apart: without the right to list the bucket, S3 denies what is not there.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
    ///
    /// # Errors
    ///
    /// When the bucket does not answer.
    pub async fn size(&self, key: &str) -> Result<Option<i64>, ObjectsError> {
        Ok(self.head(key, &[]).await?.map(|found| found.size))
    }

    /// What S3 says of an object without its bytes.
    pub(crate) async fn head(
        &self,
        key: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Option<Found>, ObjectsError> {
        match self.send("HEAD", &path_of(key), headers, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error)
                if error.as_service_error().is_some_and(|answer| [403, 404].contains(&answer.status)) =>
            {
                Ok(None)
            }
            Err(error) => Err(classify(&error)),
        }
    }

    /// Where customers' browsers are sent to: `https://<bucket>.s3.<region>.amazonaws.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    async fn call(&self, method: &'static str, path: &str) -> Result<Found, SdkError<Answer, HttpResponse>> {
        self.send(method, path, &[], None).await
    }

    /// As [`S3Objects::call`], with headers, and with a body whose SHA-256 is known in hex.
    pub(crate) async fn send(
        &self,
        method: &'static str,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<(SdkBody, String)>,
    ) -> Result<Found, SdkError<Answer, HttpResponse>> {
        let request = self.signed(method, &format!("{}{path}", self.root), headers, body).await;
        self.call.invoke(request.map_err(SdkError::construction_failure)?).await
    }

    /// A request, signed. <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
    async fn signed(
        &self,
        method: &'static str,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<(SdkBody, String)>,
    ) -> Result<HttpRequest, BoxError> {
        // S3 takes paths as they are and wants the body's hash, unlike most services.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let (body, hash) = match body {
            Some((body, sha256)) => (body, SignableBody::Precomputed(sha256)),
            None => (SdkBody::empty(), SignableBody::empty()),
        };
        let instructions = self.sign(method, path, settings, hash, headers).await?;
        let mut request = HttpRequest::new(body);
        request.set_method(method)?;
        request.set_uri(path)?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.clone());
        }
        for header in instructions.into_parts().0 {
            request.headers_mut().insert(header.name(), header.value().to_owned());
        }
        Ok(request)
    }

    pub(crate) async fn sign(
        &self,
        method: &'static str,
        path: &str,
        settings: SigningSettings,
        body: SignableBody<'static>,
        headers: &[(&'static str, String)],
    ) -> Result<SigningInstructions, BoxError> {
        let identity = self.credentials.provide_credentials().await?.into();
        let now_ms = u64::try_from(self.clock.now_ms())?;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms))
            .settings(settings)
            .build()?
            .into();
        let uri = format!("{}{path}", self.origin);
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let unsigned = SignableRequest::new(method, uri, headers, body)?;
        Ok(sign(unsigned, &params)?.into_parts().0)
    }

    /// Where an object is below [`S3Objects::origin`].
    pub(crate) fn path(&self, key: &str) -> String {
        format!("{}{}", self.root, path_of(key))
    }
}

fn read_answer(response: &HttpResponse) -> Result<Found, OrchestratorError<Answer>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        let size = response.headers().get("content-length").and_then(|length| length.parse().ok());
        let size = size.or_else(|| i64::try_from(body.len()).ok()).unwrap_or_default();
        let sha256 = response.headers().get("x-amz-checksum-sha256").map(str::to_owned);
        return Ok(Found { size, sha256, body: body.to_vec() });
    }
    let code = between(&String::from_utf8_lossy(body), "Code").unwrap_or("no code").to_owned();
    Err(OrchestratorError::operation(Answer { status: response.status().as_u16(), code }))
}

/// One entry of a listing. S3 writes it without prefixes, attributes or white space.
///
/// Keys with other characters than these are left out, so nothing has to be unescaped: no template can be named so.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html#API_ListObjectsV2_ResponseSyntax>
fn listed(entry: &str) -> Option<ListedObject> {
    let key = between(entry, "Key")?;
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c));
    plain.then_some(ListedObject {
        key: key.to_owned(),
        version: between(entry, "ETag")?.to_owned(),
        size: between(entry, "Size")?.parse().ok()?,
    })
}

/// What is between a tag and its end.
fn between<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once(&format!("</{tag}>"))?.0)
}

/// A key as a path: every byte that is not plain is written as `%XX`, and slashes stay.
pub(crate) fn path_of(key: &str) -> String {
    const RESERVED_IN_A_PATH: AsciiSet = RESERVED.remove(b'/');
    utf8_percent_encode(key, &RESERVED_IN_A_PATH).to_string()
}

/// Everything but what RFC 3986 calls unreserved.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn percent_encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &RESERVED)
}

/// Whether an answer is worth waiting for.
pub(crate) fn classify(error: &SdkError<Answer, HttpResponse>) -> ObjectsError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not a service's answer may be one next time")]
    match error {
        SdkError::ServiceError(answer) => {
            let Answer { status, code } = answer.err();
            match (status, code.as_str()) {
                (408 | 429 | 500.., _) | (_, "RequestTimeout" | "SlowDown") => {
                    ObjectsError::Unavailable(code.clone())
                }
                _ => ObjectsError::Refused(code.clone()),
            }
        }
        SdkError::ConstructionFailure(_) => ObjectsError::Refused("request not built".to_owned()),
        SdkError::TimeoutError(_) => ObjectsError::Unavailable("timeout".to_owned()),
        _ => ObjectsError::Unavailable("no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests;
