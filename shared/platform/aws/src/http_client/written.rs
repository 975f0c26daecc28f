//! Proof that a request never left: what a connection accepted of it.
//!
//! A call that must happen at most once may be repeated only if its first attempt provably sent nothing. Two things
//! spoil that proof. A connection from a pool may have died while Lambda had frozen the process, without a sign until
//! the request is on its way; and its counters hold what earlier requests wrote. So such a call takes a connection of
//! its own ([`OwnConnection`]), and every connection counts the bytes it accepts. AWS warns of the first:
//! <https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html#function-code>

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use aws_smithy_runtime_api::client::result::ConnectorError;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection};

use super::find;

/// A request extension: the request is sent over a connection that no other request uses.
///
/// It costs a handshake (TLS sessions are resumed where the service allows it), and it cannot meet a connection that
/// died in a freeze. [`nothing_was_sent`] can speak for such requests alone.
#[derive(Debug, Clone, Copy)]
pub struct OwnConnection;

/// Whether a failed call provably sent nothing: no connection was made, or its own one ended before it accepted a byte.
pub fn nothing_was_sent(error: &ConnectorError) -> bool {
    let connecting = find::<legacy::Error>(error).is_some_and(legacy::Error::is_connect);
    connecting || find::<NothingWritten>(error).is_some()
}

/// The connection ended before it accepted a byte of the request.
#[derive(Debug, thiserror::Error)]
#[error("the connection ended before the request was sent")]
pub(super) struct NothingWritten(#[source] pub(super) legacy::Error);

/// Whether a connection has accepted anything to send.
#[derive(Debug, Clone, Default)]
pub(super) struct Written(Arc<AtomicBool>);

impl Written {
    /// Of the connection that a request got; `None` when it got none.
    pub(super) fn over(connection: &CaptureConnection) -> Option<Self> {
        let mut extras = http::Extensions::new();
        connection.connection_metadata().as_ref()?.get_extras(&mut extras);
        extras.remove()
    }

    pub(super) fn nothing(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }

    fn record<E>(&self, accepted: &Poll<Result<usize, E>>) {
        if matches!(accepted, Poll::Ready(Ok(1..))) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// A connection that remembers whether it accepted anything to send. Above TLS, whose handshake is no request.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: S,
    written: Written,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, written: Written::default() }
    }
}

impl<S: Connection> Connection for Counted<S> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.written.clone())
    }
}

impl<S: Read + Unpin> Read for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let accepted = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written.record(&accepted);
        accepted
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let accepted = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written.record(&accepted);
        accepted
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A connection that accepts this many bytes, and then is reset.
    struct Accepts(usize);

    impl Write for Accepts {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let accepted = bytes.len().min(self.0);
            self.0 -= accepted;
            Poll::Ready(if accepted > 0 { Ok(accepted) } else { Err(io::ErrorKind::ConnectionReset.into()) })
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn the_first_accepted_byte_ends_the_proof_that_nothing_was_sent() {
        for (accepts, nothing) in [(0, true), (1, false), (4, false)] {
            let mut stream = Counted::new(Accepts(accepts));
            let written = stream.written.clone();
            let mut cx = Context::from_waker(Waker::noop());
            let _accepted = Pin::new(&mut stream).poll_write(&mut cx, b"POST");
            let slices = [io::IoSlice::new(b"POST")];
            let _accepted = Pin::new(&mut stream).poll_write_vectored(&mut cx, &slices);
            assert_eq!(written.nothing(), nothing, "{accepts}");
        }
    }
}
