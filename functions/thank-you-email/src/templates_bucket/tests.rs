//! What goes over the wire to S3, and what each answer means.

use std::time::Duration;

use aws_in_memory::Cloud;
use testkit::aws::{Endpoint, Reply};
use testkit::clock::ManualClock;
use testkit::silence::{SilentAws, Waited};

use super::*;

fn files(s3: &Endpoint) -> S3TemplateFiles {
    files_with(&s3.sdk_config_without_pauses())
}

fn files_with(sdk: &SdkConfig) -> S3TemplateFiles {
    S3TemplateFiles::new(sdk, "templates")
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
    let file = |path: &str, version: &str, size| ListedFile {
        path: path.to_owned(),
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
    assert_eq!(listed.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["gala/en.html"]);
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
    let unavailable = |code: &str| FilesError::Unavailable(code.to_owned());
    let refused = |code: &str| FilesError::Refused(code.to_owned());
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
    assert_eq!(listed, Err(FilesError::Unavailable("timeout".to_owned())));
    // The second attempt ends early: the pause before it was some of its time.
    assert_eq!(waited, Waited { elapsed: Duration::from_secs(3), requests: 2 });
}

#[tokio::test]
async fn a_bucket_of_many_pages_is_listed_to_its_end() {
    let cloud = Cloud::new();
    for n in 0..2001 {
        cloud.put_object("templates", &format!("t{n:04}/en.txt"), b"Hello");
    }
    let files = files_with(&aws_in_memory::sdk_config(&cloud, ManualClock::default()));
    let listed = files.list().await.unwrap();
    assert_eq!((listed.len(), listed[2000].path.as_str(), listed[0].size), (2001, "t2000/en.txt", 5));
    assert_eq!(files.read("t2000/en.txt").await.unwrap(), Some(b"Hello".to_vec()));
    assert_eq!(files.read("none/en.txt").await.unwrap(), None);
}
