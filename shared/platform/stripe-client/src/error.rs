use serde::Deserialize;

/// Why Stripe's API did not answer a request. Prints codes and the names of endpoints only: Stripe's sentences
/// may quote keys and addresses, and a session's id opens the purchase, so neither belongs into a log. A tool whose
/// requests hold no customer's data may show [`StripeError::sentence`] to the person who uses it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    /// The key is unknown, revoked, or may not read this.
    #[error(
        "Stripe refuses the key for {path} ({status}): {}",
        .permission.as_ref().map_or_else(
            || "check that it is not expired, revoked, or of another mode".to_owned(),
            |permission| format!("give the restricted key the permission {permission}")
        )
    )]
    KeyRefused {
        /// The request.
        path: String,
        /// HTTP status.
        status: u16,
        /// The permission it lacks, e.g. `rak_event_read`, when Stripe says so.
        permission: Option<String>,
        /// What Stripe wrote about it.
        sentence: Box<Sentence>,
    },
    /// There is no such object, or it is another account's or the other mode's.
    #[error("Stripe has no {path} in this account and mode")]
    NotFound {
        /// The request.
        path: String,
    },
    /// Too many requests, also after waiting.
    #[error("Stripe's rate limit was still reached after {attempts} attempts at {path}: try again later")]
    RateLimited {
        /// The request.
        path: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// No answer, or that of a broken server, also after waiting.
    #[error("Stripe did not answer {path} in {attempts} attempts ({reason}): try again later")]
    Unavailable {
        /// The request.
        path: String,
        /// How often it was tried.
        attempts: u32,
        /// The last one's status, or what happened to the connection.
        reason: String,
    },
    /// The same request failed or was refused before, and Stripe keeps that reply with the idempotency key for a day,
    /// also when the cause is gone. Another key makes it a new request: look first whether it was done.
    ///
    /// <https://docs.stripe.com/api/idempotent_requests>
    #[error("Stripe failed at {path} before and keeps that reply ({status})")]
    Kept {
        /// The request.
        path: String,
        /// HTTP status.
        status: u16,
        /// What Stripe wrote about it.
        sentence: Box<Sentence>,
    },
    /// A request that Stripe does not accept. Ours to fix.
    #[error(
        "Stripe does not accept the request for {path} ({status} {code}{})",
        .param.as_ref().map(|param| format!(", {param}")).unwrap_or_default()
    )]
    Refused {
        /// The request.
        path: String,
        /// HTTP status.
        status: u16,
        /// Stripe's error code or type.
        code: String,
        /// The parameter it is about, when Stripe says so: `line_items[0][price]`.
        param: Option<String>,
        /// What Stripe wrote about it.
        sentence: Box<Sentence>,
    },
    /// An answer in another shape than Stripe documents.
    #[error("Stripe's answer to {path} cannot be read")]
    Unreadable {
        /// The request.
        path: String,
    },
    /// The client has made as many requests as it may.
    #[error("the budget of requests to Stripe is spent")]
    BudgetSpent,
}

impl StripeError {
    /// A short name for logs and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::KeyRefused { .. } => "stripe_key_refused",
            Self::NotFound { .. } => "stripe_not_found",
            Self::RateLimited { .. } => "stripe_rate_limited",
            Self::Unavailable { .. } => "stripe_unavailable",
            Self::Kept { .. } => "stripe_failure_kept",
            Self::Refused { .. } => "stripe_refused",
            Self::Unreadable { .. } => "stripe_unreadable",
            Self::BudgetSpent => "stripe_budget_spent",
        }
    }

    /// What Stripe wrote about it, for the person who can act on it. It may quote the request, so it is for tools
    /// whose requests hold no customer's data, and for no log.
    pub const fn sentence(&self) -> Option<&Sentence> {
        match self {
            Self::KeyRefused { sentence, .. }
            | Self::Kept { sentence, .. }
            | Self::Refused { sentence, .. } => Some(sentence),
            Self::NotFound { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::Unreadable { .. }
            | Self::BudgetSpent => None,
        }
    }

    /// Whether the same request may succeed later without anybody fixing anything.
    pub const fn passes(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unavailable { .. } | Self::BudgetSpent => true,
            Self::KeyRefused { .. }
            | Self::NotFound { .. }
            | Self::Kept { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}

/// What Stripe wrote about a refusal, for the person who can act on it. Prints redacted: it may quote the request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sentence {
    /// Stripe's own words, on one line.
    pub message: Option<String>,
    /// `req_…`: what Stripe's support asks for.
    pub request_id: Option<String>,
    /// Where the Dashboard shows the request.
    pub log_url: Option<String>,
}

impl std::fmt::Debug for Sentence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Sentence {
    /// Stripe's words and where to read more, as one text. `None` when Stripe wrote nothing.
    pub fn text(&self) -> Option<String> {
        let said = self.message.as_ref().map(|message| format!("Stripe says: {message}"));
        let place = self.log_url.as_ref().or(self.request_id.as_ref()).map(|place| format!("({place})"));
        let parts: Vec<_> = said.into_iter().chain(place).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

/// The part of Stripe's error body that is read. <https://docs.stripe.com/api/errors>
#[derive(Deserialize, Default)]
struct WireError {
    #[serde(default)]
    error: WireErrorBody,
}

#[derive(Deserialize, Default)]
struct WireErrorBody {
    #[serde(default)]
    code: Option<String>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    param: Option<String>,
    #[serde(default)]
    request_log_url: Option<String>,
}

/// A reply that is neither a success nor worth another attempt.
pub(crate) struct Refusal<'a> {
    /// The endpoint, without the ids in it.
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    /// The header `Request-Id`.
    pub(crate) request_id: Option<&'a str>,
    /// Whether it is the reply to an earlier request with the same idempotency key.
    pub(crate) replayed: bool,
    pub(crate) body: &'a [u8],
}

/// What a refusal means.
pub(crate) fn classify(refusal: &Refusal<'_>) -> StripeError {
    let &Refusal { path, status, request_id, replayed, body } = refusal;
    let error = serde_json::from_slice::<WireError>(body).unwrap_or_default().error;
    let permission = error.message.as_deref().and_then(missing_permission);
    let path = path.to_owned();
    let sentence = Box::new(Sentence {
        message: error.message.as_deref().and_then(on_one_line),
        request_id: request_id.and_then(on_one_line),
        log_url: error.request_log_url.filter(|url| is_of_the_dashboard(url)),
    });
    // A missing permission has come as 400 as well as 403.
    match status {
        _ if replayed => StripeError::Kept { path, status, sentence },
        401 | 403 => StripeError::KeyRefused { path, status, permission, sentence },
        _ if permission.is_some() => StripeError::KeyRefused { path, status, permission, sentence },
        404 => StripeError::NotFound { path },
        _ => {
            let code = error.code.or(error.kind).filter(|code| is_code(code));
            let param = error.param.filter(|param| is_param(param));
            let code = code.unwrap_or_else(|| "no code".to_owned());
            StripeError::Refused { path, status, code, param, sentence }
        }
    }
}

/// Stripe says: "Having the `rak_…` permission would allow this request to continue." API v2 names its permissions
/// with another prefix.
fn missing_permission(message: &str) -> Option<String> {
    let words = message.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_');
    let is_one = |word: &&str| {
        word.starts_with("rak_")
            || (message.contains("permission") && (word.ends_with("_read") || word.ends_with("_write")))
    };
    words.into_iter().find(is_one).map(str::to_owned)
}

/// A text of somewhere else for a terminal: no control characters, and an end.
fn on_one_line(text: &str) -> Option<String> {
    const LONGEST: usize = 1_000;
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    Some(plain.trim().to_owned()).filter(|plain| !plain.is_empty())
}

fn is_of_the_dashboard(url: &str) -> bool {
    url.starts_with("https://dashboard.stripe.com/") && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_code(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_param(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_[]".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, status: u16, body: &[u8]) -> StripeError {
        classify(&Refusal { path, status, request_id: None, replayed: false, body })
    }

    #[test]
    fn names_what_to_do() {
        let check = |status, message: &str, expected: &str| {
            let body = serde_json::json!({ "error": {
                "type": "invalid_request_error", "code": "parameter_invalid", "message": message
            } });
            let error = refused("/v1/events", status, body.to_string().as_bytes());
            assert_eq!(error.to_string(), expected);
        };
        let lacking = "The provided key 'rk_test_*****k3y' does not have the required permissions for this \
                       endpoint. Having the 'rak_event_read' permission would allow this request to continue.";
        for status in [400, 403] {
            let expected = format!(
                "Stripe refuses the key for /v1/events ({status}): give the restricted key the permission \
                 rak_event_read"
            );
            check(status, lacking, &expected);
        }
        check(
            401,
            "Invalid API Key provided: rk_test_*****k3y",
            "Stripe refuses the key for /v1/events (401): check that it is not expired, revoked, or of another \
             mode",
        );
        check(404, "No such event", "Stripe has no /v1/events in this account and mode");
        check(
            400,
            "Invalid email: ada@example.org",
            "Stripe does not accept the request for /v1/events (400 parameter_invalid)",
        );
    }

    #[test]
    fn names_the_parameter_that_is_refused_and_nothing_else() {
        let check = |param: &str, expected: &str| {
            let body = serde_json::json!({ "error": { "code": "amount_too_small", "param": param } });
            let error = refused("/v1/prices", 400, body.to_string().as_bytes());
            let expected = format!("Stripe does not accept the request for /v1/prices (400 {expected})");
            assert_eq!(error.to_string(), expected);
        };
        check("line_items[0][price]", "amount_too_small, line_items[0][price]");
        check("ada@example.org", "amount_too_small");
    }

    #[test]
    fn reads_errors_that_are_none_of_stripes() {
        let error = refused("/v1/events", 418, b"<html>ada@example.org</html>");
        assert_eq!(error.to_string(), "Stripe does not accept the request for /v1/events (418 no code)");
    }

    #[test]
    fn keeps_stripes_own_words_for_the_person_who_can_act_on_them() {
        let body = serde_json::json!({ "error": {
            "type": "invalid_request_error",
            "message": "You must have a valid head office address\u{1b}[2J to enable automatic tax calculation.",
            "request_log_url": "https://dashboard.stripe.com/test/logs/req_1?t=1",
        } })
        .to_string();
        let refusal = |replayed, body| {
            classify(&Refusal {
                path: "/v1/payment_links",
                status: 400,
                request_id: Some("req_1"),
                replayed,
                body,
            })
        };
        let error = refusal(false, body.as_bytes());
        let text = error.sentence().unwrap().text().unwrap();
        assert_eq!(
            text,
            "Stripe says: You must have a valid head office address [2J to enable automatic tax calculation. \
             (https://dashboard.stripe.com/test/logs/req_1?t=1)"
        );
        assert!(!format!("{error} {error:?}").contains("head office"), "not for logs");
        let kept = refusal(true, body.as_bytes());
        assert!(matches!(&kept, StripeError::Kept { status: 400, .. }), "{kept:?}");
        assert_eq!(kept.sentence().unwrap().text().unwrap(), text);
        let silent = refusal(false, b"{\"error\":{\"request_log_url\":\"https://example.org/\"}}");
        assert_eq!(silent.sentence().unwrap().text().as_deref(), Some("(req_1)"));
    }

    #[test]
    fn finds_the_permission_that_is_missing() {
        for (message, expected) in [
            ("Having the 'rak_event_read' permission would allow this.", Some("rak_event_read")),
            ("Missing permissions: hzn_event_destination_read", Some("hzn_event_destination_read")),
            ("This is read_only", None),
        ] {
            assert_eq!(missing_permission(message).as_deref(), expected, "{message}");
        }
    }
}
