//! As much of an HTTP/1.1 server as Lambda's runtime and the AWS SDK need, on loopback, in clear or over what the
//! caller wraps connections in.
//!
//! A thread a connection: a caller that waits for a reply waits for a system call and for nothing else.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};

/// A request, whole.
#[derive(Debug)]
pub struct Request {
    /// `POST`
    pub method: String,
    /// Path and query.
    pub path: String,
    /// As they came.
    pub headers: Vec<(String, String)>,
    /// Without chunks.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value, whatever case its name is written in.
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }
}

/// A reply, whole.
#[derive(Debug)]
pub struct Reply {
    /// `200`
    pub status: u16,
    /// Names in lower case. The length is added where it is missing.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

/// Serves on a free port of loopback until the program ends. No reply (`None`) closes the connection.
///
/// # Errors
///
/// When there is no port.
pub fn serve(answer: impl Fn(Request) -> Option<Reply> + Send + Sync + 'static) -> Result<SocketAddr> {
    serve_over(Ok, answer)
}

/// The same over connections that `wrap` puts something around, such as TLS.
///
/// # Errors
///
/// When there is no port.
pub fn serve_over<S: Read + Write>(
    wrap: impl Fn(TcpStream) -> Result<S> + Send + Sync + 'static,
    answer: impl Fn(Request) -> Option<Reply> + Send + Sync + 'static,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
    let address = listener.local_addr()?;
    let shared = Arc::new((wrap, answer));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (wrap, answer) = &*shared;
                // A function that is killed takes its connections with it: that is how most of them end.
                let _ended = connection
                    .set_nodelay(true)
                    .map_err(Into::into)
                    .and_then(|()| wrap(connection))
                    .and_then(|stream| exchange(stream, answer));
            });
        }
    });
    Ok(address)
}

/// Request after request on one connection.
fn exchange(mut stream: impl Read + Write, answer: &impl Fn(Request) -> Option<Reply>) -> Result<()> {
    let mut received = Vec::new();
    while let Some(request) = receive(&mut stream, &mut received)? {
        let Some(reply) = answer(request) else {
            return Ok(());
        };
        let mut bytes = format!("HTTP/1.1 {} X\r\n", reply.status).into_bytes();
        // A reply to HEAD says itself how long the body would be.
        if !reply.headers.iter().any(|(name, _)| name == "content-length") {
            bytes.extend(format!("content-length: {}\r\n", reply.body.len()).into_bytes());
        }
        for (name, value) in &reply.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(reply.body);
        stream.write_all(&bytes)?;
        stream.flush()?;
    }
    Ok(())
}

/// The next request of a connection; `None` when it ends. `received` holds what was read too far.
fn receive(stream: &mut impl Read, received: &mut Vec<u8>) -> Result<Option<Request>> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = parsed.parse(received)? {
            let headers: Vec<(String, String)> = parsed
                .headers
                .iter()
                .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()))
                .collect();
            let mut request = Request {
                method: parsed.method.unwrap_or_default().to_owned(),
                path: parsed.path.unwrap_or_default().to_owned(),
                headers,
                body: Vec::new(),
            };
            ensure!(request.header("transfer-encoding").is_none(), "a body in chunks: none was sent so far");
            let length = request.header("content-length").map_or(Ok(0), |length| length.parse::<usize>())?;
            received.drain(..head);
            while received.len() < length {
                match stream.read(&mut buffer)? {
                    0 => bail!("the connection ended within a request"),
                    n => received.extend(buffer.iter().take(n)),
                }
            }
            request.body = received.drain(..length).collect();
            return Ok(Some(request));
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            n => received.extend(buffer.iter().take(n)),
        }
    }
}
