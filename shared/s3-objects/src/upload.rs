use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use signed_requests::{Body, Request};

use crate::objects::{classify, size_of};
use crate::{ObjectsError, S3Objects};

/// The most bytes that one PUT may carry: 5 GiB.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>
pub const LARGEST_UPLOAD: u64 = 5 * 1024 * 1024 * 1024;

/// The SHA-256 of an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256Sum(pub [u8; 32]);

/// What is known of an object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredObject {
    /// In bytes.
    pub size: i64,
    /// `None` when whoever uploaded it told S3 no SHA-256.
    pub sha256: Option<Sha256Sum>,
}

impl S3Objects {
    /// What an object is, without its bytes; `None` when it is not there, or may not be read
    /// ([`S3Objects::size`] says why).
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
    ///
    /// # Errors
    ///
    /// When the bucket does not answer.
    pub async fn stored(&self, key: &str) -> Result<Option<StoredObject>, ObjectsError> {
        let with_checksum = vec![("x-amz-checksum-mode", "ENABLED".to_owned())];
        let found = self.head(key, with_checksum).await?;
        Ok(found.map(|found| StoredObject {
            size: size_of(&found),
            sha256: found.header("x-amz-checksum-sha256").and_then(Sha256Sum::from_base64),
        }))
    }

    /// Puts an object there, in place of what was there, by one request. S3 refuses bytes that have another SHA-256 and
    /// keeps it with the object.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
    ///
    /// # Errors
    ///
    /// When the bucket does not answer, or refuses.
    pub async fn put(
        &self,
        key: &str,
        body: SdkBody,
        size: u64,
        sha256: Sha256Sum,
    ) -> Result<(), ObjectsError> {
        let headers = vec![
            // A stream does not say it by itself, and S3 takes none without.
            ("content-length", size.to_string()),
            ("x-amz-checksum-sha256", BASE64_STANDARD.encode(sha256.0)),
        ];
        let body = Body::Stream { bytes: body, sha256: hex::encode(sha256.0) };
        let put = self.s3.call(Request { method: "PUT", path: &self.path(key), headers, body }).await;
        put.map(|_| ()).map_err(|error| classify(&error))
    }
}

impl Sha256Sum {
    fn from_base64(text: &str) -> Option<Self> {
        // A checksum of parts, `…-3`, is none of the whole.
        BASE64_STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}
