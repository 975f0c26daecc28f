//! S3: buckets that are read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Bound;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Response;

/// Objects by bucket and key.
#[derive(Debug, Default)]
pub(super) struct S3 {
    pub(super) buckets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
const PAGE: usize = 1000;

/// The operation behind a request: its name, the bucket, and the key or the query.
pub(super) fn operation<'u>(method: &str, uri: &'u str) -> (&'static str, &'u str, &'u str) {
    let path =
        uri.split_once("://").map_or(uri, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let path = path.trim_start_matches('/');
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    match (method, key) {
        ("GET", "") if query.split('&').any(|part| part == "list-type=2") => ("ListObjectsV2", bucket, query),
        ("GET", key) if !key.is_empty() && query.is_empty() => ("GetObject", bucket, key),
        _ => panic!("the cloud in memory does not know S3's {method} {uri}"),
    }
}

impl S3 {
    pub(super) fn answer(&self, (operation, bucket, rest): (&str, &str, &str)) -> Response {
        let Some(objects) = self.buckets.get(bucket) else {
            return refused(404, "NoSuchBucket", "The specified bucket does not exist");
        };
        if operation == "ListObjectsV2" { list(objects, rest) } else { get(objects, &decoded(rest)) }
    }
}

fn get(objects: &BTreeMap<String, Vec<u8>>, key: &str) -> Response {
    match objects.get(key) {
        Some(body) => Response {
            status: 200,
            headers: vec![("etag", format!("\"{}\"", etag(body)))],
            body: body.clone(),
        },
        None => refused(404, "NoSuchKey", "The specified key does not exist."),
    }
}

fn list(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Response {
    let (mut prefix, mut after) = (String::new(), None);
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("list-type", "2")) => {}
            Some(("prefix", value)) => prefix = decoded(value),
            Some(("continuation-token", value)) => {
                let key =
                    BASE64_STANDARD.decode(decoded(value)).ok().and_then(|key| String::from_utf8(key).ok());
                let Some(key) = key else {
                    return refused(400, "InvalidArgument", "The continuation token provided is incorrect");
                };
                after = Some(key);
            }
            _ => panic!("the cloud in memory does not know {part} of S3's ListObjectsV2"),
        }
    }
    let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let rest = objects.range::<str, _>((from, Bound::Unbounded));
    let mut rest = rest.filter(|(key, _)| key.starts_with(&prefix)).peekable();
    let mut entries = String::new();
    let mut last = "";
    for (key, body) in rest.by_ref().take(PAGE) {
        last = key;
        // Writing to a string cannot fail.
        let _infallible = write!(
            entries,
            "<Contents><Key>{}</Key><LastModified>2026-11-18T11:06:40.000Z</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            escaped(key),
            etag(body),
            body.len()
        );
    }
    let truncated = rest.peek().is_some();
    let next = if truncated {
        format!("<NextContinuationToken>{}</NextContinuationToken>", BASE64_STANDARD.encode(last))
    } else {
        String::new()
    };
    xml(
        200,
        &format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{truncated}</IsTruncated>{entries}{next}<MaxKeys>{PAGE}</MaxKeys></ListBucketResult>"
        ),
    )
}

/// Changes with the content, which is all that is promised of it.
fn etag(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    format!("{:032x}", hasher.finish())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What S3 answers when it throttles.
pub(super) fn throttled() -> Response {
    refused(503, "SlowDown", "Please reduce your request rate.")
}

fn refused(status: u16, code: &str, message: &str) -> Response {
    xml(status, &format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
}

fn xml(status: u16, body: &str) -> Response {
    Response {
        status,
        headers: vec![("content-type", "application/xml".to_owned())],
        body: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}").into_bytes(),
    }
}
