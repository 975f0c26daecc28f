//! The one template that is uploaded.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_in_memory::Cloud;
use serde_json::json;

use crate::names::TEMPLATES_BUCKET;

/// Its files, the newest last.
const FILES: [(&str, &str); 3] = [
    ("uploaded/en.subject.txt", "Your {{ amount }}"),
    (
        "uploaded/en.html",
        "{% extends \"layout/en.html\" %}\n{% block heading %}Thank you{% endblock %}\n{% block message %}<p>Your {{ amount }} plant a tree.</p>{% endblock %}\n",
    ),
    (
        "uploaded/en.txt",
        "{% extends \"layout/en.txt\" %}\n{% block message %}\nYour {{ amount }} plant a tree.\n{% endblock %}\n",
    ),
];

/// The entity tag of the newest file, as the account computed it.
static ETAG: OnceLock<String> = OnceLock::new();

/// When the newest file was put there last, in Unix seconds.
static UPLOADED: AtomicI64 = AtomicI64::new(1_795_000_000);

/// Puts the files into the bucket.
pub(crate) fn prepare(cloud: &Cloud) {
    for (path, text) in FILES {
        cloud.put_object(TEMPLATES_BUCKET, path, text.as_bytes());
    }
    let [.., (newest, _)] = FILES;
    if let Some(etag) = cloud.etag(TEMPLATES_BUCKET, newest) {
        ETAG.get_or_init(|| etag);
    }
    upload_again(cloud);
}

/// Puts the newest file there again, because a state that was reported is not reported again.
pub(crate) fn upload_again(cloud: &Cloud) {
    let [.., (newest, text)] = FILES;
    let at = UPLOADED.fetch_add(1, Ordering::Relaxed) + 1;
    cloud.put_object_at(TEMPLATES_BUCKET, newest, text.as_bytes(), at * 1000);
}

/// What S3 says of the newest file.
pub(crate) fn upload() -> String {
    let [.., (newest, text)] = FILES;
    let etag = ETAG.get().map(String::as_str).unwrap_or_default();
    json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
        "source": "aws.s3", "account": "123456789012", "time": "2026-11-27T10:00:00Z", "region": "us-east-1",
        "resources": [format!("arn:aws:s3:::{TEMPLATES_BUCKET}")],
        "detail": {
            "version": "0", "bucket": { "name": TEMPLATES_BUCKET },
            "object": { "key": newest, "size": text.len(), "etag": etag, "sequencer": "0" },
            "request-id": "N4N7GDK58NMKJ12R", "requester": "123456789012", "source-ip-address": "192.0.2.1",
            "reason": "PutObject"
        }
    })
    .to_string()
}
