#![doc = include_str!("../README.md")]

use std::borrow::Cow;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

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
    /// Names in lower case. The length is added where it is missing. `connection: close` ends the connection.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Reply {
    /// A reply in JSON.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("content-type".into(), "application/json".to_owned())];
        Self { status, headers, body: body.into().into_bytes() }
    }

    /// The same with one header more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name.into(), value.to_owned()));
        self
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// It is replied to.
    Reply(Reply),
    /// The connection is closed: the reply is lost.
    Close,
    /// The connection stays open and silent, until the other side gives up.
    Silence,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<Option<Reply>> for Answer {
    fn from(reply: Option<Reply>) -> Self {
        reply.map_or(Self::Close, Self::Reply)
    }
}

/// Serves on a free port of loopback until the program ends, a thread a connection.
///
/// # Errors
///
/// When there is no port.
pub fn serve<A: Into<Answer>>(answer: impl Fn(Request) -> A + Send + Sync + 'static) -> Result<SocketAddr> {
    serve_over(0, Ok, answer)
}

/// The same on a port (0 for a free one), over connections that `wrap` puts something around, such as TLS.
///
/// # Errors
///
/// When there is no such port.
pub fn serve_over<S: Read + Write, A: Into<Answer>>(
    port: u16,
    wrap: impl Fn(TcpStream) -> Result<S> + Send + Sync + 'static,
    answer: impl Fn(Request) -> A + Send + Sync + 'static,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let address = listener.local_addr()?;
    let shared = Arc::new((wrap, answer));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (wrap, answer) = &*shared;
                // A program that is killed takes its connections with it: that is how most of them end. The delay is
                // off, or the tail of a long reply would wait for an acknowledgement.
                let _ended = connection
                    .set_nodelay(true)
                    .and_then(|()| wrap(connection))
                    .and_then(|stream| exchange(stream, answer));
            });
        }
    });
    Ok(address)
}

/// Request after request on one connection.
fn exchange<A: Into<Answer>>(mut stream: impl Read + Write, answer: &impl Fn(Request) -> A) -> Result<()> {
    let mut received = Vec::new();
    while let Some(request) = receive(&mut stream, &mut received)? {
        let reply = match answer(request).into() {
            Answer::Reply(reply) => reply,
            Answer::Close => return Ok(()),
            Answer::Silence => return stream.read(&mut [0; 1]).map(drop),
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
        if reply.headers.iter().any(|(name, value)| name == "connection" && value == "close") {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request of a connection; `None` when it ends. `received` holds what was read too far.
fn receive(stream: &mut impl Read, received: &mut Vec<u8>) -> Result<Option<Request>> {
    let invalid = |problem: &str| Error::new(ErrorKind::InvalidData, problem.to_owned());
    let mut buffer = [0; 16 * 1024];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = parsed.parse(received).map_err(Error::other)? {
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
            if request.header("transfer-encoding").is_some() {
                return Err(invalid("a body in chunks: none was sent so far"));
            }
            let length = request.header("content-length").map_or(Ok(0), |length| length.parse::<usize>());
            let length = length.map_err(|_| invalid("a length that is no number"))?;
            received.drain(..head);
            while received.len() < length {
                match stream.read(&mut buffer)? {
                    0 => return Err(ErrorKind::UnexpectedEof.into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn send(address: SocketAddr, requests: &str) -> String {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(requests.as_bytes()).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let mut received = String::new();
        connection.read_to_string(&mut received).unwrap();
        received
    }

    #[test]
    fn requests_on_one_connection_are_replied_to_in_turn() {
        let address = serve(|request: Request| {
            let body =
                format!("{} {} {}", request.method, request.path, String::from_utf8_lossy(&request.body));
            Reply::json(200, body)
        })
        .unwrap();
        let received =
            send(address, "GET /a HTTP/1.1\r\n\r\nPOST /b?c HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
        let bodies: Vec<_> = received.split("\r\n\r\n").collect();
        assert!(bodies[1].starts_with("GET /a ") && bodies[2] == "POST /b?c hi", "{received}");
    }

    #[test]
    fn a_reply_can_be_lost_kept_back_or_the_last_on_its_connection() {
        let address = serve(|request: Request| match request.path.as_str() {
            "/close" => Answer::Close,
            "/silence" => Answer::Silence,
            _ => Reply::json(200, "{}").with("connection", "close").into(),
        })
        .unwrap();
        assert_eq!(send(address, "GET /close HTTP/1.1\r\n\r\n"), "");
        assert_eq!(send(address, "GET /silence HTTP/1.1\r\n\r\n"), "", "the client gave up");
        let received = send(address, "GET /last HTTP/1.1\r\n\r\nGET /more HTTP/1.1\r\n\r\n");
        assert_eq!(received.matches("HTTP/1.1 200").count(), 1, "{received}");
    }
}
