use aws::with_little_time;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::Object;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::SdkConfig;

use crate::overrides::{FilesError, ListedFile, TemplateFiles};

/// The bucket that marketers put their own templates into.
#[derive(Debug)]
pub(crate) struct S3TemplateFiles {
    client: Client,
    bucket: String,
}

impl S3TemplateFiles {
    /// A mail waits for the bucket, and the rest of the function's time has other uses.
    pub(crate) fn new(sdk: &SdkConfig, bucket: &str) -> Self {
        Self { client: Client::new(&with_little_time(sdk)), bucket: bucket.to_owned() }
    }
}

impl TemplateFiles for S3TemplateFiles {
    async fn list(&self) -> Result<Vec<ListedFile>, FilesError> {
        let mut files = Vec::new();
        let mut token = None;
        loop {
            let page = self.client.list_objects_v2().bucket(&self.bucket).set_continuation_token(token);
            let page = page.send().await.map_err(|error| classify(&error))?;
            files.extend(page.contents().iter().filter_map(listed));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(files);
            }
        }
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
        match self.client.get_object().bucket(&self.bucket).key(path).send().await {
            Ok(found) => {
                let bytes = found.body.collect().await;
                Ok(Some(bytes.map_err(|_| FilesError::Unavailable("body cut off".to_owned()))?.to_vec()))
            }
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(classify(&error)),
        }
    }
}

/// One entry of a listing. Keys with other characters than these are left out: no template can be named so.
fn listed(object: &Object) -> Option<ListedFile> {
    let path = object.key()?;
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c));
    plain.then_some(ListedFile {
        path: path.to_owned(),
        version: object.e_tag()?.to_owned(),
        size: object.size()?,
    })
}

/// Whether an answer is worth waiting for.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn classify<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> FilesError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not a service's answer may be one next time")]
    match error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or("no code").to_owned();
            match (answer.raw().status().as_u16(), code.as_str()) {
                (408 | 429 | 500.., _) | (_, "RequestTimeout" | "SlowDown") => FilesError::Unavailable(code),
                _ => FilesError::Refused(code),
            }
        }
        SdkError::ConstructionFailure(_) => FilesError::Refused("request not built".to_owned()),
        SdkError::TimeoutError(_) => FilesError::Unavailable("timeout".to_owned()),
        _ => FilesError::Unavailable("no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests;
