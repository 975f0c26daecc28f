//! Between the functions and moto: says whose account it is, remembers replies, and can make calls meet.

use std::sync::{Arc, Barrier, Mutex};

use loopback::{Reply, Request};
use serde_json::Value;
use xtask::aws;

/// Calls of which each waits for the others.
struct Meeting {
    target: &'static str,
    missing: usize,
    place: Arc<Barrier>,
}

/// A way to moto.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    answers: Arc<Mutex<Vec<(String, Value)>>>,
    meeting: Arc<Mutex<Option<Meeting>>>,
}

impl Gate {
    /// Opens it, and says where.
    pub(crate) fn open(&self, moto: &str, account: &str) -> String {
        let gate = self.clone();
        let moto = moto.to_owned();
        let account = account.to_owned();
        let client = aws::http();
        let pass = move |request: Request| {
            let target = request.header("x-amz-target").unwrap_or_default();
            gate.meet(&target);
            let mut forwarded = ureq::http::Request::builder()
                .method(request.method.as_str())
                .uri(format!("{moto}{}", request.path))
                .header("x-moto-account-id", &account);
            for (name, value) in &request.headers {
                let about_the_connection =
                    ["host", "connection", "content-length"].iter().any(|it| name.eq_ignore_ascii_case(it));
                if !about_the_connection {
                    forwarded = forwarded.header(name, value);
                }
            }
            let mut answer = client.run(forwarded.body(request.body.as_slice()).ok()?).ok()?;
            let headers = answer.headers().iter().filter(|(name, _)| *name != "connection");
            let headers = headers.filter_map(|(name, value)| {
                Some((name.as_str().to_owned().into(), value.to_str().ok()?.to_owned()))
            });
            let headers = headers.collect();
            let body = answer.body_mut().read_to_vec().ok()?;
            let reported = serde_json::from_slice(&body).unwrap_or_default();
            let operation = if target.is_empty() { request.path } else { target };
            gate.answers.lock().unwrap().push((operation, reported));
            Some(Reply { status: answer.status().as_u16(), headers, body })
        };
        format!("http://{}", loopback::serve(pass).unwrap())
    }

    /// The next `count` calls of an operation wait until all of them are there, and then go on one by one.
    pub(crate) fn let_meet(&self, target: &'static str, count: usize) {
        let place = Arc::new(Barrier::new(count));
        *self.meeting.lock().unwrap() = Some(Meeting { target, missing: count, place });
    }

    fn meet(&self, target: &str) {
        let place = {
            let mut meeting = self.meeting.lock().unwrap();
            let Some(awaited) = meeting.as_mut().filter(|meeting| meeting.target == target) else {
                return;
            };
            awaited.missing -= 1;
            let place = Arc::clone(&awaited.place);
            if awaited.missing == 0 {
                *meeting = None;
            }
            place
        };
        place.wait();
    }

    /// The replies so far, in JSON, to calls of an operation: its target, or its path where it has none.
    pub(crate) fn answers(&self, operation: &str) -> Vec<Value> {
        let answers = self.answers.lock().unwrap();
        answers.iter().filter(|(of, _)| of == operation).map(|(_, answer)| answer.clone()).collect()
    }
}
