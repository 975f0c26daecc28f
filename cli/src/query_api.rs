//! The two services that only speak AWS's older query protocol, by the few calls it takes.
//!
//! Not by their SDKs: CloudFormation's takes 40 seconds to compile and CloudWatch's 35, for three reads.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/CommonParameters.html>

use std::fmt::Write as _;

use anyhow::{Context as _, Result, anyhow};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use signed_requests::{AwsService, Body, Request, ServiceConfig, percent_encoded};

/// One service.
pub(crate) struct QueryApi {
    service: AwsService,
    name: &'static str,
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
    /// Whether the service's own sentence has these words in it: the query protocol has codes too coarse to tell.
    pub(crate) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Refused { answer, .. } if answer.message.contains(words))
    }
}

impl QueryApi {
    /// # Errors
    ///
    /// When the configuration lacks what every client needs.
    pub(crate) fn of(name: &'static str, sdk: &SdkConfig) -> Result<Self> {
        let config = ServiceConfig {
            name,
            // CloudWatch's service is called monitoring in its address.
            host: name.to_owned(),
            retries: RetryConfig::standard(),
            timeouts: sdk.timeout_config().context("no timeouts")?.clone(),
        };
        let service = AwsService::new(sdk, config).map_err(|error| anyhow!(error))?;
        Ok(Self { service, name })
    }

    /// Makes a call; the answer is XML.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub(crate) async fn call(&self, form: &[(&str, &str)]) -> Result<String, QueryError> {
        let service = self.name;
        let request = Request {
            method: "POST",
            path: "/",
            headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: Body::Text(form_encoded(form)),
        };
        match self.service.call(request).await {
            Ok(answer) => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            Err(SdkError::ServiceError(refused)) => {
                let answer = Refusal::read(refused.err().status, &refused.err().body);
                Err(QueryError::Refused { service, answer })
            }
            Err(unsigned @ SdkError::ConstructionFailure(_)) => Err(QueryError::NotSigned(unsigned.into())),
            Err(other) => Err(QueryError::NoAnswer { service, source: other.into() }),
        }
    }
}

impl Refusal {
    fn read(status: u16, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let text = |name: &str| {
            let document = roxmltree::Document::parse(&body).ok()?;
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
    let mut body = String::new();
    for (name, value) in form {
        let separator = if body.is_empty() { "" } else { "&" };
        // Writing to a string cannot fail.
        let _infallible = write!(body, "{separator}{}={}", percent_encoded(name), percent_encoded(value));
    }
    body
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
