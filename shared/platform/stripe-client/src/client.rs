use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::error::{Refusal, classify};
use crate::{ApiKey, ApiObject, Page, Request, StripeError, Write};

/// Where Stripe's API is.
pub const STRIPE_API: &str = "https://api.stripe.com";

/// Where Stripe takes files. <https://docs.stripe.com/file-upload>
const STRIPE_FILES: &str = "https://files.stripe.com";

/// The version of the API that answers are written in. Events keep the version they were made in.
///
/// <https://docs.stripe.com/api/versioning>
pub const API_VERSION: &str = "2026-10-28.endive";

/// Asks Stripe's API, and writes to it where the key may.
#[derive(Debug)]
pub struct StripeClient {
    api: Server,
    base_url: String,
    http: SharedHttpClient,
    sleep: SharedAsyncSleep,
    key: ApiKey,
    patience: Patience,
    requests_left: AtomicU32,
}

/// A client cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAClient {
    /// A key that sees real money, and an address that is not Stripe's.
    #[error("a live key is only ever sent to {STRIPE_API}")]
    LiveKeyElsewhere,
    /// An address in the clear that is not on this machine.
    #[error("Stripe's API is asked over https; http is for a fake on loopback")]
    InTheClear,
}

/// How long a client tries before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts at one request.
    pub attempts: u32,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// No pause between two attempts is longer, whatever Stripe asks for.
    pub longest_pause: Duration,
}

impl Patience {
    /// For work that waits in a queue. A page of a hundred sessions takes Stripe a second or two on a bad day.
    pub const QUEUED: Self =
        Self { attempts: 4, attempt_timeout: Duration::from_secs(15), longest_pause: Duration::from_secs(8) };

    /// For a page that a customer waits for: at most four seconds.
    pub const PAGE: Self = Self {
        attempts: 2,
        attempt_timeout: Duration::from_millis(1750),
        longest_pause: Duration::from_millis(500),
    };
}

/// The first pause is up to this, each further one up to twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

impl StripeClient {
    /// A client that makes at most `budget` requests, attempts included.
    ///
    /// # Errors
    ///
    /// When the address is not one this key may be sent to.
    pub fn new(
        base_url: &str,
        key: ApiKey,
        http: SharedHttpClient,
        sleep: SharedAsyncSleep,
        budget: u32,
    ) -> Result<Self, NotAClient> {
        let base_url = base_url.trim_end_matches('/');
        if key.livemode() && base_url != STRIPE_API {
            return Err(NotAClient::LiveKeyElsewhere);
        }
        if !base_url.starts_with("https://") && !on_loopback(base_url) {
            return Err(NotAClient::InTheClear);
        }
        let patience = Patience::QUEUED;
        let api = operation(base_url, http.clone(), sleep.clone(), patience);
        let requests_left = AtomicU32::new(budget);
        Ok(Self { api, base_url: base_url.to_owned(), http, sleep, key, patience, requests_left })
    }

    /// The client, with another patience than [`Patience::QUEUED`].
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        let api = operation(&self.base_url, self.http.clone(), self.sleep.clone(), patience);
        Self { api, patience, ..self }
    }

    /// One object.
    ///
    /// # Errors
    ///
    /// See [`StripeError`].
    pub async fn one(&self, request: &Request) -> Result<ApiObject, StripeError> {
        read_object(request.endpoint(), &self.get(request).await?.body)
    }

    /// Makes or changes something, and returns Stripe's reply.
    ///
    /// A write whose answer is lost is tried again like a question: each says how things shall be, and one that makes
    /// something new carries an idempotency key or an id of its own.
    /// <https://docs.stripe.com/api/idempotent_requests>
    ///
    /// # Errors
    ///
    /// See [`StripeError`].
    pub async fn write(&self, write: &Write) -> Result<Written, StripeError> {
        let call = Call {
            method: "POST",
            endpoint: write.endpoint(),
            target: write.path().to_owned(),
            body: Some(write.body()),
            idempotency_key: write.idempotency_key(),
        };
        let answer = if write.is_upload() && self.base_url == STRIPE_API {
            let files = operation(STRIPE_FILES, self.http.clone(), self.sleep.clone(), self.patience);
            self.call(&files, &call).await?
        } else {
            self.call(&self.api, &call).await?
        };
        let object = read_object(write.endpoint(), &answer.body)?;
        Ok(Written { object, replayed: answer.replayed })
    }

    /// One page of a list.
    ///
    /// # Errors
    ///
    /// See [`StripeError`].
    pub async fn page(&self, request: &Request) -> Result<Page, StripeError> {
        let body = self.get(request).await?.body;
        Page::read(request, &body)
            .ok_or_else(|| StripeError::Unreadable { path: request.endpoint().to_owned() })
    }

    /// Every object of a list that is known to be short: the sessions of a payment intent, an account's
    /// destinations. Long lists are read page by page.
    ///
    /// # Errors
    ///
    /// See [`StripeError`].
    pub async fn all(&self, request: Request) -> Result<Vec<ApiObject>, StripeError> {
        let mut items = Vec::new();
        let mut next = Some(request);
        while let Some(request) = next {
            let page = self.page(&request).await?;
            items.extend(page.items);
            next = page.next;
        }
        Ok(items)
    }

    /// How many requests may still be made.
    pub fn requests_left(&self) -> u32 {
        self.requests_left.load(Ordering::Relaxed)
    }

    async fn get(&self, request: &Request) -> Result<Answer, StripeError> {
        let target = request.target();
        let endpoint = request.endpoint();
        let call = Call { method: "GET", endpoint, target, body: None, idempotency_key: None };
        self.call(&self.api, &call).await
    }

    async fn call(&self, server: &Server, call: &Call<'_>) -> Result<Answer, StripeError> {
        let path = || call.endpoint.to_owned();
        let mut attempts = 0;
        loop {
            self.spend()?;
            attempts += 1;
            let answer = self.attempt(server, call).await;
            let (failure, wanted_pause) = match answer {
                Ok(answer) if answer.is_success() => return Ok(answer),
                Ok(answer) if answer.replayed || !answer.may_pass() => {
                    return Err(classify(&answer.refusal(call.endpoint)));
                }
                Ok(Answer { status: 429, retry_after, .. }) => {
                    (StripeError::RateLimited { path: path(), attempts }, retry_after)
                }
                Ok(answer) => {
                    let reason = answer.status.to_string();
                    (StripeError::Unavailable { path: path(), attempts, reason }, answer.retry_after)
                }
                Err(reason) => {
                    (StripeError::Unavailable { path: path(), attempts, reason: reason.to_owned() }, None)
                }
            };
            if attempts >= self.patience.attempts {
                return Err(failure);
            }
            let pause = pause(attempts, wanted_pause, self.patience.longest_pause);
            self.sleep.sleep(pause).await;
        }
    }

    fn spend(&self) -> Result<(), StripeError> {
        let spent = |left: u32| left.checked_sub(1);
        match self.requests_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent) {
            Ok(_) => Ok(()),
            Err(_) => Err(StripeError::BudgetSpent),
        }
    }

    /// The error says in short words what happened to the connection.
    async fn attempt(&self, server: &Server, call: &Call<'_>) -> Result<Answer, &'static str> {
        let cannot_be_written = "the request cannot be written";
        let (content_type, body) = match &call.body {
            Some((content_type, body)) => (Some(content_type.clone()), SdkBody::from(body.clone())),
            None => (None, SdkBody::empty()),
        };
        let mut http = HttpRequest::new(body);
        http.set_method(call.method).map_err(|_| cannot_be_written)?;
        http.set_uri(call.target.as_str()).map_err(|_| cannot_be_written)?;
        let headers = http.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert("content-type", content_type);
        }
        if let Some(key) = call.idempotency_key {
            headers.insert("idempotency-key", key.to_owned());
        }
        headers.insert("authorization", self.key.authorization());
        headers.insert("stripe-version", API_VERSION);
        headers.insert("accept", "application/json");
        headers.insert("user-agent", "afterlink");
        #[expect(clippy::wildcard_enum_match_arm, reason = "what is no answer may be one next time")]
        server.invoke(http).await.map_err(|error| match error {
            SdkError::TimeoutError(_) => "timeout",
            _ => "no answer",
        })
    }
}

/// A host of Stripe's.
type Server = Operation<HttpRequest, Answer, Infallible>;

fn operation(base_url: &str, http: SharedHttpClient, sleep: SharedAsyncSleep, patience: Patience) -> Server {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3).min(patience.attempt_timeout))
        .operation_attempt_timeout(patience.attempt_timeout)
        .build();
    // Retries are this client's own, because each counts against the budget.
    Operation::builder()
        .service_name("stripe")
        .operation_name("Call")
        .http_client(http)
        .sleep_impl(sleep)
        .endpoint_url(base_url)
        .no_auth()
        .no_retry()
        .timeout_config(timeouts)
        .serializer(Ok)
        .deserializer(|response| Ok(read_answer(response)))
        .build()
}

/// What a write came to.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object as Stripe's reply has it.
    pub object: ApiObject,
    /// Whether the reply is the one to an earlier request with the same idempotency key. Then the object is as it was
    /// at that time, and may have been changed since: read it again.
    /// <https://docs.stripe.com/api/idempotent_requests>
    pub replayed: bool,
}

fn read_object(path: &str, body: &[u8]) -> Result<ApiObject, StripeError> {
    let json = serde_json::from_slice(body).ok();
    json.and_then(ApiObject::new).ok_or_else(|| StripeError::Unreadable { path: path.to_owned() })
}

/// What goes over the wire.
struct Call<'a> {
    method: &'static str,
    /// For errors: without the ids in the path.
    endpoint: &'a str,
    target: String,
    /// Its type, and the bytes.
    body: Option<(String, Vec<u8>)>,
    idempotency_key: Option<&'a str>,
}

/// What came back, whatever it is.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Whether it is what the first request with this idempotency key was answered, also if that was a failure.
    replayed: bool,
    /// Stripe knows better than a status whether another attempt makes sense.
    should_retry: Option<bool>,
    retry_after: Option<Duration>,
    /// `req_…`
    request_id: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    const fn is_success(&self) -> bool {
        200 <= self.status && self.status < 300
    }

    fn may_pass(&self) -> bool {
        self.should_retry.unwrap_or(matches!(self.status, 408 | 409 | 429 | 500..))
    }

    fn refusal<'a>(&'a self, path: &'a str) -> Refusal<'a> {
        let request_id = self.request_id.as_deref();
        Refusal { path, status: self.status, request_id, replayed: self.replayed, body: &self.body }
    }
}

fn read_answer(response: &HttpResponse) -> Answer {
    let header = |name| response.headers().get(name);
    Answer {
        status: response.status().as_u16(),
        replayed: header("idempotent-replayed") == Some("true"),
        should_retry: header("stripe-should-retry").and_then(|value| value.parse().ok()),
        retry_after: header("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs),
        request_id: header("request-id").map(str::to_owned),
        body: response.body().bytes().unwrap_or_default().to_vec(),
    }
}

/// Anything up to twice the pause before, at least what Stripe asks for, never more than `longest`.
///
/// <https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>
fn pause(attempts: u32, wanted: Option<Duration>, longest: Duration) -> Duration {
    let spread = FIRST_PAUSE * 2_u32.saturating_pow(attempts.saturating_sub(1));
    let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
    let jittered = Duration::from_millis(fastrand::u64(1..=spread_ms));
    (wanted.unwrap_or_default() + jittered).min(longest)
}

fn on_loopback(base_url: &str) -> bool {
    let Some(host) = base_url.strip_prefix("http://") else {
        return false;
    };
    let (host, port) = host.split_once(':').unwrap_or((host, ""));
    (host == "127.0.0.1" || host == "localhost") && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
