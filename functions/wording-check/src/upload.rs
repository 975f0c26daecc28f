//! What S3 says through EventBridge: an object was put into the bucket, or taken out of it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Deserialize;

/// A change of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upload {
    pub(crate) event_id: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) change: Change,
    /// In Unix seconds, which is how exactly S3 says it.
    pub(crate) at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The object is there, with this entity tag.
    Placed { etag: String },
    /// The object is gone.
    Removed,
    /// A version that had been replaced long ago was deleted for good. The templates are what they were.
    OldVersionRemoved,
}

#[derive(Deserialize)]
struct Envelope {
    id: String,
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    time: String,
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
    #[serde(rename = "deletion-type")]
    deletion_type: Option<String>,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    #[serde(default)]
    etag: String,
}

impl Upload {
    /// Reads an event in EventBridge's envelope.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without quoting it.
    pub(crate) fn from_json(body: &[u8]) -> Result<Self, String> {
        let envelope: Envelope = serde_json::from_slice(body)
            .map_err(|error| format!("no event of S3: {:?} in line {}", error.classify(), error.line()))?;
        if envelope.source != "aws.s3" {
            return Err("an event of another service than S3".to_owned());
        }
        let at = DateTime::from_str(&envelope.time, Format::DateTime).map_err(|_| "its time is none")?;
        let Detail { bucket, object, deletion_type } = envelope.detail;
        let change = match (envelope.detail_type.as_str(), deletion_type.as_deref()) {
            ("Object Created", _) => Change::Placed { etag: object.etag },
            ("Object Deleted", Some("Permanently Deleted")) => Change::OldVersionRemoved,
            ("Object Deleted", _) => Change::Removed,
            _ => return Err("an event of S3 that is no upload and no deletion".to_owned()),
        };
        Ok(Self { event_id: envelope.id, bucket: bucket.name, key: object.key, change, at: at.secs() })
    }

    /// What happened, as S3 names it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.change {
            Change::Placed { .. } => "Object Created",
            Change::Removed | Change::OldVersionRemoved => "Object Deleted",
        }
    }

    /// The folder that the object lies in, which is the template's name; `None` for an object that lies in none.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.key.split_once('/').map(|(folder, _)| folder)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// An event as S3 writes it. `at` is in Unix seconds.
    pub(crate) fn event(bucket: &str, key: &str, etag: &str, at: i64) -> Value {
        let time = DateTime::from_secs(at).fmt(Format::DateTime).unwrap();
        json!({
            "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
            "source": "aws.s3", "account": "111122223333", "time": time, "region": "eu-west-1",
            "resources": [format!("arn:aws:s3:::{bucket}")],
            "detail": {
                "version": "0", "bucket": { "name": bucket },
                "object": {
                    "key": key, "size": 5, "etag": etag, "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                    "sequencer": "617f08299329d189"
                },
                "request-id": "N4N7GDK58NMKJ12R", "requester": "123456789012", "source-ip-address": "1.2.3.4",
                "reason": "PutObject"
            }
        })
    }

    pub(crate) fn deletion(bucket: &str, key: &str, at: i64) -> Value {
        let mut event = event(bucket, key, "d41d8cd98f00b204e9800998ecf8427e", at);
        event["detail-type"] = json!("Object Deleted");
        event["detail"]["reason"] = json!("DeleteObject");
        event["detail"]["deletion-type"] = json!("Delete Marker Created");
        event
    }

    fn read(event: &Value) -> Result<Upload, String> {
        Upload::from_json(event.to_string().as_bytes())
    }

    #[test]
    fn reads_what_s3_says() {
        let expected = Upload {
            event_id: "17793124-05d4-b198-2fde-7ededc63b103".to_owned(),
            bucket: "templates".to_owned(),
            key: "gala dinner/en.html".to_owned(),
            change: Change::Placed { etag: "b1946ac9".to_owned() },
            at: 1_795_000_000,
        };
        let event = event("templates", "gala dinner/en.html", "b1946ac9", 1_795_000_000);
        assert_eq!(read(&event), Ok(expected));
        let mut deletion = deletion("templates", "gala/en.html", 1);
        assert_eq!(read(&deletion).map(|upload| upload.change), Ok(Change::Removed));
        // What the bucket's lifecycle deletes after ninety days, or an engineer with a version's id.
        deletion["detail"]["deletion-type"] = json!("Permanently Deleted");
        assert_eq!(read(&deletion).map(|upload| upload.change), Ok(Change::OldVersionRemoved));
    }

    #[test]
    fn a_folder_is_what_stands_before_the_first_slash() {
        for (key, folder) in [
            ("gala/en.html", Some("gala")),
            ("gala/pictures/tree.png", Some("gala")),
            ("gala/", Some("gala")),
            ("/en.html", Some("")),
            ("en.html", None),
        ] {
            assert_eq!(read(&event("b", key, "e", 1)).unwrap().folder(), folder, "{key}");
        }
    }

    #[test]
    fn what_is_no_change_of_a_bucket_is_refused_without_a_quotation() {
        let mut other = event("b", "secret@example.org", "e", 1);
        other["source"] = json!("com.example");
        let mut tagged = event("b", "secret@example.org", "e", 1);
        tagged["detail-type"] = json!("Object Tags Added");
        let mut untimed = event("b", "secret@example.org", "e", 1);
        untimed["time"] = json!("secret@example.org");
        let mut keyless = event("b", "k", "e", 1);
        keyless["detail"]["object"] = json!("secret@example.org");
        for event in [other, tagged, untimed, keyless, json!("secret@example.org"), json!(null)] {
            let refused = read(&event).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
