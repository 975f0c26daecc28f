use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::Object;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use signed_requests::{Answer, AwsService, Body, Request, ServiceConfig, percent_encoded_path};

/// The objects of one S3 bucket.
#[derive(Debug)]
pub struct S3Objects {
    client: Client,
    bucket: String,
    /// For uploads and for customers' addresses.
    pub(crate) s3: AwsService,
    /// What comes before a key.
    root: String,
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

impl S3Objects {
    /// The objects of a bucket, read with the credentials of `sdk`.
    ///
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub fn new(sdk: &SdkConfig, bucket: &str) -> Result<Self, BoxError> {
        // Short, because a customer waits for the page or the mail, and the rest of the function's time has other uses.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_millis(1500))
            .operation_timeout(Duration::from_secs(3))
            .build();
        Self::with_timeouts(sdk, bucket, timeouts)
    }

    /// As [`S3Objects::new`], for whoever has other things to do than a function: uploads take their time.
    ///
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub fn with_timeouts(sdk: &SdkConfig, bucket: &str, timeouts: TimeoutConfig) -> Result<Self, BoxError> {
        // A host name per bucket needs DNS, which a cloud on loopback lacks.
        let on_loopback = sdk.endpoint_url().is_some();
        let client = Builder::from(sdk)
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts.clone())
            .force_path_style(on_loopback)
            // TLS protects what is read here, and the timeouts end a call that stalls.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let client = Client::from_conf(client);
        let root = if on_loopback { format!("/{bucket}/") } else { "/".to_owned() };
        let config = ServiceConfig {
            name: "s3",
            host: format!("{bucket}.s3"),
            retries: RetryConfig::standard().with_max_attempts(2),
            timeouts,
        };
        Ok(Self { client, bucket: bucket.to_owned(), s3: AwsService::new(sdk, config)?, root })
    }

    /// Every object.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be listed.
    pub async fn list(&self) -> Result<Vec<ListedObject>, ObjectsError> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let page = self.client.list_objects_v2().bucket(&self.bucket).set_continuation_token(token);
            let page = page.send().await.map_err(|error| classify_sdk(&error))?;
            objects.extend(page.contents().iter().filter_map(listed));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// An object's bytes; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// When the bucket does not answer, or refuses.
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, ObjectsError> {
        match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(found) => {
                let bytes = found.body.collect().await;
                Ok(Some(bytes.map_err(|_| ObjectsError::Unavailable("body cut off".to_owned()))?.to_vec()))
            }
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(classify_sdk(&error)),
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
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(found) => Ok(Some(found.content_length.unwrap_or_default())),
            Err(error)
                if error
                    .raw_response()
                    .is_some_and(|answer| [403, 404].contains(&answer.status().as_u16())) =>
            {
                Ok(None)
            }
            Err(error) => Err(classify_sdk(&error)),
        }
    }

    /// What S3 says of an object without its bytes.
    pub(crate) async fn head(
        &self,
        key: &str,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Option<Answer>, ObjectsError> {
        let path = &self.path(key);
        match self.s3.call(Request { method: "HEAD", path, headers, body: Body::empty() }).await {
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
        self.s3.origin()
    }

    /// Where an object is below [`S3Objects::origin`].
    pub(crate) fn path(&self, key: &str) -> String {
        format!("{}{}", self.root, percent_encoded_path(key))
    }
}

/// An object's size, also when only its head was asked for.
pub(crate) fn size_of(found: &Answer) -> i64 {
    let told = found.header("content-length").and_then(|length| length.parse().ok());
    told.or_else(|| i64::try_from(found.body.len()).ok()).unwrap_or_default()
}

/// Why S3 refuses. <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn code(refusal: &Answer) -> String {
    between(&String::from_utf8_lossy(&refusal.body), "Code").unwrap_or("no code").to_owned()
}

/// One entry of a listing. Keys with other characters than these are left out: no template can be named so.
fn listed(object: &Object) -> Option<ListedObject> {
    let key = object.key()?;
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c));
    plain.then_some(ListedObject {
        key: key.to_owned(),
        version: object.e_tag()?.to_owned(),
        size: object.size()?,
    })
}

/// What is between a tag and its end.
fn between<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once(&format!("</{tag}>"))?.0)
}

/// Whether an answer is worth waiting for.
pub(crate) fn classify(error: &SdkError<Answer, HttpResponse>) -> ObjectsError {
    classify_by(error, code)
}

fn classify_sdk<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> ObjectsError {
    classify_by(error, |refusal| refusal.code().unwrap_or("no code").to_owned())
}

fn classify_by<E>(error: &SdkError<E, HttpResponse>, code: impl FnOnce(&E) -> String) -> ObjectsError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not a service's answer may be one next time")]
    match error {
        SdkError::ServiceError(answer) => {
            let code = code(answer.err());
            match (answer.raw().status().as_u16(), code.as_str()) {
                (408 | 429 | 500.., _) | (_, "RequestTimeout" | "SlowDown") => {
                    ObjectsError::Unavailable(code)
                }
                _ => ObjectsError::Refused(code),
            }
        }
        SdkError::ConstructionFailure(_) => ObjectsError::Refused("request not built".to_owned()),
        SdkError::TimeoutError(_) => ObjectsError::Unavailable("timeout".to_owned()),
        _ => ObjectsError::Unavailable("no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests;
