use aws::cause_chain;
use aws::{Clock, NotPut, SecretError, SecretSource};
use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stripe_events::{DecodeError, EventHead, SignatureError, verify_signature, without_lone_surrogates};
use tracing::{error, info, warn};

use crate::concern::concerns_a_task;
use crate::event_bus::EventBus;
use crate::signing_secrets::SigningSecrets;

/// The webhook: verify, put on the bus, answer.
pub(crate) struct Webhook<B, S, C> {
    pub(crate) bus: B,
    pub(crate) secrets: SigningSecrets<S, C>,
    pub(crate) clock: C,
}

/// The largest body taken, in bytes. EventBridge takes entries under 1 MB; Stripe's events have a few KB.
const MAX_BODY_BYTES: usize = 1_000_000;

/// The reply. Nothing in it is useful to an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The event is on the bus.
    Accepted,
    /// No task reacts to it: acknowledged, and kept nowhere.
    Ignored,
    /// A thin event: acknowledged, so that Stripe does not retry what we will never act on.
    Unsupported,
    /// Of a connected account, which sells nothing of ours: acknowledged like a thin event.
    ConnectedAccount,
    /// Not signed by Stripe, or not an event.
    Refused,
    /// Not a POST.
    WrongMethod,
    /// A fault of ours; Stripe sends the event again.
    Failed,
}

impl Answer {
    /// The metric this answer counts in.
    pub(crate) const fn metric(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Ignored => "Ignored",
            Self::Unsupported | Self::ConnectedAccount => "Unsupported",
            Self::Refused | Self::WrongMethod => "Refused",
            Self::Failed => "Failed",
        }
    }

    pub(crate) fn into_response(self) -> LambdaFunctionUrlResponse {
        let (status, text) = match self {
            Self::Accepted => (200, "ok"),
            Self::Ignored => (200, "ignored: not an event of ours"),
            Self::Unsupported => (200, "ignored: thin events are not supported"),
            Self::ConnectedAccount => (200, "ignored: an event of a connected account"),
            Self::Refused => (400, "bad request"),
            Self::WrongMethod => (405, "POST only"),
            Self::Failed => (500, "try again"),
        };
        let mut response = LambdaFunctionUrlResponse::default();
        response.status_code = status;
        response.body = Some(text.to_owned());
        let mut header = |name, value: &'static str| {
            response.headers.insert(name, value.parse().expect("a plain text header value"));
        };
        header("content-type", "text/plain; charset=utf-8");
        if self == Self::WrongMethod {
            header("allow", "POST");
        }
        response
    }
}

/// An event that Stripe signed.
struct Accepted {
    head: EventHead,
    /// Whether it is on the bus.
    forwarded: bool,
}

/// Why a request is not accepted: for the log.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no body")]
    NoBody,
    #[error("the body has {bytes} bytes, more than {MAX_BODY_BYTES}")]
    TooLarge { bytes: usize },
    #[error("the body is not the base64 it claims to be")]
    NotBase64,
    #[error("no signature header")]
    NoSignature,
    #[error("bad signature")]
    BadSignature(#[source] SignatureError),
    #[error("signed, but not an event")]
    NotAnEvent(#[source] DecodeError),
    #[error("signed, but not UTF-8")]
    NotUtf8,
    #[error(transparent)]
    NoSecrets(#[from] SecretError),
    #[error("the event is not on the bus")]
    NotPut(#[from] NotPut),
}

impl Problem {
    const fn answer(&self) -> Answer {
        match self {
            Self::NoBody
            | Self::TooLarge { .. }
            | Self::NotBase64
            | Self::NoSignature
            | Self::BadSignature(_)
            | Self::NotAnEvent(_)
            | Self::NotUtf8 => Answer::Refused,
            Self::NoSecrets(_) | Self::NotPut(_) => Answer::Failed,
        }
    }
}

impl<B: EventBus, S: SecretSource, C: Clock> Webhook<B, S, C> {
    /// Answers one request and logs the outcome once.
    pub(crate) async fn answer(&self, request: LambdaFunctionUrlRequest) -> Answer {
        if request.request_context.http.method.as_deref() != Some("POST") {
            return Answer::WrongMethod;
        }
        match self.accept(request).await {
            Ok(Accepted { head: EventHead::Snapshot { id, event_type, account: Some(_) }, .. }) => {
                warn!(
                    event.id = id,
                    event.kind = event_type,
                    reason = "connected_account",
                    "events of connected accounts are not acted on"
                );
                Answer::ConnectedAccount
            }
            Ok(Accepted { head: EventHead::Snapshot { id, event_type, account: None }, forwarded }) => {
                if forwarded {
                    info!(event.id = id, event.kind = event_type, "accepted");
                    Answer::Accepted
                } else {
                    info!(event.id = id, event.kind = event_type, "ignored: no task reacts to it");
                    Answer::Ignored
                }
            }
            Ok(Accepted { head: EventHead::Thin(event), .. }) => {
                warn!(event.id = event.id, event.kind = event.event_type, "thin events are not supported");
                Answer::Unsupported
            }
            Err(problem) => {
                let answer = problem.answer();
                let cause = cause_chain(&problem);
                if answer == Answer::Failed {
                    error!(cause, "failed: {cause}");
                } else {
                    warn!(cause, "refused: {cause}");
                }
                answer
            }
        }
    }

    async fn accept(&self, request: LambdaFunctionUrlRequest) -> Result<Accepted, Problem> {
        let header = request.headers.get("stripe-signature").and_then(|value| value.to_str().ok());
        let header = header.ok_or(Problem::NoSignature)?;
        let body = raw_body(request.body.as_deref(), request.is_base64_encoded)?;
        self.verify(header, &body).await?;
        // The signature is over the bytes as they came. What goes on must be text for everything behind the bus.
        let body = without_lone_surrogates(&body);
        let head = EventHead::from_json(&body).map_err(Problem::NotAnEvent)?;
        let mut forwarded = false;
        if let EventHead::Snapshot { event_type, account: None, .. } = &head
            && concerns_a_task(event_type, &body)
        {
            let body = std::str::from_utf8(&body).map_err(|_| Problem::NotUtf8)?;
            self.bus.put(event_type, body).await?;
            forwarded = true;
        }
        Ok(Accepted { head, forwarded })
    }

    async fn verify(&self, header: &str, body: &[u8]) -> Result<(), Problem> {
        let now = self.clock.now_ms() / 1000;
        let verified = verify_signature(header, body, &self.secrets.current().await?, now);
        let verified = match verified {
            // The secret may have been rolled since it was fetched.
            Err(SignatureError::Mismatch) => {
                verify_signature(header, body, &self.secrets.fresh().await?, now)
            }
            other => other,
        };
        verified.map_err(Problem::BadSignature)
    }
}

/// The bytes Stripe signed.
fn raw_body(body: Option<&str>, is_base64: bool) -> Result<Vec<u8>, Problem> {
    let body = body.filter(|body| !body.is_empty()).ok_or(Problem::NoBody)?;
    let body = if is_base64 {
        BASE64.decode(body).map_err(|_| Problem::NotBase64)?
    } else {
        body.as_bytes().to_vec()
    };
    if body.len() > MAX_BODY_BYTES {
        return Err(Problem::TooLarge { bytes: body.len() });
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
