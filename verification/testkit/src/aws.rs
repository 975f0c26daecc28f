//! An AWS endpoint on loopback, for tests of what really goes over the wire.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::{Environment, sdk_config};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use loopback::{Answer, Request};
use serde_json::Value;

/// Answers requests from a script, one connection each, and remembers them.
///
/// Requests beyond the script are remembered too, and their connections closed without an answer.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status and a body.
    Answer(u16, String),
    /// A status and a body that Stripe kept with an idempotency key.
    Replayed(u16, String),
    /// The connection is closed once the request has been read: the reply is lost.
    Close,
    /// The connection stays open and silent.
    Silence,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, body.to_string())
    }
}

impl Endpoint {
    /// Listens on a free port.
    pub fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = Arc::clone(&requests);
        let mut script: Vec<_> = script.into_iter().collect();
        script.reverse();
        let script = Mutex::new(script);
        let answer = move |request: Request| {
            seen.lock().unwrap().push(request);
            // One request a connection, so that each is a new one.
            let last = |status, body| loopback::Reply::json(status, body).with("connection", "close");
            match script.lock().unwrap().pop() {
                Some(Reply::Answer(status, body)) => Answer::Reply(last(status, body)),
                Some(Reply::Replayed(status, body)) => {
                    Answer::Reply(last(status, body).with("idempotent-replayed", "true"))
                }
                Some(Reply::Silence) => Answer::Silence,
                Some(Reply::Close) | None => Answer::Close,
            }
        };
        Self { url: format!("http://{}", loopback::serve(answer).unwrap()), requests }
    }

    /// An address nothing listens on.
    pub fn unreachable() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { url: format!("http://{free}"), requests: Arc::default() }
    }

    /// The configuration every function has, pointed at this endpoint.
    pub fn sdk_config(&self) -> SdkConfig {
        let variables = |name: &str| match name {
            "AWS_REGION" => Some("us-east-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
            "AWS_ENDPOINT_URL" => Some(self.url.clone()),
            _ => None,
        };
        sdk_config(&mut Environment::new(variables)).unwrap()
    }

    /// The same with two attempts at most, in a time in which the pause between them passes at once, and timeouts
    /// never.
    pub fn sdk_config_without_pauses(&self) -> SdkConfig {
        let retries = RetryConfig::standard().with_max_attempts(2);
        let time = SharedAsyncSleep::new(NoPause);
        self.sdk_config().into_builder().retry_config(retries).sleep_impl(time).build()
    }

    /// How many requests have come in.
    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The bodies of all requests, as JSON.
    pub fn bodies(&self) -> Vec<Value> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    }

    /// What all requests asked for: `GET /path?query`.
    pub fn lines(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }
}

/// Distinguishes pauses from timeouts by their length: before its second attempt, an SDK client pauses for less than a
/// second.
#[derive(Debug)]
struct NoPause;

impl AsyncSleep for NoPause {
    fn sleep(&self, duration: Duration) -> Sleep {
        if duration < Duration::from_secs(1) {
            Sleep::new(std::future::ready(()))
        } else {
            Sleep::new(std::future::pending())
        }
    }
}
