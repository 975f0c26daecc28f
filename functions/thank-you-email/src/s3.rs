use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_runtime_api::http::Response;
use aws_types::SdkConfig;

use crate::overrides::{ListedFile, TemplateFiles, TemplatesError};

/// Template files in an S3 bucket, their paths being the keys.
pub(crate) struct S3TemplateFiles {
    client: Client,
    bucket: String,
}

impl S3TemplateFiles {
    pub(crate) fn new(sdk: &SdkConfig, bucket: impl Into<String>) -> Self {
        // Short, because the customer's mail waits, and what is left of the function's time belongs to SES.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_millis(1500))
            .operation_timeout(Duration::from_secs(3))
            .build();
        let s3 = aws_sdk_s3::config::Builder::from(sdk)
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts)
            .build();
        Self { client: Client::from_conf(s3), bucket: bucket.into() }
    }
}

impl TemplateFiles for S3TemplateFiles {
    async fn list(&self) -> Result<Vec<ListedFile>, TemplatesError> {
        let mut files = Vec::new();
        let mut next = None;
        loop {
            let page = self.client.list_objects_v2().bucket(&self.bucket).set_continuation_token(next);
            let page = page.send().await.map_err(|error| classify(&error))?;
            files.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| {
                let (path, version) = (object.key?, object.e_tag.unwrap_or_default());
                Some(ListedFile { path, version, size: object.size.unwrap_or_default() })
            }));
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(files);
            }
        }
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TemplatesError> {
        let object = match self.client.get_object().bucket(&self.bucket).key(path).send().await {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => {
                return Ok(None);
            }
            Err(error) => return Err(classify(&error)),
        };
        let body = object.body.collect().await;
        let body = body.map_err(|_| TemplatesError::Unavailable("connection lost".to_owned()))?;
        Ok(Some(body.to_vec()))
    }
}

/// Whether an answer is worth waiting for.
fn classify<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> TemplatesError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not a service's answer may be one next time")]
    match error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or("no code").to_owned();
            match (answer.raw().status().as_u16(), code.as_str()) {
                (408 | 429 | 500.., _) | (_, "RequestTimeout" | "SlowDown") => {
                    TemplatesError::Unavailable(code)
                }
                _ => TemplatesError::Refused(code),
            }
        }
        SdkError::ConstructionFailure(_) => TemplatesError::Refused("request not built".to_owned()),
        SdkError::TimeoutError(_) => TemplatesError::Unavailable("timeout".to_owned()),
        _ => TemplatesError::Unavailable("no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests;
