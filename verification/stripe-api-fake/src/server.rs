use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

use crate::account::Refusal;
use crate::query::Query;
use crate::{Fault, KEY, Misfit, Published, State, lock};

/// A request, as far as it matters.
struct Request {
    method: String,
    target: String,
    authorization: String,
    content_type: String,
    idempotency_key: String,
    body: Vec<u8>,
}

/// A POST with an idempotency key, and its answer.
#[derive(Debug)]
pub(crate) struct Answered {
    path: String,
    body: Vec<u8>,
    status: u16,
    answer: String,
}

/// The reply to a request.
enum Reply {
    Answer(u16, String),
    /// What the same request was answered before.
    Again(u16, String),
    Reset,
    Silence,
}

/// Listens and answers, a thread for each connection. The address it listens on.
pub(crate) fn start(port: u16, state: Arc<Mutex<State>>, now: impl Fn() -> i64 + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let now = Arc::new(Mutex::new(now));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            let now = Arc::clone(&now);
            thread::spawn(move || {
                serve(connection, &state, || {
                    (now.lock().unwrap_or_else(std::sync::PoisonError::into_inner))()
                });
            });
        }
    });
    url
}

/// Answers the requests of a connection until either side has had enough.
fn serve(mut connection: TcpStream, state: &Mutex<State>, now: impl Fn() -> i64) {
    // Or the tail of a long answer waits for an acknowledgement.
    let _ = connection.set_nodelay(true);
    let mut received = Vec::new();
    while let Some(request) = read_request(&mut connection, &mut received) {
        let reply = reply(state, &request, now());
        let again = if matches!(reply, Reply::Again(..)) { "idempotent-replayed: true\r\n" } else { "" };
        match reply {
            Reply::Answer(status, body) | Reply::Again(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nrequest-id: req_fake\r\n{again}\
                     content-length: {}\r\n\r\n",
                    body.len()
                );
                if connection.write_all((head + &body).as_bytes()).is_err() {
                    return;
                }
            }
            Reply::Reset => return,
            // Until the other side gives up.
            Reply::Silence => {
                let _ = connection.read(&mut [0; 1]);
                return;
            }
        }
    }
}

fn reply(state: &Mutex<State>, request: &Request, now: i64) -> Reply {
    let mut state = lock(state);
    match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/fake/events") => {
            state.account.record(&text(&request.body), 0, i64::MIN);
            return Reply::Answer(200, "{}".to_owned());
        }
        ("POST", "/fake/line_items") => {
            let told: (String, Vec<serde_json::Value>) = serde_json::from_slice(&request.body).unwrap();
            state.account.line_items.insert(told.0, told.1);
            return Reply::Answer(200, "{}".to_owned());
        }
        ("POST", "/fake/faults") => {
            let statuses: Vec<u16> = serde_json::from_slice(&request.body).unwrap();
            state.faults.extend(statuses.into_iter().map(|status| Some(Fault::Status(status))));
            return Reply::Answer(200, "{}".to_owned());
        }
        _ => {}
    }
    state.requests.push(format!("{} {}", request.method, request.target));
    let fault = state.faults.pop_front().flatten();
    match fault {
        Some(Fault::Status(status)) => return Reply::Answer(status, scripted()),
        Some(Fault::Reset) => return Reply::Reset,
        Some(Fault::Silence) => return Reply::Silence,
        Some(Fault::LostReply | Fault::Kept(_)) | None => {}
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    if let Err(refusal) =
        authorize(&request.authorization, state.lacks.filter(|lacks| is_needed(lacks, path, query)))
    {
        return refused(&refusal);
    }
    let query = Query::read(query);
    let form = Query::of_form(&request.content_type, &request.body);
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
    let reply = match request.method.as_str() {
        "GET" => {
            let requests = state.requests.len();
            match state.account.get(path, &query, requests, now) {
                Ok(body) => Reply::Answer(200, body),
                Err(refusal) => refused(&refusal),
            }
        }
        "POST" => write(&mut state, request, path, fault, now),
        _ => Reply::Answer(405, error(&Refusal::of(405, "method_not_allowed", String::new()))),
    };
    if fault == Some(Fault::LostReply) { Reply::Reset } else { reply }
}

/// A POST: once for each idempotency key. Parameters that Stripe refuses are not kept with the key; every other reply
/// is, also a refusal.
///
/// <https://docs.stripe.com/api/idempotent_requests>
fn write(state: &mut State, request: &Request, path: &str, fault: Option<Fault>, now: i64) -> Reply {
    let key = request.idempotency_key.clone();
    if let Some(before) = state.answered.get(&key) {
        if before.path != path || before.body != request.body {
            let message = "Keys for idempotent requests can only be used with the same parameters".to_owned();
            return Reply::Answer(400, error_of_type("idempotency_error", &Refusal::of(400, "", message)));
        }
        return Reply::Again(before.status, before.answer.clone());
    }
    let (status, answer) = if let Some(Fault::Kept(status)) = fault {
        (status, scripted())
    } else {
        let form = Query::of_form(&request.content_type, &request.body);
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
    Reply::Answer(status, answer)
}

fn refused(refusal: &Refusal) -> Reply {
    Reply::Answer(refusal.status, error(refusal))
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

/// The next request; `None` when the connection ends. What was received beyond it stays in `received`.
fn read_request(connection: &mut TcpStream, received: &mut Vec<u8>) -> Option<Request> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(length) = head.parse(received).ok()? {
            let header = |name: &str| {
                let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                found.map(|header| String::from_utf8_lossy(header.value).into_owned()).unwrap_or_default()
            };
            let body_end = length + header("content-length").parse().unwrap_or(0_usize);
            if received.len() >= body_end {
                let request = Request {
                    method: head.method?.to_owned(),
                    target: head.path?.to_owned(),
                    authorization: header("authorization"),
                    content_type: header("content-type"),
                    idempotency_key: header("idempotency-key"),
                    body: received[length..body_end].to_vec(),
                };
                received.drain(..body_end);
                return Some(request);
            }
        }
        match connection.read(&mut buffer).ok()? {
            0 => return None,
            n => received.extend_from_slice(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests;
