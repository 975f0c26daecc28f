//! Three services by the few calls it takes: CloudFormation and CloudWatch in AWS's older query protocol, and Lambda, which
//! answers a GET in JSON.
//!
//! Not by their SDKs: CloudFormation's takes 40 seconds to compile and CloudWatch's 35, for three reads.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/CommonParameters.html>

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

/// One service, called over the connection, with the credentials and within the time of all other clients.
pub(crate) struct QueryApi {
    name: &'static str,
    call: Operation<HttpRequest, String, Refusal>,
    url: String,
    region: String,
    credentials: SharedCredentialsProvider,
    time: SharedTimeSource,
}

/// An answer that is a refusal.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Refusal {
    code: String,
    message: String,
}

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("the request cannot be signed: are there AWS credentials?")]
    NotSigned(#[source] BoxError),
    #[error("{service} refuses")]
    Refused {
        service: &'static str,
        #[source]
        answer: Refusal,
    },
    #[error("{service} does not answer")]
    NoAnswer {
        service: &'static str,
        #[source]
        source: BoxError,
    },
}

impl QueryError {
    /// Whether the service's own sentence has these words in it: the codes of the query protocol are too coarse.
    pub(crate) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Refused { answer, .. } if answer.message.contains(words))
    }

    /// Whether the caller's rights do not suffice.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { answer, .. } if is_denial(&answer.code) || answer.message.contains("not authorized"))
    }
}

/// Whether a code of AWS's says that the caller's rights do not suffice.
///
/// <https://docs.aws.amazon.com/awssupport/latest/APIReference/CommonErrors.html>
pub(crate) fn is_denial(code: &str) -> bool {
    ["AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"]
        .contains(&code)
}

impl QueryApi {
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub(crate) fn of(name: &'static str, sdk: &SdkConfig) -> Result<Self> {
        let region = sdk.region().context("no region")?.to_string();
        let url = match sdk.endpoint_url() {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => url_of(name, &region),
        };
        let call = Operation::builder()
            .service_name(name)
            .operation_name("Call")
            .http_client(sdk.http_client().context("no HTTP client")?)
            .sleep_impl(sdk.sleep_impl().context("no timer")?)
            .endpoint_url(&url)
            // Signed before it is handed over.
            .no_auth()
            .standard_retry(&RetryConfig::standard())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Refusal>::new())
            .timeout_config(sdk.timeout_config().context("no timeouts")?.clone())
            .serializer(Ok)
            .deserializer(Refusal::or_answer)
            .build();
        let credentials = sdk.credentials_provider().context("no credentials")?;
        Ok(Self { name, call, url, region, credentials, time: sdk.time_source().unwrap_or_default() })
    }

    /// Makes a call; the answer is XML.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub(crate) async fn call(&self, form: &[(&str, &str)]) -> Result<String, QueryError> {
        self.send(self.signed(form_encoded(form)).await.map_err(QueryError::NotSigned)?).await
    }

    /// Makes a request of a service that speaks REST; the answer is JSON.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub(crate) async fn request(&self, method: &str, target: &str, body: &str) -> Result<String, QueryError> {
        let request = self.signed_to(method, target, JSON, body.to_owned()).await;
        self.send(request.map_err(QueryError::NotSigned)?).await
    }

    async fn send(&self, request: HttpRequest) -> Result<String, QueryError> {
        let service = self.name;
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what is no service's answer may be one next time"
        )]
        self.call.invoke(request).await.map_err(|error| match error {
            SdkError::ServiceError(refused) => QueryError::Refused { service, answer: refused.into_err() },
            other => QueryError::NoAnswer { service, source: other.into() },
        })
    }

    async fn signed(&self, form: String) -> Result<HttpRequest, BoxError> {
        self.signed_to("POST", "/", FORM, form).await
    }

    async fn signed_to(
        &self,
        method: &str,
        target: &str,
        content_type: (&str, &str),
        body: String,
    ) -> Result<HttpRequest, BoxError> {
        let identity = self.credentials.provide_credentials().await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.name)
            .time(self.time.now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableBody::Bytes(body.as_bytes());
        let unsigned = SignableRequest::new(
            method,
            format!("{}{target}", self.url),
            [content_type].into_iter(),
            signable,
        )?;
        let (signature, _) = sign(unsigned, &parameters)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(method)?;
        request.set_uri(target)?;
        for (name, value) in [content_type].into_iter().chain(signature.headers()) {
            request.headers_mut().try_insert(name.to_owned(), value.to_owned())?;
        }
        Ok(request)
    }
}

/// Where AWS has a service. <https://docs.aws.amazon.com/general/latest/gr/rande.html>
fn url_of(name: &str, region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://{name}.{region}.amazonaws.com{china}")
}

impl Refusal {
    fn or_answer(response: &HttpResponse) -> Result<String, OrchestratorError<Self>> {
        let body = String::from_utf8_lossy(response.body().bytes().unwrap_or_default());
        if response.status().is_success() {
            Ok(body.into_owned())
        } else {
            Err(OrchestratorError::operation(Self::read(response.status().as_u16(), &body)))
        }
    }

    fn read(status: u16, body: &str) -> Self {
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(body) {
            let text =
                |names: [&str; 2]| names.iter().find_map(|name| json[*name].as_str()).map(str::to_owned);
            return Self {
                code: text(["__type", "Code"]).unwrap_or_else(|| status.to_string()),
                message: text(["Message", "message"]).unwrap_or_else(|| "no message".to_owned()),
            };
        }
        let text = |name: &str| {
            let document = roxmltree::Document::parse(body).ok()?;
            let node = document.descendants().find(|node| node.tag_name().name() == name)?;
            node.text().map(str::to_owned)
        };
        Self {
            code: text("Code").unwrap_or_else(|| status.to_string()),
            message: text("Message").unwrap_or_else(|| "no message".to_owned()),
        }
    }
}

fn form_encoded(form: &[(&str, &str)]) -> String {
    /// All but what RFC 3986 calls unreserved.
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let encoded = |text| utf8_percent_encode(text, &RESERVED);
    let mut body = String::new();
    for (name, value) in form {
        let separator = if body.is_empty() { "" } else { "&" };
        // Writing to a string cannot fail.
        let _infallible = write!(body, "{separator}{}={}", encoded(name), encoded(value));
    }
    body
}

#[cfg(test)]
mod tests {
    use aws::{Environment, sdk_config};
    use std::time::{Duration, UNIX_EPOCH};

    use aws_smithy_async::time::StaticTimeSource;
    use testkit::aws::{Endpoint, Reply};

    use super::*;

    const STACKS: [(&str, &str); 2] = [("Action", "DescribeStacks"), ("StackName", "afterlink-test-data")];

    async fn call(reply: Reply) -> Result<String, QueryError> {
        let endpoint = Endpoint::start([reply]);
        QueryApi::of("cloudformation", &endpoint.sdk_config()).unwrap().call(&STACKS).await
    }

    #[tokio::test]
    async fn hands_back_the_answer() {
        assert_eq!(call(Reply::Answer(200, "<Answer/>".to_owned())).await.unwrap(), "<Answer/>");
    }

    #[tokio::test]
    async fn a_refusal_keeps_its_sentence() {
        let refusal = "<ErrorResponse><Error><Code>ValidationError</Code><Message>Stack with id x does not \
                       exist</Message></Error></ErrorResponse>";
        let error = call(Reply::Answer(400, refusal.to_owned())).await.unwrap_err();
        assert!(error.says("does not exist"));
        let answer = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(answer, "ValidationError: Stack with id x does not exist");
        let error = call(Reply::Answer(403, "no XML".to_owned())).await.unwrap_err();
        assert!(!error.says("does not exist"));
    }

    /// The expected signature is the one that botocore's (1.43.11) `SigV4Auth` adds to the same request.
    #[tokio::test]
    async fn signs_as_other_clients_do() {
        let variables = |name: &str| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
            "AWS_SESSION_TOKEN" => Some("token".to_owned()),
            _ => None,
        };
        // 2026-11-18T11:06:40Z
        let time = StaticTimeSource::new(UNIX_EPOCH + Duration::from_secs(1_795_000_000));
        let sdk = sdk_config(&mut Environment::new(variables)).unwrap();
        let api = QueryApi::of("cloudformation", &sdk.into_builder().time_source(time).build()).unwrap();
        let form = form_encoded(&[("Action", "DescribeStacks"), ("StackName", "a b")]);
        let request = api.signed(form).await.unwrap();
        assert_eq!(
            request.headers().get("authorization").unwrap(),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261118/eu-west-1/cloudformation/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
             Signature=05cd87567dc0a7efca058b0096c2d6b00a3e5af7ebcfb59bfcbe8b3a5e312296"
        );
    }

    #[test]
    fn finds_services_where_aws_has_them() {
        assert_eq!(url_of("monitoring", "eu-west-1"), "https://monitoring.eu-west-1.amazonaws.com");
        assert_eq!(url_of("monitoring", "cn-north-1"), "https://monitoring.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn writes_forms() {
        assert_eq!(form_encoded(&[("A", "b c&d"), ("E.member.1", "é")]), "A=b%20c%26d&E.member.1=%C3%A9");
    }
}
