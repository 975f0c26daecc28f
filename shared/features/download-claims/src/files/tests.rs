use aws::{Environment, sdk_config};
use testkit::aws::{Endpoint, Reply};
use testkit::silence::{SilentAws, Waited};

use super::*;

fn on_aws(region: &str, bucket: &str) -> FilesBucket {
    let variables = |name: &str| match name {
        "AWS_REGION" => Some(region.to_owned()),
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
        "AWS_SESSION_TOKEN" => Some("to/ken+=".to_owned()),
        _ => None,
    };
    FilesBucket::new(&sdk_config(&mut Environment::new(variables)).unwrap(), bucket).unwrap()
}

/// The expected address is botocore's (1.43.11), from the same time, credentials, key and lifetime:
///
/// ```python
/// botocore.auth.get_current_datetime = lambda remove_tzinfo=True: datetime(2026, 11, 18, 11, 6, 40)
/// session.set_credentials("AKIDEXAMPLE", "secret", "to/ken+=")
/// s3 = session.create_client("s3", region_name="eu-west-1", config=Config(signature_version="s3v4"))
/// # Our SDK names the operation in the query, botocore does not; S3 ignores it, but it is signed.
/// name_it = lambda request, **_: setattr(request, "url", request.url + "&x-id=GetObject")
/// s3.meta.events.register("before-sign.s3.GetObject", name_it)
/// s3.generate_presigned_url("get_object", ExpiresIn=900, Params={"Bucket": "goods", "Key": …,
///     "ResponseContentDisposition": …})
/// ```
#[tokio::test]
async fn signs_addresses_as_other_clients_do() {
    let name = "Führer durch \"A & B\" 100%.mp3";
    let files = on_aws("eu-west-1", "goods");
    let address = files.address(&format!("files/audio/{name}"), name, NOW, Duration::from_mins(15)).await;
    let address = address.unwrap();
    let (place, query) = address.split_once('?').unwrap();
    assert_eq!(
        place,
        "https://goods.s3.eu-west-1.amazonaws.com/files/audio/F%C3%BChrer%20durch%20%22A%20%26%20B%22%20100%25.mp3"
    );
    let mut parts: Vec<_> = query.split('&').collect();
    parts.sort_unstable();
    assert_eq!(parts, EXPECTED);
}

/// 2026-11-18T11:06:40Z
const NOW: i64 = 1_795_000_000;

const EXPECTED: [&str; 9] = [
    "X-Amz-Algorithm=AWS4-HMAC-SHA256",
    "X-Amz-Credential=AKIDEXAMPLE%2F20261118%2Feu-west-1%2Fs3%2Faws4_request",
    "X-Amz-Date=20261118T110640Z",
    "X-Amz-Expires=900",
    "X-Amz-Security-Token=to%2Fken%2B%3D",
    "X-Amz-Signature=cc6d0881cdc3bb2bc44841a75468b1779a590e259f88194b9f8a77bd7db5b875",
    // No header that a browser would not send.
    "X-Amz-SignedHeaders=host",
    "response-content-disposition=attachment%3B%20filename%3D%22F_hrer%20durch%20_A%20%26%20B_%20100_.mp3%22%3B%20filename%2A%3DUTF-8%27%27F%25C3%25BChrer%2520durch%2520%2522A%2520%2526%2520B%2522%2520100%2525.mp3",
    "x-id=GetObject",
];

/// A page's form is let through to this origin only.
#[tokio::test]
async fn every_address_leads_to_the_origin() {
    let local = Endpoint::start([]);
    let local_origin = local.sdk_config().endpoint_url().unwrap().to_owned();
    for (files, origin) in [
        (on_aws("eu-west-1", "goods"), "https://goods.s3.eu-west-1.amazonaws.com"),
        (on_aws("us-east-1", "goods"), "https://goods.s3.us-east-1.amazonaws.com"),
        (on_aws("cn-north-1", "goods"), "https://goods.s3.cn-north-1.amazonaws.com.cn"),
        // No certificate is for a host name with one more dot.
        (on_aws("eu-west-1", "go.ods"), "https://s3.eu-west-1.amazonaws.com"),
        (FilesBucket::new(&local.sdk_config(), "goods").unwrap(), local_origin.as_str()),
    ] {
        assert_eq!(files.origin().unwrap(), origin);
        let address = files.address("files/a.pdf", "a.pdf", NOW, Duration::from_mins(5)).await.unwrap();
        assert!(address.strip_prefix(origin).is_some_and(|path| path.starts_with('/')), "{address}");
        assert!(address.contains("/files/a.pdf?"), "{address}");
    }
    assert_eq!(local.count(), 0, "made without a call");
}

#[test]
fn names_files_for_every_program() {
    let check = |name: &str, expected: &str| assert_eq!(attachment(name), expected);
    check("guide.pdf", "attachment; filename=\"guide.pdf\"; filename*=UTF-8''guide.pdf");
    check(
        "a\"\r\nX: y;é.pdf",
        "attachment; filename=\"a___X: y;_.pdf\"; filename*=UTF-8''a%22%0D%0AX%3A%20y%3B%C3%A9.pdf",
    );
}

#[tokio::test]
async fn returns_the_size_of_an_object_that_exists() {
    for (reply, expected) in [
        (Reply::Answer(200, "12345678".to_owned()), Ok(Some(8))),
        (Reply::Answer(404, String::new()), Ok(None)),
        (Reply::Answer(403, String::new()), Ok(None)),
        (Reply::Answer(503, String::new()), Err(2)),
        (Reply::Close, Err(2)),
    ] {
        let shown = format!("{reply:?}");
        let s3 = Endpoint::start(std::iter::repeat_n(reply, 5));
        let files = FilesBucket::new(&s3.sdk_config_without_pauses(), "goods").unwrap();
        let size = files.size("files/Führer 1.pdf").await;
        assert_eq!(size.map_err(|_| s3.count()), expected, "{shown}");
        assert_eq!(s3.lines()[0], "HEAD /goods/files/F%C3%BChrer%201.pdf");
    }
}

#[tokio::test]
async fn silence_ends_after_three_seconds_and_two_attempts() {
    let s3 = SilentAws::start();
    let files = FilesBucket::new(&s3.sdk_config(), "goods").unwrap();
    let (size, waited) = s3.wait(Duration::from_secs(1), files.size("files/a.pdf")).await;
    assert!(size.is_err());
    // The second attempt ends early: the pause before it was some of its time.
    assert_eq!(waited, Waited { elapsed: Duration::from_secs(3), requests: 2 });
}
