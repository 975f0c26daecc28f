//! What goes over the wire to S3, and what each answer means.

use testkit::aws::{Endpoint, Reply};

use super::*;

fn files(s3: &Endpoint) -> S3TemplateFiles {
    S3TemplateFiles::new(&s3.sdk_config(), "templates")
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
    let first = page(&(object("gala/en.html", 12) + &object("gala/en.txt", 3)), Some("more"));
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
        ["GET /templates/?list-type=2", "GET /templates/?list-type=2&continuation-token=more"]
    );
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
    let unavailable = |code: &str| TemplatesError::Unavailable(code.to_owned());
    let refused = |code: &str| TemplatesError::Refused(code.to_owned());
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
