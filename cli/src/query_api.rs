//! The two services that only speak AWS's older query protocol, by the few calls it takes.
//!
//! Not by their SDKs: CloudFormation's takes 40 seconds to compile and CloudWatch's 35, for three reads.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/CommonParameters.html>

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use effect_ledger::Clock as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use task_runtime::SystemClock;

/// One service.
pub(crate) struct QueryApi {
    post: Operation<HttpRequest, String, Answer>,
    service: &'static str,
    origin: String,
    region: String,
    credentials: SharedCredentialsProvider,
}

/// An answer that is a refusal.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Answer {
    code: String,
    message: String,
}

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("there are no AWS credentials")]
    NoCredentials(#[source] aws_credential_types::provider::error::CredentialsError),
    #[error("{service} refuses")]
    Refused {
        service: &'static str,
        #[source]
        answer: Answer,
    },
    #[error("{service} does not answer")]
    NoAnswer {
        service: &'static str,
        #[source]
        source: BoxError,
    },
}

impl QueryError {
    /// Whether the service's own sentence has these words in it: the query protocol has codes too coarse to tell.
    pub(crate) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Refused { answer, .. } if answer.message.contains(words))
    }
}

impl QueryApi {
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub(crate) fn of(service: &'static str, sdk: &SdkConfig) -> Result<Self> {
        let region = sdk.region().context("no region")?.to_string();
        let origin = match sdk.endpoint_url() {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                // CloudWatch's service is called monitoring in its address.
                let china = if region.starts_with("cn-") { ".cn" } else { "" };
                format!("https://{service}.{region}.amazonaws.com{china}")
            }
        };
        let post = Operation::builder()
            .service_name(service)
            .operation_name("Query")
            .http_client(sdk.http_client().context("no HTTP client")?)
            .sleep_impl(sdk.sleep_impl().context("no timer")?)
            .endpoint_url(&origin)
            .no_auth()
            .standard_retry(&RetryConfig::standard())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Answer>::new())
            .timeout_config(sdk.timeout_config().context("no timeouts")?.clone())
            .serializer(Ok)
            .deserializer(read_answer)
            .build();
        let credentials = sdk.credentials_provider().context("no credentials")?;
        Ok(Self { post, service, origin, region, credentials })
    }

    /// Makes a call; the answer is XML.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub(crate) async fn call(&self, form: &[(&str, &str)]) -> Result<String, QueryError> {
        let service = self.service;
        let identity = self.credentials.provide_credentials().await.map_err(QueryError::NoCredentials)?;
        let request = self.signed(form, &identity.into());
        let request = request.map_err(|source| QueryError::NoAnswer { service, source })?;
        #[expect(clippy::wildcard_enum_match_arm, reason = "what is no refusal is no answer")]
        self.post.invoke(request).await.map_err(|error| match error {
            SdkError::ServiceError(refused) => QueryError::Refused { service, answer: refused.into_err() },
            other => QueryError::NoAnswer { service, source: other.into() },
        })
    }

    fn signed(
        &self,
        form: &[(&str, &str)],
        identity: &aws_smithy_runtime_api::client::identity::Identity,
    ) -> Result<HttpRequest, BoxError> {
        let body = form_encoded(form);
        let parameters = v4::SigningParams::builder()
            .identity(identity)
            .region(&self.region)
            .name(self.service)
            .time(DateTime::from_millis(SystemClock.now_ms()).try_into()?)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let content_type = ("content-type", "application/x-www-form-urlencoded");
        let uri = format!("{}/", self.origin);
        let unsigned = SignableRequest::new(
            "POST",
            uri,
            [content_type].into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (instructions, _signature) = sign(unsigned, &parameters)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri("/")?;
        request.headers_mut().insert(content_type.0, content_type.1);
        for header in instructions.into_parts().0 {
            request.headers_mut().insert(header.name(), header.value().to_owned());
        }
        Ok(request)
    }
}

fn read_answer(response: &HttpResponse) -> Result<String, OrchestratorError<Answer>> {
    let body = String::from_utf8_lossy(response.body().bytes().unwrap_or_default()).into_owned();
    if response.status().is_success() {
        return Ok(body);
    }
    let text = |name: &str| {
        let document = roxmltree::Document::parse(&body).ok()?;
        let node = document.descendants().find(|node| node.tag_name().name() == name)?;
        node.text().map(str::to_owned)
    };
    Err(OrchestratorError::operation(Answer {
        code: text("Code").unwrap_or_else(|| response.status().as_u16().to_string()),
        message: text("Message").unwrap_or_else(|| "no message".to_owned()),
    }))
}

fn form_encoded(form: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in form {
        let separator = if body.is_empty() { "" } else { "&" };
        // Writing to a string cannot fail.
        let _infallible = write!(body, "{separator}{}={}", encoded(name), encoded(value));
    }
    body
}

/// Everything but what RFC 3986 calls unreserved.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &RESERVED)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn writes_forms() {
        assert_eq!(form_encoded(&[("A", "b c&d"), ("E.member.1", "é")]), "A=b%20c%26d&E.member.1=%C3%A9");
    }
}
