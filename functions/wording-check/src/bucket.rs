use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::Object;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::SdkConfig;

use crate::config::Config;

/// The bucket that marketers put their own templates into.
#[derive(Debug)]
pub(crate) struct TemplatesBucket {
    client: Client,
    pub(crate) name: String,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StoredFile {
    /// `gala/en.html`
    pub(crate) path: String,
    /// Another one when the content is another.
    pub(crate) etag: String,
    /// When it was put there, in Unix seconds, which is how exactly S3 lists it.
    pub(crate) modified: i64,
    /// In bytes.
    pub(crate) size: i64,
}

/// The files of a folder.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Listing {
    pub(crate) files: Vec<StoredFile>,
    /// Whether there are more, which were not asked for.
    pub(crate) is_cut_off: bool,
}

/// The bucket did not give what it was asked for. Codes only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the templates bucket does not answer ({0})")]
pub(crate) struct Unavailable(String);

impl TemplatesBucket {
    pub(crate) fn new(sdk: &SdkConfig, config: &Config) -> Self {
        Self { client: Client::new(sdk), name: config.templates_bucket.clone() }
    }

    /// The files whose paths begin like this: one page, the first thousand. A bucket that is full of other things costs
    /// no more than an empty one.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Listing, Unavailable> {
        let page = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let page = page.send().await.map_err(|error| unavailable(&error))?;
        Ok(Listing {
            files: page.contents().iter().filter_map(stored).collect(),
            is_cut_off: page.is_truncated().unwrap_or_default(),
        })
    }

    /// The names of the folders, the first thousand.
    pub(crate) async fn folders(&self) -> Result<Vec<String>, Unavailable> {
        let page = self.client.list_objects_v2().bucket(&self.name).delimiter("/");
        let page = page.send().await.map_err(|error| unavailable(&error))?;
        let prefixes = page.common_prefixes().iter().filter_map(|common| common.prefix());
        Ok(prefixes.map(|prefix| prefix.trim_end_matches('/').to_owned()).collect())
    }

    /// A file's bytes; `None` when it is gone.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        match self.client.get_object().bucket(&self.name).key(path).send().await {
            Ok(found) => {
                let bytes = found.body.collect().await;
                Ok(Some(bytes.map_err(|_| Unavailable("body cut off".to_owned()))?.to_vec()))
            }
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

fn stored(object: &Object) -> Option<StoredFile> {
    Some(StoredFile {
        path: object.key()?.to_owned(),
        // As EventBridge says it: without the quotation marks of HTTP.
        etag: object.e_tag()?.trim_matches('"').to_owned(),
        modified: object.last_modified()?.secs(),
        size: object.size()?,
    })
}

fn unavailable<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Unavailable {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("no answer");
    Unavailable(code.to_owned())
}
