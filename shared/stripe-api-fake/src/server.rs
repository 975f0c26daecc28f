use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

use crate::account::Refusal;
use crate::query::Query;
use crate::{Fault, KEY, State, lock};

/// A request, as far as it matters.
struct Request {
    method: String,
    target: String,
    authorization: String,
    body: String,
}

/// What is done about a request.
enum Reply {
    Answer(u16, String),
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
            let (state, now) = (Arc::clone(&state), Arc::clone(&now));
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
        match reply(state, &request, now()) {
            Reply::Answer(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
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
            state.account.record(&request.body, 0, i64::MIN);
            return Reply::Answer(200, "{}".to_owned());
        }
        ("POST", "/fake/faults") => {
            let statuses: Vec<u16> = serde_json::from_str(&request.body).unwrap();
            state.faults.extend(statuses.into_iter().map(|status| Some(Fault::Status(status))));
            return Reply::Answer(200, "{}".to_owned());
        }
        _ => {}
    }
    state.requests.push(format!("{} {}", request.method, request.target));
    match state.faults.pop_front().flatten() {
        Some(Fault::Status(status)) => return Reply::Answer(status, error("api_error", "Scripted")),
        Some(Fault::Reset) => return Reply::Reset,
        Some(Fault::Silence) => return Reply::Silence,
        None => {}
    }
    if let Err(refusal) = authorize(&request.authorization, state.lacks) {
        return refused(&refusal);
    }
    if request.method != "GET" {
        return Reply::Answer(405, error("invalid_request_error", "This fake is only read"));
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    match state.account.get(path, &Query::read(query), state.requests.len(), now) {
        Ok(body) => Reply::Answer(200, body),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Reply {
    Reply::Answer(refusal.status, error(refusal.code, &refusal.message))
}

fn error(code: &str, message: &str) -> String {
    json!({ "error": { "type": "invalid_request_error", "code": code, "message": message } }).to_string()
}

/// <https://docs.stripe.com/api/authentication>: the key as Bearer, or as the user of Basic.
fn authorize(header: &str, lacks: Option<&str>) -> Result<(), Refusal> {
    // `rk_test_fake:` in base64.
    const BASIC: &str = "cmtfdGVzdF9mYWtlOg==";
    let known = header.strip_prefix("Bearer ") == Some(KEY) || header.strip_prefix("Basic ") == Some(BASIC);
    if !known {
        let message = "Invalid API Key provided".to_owned();
        return Err(Refusal { status: 401, code: "api_key_invalid", message });
    }
    lacks.map_or(Ok(()), |permission| {
        let message = format!(
            "The provided key 'rk_test_****fake' does not have the required permissions for this endpoint. \
             Having the '{permission}' permission would allow this request to continue."
        );
        Err(Refusal { status: 403, code: "permission_denied", message })
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
                    body: String::from_utf8_lossy(&received[length..body_end]).into_owned(),
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
