//! What goes over the wire to S3, and what each answer means.

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_types::body::SdkBody;
use testkit::aws::{Endpoint, Reply};
use testkit::clock::ManualClock;
use testkit::cloud::{self, Cloud};
use testkit::silence::{SilentAws, Waited};

use crate::{Sha256Sum, StoredObject};

use super::*;

fn files(s3: &Endpoint) -> S3Objects {
    files_with(&s3.sdk_config().into_builder().sleep_impl(SharedAsyncSleep::new(NoPause)).build())
}

fn files_with(sdk: &SdkConfig) -> S3Objects {
    S3Objects::new(sdk, "templates").unwrap()
}

/// Time in which the pauses between attempts pass at once, and timeouts never.
#[derive(Debug)]
struct NoPause;

impl AsyncSleep for NoPause {
    fn sleep(&self, duration: Duration) -> Sleep {
        if duration < Duration::from_secs(1) {
            Sleep::new(std::future::ready(()))
        } else {
            Sleep::new(std::future::pending())
        }
    }
}

fn page(contents: &str, next: Option<&str>) -> Reply {
    let next = next.map(|token| {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    });
    let xml = format!(
        r#"<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>templates</Name>{contents}{}</ListBucketResult>"#,
        next.unwrap_or_default()
    );
    Reply::Answer(200, xml)
}

fn object(key: &str, size: i64) -> String {
    format!("<Contents><Key>{key}</Key><ETag>&quot;{size:x}&quot;</ETag><Size>{size}</Size></Contents>")
}

fn error(status: u16, code: &str) -> Reply {
    Reply::Answer(status, format!("<Error><Code>{code}</Code><Message>about it</Message></Error>"))
}

#[tokio::test]
async fn lists_every_page() {
    let first = page(&(object("gala/en.html", 12) + &object("gala/en.txt", 3)), Some("1/+more="));
    let s3 = Endpoint::start([first, page(&object("layout/en.html", 9), None)]);
    let listed = files(&s3).list().await.unwrap();
    let file = |key: &str, version: &str, size| ListedObject {
        key: key.to_owned(),
        version: version.to_owned(),
        size,
    };
    assert_eq!(
        listed,
        [
            file("gala/en.html", "\"c\"", 12),
            file("gala/en.txt", "\"3\"", 3),
            file("layout/en.html", "\"9\"", 9)
        ]
    );
    assert_eq!(
        s3.lines(),
        ["GET /templates/?list-type=2", "GET /templates/?list-type=2&continuation-token=1%2F%2Bmore%3D"]
    );
}

#[tokio::test]
async fn a_path_that_no_template_can_name_is_passed_over() {
    let odd = ["Gala &amp; Dinner/en.html", "gala/gr\u{fc}\u{df}e.txt", "gala/en copy.html"]
        .map(|key| object(key, 1));
    let s3 = Endpoint::start([page(&(odd.concat() + &object("gala/en.html", 2)), None)]);
    let listed = files(&s3).list().await.unwrap();
    assert_eq!(listed.iter().map(|file| &*file.key).collect::<Vec<_>>(), ["gala/en.html"]);
}

#[tokio::test]
async fn an_empty_bucket_has_no_files() {
    let s3 = Endpoint::start([page("", None)]);
    assert_eq!(files(&s3).list().await, Ok(vec![]));
}

#[tokio::test]
async fn reads_a_file_by_its_path() {
    let s3 = Endpoint::start([Reply::Answer(200, "Grüße".to_owned())]);
    assert_eq!(files(&s3).read("gala/de.txt").await, Ok(Some("Grüße".into())));
    assert_eq!(s3.lines(), ["GET /templates/gala/de.txt?x-id=GetObject"]);
}

#[tokio::test]
async fn a_missing_file_is_no_error() {
    let s3 = Endpoint::start([error(404, "NoSuchKey")]);
    assert_eq!(files(&s3).read("gala/de.txt").await, Ok(None));
}

#[tokio::test]
async fn waits_for_what_passes_and_only_for_that() {
    let unavailable = |code: &str| ObjectsError::Unavailable(code.to_owned());
    let refused = |code: &str| ObjectsError::Refused(code.to_owned());
    for (reply, expected) in [
        (error(503, "SlowDown"), unavailable("SlowDown")),
        (error(500, "InternalError"), unavailable("InternalError")),
        (error(400, "RequestTimeout"), unavailable("RequestTimeout")),
        (Reply::Close, unavailable("no answer")),
        (error(403, "AccessDenied"), refused("AccessDenied")),
        (error(404, "NoSuchBucket"), refused("NoSuchBucket")),
    ] {
        let shown = format!("{reply:?}");
        let s3 = Endpoint::start(std::iter::repeat_n(reply, 10));
        assert_eq!(files(&s3).list().await, Err(expected.clone()), "{shown}");
        assert_eq!(files(&s3).read("gala/de.txt").await, Err(expected), "{shown}");
    }
    let nobody = files(&Endpoint::unreachable()).list().await;
    assert_eq!(nobody, Err(unavailable("no answer")));
}

#[tokio::test]
async fn silence_ends_after_three_seconds_and_may_end_later() {
    let s3 = SilentAws::start();
    let files = files_with(&s3.sdk_config());
    let (listed, waited) = s3.wait(Duration::from_secs(1), files.list()).await;
    assert_eq!(listed, Err(ObjectsError::Unavailable("timeout".to_owned())));
    // The second attempt ends early: the pause before it was some of its time.
    assert_eq!(waited, Waited { elapsed: Duration::from_secs(3), requests: 2 });
}

#[tokio::test]
async fn tells_the_size_of_what_is_there_and_of_nothing_else() {
    let unavailable = |code: &str| Err(ObjectsError::Unavailable(code.to_owned()));
    for (reply, expected) in [
        (Reply::Answer(200, "12345678".to_owned()), Ok(Some(8))),
        (error(404, "NoSuchKey"), Ok(None)),
        (error(403, "AccessDenied"), Ok(None)),
        (error(503, "SlowDown"), unavailable("no code")),
        (Reply::Close, unavailable("no answer")),
    ] {
        let shown = format!("{reply:?}");
        let s3 = Endpoint::start(std::iter::repeat_n(reply, 5));
        assert_eq!(files(&s3).size("files/Führer 1.pdf").await, expected, "{shown}");
        assert_eq!(s3.lines()[0], "HEAD /templates/files/F%C3%BChrer%201.pdf");
    }
}

#[tokio::test]
async fn a_bucket_of_many_pages_is_listed_to_its_end() {
    let cloud = Cloud::new();
    for n in 0..2001 {
        cloud.put_object("templates", &format!("t{n:04}/en.txt"), b"Hello");
    }
    let files = files_with(&cloud::sdk_config(&cloud, ManualClock::default()));
    let listed = files.list().await.unwrap();
    assert_eq!((listed.len(), listed[2000].key.as_str(), listed[0].size), (2001, "t2000/en.txt", 5));
    assert_eq!(files.read("t2000/en.txt").await.unwrap(), Some(b"Hello".to_vec()));
    assert_eq!(files.read("none/en.txt").await.unwrap(), None);
}

#[tokio::test]
async fn puts_what_it_can_tell_from_something_else_of_the_same_size() {
    let cloud = Cloud::new();
    cloud.put_object("templates", "by/hand.pdf", b"1234");
    let files = files_with(&cloud::sdk_config(&cloud, ManualClock::default()));
    let stored = |size, sha256| Some(StoredObject { size, sha256 });
    assert_eq!(files.stored("nothing").await, Ok(None));
    assert_eq!(files.stored("by/hand.pdf").await, Ok(stored(4, None)));
    // The SHA-256 of "abc", from FIPS 180-4's examples.
    let sum = hex::decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
    let sum = Sha256Sum(sum.try_into().unwrap());
    for key in ["by/hand.pdf", "Führer 100%.pdf"] {
        files.put(key, SdkBody::from("abc"), 3, sum).await.unwrap();
        assert_eq!(files.stored(key).await, Ok(stored(3, Some(sum))));
        assert_eq!(files.read(key).await, Ok(Some(b"abc".to_vec())));
    }
    let refusal = files.put("other.pdf", SdkBody::from("abd"), 3, sum).await.unwrap_err();
    assert_eq!(refusal, ObjectsError::Refused("BadDigest".to_owned()));
    assert_eq!(files.stored("other.pdf").await, Ok(None));
}
