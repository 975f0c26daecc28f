//! Whether a request came through CloudFront, where the stage asks for that.
//!
//! A function's URL is open to all. Where CloudFront and a firewall stand before it, a request that goes around them
//! lacks the header that only CloudFront sends.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/add-origin-custom-headers.html>

use aws::CachedSecret;
use aws::Clock;
use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use aws_types::SdkConfig;
use tracing::warn;

use crate::config::Config;

/// What CloudFront sends its secret in.
const HEADER: &str = "x-afterlink-origin";

/// A shorter value is a mistake, and could be guessed.
const SHORTEST_VALUE: usize = 20;

/// The check; it lets everything pass where no secret is configured.
pub(crate) struct Origin<C> {
    secret: Option<CachedSecret<C>>,
}

impl<C: Clock> Origin<C> {
    pub(crate) fn new(config: &Config, sdk: &SdkConfig, clock: C) -> Self {
        Self { secret: config.origin_secret_name.as_ref().map(|name| CachedSecret::stored(sdk, name, clock)) }
    }

    /// The response to a request that did not come through CloudFront. `None` for one that did.
    pub(crate) async fn refusal(
        &self,
        request: &LambdaFunctionUrlRequest,
    ) -> Option<LambdaFunctionUrlResponse> {
        let secret = self.secret.as_ref()?;
        let sent = request.headers.get(HEADER).map(|value| value.as_bytes()).unwrap_or_default();
        if sent.len() >= SHORTEST_VALUE {
            let Ok(values) = secret.current().await else {
                return Some(plain(503, "try again"));
            };
            if is_one_of(sent, &values) {
                return None;
            }
            // The value may have been rolled since it was fetched.
            if secret.fresh().await.is_ok_and(|values| is_one_of(sent, &values)) {
                return None;
            }
        }
        warn!("refused: the request did not come through CloudFront");
        Some(plain(403, "forbidden"))
    }
}

/// Whether a value is one of those in the secret, which are separated by white space so that they can be rolled.
fn is_one_of(sent: &[u8], values: &str) -> bool {
    values.split_whitespace().any(|value| value.len() >= SHORTEST_VALUE && is_equal(sent, value.as_bytes()))
}

/// Takes as long for every value of one length.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |diff, (l, r)| diff | (l ^ r)) == 0
}

fn plain(status: i64, text: &str) -> LambdaFunctionUrlResponse {
    let mut response = LambdaFunctionUrlResponse::default();
    response.status_code = status;
    response.body = Some(text.to_owned());
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::aws::{Endpoint, Reply};
    use testkit::clock::ManualClock;

    use super::*;

    const OLD: &str = "an-old-value-of-the-header";
    const NEW: &str = "a-newer-value-of-the-header";

    fn request(header: Option<&str>) -> LambdaFunctionUrlRequest {
        let headers = header.map_or_else(|| json!({}), |value| json!({ HEADER: value }));
        serde_json::from_value(json!({
            "version": "2.0", "headers": headers, "isBase64Encoded": false,
            "requestContext": { "timeEpoch": 0, "http": { "method": "GET", "path": "/thanks" } }
        }))
        .unwrap()
    }

    async fn status(secret: &str, header: Option<&str>) -> Option<i64> {
        let answer = json!({ "SecretString": secret }).to_string();
        let endpoint = Endpoint::start([Reply::Answer(200, answer.clone()), Reply::Answer(200, answer)]);
        let secret = CachedSecret::stored(&endpoint.sdk_config(), "origin", ManualClock::default());
        let origin = Origin { secret: Some(secret) };
        origin.refusal(&request(header)).await.map(|response| response.status_code)
    }

    #[tokio::test]
    async fn only_requests_with_the_header_of_cloudfront_are_answered() {
        assert_eq!(status(NEW, Some(NEW)).await, None);
        for header in [None, Some(""), Some(OLD), Some("a-newer-value-of-the-heade"), Some("short")] {
            assert_eq!(status(NEW, header).await, Some(403), "{header:?}");
        }
    }

    #[tokio::test]
    async fn both_values_pass_while_one_is_rolled() {
        let both = format!("{NEW}\n{OLD}\n");
        assert_eq!(status(&both, Some(OLD)).await, None);
        assert_eq!(status(&both, Some(NEW)).await, None);
        assert_eq!(status(&both, Some(&format!("{NEW} {OLD}"))).await, Some(403));
    }

    #[tokio::test]
    async fn an_empty_or_short_secret_lets_nothing_pass() {
        assert_eq!(status("", Some(NEW)).await, Some(403));
        assert_eq!(status("short", Some("short")).await, Some(403));
    }

    #[tokio::test]
    async fn without_a_secret_every_request_is_answered() {
        let origin = Origin::<ManualClock> { secret: None };
        assert!(origin.refusal(&request(None)).await.is_none());
    }
}
