use std::time::{Duration, SystemTime};

use aws::with_little_time;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_types::SdkConfig;
use futures_util::FutureExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The bucket of sold files.
#[derive(Debug)]
pub struct FilesBucket {
    client: Client,
    name: String,
    /// What decides under which address S3 has the bucket.
    place: Params,
}

/// The bucket does not answer. Worth another try.
#[derive(Debug, thiserror::Error)]
#[error("the bucket does not say whether a file is there")]
pub struct BucketError(#[from] Box<SdkError<HeadObjectError>>);

impl FilesBucket {
    /// The bucket of that name.
    ///
    /// # Errors
    ///
    /// When no bucket can have the name.
    pub(crate) fn new(sdk: &SdkConfig, name: &str) -> Result<Self, BoxError> {
        let place = Params::builder()
            .bucket(name)
            .set_region(sdk.region().map(ToString::to_string))
            .set_endpoint(sdk.endpoint_url().map(str::to_owned));
        // A customer waits for the page or the mail, and the rest of the function's time has other uses.
        let client = Client::new(&with_little_time(sdk));
        Ok(Self { client, name: name.to_owned(), place: place.build()? })
    }

    /// How large a file is, in bytes; `None` when it is not there, or may not be read.
    ///
    /// The two cannot be distinguished: without the right to list the bucket, S3 denies a missing key.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
    pub(crate) async fn size(&self, key: &str) -> Result<Option<i64>, BucketError> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(found) => Ok(Some(found.content_length.unwrap_or_default())),
            Err(error) => match error.raw_response().map(|answer| answer.status().as_u16()) {
                Some(403 | 404) => Ok(None),
                _ => Err(Box::new(error).into()),
            },
        }
    }

    /// An address at which anybody who has it can fetch one file by GET, for `lifetime` from `now` (Unix seconds), as a
    /// file of that name. Made without a call.
    ///
    /// It dies with the credentials it was made with, whatever `lifetime` says. S3 looks at the time when a request
    /// begins: a transfer under way goes on.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html>
    ///
    /// # Errors
    ///
    /// When there are no credentials.
    pub async fn address(
        &self,
        key: &str,
        file_name: &str,
        now: i64,
        lifetime: Duration,
    ) -> Result<String, BoxError> {
        let now = Duration::from_secs(u64::try_from(now)?);
        let valid = PresigningConfig::builder()
            .start_time(SystemTime::UNIX_EPOCH + now)
            .expires_in(lifetime)
            .build()?;
        let get = self.client.get_object().bucket(&self.name).key(key);
        let get = get.response_content_disposition(attachment(file_name)).presigned(valid).await?;
        Ok(get.uri().to_owned())
    }

    /// Where all these addresses lead: `https://<bucket>.s3.<region>.amazonaws.com`.
    ///
    /// # Errors
    ///
    /// When S3 has no address for the bucket.
    pub fn origin(&self) -> Result<String, BoxError> {
        let resolver = DefaultResolver::new();
        let endpoint = ResolveEndpoint::resolve_endpoint(&resolver, &self.place).now_or_never();
        let endpoint = endpoint.ok_or("S3's rules on addresses wait for something")??;
        let (scheme, rest) = endpoint.url().split_once("://").ok_or("an address without a scheme")?;
        // Where the bucket is not in the host's name, it is in the path.
        let host = rest.split_once('/').map_or(rest, |(host, _)| host);
        Ok(format!("{scheme}://{host}"))
    }
}

/// A Content-Disposition that gives a file its name: plain for old programs, and whole for all others.
///
/// <https://www.rfc-editor.org/rfc/rfc6266#section-5>
fn attachment(file_name: &str) -> String {
    /// All but what RFC 3986 calls unreserved, which is less than RFC 8187 lets through.
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' };
    let ascii: String = file_name.chars().map(plain).collect();
    let whole = utf8_percent_encode(file_name, &RESERVED);
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests;
