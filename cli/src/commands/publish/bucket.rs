//! The bucket of sold files, as publishing needs it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use aws_types::SdkConfig;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The most bytes that one PUT may carry: 5 GiB.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>
pub(crate) const LARGEST_UPLOAD: u64 = 5 * 1024 * 1024 * 1024;

/// The files bucket of a stage.
pub(crate) struct FilesBucket {
    client: Client,
    name: String,
}

/// The SHA-256 of an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sha256Sum(pub(crate) [u8; 32]);

/// The facts of an object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredObject {
    /// In bytes.
    pub(crate) size: i64,
    /// `None` when it was uploaded without a SHA-256.
    pub(crate) sha256: Option<Sha256Sum>,
}

impl FilesBucket {
    pub(crate) fn new(sdk: &SdkConfig, name: &str) -> Self {
        // However long an upload takes, an operator watches it.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .disable_operation_attempt_timeout()
            .disable_operation_timeout()
            .build();
        let client = Client::from_conf(Builder::from(sdk).timeout_config(timeouts).build());
        Self { client, name: name.to_owned() }
    }

    /// What an object is, without its bytes; `None` when it is not there, or may not be read: without the right to list
    /// the bucket, S3 denies a missing key.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
    pub(crate) async fn stored(&self, key: &str) -> Result<Option<StoredObject>> {
        let head = self.client.head_object().bucket(&self.name).key(key).checksum_mode(ChecksumMode::Enabled);
        match head.send().await {
            Ok(found) => Ok(Some(StoredObject {
                size: found.content_length.unwrap_or_default(),
                sha256: found.checksum_sha256().and_then(Sha256Sum::from_base64),
            })),
            Err(error) => match error.raw_response().map(|answer| answer.status().as_u16()) {
                Some(403 | 404) => Ok(None),
                _ => Err(error).with_context(|| format!("the bucket does not say what {key} is")),
            },
        }
    }

    /// Puts an object there, in place of the one before, by one request. S3 refuses bytes that have another SHA-256 and
    /// keeps it with the object.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
    pub(crate) async fn put(&self, key: &str, body: ByteStream, sha256: Sha256Sum) -> Result<()> {
        let put = self.client.put_object().bucket(&self.name).key(key);
        let put = put.checksum_sha256(BASE64_STANDARD.encode(sha256.0)).body(body).send().await;
        put.map(drop).with_context(|| format!("the bucket does not take {key}"))
    }
}

impl Sha256Sum {
    fn from_base64(text: &str) -> Option<Self> {
        // A checksum of parts, `…-3`, is none of the whole.
        BASE64_STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use aws_in_memory::{Cloud, sdk_config};
    use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
    use aws_sdk_s3::operation::put_object::PutObjectError;
    use testkit::aws::{Endpoint, Reply};
    use testkit::clock::ManualClock;

    use super::*;

    #[tokio::test]
    async fn replaces_an_object_of_the_same_size_by_its_hash() {
        let cloud = Cloud::new();
        cloud.put_object("goods", "by/hand.pdf", b"1234");
        let bucket = FilesBucket::new(&sdk_config(&cloud, ManualClock::default()), "goods");
        let stored = async |key| bucket.stored(key).await.unwrap();
        assert_eq!(stored("nothing").await, None);
        assert_eq!(stored("by/hand.pdf").await, Some(StoredObject { size: 4, sha256: None }));
        // The SHA-256 of "abc", from FIPS 180-4's examples.
        let sum = hex::decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
        let sum = Sha256Sum(sum.try_into().unwrap());
        for key in ["by/hand.pdf", "Führer 100%.pdf"] {
            bucket.put(key, ByteStream::from_static(b"abc"), sum).await.unwrap();
            assert_eq!(stored(key).await, Some(StoredObject { size: 3, sha256: Some(sum) }));
            assert_eq!(cloud.object("goods", key).as_deref(), Some(&b"abc"[..]));
        }
        let refused = bucket.put("other.pdf", ByteStream::from_static(b"abd"), sum).await.unwrap_err();
        let refused = refused.downcast_ref::<SdkError<PutObjectError>>().unwrap();
        assert_eq!(refused.code(), Some("BadDigest"));
        assert_eq!(stored("other.pdf").await, None);
    }

    #[tokio::test]
    async fn a_bucket_that_does_not_answer_is_not_taken_for_an_empty_one() {
        for reply in [Reply::Answer(503, String::new()), Reply::Close] {
            let s3 = Endpoint::start(std::iter::repeat_n(reply, 5));
            let bucket = FilesBucket::new(&s3.sdk_config_without_pauses(), "goods");
            assert!(bucket.stored("files/a.pdf").await.is_err());
            assert_eq!(s3.lines(), ["HEAD /goods/files/a.pdf"; 2]);
        }
    }
}
