#![doc = include_str!("../README.md")]

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use loopback::{Answer, Reply, Request};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How a call fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// It is refused with this status and error code, and nothing is done.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The code, `ThrottlingException`.
        code: String,
        /// The sentence.
        message: String,
    },
    /// It is answered after so many milliseconds.
    Delay(u64),
    /// It is done, and the connection closes before the answer.
    LoseReply,
    /// The connection closes, and nothing is done.
    Drop,
}

impl Fault {
    /// A refusal.
    pub fn refuse(status: u16, code: &str, message: &str) -> Self {
        Self::Refuse { status, code: code.to_owned(), message: message.to_owned() }
    }
}

/// A fault of the calls of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rule {
    service: String,
    operation: String,
    fault: Fault,
    /// Of so many calls; of all where there is none.
    left: Option<u32>,
}

/// A call, as its signature and its target name it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    service: String,
    operation: String,
}

impl Call {
    fn of(request: &Request) -> Self {
        let authorization = request.header("authorization").unwrap_or_default();
        // `Credential=AKID/20261127/us-east-1/dynamodb/aws4_request`
        let scope = authorization.split("Credential=").nth(1).unwrap_or_default();
        let service = scope.split('/').nth(3).unwrap_or_default().to_owned();
        let target = request.header("x-amz-target").unwrap_or_default();
        let operation = match target.rsplit_once('.') {
            Some((_, operation)) => operation.to_owned(),
            None => of_rest(&request.method, request.path.split('?').next().unwrap_or_default()),
        };
        Self { service, operation }
    }
}

/// The operations of SES's REST API that Afterlink uses by their names; others by method and path.
///
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Operations.html>
fn of_rest(method: &str, path: &str) -> String {
    match (method, path) {
        ("POST", "/v2/email/outbound-emails") => "SendEmail".to_owned(),
        ("GET", "/v2/email/account") => "GetAccount".to_owned(),
        ("GET", path) if path.starts_with("/v2/email/identities/") => "GetEmailIdentity".to_owned(),
        _ => format!("{method} {path}"),
    }
}

/// Starts a proxy before an emulator, for as long as the program lives. The address it listens on.
///
/// # Errors
///
/// When there is no port.
pub fn start(upstream: &str) -> io::Result<String> {
    let rules = Arc::new(Mutex::new(Vec::<Rule>::new()));
    let upstream = upstream.to_owned();
    // As it came: no headers of the client's own, and redirects are the caller's.
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    let config = config.proxy(None).user_agent("").accept("").accept_encoding("");
    let client: ureq::Agent = config.timeout_global(Some(Duration::from_secs(120))).build().into();
    let answer = move |request: Request| -> Answer {
        if let Some(reply) = controlled(&rules, &request) {
            return reply.into();
        }
        let through = |request: Request| forwarded(&client, &upstream, request).into();
        match fault_of(&rules, &Call::of(&request)) {
            None => through(request),
            Some(Fault::Refuse { status, code, message }) => {
                refusal(&request, status, &code, &message).into()
            }
            Some(Fault::Delay(milliseconds)) => {
                thread::sleep(Duration::from_millis(milliseconds));
                through(request)
            }
            Some(Fault::LoseReply) => {
                let _lost = forwarded(&client, &upstream, request);
                Answer::Close
            }
            Some(Fault::Drop) => Answer::Close,
        }
    };
    Ok(format!("http://{}", loopback::serve(answer)?))
}

/// The paths over which faults are injected and lifted.
const INJECT: &str = "/_faults/inject";
const LIFT: &str = "/_faults/lift";

/// The reply to a request of the test itself: it injects or lifts faults.
fn controlled(rules: &Mutex<Vec<Rule>>, request: &Request) -> Option<Reply> {
    match request.path.as_str() {
        INJECT => match serde_json::from_slice(&request.body) {
            Ok(rule) => lock(rules).push(rule),
            Err(error) => return Some(Reply::json(400, error.to_string())),
        },
        LIFT => lock(rules).clear(),
        _ => return None,
    }
    Some(Reply::json(200, "{}"))
}

fn fault_of(rules: &Mutex<Vec<Rule>>, call: &Call) -> Option<Fault> {
    let mut rules = lock(rules);
    let is_of = |rule: &&mut Rule| {
        rule.service == call.service
            && (rule.operation == "*" || rule.operation == call.operation)
            && rule.left != Some(0)
    };
    let rule = rules.iter_mut().find(is_of)?;
    rule.left = rule.left.map(|left| left - 1);
    Some(rule.fault.clone())
}

fn lock(rules: &Mutex<Vec<Rule>>) -> MutexGuard<'_, Vec<Rule>> {
    rules.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer of the emulator; none when there is none. The host stays as the client signed it.
fn forwarded(client: &ureq::Agent, upstream: &str, request: Request) -> Option<Reply> {
    let mut passed = ureq::http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("{upstream}{}", request.path));
    for (name, value) in &request.headers {
        let about_the_connection =
            ["connection", "content-length"].iter().any(|known| name.eq_ignore_ascii_case(known));
        if !about_the_connection {
            passed = passed.header(name, value);
        }
    }
    let mut answer = client.run(passed.body(request.body.as_slice()).ok()?).ok()?;
    let headers =
        answer.headers().iter().filter(|(name, _)| *name != "connection" && *name != "transfer-encoding");
    let headers = headers
        .filter_map(|(name, value)| Some((name.as_str().to_owned().into(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect();
    let body = answer.body_mut().with_config().limit(64 * 1024 * 1024).read_to_vec().ok()?;
    Some(Reply { status: answer.status().as_u16(), headers, body })
}

/// A refusal in the protocol of the service: XML where the request is a form or S3's, JSON elsewhere.
fn refusal(request: &Request, status: u16, code: &str, message: &str) -> Reply {
    let is_form = request.header("content-type").is_some_and(|kind| kind.contains("x-www-form-urlencoded"));
    let service = Call::of(request).service;
    if is_form || service == "s3" {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let body = if is_form { format!("<ErrorResponse>{error}</ErrorResponse>") } else { error };
        let headers = vec![("content-type".into(), "text/xml".to_owned())];
        return Reply { status, headers, body: body.into_bytes() };
    }
    Reply::json(status, json!({ "__type": code, "message": message }).to_string())
        .with("x-amzn-errortype", code)
}

/// A proxy in another process, with its faults.
#[derive(Debug, Clone)]
pub struct Faults {
    url: String,
}

impl Faults {
    /// The proxy at an address.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    /// From now on every call of an operation fails so.
    ///
    /// # Errors
    ///
    /// When the proxy does not answer.
    pub fn inject(&self, service: &str, operation: &str, fault: Fault) -> io::Result<()> {
        self.rule(service, operation, fault, None)
    }

    /// The next calls of an operation fail so.
    ///
    /// # Errors
    ///
    /// When the proxy does not answer.
    pub fn inject_times(&self, service: &str, operation: &str, fault: Fault, times: u32) -> io::Result<()> {
        self.rule(service, operation, fault, Some(times))
    }

    /// Nothing fails any more.
    ///
    /// # Errors
    ///
    /// When the proxy does not answer.
    pub fn lift(&self) -> io::Result<()> {
        self.post(LIFT, "")
    }

    fn rule(&self, service: &str, operation: &str, fault: Fault, left: Option<u32>) -> io::Result<()> {
        let rule = Rule { service: service.to_owned(), operation: operation.to_owned(), fault, left };
        self.post(INJECT, &serde_json::to_string(&rule).map_err(io::Error::other)?)
    }

    fn post(&self, path: &str, body: &str) -> io::Result<()> {
        ureq::post(format!("{}{path}", self.url)).send(body).map(drop).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests;
