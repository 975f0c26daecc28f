//! S3: objects that are read, and put whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Bound;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::Response;

/// Objects by bucket and key.
#[derive(Debug, Default)]
pub(super) struct S3 {
    pub(super) buckets: BTreeMap<String, Objects>,
}

type Objects = BTreeMap<String, Object>;

#[derive(Debug)]
pub(super) struct Object {
    pub(super) body: Vec<u8>,
    /// The SHA-256 that came with it, in base64.
    pub(super) sha256: Option<String>,
    /// When it was put there, in Unix milliseconds.
    pub(super) modified_ms: i64,
}

/// When an object was put there of which nothing else is said: 18 November 2026, 11:06:40 UTC.
pub(super) const MODIFIED_MS: i64 = 1_795_000_000_000;

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
const PAGE: usize = 1000;

/// The operation behind a request: its name, the bucket, and the key or the query.
pub(super) fn operation<'u>(method: &str, uri: &'u str) -> (&'static str, &'u str, &'u str) {
    let path =
        uri.split_once("://").map_or(uri, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let path = path.trim_start_matches('/');
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // The SDK names some of its operations in the query. S3 ignores that.
    let query =
        query.strip_prefix("x-id=").map_or(query, |named| named.split_once('&').map_or("", |(_, rest)| rest));
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    match (method, key) {
        ("GET", "") if query.split('&').any(|part| part == "list-type=2") => ("ListObjectsV2", bucket, query),
        ("GET", key) if !key.is_empty() && query.is_empty() => ("GetObject", bucket, key),
        ("PUT", key) if !key.is_empty() && query.is_empty() => ("PutObject", bucket, key),
        ("HEAD", key) if !key.is_empty() && query.is_empty() => ("HeadObject", bucket, key),
        _ => panic!("the cloud in memory does not know S3's {method} {uri}"),
    }
}

impl S3 {
    /// `sha256` is the checksum that came with the request.
    pub(super) fn answer(
        &mut self,
        (operation, bucket, rest): (&str, &str, &str),
        body: &[u8],
        sha256: Option<&str>,
    ) -> Response {
        let Some(objects) = self.buckets.get_mut(bucket) else {
            return refused(404, "NoSuchBucket", "The specified bucket does not exist");
        };
        match operation {
            "ListObjectsV2" => list(objects, rest),
            "HeadObject" => head(objects, &decoded(rest)),
            "PutObject" => put(objects, decoded(rest), body, sha256),
            _ => get(objects, &decoded(rest)),
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
fn put(objects: &mut Objects, key: String, body: &[u8], sha256: Option<&str>) -> Response {
    if sha256.is_some_and(|sum| sum != BASE64_STANDARD.encode(Sha256::digest(body))) {
        return refused(400, "BadDigest", "The SHA256 you specified did not match the calculated checksum.");
    }
    let sha256 = sha256.map(str::to_owned);
    objects.insert(key, Object { body: body.to_vec(), sha256, modified_ms: MODIFIED_MS });
    Response { status: 200, headers: vec![("etag", format!("\"{}\"", etag(body)))], body: Vec::new() }
}

fn get(objects: &Objects, key: &str) -> Response {
    match objects.get(key) {
        Some(Object { body, sha256, modified_ms: _ }) => {
            let mut headers = vec![("etag", format!("\"{}\"", etag(body)))];
            headers.extend(sha256.iter().map(|sum| ("x-amz-checksum-sha256", sum.clone())));
            Response { status: 200, headers, body: body.clone() }
        }
        None => refused(404, "NoSuchKey", "The specified key does not exist."),
    }
}

/// As [`get`], without a body: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
fn head(objects: &Objects, key: &str) -> Response {
    let mut response = get(objects, key);
    response.headers.push(("content-length", response.body.len().to_string()));
    response.body.clear();
    response
}

/// What a listing is asked for.
struct Listing {
    prefix: String,
    delimiter: Option<String>,
    most: usize,
    after: Option<String>,
}

impl Listing {
    fn of(query: &str) -> Result<Self, Response> {
        let mut listing = Self { prefix: String::new(), delimiter: None, most: PAGE, after: None };
        for part in query.split('&') {
            match part.split_once('=') {
                Some(("list-type", "2")) => {}
                Some(("prefix", value)) => listing.prefix = decoded(value),
                Some(("delimiter", value)) => listing.delimiter = Some(decoded(value)),
                Some(("max-keys", value)) => {
                    let invalid = || refused(400, "InvalidArgument", "Provided max-keys not an integer");
                    listing.most = value.parse::<usize>().map_err(|_| invalid())?.min(PAGE);
                }
                Some(("continuation-token", value)) => {
                    let key = BASE64_STANDARD.decode(decoded(value)).ok();
                    let key = key.and_then(|key| String::from_utf8(key).ok()).ok_or_else(|| {
                        refused(400, "InvalidArgument", "The continuation token provided is incorrect")
                    })?;
                    listing.after = Some(key);
                }
                _ => panic!("the cloud in memory does not know {part} of S3's ListObjectsV2"),
            }
        }
        Ok(listing)
    }

    /// The part of a key that stands for it and all that begin with it.
    fn common<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter.as_ref()?;
        let at = key.get(self.prefix.len()..)?.find(delimiter.as_str())?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }
}

fn list(objects: &Objects, query: &str) -> Response {
    let listing = match Listing::of(query) {
        Ok(listing) => listing,
        Err(refusal) => return refusal,
    };
    let from = listing.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let rest = objects.range::<str, _>((from, Bound::Unbounded));
    let mut rest = rest.filter(|(key, _)| key.starts_with(&listing.prefix)).peekable();
    let (mut entries, mut last, mut count, mut before) = (String::new(), "", 0, "");
    while let Some((key, object)) = rest.peek() {
        let common = listing.common(key);
        let is_more = common.is_none_or(|common| common != before);
        if is_more && count == listing.most {
            break;
        }
        last = key.as_str();
        // Writing to a string cannot fail.
        let _infallible = match common {
            Some(common) if is_more => {
                before = common;
                write!(entries, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(common))
            }
            Some(_) => Ok(()),
            None => write!(
                entries,
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                escaped(key),
                date_time(object.modified_ms),
                etag(&object.body),
                object.body.len()
            ),
        };
        count += usize::from(is_more);
        rest.next();
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
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{truncated}</IsTruncated>{entries}{next}<MaxKeys>{}</MaxKeys></ListBucketResult>",
            listing.most
        ),
    )
}

/// A time as S3 writes it: in whole seconds, with three zeros behind.
fn date_time(at_ms: i64) -> String {
    let at = aws_smithy_types::DateTime::from_secs(at_ms.div_euclid(1000));
    let text = at.fmt(aws_smithy_types::date_time::Format::DateTime).unwrap_or_default();
    text.replace('Z', ".000Z")
}

/// Changes with the content, which is all that is promised of it.
pub(super) fn etag(body: &[u8]) -> String {
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
