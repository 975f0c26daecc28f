use aws_smithy_async::time::StaticTimeSource;
use aws_smithy_types::DateTime;
use task_runtime::{Environment, sdk_config};
use testkit::aws::{Endpoint, Reply};

use super::*;

fn service(sdk: &SdkConfig, name: &'static str, host: &str) -> AwsService {
    let (retries, timeouts) = (RetryConfig::disabled(), TimeoutConfig::disabled());
    AwsService::new(sdk, ServiceConfig { name, host: host.to_owned(), retries, timeouts }).unwrap()
}

fn on_aws(region: &'static str) -> SdkConfig {
    let variables = |name: &str| match name {
        "AWS_REGION" => Some(region.to_owned()),
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
        "AWS_SESSION_TOKEN" => Some("token".to_owned()),
        _ => None,
    };
    // 2026-11-18T11:06:40Z
    let time = StaticTimeSource::new(DateTime::from_secs(1_795_000_000).try_into().unwrap());
    sdk_config(&mut Environment::new(variables)).unwrap().into_builder().time_source(time).build()
}

/// The expected signatures are botocore's, made of the same time, credentials, addresses and bodies.
#[tokio::test]
async fn signs_as_other_clients_do() {
    let check = async |service: &AwsService, request: Request<'_>, expected: &str| {
        let shown = format!("{request:?}");
        let request = service.signed(request).await.unwrap();
        let authorization = request.headers().get("authorization").unwrap();
        assert_eq!(authorization.split_once("Signature=").unwrap().1, expected, "{shown}");
    };
    let get = |path| Request { method: "GET", path, headers: Vec::new(), body: Body::empty() };
    let s3 = service(&on_aws("eu-west-1"), "s3", "templates.s3");
    check(&s3, get("/gala/en.html"), "86bf4588a42555c22b18b845d4a26c5dcfd1c0a8fe62fc7766a915c06361b92f")
        .await;
    check(
        &s3,
        get("/?continuation-token=1%2F%2Bmore%3D&list-type=2"),
        "69a5378ace819bbb877ae9e9b1b880ce636b22f3d6d471555963e00541aa6e64",
    )
    .await;
    let mail = Request {
        method: "POST",
        path: "/v2/email/outbound-emails",
        headers: vec![("content-type", "application/json".to_owned())],
        body: Body::Text("{\"a\":\"é\"}".to_owned()),
    };
    let ses = service(&on_aws("eu-west-1"), "ses", "email");
    check(&ses, mail, "4e6aeef3bde6a701e80f0275d519c17e60fe5a275aa2005f28dd137b32bfdbfb").await;
}

#[test]
fn finds_services_where_aws_has_them() {
    let check = |region, expected: &str| {
        assert_eq!(service(&on_aws(region), "ses", "email").origin(), expected);
    };
    check("eu-west-1", "https://email.eu-west-1.amazonaws.com");
    check("cn-north-1", "https://email.cn-north-1.amazonaws.com.cn");
    let elsewhere = on_aws("eu-west-1").into_builder().endpoint_url("http://127.0.0.1:1/").build();
    assert_eq!(service(&elsewhere, "ses", "email").origin(), "http://127.0.0.1:1");
}

#[tokio::test]
async fn one_call_is_one_request_whose_answer_is_read_whatever_it_is() {
    let endpoint = Endpoint::start([
        Reply::Answer(200, "well".to_owned()),
        Reply::Answer(503, "about ada@example.org".to_owned()),
        Reply::Answer(200, "never asked for".to_owned()),
    ]);
    let service = service(&endpoint.sdk_config(), "ses", "email");
    let post =
        || Request { method: "POST", path: "/a?b=c", headers: Vec::new(), body: Body::Text("{}".to_owned()) };
    let answer = service.call(post()).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"well"[..]));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let error = service.call(post()).await.unwrap_err();
    let refusal = error.as_service_error().unwrap();
    assert_eq!((refusal.status, refusal.body.as_slice()), (503, &b"about ada@example.org"[..]));
    assert_eq!(format!("{refusal:?} {refusal}"), "Answer { status: 503, .. } status 503");
    assert_eq!(endpoint.lines(), ["POST /a?b=c", "POST /a?b=c"]);
}
