//! An AWS endpoint on loopback, for tests of what really goes over the wire.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws::{Environment, sdk_config};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use serde_json::Value;

/// Answers requests from a script, one connection each, and remembers them.
///
/// Requests beyond the script are remembered too, and their connections closed without an answer.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

#[derive(Debug)]
struct Request {
    /// `GET /path?query`
    line: String,
    body: String,
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = Arc::clone(&requests);
        let mut script: Vec<_> = script.into_iter().collect();
        script.reverse();
        thread::spawn(move || {
            let mut silent = Vec::new();
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let Some(request) = read_request(&mut connection) else {
                    continue;
                };
                seen.lock().unwrap().push(request);
                let reply = script.pop();
                let kept = if matches!(reply, Some(Reply::Replayed(..))) {
                    "idempotent-replayed: true\r\n"
                } else {
                    ""
                };
                match reply {
                    Some(Reply::Answer(status, body) | Reply::Replayed(status, body)) => {
                        let head = format!(
                            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{kept}connection: close\r\ncontent-length: {}\r\n\r\n",
                            body.len()
                        );
                        // The client may have given up; that is its business.
                        let _ = connection.write_all((head + &body).as_bytes());
                    }
                    Some(Reply::Silence) => silent.push(connection),
                    Some(Reply::Close) | None => {}
                }
            }
        });
        Self { url, requests }
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
        requests.iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect()
    }

    /// What all requests asked for: `GET /path?query`.
    pub fn lines(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|request| request.line.clone()).collect()
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

/// The one request on a connection; `None` when the connection ends early.
fn read_request(connection: &mut TcpStream) -> Option<Request> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = request.parse(&received).unwrap() {
            let length =
                request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length =
                length.map_or(0, |header| std::str::from_utf8(header.value).unwrap().parse().unwrap());
            if received.len() >= head + length {
                let line = format!("{} {}", request.method.unwrap(), request.path.unwrap());
                let body = String::from_utf8(received[head..head + length].to_vec()).unwrap();
                return Some(Request { line, body });
            }
        }
        match connection.read(&mut buffer).ok()? {
            0 => return None,
            n => received.extend_from_slice(&buffer[..n]),
        }
    }
}
