//! Requests and responses, and the SDK's way to them.

use std::sync::Arc;

use aws::Clock;
use aws::Environment;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_types::SdkConfig;
use serde::Serialize;

use super::{Cloud, s3};

/// One HTTP request as an SDK client sends it.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST`
    pub method: String,
    /// As sent: `https://…/path?query`, or path and query alone.
    pub uri: String,
    /// `X-Amz-Target`, where the service is called that way.
    pub target: Option<String>,
    /// `x-amz-checksum-sha256`, which S3 compares with the body.
    pub checksum_sha256: Option<String>,
    /// Which service it goes to.
    pub service: Service,
    /// The body.
    pub body: Vec<u8>,
}

/// The services there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Tables.
    DynamoDb,
    /// Queues.
    Sqs,
    /// Mails.
    Ses,
    /// Buses.
    EventBridge,
    /// Buckets.
    S3,
    /// Secrets.
    SecretsManager,
    /// Not AWS: Stripe's API, for functions that ask it over the same connection.
    Stripe,
}

impl Request {
    /// What a client sends.
    ///
    /// # Panics
    ///
    /// When it goes to a service that is not here.
    pub fn of(request: &HttpRequest) -> Self {
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        let body = request.body().bytes().expect("a body in memory").to_vec();
        Self::read(request.method(), request.uri(), header, body)
    }

    /// What came in over a network. `header` looks a header up by its name in lower case.
    ///
    /// # Panics
    ///
    /// When it goes to a service that is not here.
    pub fn read(method: &str, uri: &str, header: impl Fn(&str) -> Option<String>, body: Vec<u8>) -> Self {
        let target = header("x-amz-target");
        let service = service_of(target.as_deref(), header("authorization").as_deref());
        Self {
            service: service.unwrap_or_else(|| {
                panic!("the cloud in memory has no such service: {method} {uri} {target:?}")
            }),
            method: method.to_owned(),
            uri: uri.to_owned(),
            target,
            checksum_sha256: header("x-amz-checksum-sha256"),
            body,
        }
    }

    /// The operation, as AWS calls it: `UpdateItem`.
    ///
    /// # Panics
    ///
    /// When it is none that is known here.
    pub fn operation(&self) -> &str {
        match (self.service, &self.target) {
            (Service::Stripe, _) => "stripe",
            (Service::S3, _) => s3::operation(&self.method, &self.uri).0,
            (Service::Ses, _) if self.uri.ends_with("/v2/email/outbound-emails") && self.method == "POST" => {
                "SendEmail"
            }
            (_, Some(target)) => target.rsplit('.').next().unwrap_or_default(),
            (service, None) => {
                panic!("the cloud in memory does not know {service:?}'s {} {}", self.method, self.uri)
            }
        }
    }
}

/// By the target, or by what the signature is for: `Credential=test/20261121/us-east-1/ses/aws4_request`.
fn service_of(target: Option<&str>, authorization: Option<&str>) -> Option<Service> {
    let by_target = |target: &str| match target.split_once('.')?.0 {
        "DynamoDB_20120810" => Some(Service::DynamoDb),
        "AmazonSQS" => Some(Service::Sqs),
        "AWSEvents" => Some(Service::EventBridge),
        "secretsmanager" => Some(Service::SecretsManager),
        _ => None,
    };
    let by_scope = |authorization: &str| match authorization.split('/').nth(3) {
        Some("ses") => Some(Service::Ses),
        Some("s3") => Some(Service::S3),
        Some(_) => None,
        None => authorization.starts_with("Bearer ").then_some(Service::Stripe),
    };
    target.map_or_else(|| authorization.and_then(by_scope), by_target)
}

/// What a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `200`
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        let headers = vec![("content-type", "application/x-amz-json-1.0".to_owned())];
        Self { status, headers, body: serde_json::to_vec(body).unwrap() }
    }
}

impl From<Response> for HttpResponse {
    fn from(response: Response) -> Self {
        let mut http = Self::new(response.status.try_into().unwrap(), SdkBody::from(response.body));
        for (name, value) in response.headers {
            http.headers_mut().insert(name, value);
        }
        http
    }
}

/// The configuration every function has, with a cloud instead of a network. For tests that need no scheduler: each
/// request is answered at once, at the time the clock says.
pub fn sdk_config(cloud: &Cloud, clock: impl Clock + Send + Sync + 'static) -> SdkConfig {
    let variables = |name: &str| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        "AWS_ENDPOINT_URL" => Some("http://192.0.2.1".to_owned()),
        _ => None,
    };
    let config = aws::sdk_config(&mut Environment::new(variables)).unwrap();
    let answer =
        move |cloud: &Cloud, request: &HttpRequest| cloud.answer(clock.now_ms(), &Request::of(request));
    let connector = SharedHttpConnector::new(Connector { cloud: cloud.clone(), answer: Arc::new(answer) });
    config.into_builder().http_client(Client(connector)).build()
}

struct Connector<A> {
    cloud: Cloud,
    answer: Arc<A>,
}

impl<A> std::fmt::Debug for Connector<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl<A: Fn(&Cloud, &HttpRequest) -> Response + Send + Sync + 'static> HttpConnector for Connector<A> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.body().bytes().is_some() {
            return HttpConnectorFuture::ready(Ok((self.answer)(&self.cloud, &request).into()));
        }
        // An upload comes as a stream.
        let cloud = self.cloud.clone();
        let answer = Arc::clone(&self.answer);
        HttpConnectorFuture::new(async move {
            let mut request = request;
            let body = std::mem::replace(request.body_mut(), SdkBody::taken());
            let body = ByteStream::new(body).collect().await;
            let body = body.map_err(|error| ConnectorError::user(error.into()))?;
            *request.body_mut() = SdkBody::from(body.into_bytes());
            Ok(answer(&cloud, &request).into())
        })
    }
}

/// One connector for all clients.
#[derive(Debug)]
struct Client(SharedHttpConnector);

impl HttpClient for Client {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.0.clone()
    }
}
