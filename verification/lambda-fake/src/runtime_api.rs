//! Lambda's side of a function: the runtime API.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use loopback::{Reply, Request};

const PATH: &str = "/2018-06-01/runtime/";
/// No function takes longer for anything; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The time left of an invocation when it begins, in milliseconds: the longest of the functions' timeouts.
const TIMEOUT_MS: i64 = 300_000;

/// The runtime API of one process.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    polls: Receiver<Instant>,
    events: Sender<Vec<u8>>,
    answers: Receiver<Answer>,
}

#[derive(Debug)]
struct Answer {
    at: Instant,
    /// The rest of the path: `invocation/1/response`.
    what: String,
    body: Vec<u8>,
}

impl RuntimeApi {
    pub(crate) fn start() -> Result<Self> {
        let (poll, polls) = channel();
        let (events, event) = channel::<Vec<u8>>();
        let (answer, answers) = channel();
        let event = Mutex::new(event);
        let serve = move |request: Request| -> Option<Reply> {
            let at = Instant::now();
            let what = request.path.strip_prefix(PATH)?;
            if what == "invocation/next" {
                poll.send(at).ok()?;
                let event = event.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()?;
                let header = |name: &'static str, value: &str| (Cow::Borrowed(name), value.to_owned());
                return Some(Reply {
                    status: 200,
                    headers: vec![
                        header("content-type", "application/json"),
                        header("lambda-runtime-aws-request-id", &format!("request-{}", unix_ms())),
                        header("lambda-runtime-deadline-ms", &(unix_ms() + TIMEOUT_MS).to_string()),
                        header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
                        header(
                            "lambda-runtime-invoked-function-arn",
                            "arn:aws:lambda:us-east-1:123456789012:function:f",
                        ),
                    ],
                    body: event,
                });
            }
            answer.send(Answer { at, what: what.to_owned(), body: request.body }).ok()?;
            Some(Reply { status: 202, headers: Vec::new(), body: b"{}".to_vec() })
        };
        Ok(Self { address: loopback::serve(serve)?, polls, events, answers })
    }

    /// When the function next asks for an event: it is through with everything before.
    pub(crate) fn polled(&self) -> Result<Instant> {
        self.polls.recv_timeout(PATIENCE).context("the function asks for no event")
    }

    /// Hands an event to a function that asked for one. When it answered, and what.
    pub(crate) fn invoke(&self, event: Vec<u8>) -> Result<(Instant, Vec<u8>)> {
        self.events.send(event)?;
        let answer = self.answers.recv_timeout(PATIENCE).context("the function does not answer")?;
        if !answer.what.ends_with("/response") {
            bail!("{}: {}", answer.what, String::from_utf8_lossy(&answer.body));
        }
        Ok((answer.at, answer.body))
    }
}

/// Unix milliseconds.
fn unix_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
