use serde::Deserialize;

/// Why Stripe's API did not give what was asked for. Holds codes and paths only: Stripe's sentences may quote keys
/// and addresses.
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
        /// What was asked for.
        path: String,
        /// HTTP status.
        status: u16,
        /// The permission it lacks, e.g. `rak_event_read`, when Stripe says so.
        permission: Option<String>,
    },
    /// There is no such object, or it is another account's or the other mode's.
    #[error("Stripe has no {path} in this account and mode")]
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// Too many requests, also after waiting.
    #[error("Stripe's rate limit was still reached after {attempts} attempts at {path}: try again later")]
    RateLimited {
        /// What was asked for.
        path: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// No answer, or that of a broken server, also after waiting.
    #[error("Stripe did not answer {path} in {attempts} attempts ({reason}): try again later")]
    Unavailable {
        /// What was asked for.
        path: String,
        /// How often it was tried.
        attempts: u32,
        /// The last one's status, or what happened to the connection.
        reason: String,
    },
    /// The same request failed before, and Stripe keeps its failure with the idempotency key for a day. Another key
    /// makes it a new request: whoever takes one first looks whether it was done.
    #[error("Stripe failed at {path} before and keeps that answer ({status})")]
    Kept {
        /// What was asked for.
        path: String,
        /// HTTP status.
        status: u16,
    },
    /// A request that Stripe does not accept. Ours to mend.
    #[error(
        "Stripe does not accept the request for {path} ({status} {code}{})",
        .param.as_ref().map(|param| format!(", {param}")).unwrap_or_default()
    )]
    Refused {
        /// What was asked for.
        path: String,
        /// HTTP status.
        status: u16,
        /// Stripe's error code or type.
        code: String,
        /// The parameter it is about, when Stripe says so: `line_items[0][price]`.
        param: Option<String>,
    },
    /// An answer in another shape than Stripe documents.
    #[error("Stripe's answer to {path} cannot be read")]
    Unreadable {
        /// What was asked for.
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

    /// Whether the same request may succeed later without anybody mending anything.
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
}

/// What an answer means that is neither a success nor worth another attempt.
pub(crate) fn classify(path: &str, status: u16, body: &[u8]) -> StripeError {
    let error = serde_json::from_slice::<WireError>(body).unwrap_or_default().error;
    let permission = error.message.as_deref().and_then(missing_permission);
    let path = path.to_owned();
    // A missing permission has come as 400 as well as 403.
    match status {
        401 | 403 => StripeError::KeyRefused { path, status, permission },
        _ if permission.is_some() => StripeError::KeyRefused { path, status, permission },
        404 => StripeError::NotFound { path },
        _ => {
            let code = error.code.or(error.kind).filter(|code| is_code(code));
            let param = error.param.filter(|param| is_param(param));
            StripeError::Refused { path, status, code: code.unwrap_or_else(|| "no code".to_owned()), param }
        }
    }
}

/// Stripe says: "Having the `rak_…` permission would allow this request to continue."
fn missing_permission(message: &str) -> Option<String> {
    let named = &message[message.find("rak_")?..];
    let end = named.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_');
    Some(named[..end.unwrap_or(named.len())].to_owned())
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

    #[test]
    fn tells_what_to_mend() {
        let check = |status, message: &str, expected: &str| {
            let body = serde_json::json!({ "error": {
                "type": "invalid_request_error", "code": "parameter_invalid", "message": message
            } });
            let error = classify("/v1/events", status, body.to_string().as_bytes());
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
            let error = classify("/v1/prices", 400, body.to_string().as_bytes());
            let expected = format!("Stripe does not accept the request for /v1/prices (400 {expected})");
            assert_eq!(error.to_string(), expected);
        };
        check("line_items[0][price]", "amount_too_small, line_items[0][price]");
        check("ada@example.org", "amount_too_small");
    }

    #[test]
    fn reads_errors_that_are_none_of_stripes() {
        let error = classify("/v1/events", 418, b"<html>ada@example.org</html>");
        assert_eq!(error.to_string(), "Stripe does not accept the request for /v1/events (418 no code)");
    }
}
