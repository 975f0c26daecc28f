use std::sync::{Arc, Mutex, PoisonError};

use loopback::{Answer, Reply, Request};
use serde_json::json;

use crate::account::Refusal;
use crate::query::Query;
use crate::{Fault, KEY, Misfit, Published, State, lock};

/// A POST with an idempotency key, and its answer.
#[derive(Debug)]
pub(crate) struct Answered {
    path: String,
    body: Vec<u8>,
    status: u16,
    answer: String,
}

/// Listens and answers. The address it listens on.
pub(crate) fn start(port: u16, state: Arc<Mutex<State>>, now: impl Fn() -> i64 + Send + 'static) -> String {
    let now = Mutex::new(now);
    let answer = move |request: Request| {
        let now = (now.lock().unwrap_or_else(PoisonError::into_inner))();
        answer(&state, &request, now)
    };
    format!("http://{}", loopback::serve_over(port, Ok, answer).unwrap())
}

fn reply(status: u16, body: String) -> Answer {
    with_request_id(status, body).into()
}

/// The reply that the same request had before.
fn replayed(status: u16, body: String) -> Answer {
    with_request_id(status, body).with("idempotent-replayed", "true").into()
}

fn with_request_id(status: u16, body: String) -> Reply {
    Reply::json(status, body).with("request-id", "req_fake")
}

fn answer(state: &Mutex<State>, request: &Request, now: i64) -> Answer {
    let mut state = lock(state);
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/fake/events") => {
            state.account.record(&text(&request.body), 0, i64::MIN);
            return reply(200, "{}".to_owned());
        }
        ("POST", "/fake/line_items") => {
            let (session, items): (String, Vec<serde_json::Value>) =
                serde_json::from_slice(&request.body).unwrap();
            state.account.line_items.insert(session, items);
            return reply(200, "{}".to_owned());
        }
        ("POST", "/fake/objects") => {
            state.account.put(serde_json::from_slice(&request.body).unwrap());
            return reply(200, "{}".to_owned());
        }
        ("POST", "/fake/undelivered") => {
            state.account.undelivered.insert(text(&request.body));
            return reply(200, "{}".to_owned());
        }
        ("POST", "/fake/delivered") => {
            state.account.undelivered.remove(&text(&request.body));
            return reply(200, "{}".to_owned());
        }
        ("POST", "/fake/faults") => {
            let statuses: Vec<u16> = serde_json::from_slice(&request.body).unwrap();
            state.faults.extend(statuses.into_iter().map(|status| Some(Fault::Status(status))));
            return reply(200, "{}".to_owned());
        }
        _ => {}
    }
    state.requests.push(format!("{} {}", request.method, request.path));
    let fault = state.faults.pop_front().flatten();
    match fault {
        Some(Fault::Status(status)) => return reply(status, scripted()),
        Some(Fault::Reset) => return Answer::Close,
        Some(Fault::Silence) => return Answer::Silence,
        Some(Fault::LostReply | Fault::Kept(_)) | None => {}
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if let Err(refusal) = authorize(
        &header(request, "authorization"),
        state.lacks.filter(|lacks| is_needed(lacks, path, query)),
    ) {
        return refused(&refusal);
    }
    let query = Query::read(query);
    let form = Query::of_form(&header(request, "content-type"), &request.body);
    let said = if request.method == "POST" { &form } else { &query };
    let unknown = |(name, value): (&str, &str)| {
        // A file's bytes are no text.
        let value = Some(value).filter(|_| name != "file");
        let misfit = Published::get().takes(&request.method, path, name, value).err()?;
        let code = match misfit {
            Misfit::Unknown(_) => "parameter_unknown",
            Misfit::NotANumber(_) => "parameter_invalid_integer",
            Misfit::Value(_) => "parameter_invalid",
        };
        Some(Refusal { param: Some(name.to_owned()), ..Refusal::of(400, code, misfit.to_string()) })
    };
    if let Some(refusal) = said.pairs().find_map(unknown) {
        return refused(&refusal);
    }
    let answer = match request.method.as_str() {
        "GET" => {
            let requests = state.requests.len();
            match state.account.get(path, &query, requests, now) {
                Ok(body) => reply(200, body),
                Err(refusal) => refused(&refusal),
            }
        }
        "POST" => write(&mut state, request, path, fault, now),
        _ => reply(405, error(&Refusal::of(405, "method_not_allowed", String::new()))),
    };
    if fault == Some(Fault::LostReply) { Answer::Close } else { answer }
}

/// A POST: once for each idempotency key. Parameters that Stripe refuses are not kept with the key; every other reply
/// is, also a refusal.
///
/// <https://docs.stripe.com/api/idempotent_requests>
fn write(state: &mut State, request: &Request, path: &str, fault: Option<Fault>, now: i64) -> Answer {
    let key = header(request, "idempotency-key");
    if let Some(before) = state.answered.get(&key) {
        if before.path != path || before.body != request.body {
            let message = "Keys for idempotent requests can only be used with the same parameters".to_owned();
            return reply(400, error_of_type("idempotency_error", &Refusal::of(400, "", message)));
        }
        return replayed(before.status, before.answer.clone());
    }
    let (status, answer) = if let Some(Fault::Kept(status)) = fault {
        (status, scripted())
    } else {
        let form = Query::of_form(&header(request, "content-type"), &request.body);
        match state.account.post(path, &form, now) {
            Ok(answer) => (200, answer),
            Err(refusal) if refusal.is_kept() => (refusal.status, error(&refusal)),
            Err(refusal) => return refused(&refusal),
        }
    };
    if !key.is_empty() {
        let path = path.to_owned();
        let body = request.body.clone();
        state.answered.insert(key, Answered { path, body, status, answer: answer.clone() });
    }
    reply(status, answer)
}

fn refused(refusal: &Refusal) -> Answer {
    reply(refusal.status, error(refusal))
}

fn scripted() -> String {
    error(&Refusal::of(0, "api_error", "Scripted".to_owned()))
}

pub(crate) fn error(refusal: &Refusal) -> String {
    error_of_type("invalid_request_error", refusal)
}

/// <https://docs.stripe.com/api/errors>
fn error_of_type(kind: &str, refusal: &Refusal) -> String {
    let Refusal { code, message, param, .. } = refusal;
    let code = Some(code).filter(|code| !code.is_empty());
    json!({ "error": { "type": kind, "code": code, "message": message, "param": param,
        "request_log_url": "https://dashboard.stripe.com/test/logs/req_fake" } })
    .to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What each permission is needed for. One that is not here is needed for everything.
const PERMISSIONS: [(&str, &str); 11] = [
    ("rak_charge_read", "/v1/refunds"),
    ("rak_checkout_session_read", "/v1/checkout/sessions"),
    ("rak_dispute_read", "/v1/disputes"),
    ("rak_event_read", "/v1/events"),
    ("rak_invoice_read", "/v1/invoice"),
    ("rak_payment_intent_read", "/v1/payment_intents"),
    ("rak_payment_link_read", "/v1/payment_links"),
    ("rak_plan_read", "/v1/prices"),
    ("rak_product_read", "/v1/products"),
    ("rak_subscription_read", "/v1/subscriptions"),
    ("hzn_event_destination_read", "/v2/core/event_destinations"),
];

/// Whether a request needs a permission: for its endpoint, or for an object that it wants expanded.
///
/// <https://docs.stripe.com/stripe-apps/reference/permissions>
fn is_needed(permission: &str, path: &str, query: &str) -> bool {
    let endpoint = PERMISSIONS.iter().find(|(known, _)| *known == permission);
    let object = permission.strip_prefix("rak_").and_then(|rest| rest.strip_suffix("_read"));
    let expanded = |field: &str| field.split('.').any(|part| Some(part) == object);
    endpoint.is_none_or(|(_, endpoint)| path.starts_with(endpoint))
        || Query::read(query).all("expand[]").any(expanded)
}

/// <https://docs.stripe.com/api/authentication>: the key as Bearer, or as the user of Basic.
fn authorize(header: &str, lacks: Option<&str>) -> Result<(), Refusal> {
    // `rk_test_fake:` in base64.
    const BASIC: &str = "cmtfdGVzdF9mYWtlOg==";
    let known = header.strip_prefix("Bearer ") == Some(KEY) || header.strip_prefix("Basic ") == Some(BASIC);
    if !known {
        let message = "Invalid API Key provided".to_owned();
        return Err(Refusal::of(401, "api_key_invalid", message));
    }
    lacks.map_or(Ok(()), |permission| {
        let message = format!(
            "The provided key 'rk_test_****fake' does not have the required permissions for this endpoint. \
             Having the '{permission}' permission would allow this request to continue."
        );
        Err(Refusal::of(403, "permission_denied", message))
    })
}

fn header(request: &Request, name: &str) -> String {
    request.header(name).unwrap_or_default()
}

#[cfg(test)]
mod tests;
