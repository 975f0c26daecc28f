//! The way of a file into the bucket, as a stream.

use std::io::{IsTerminal as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::product::LocalFile;

/// Smaller files are there before anybody wonders.
const WORTH_COUNTING: u64 = 16 * 1024 * 1024;

/// However long an upload takes, somebody sits before it.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).build()
}

/// The file's bytes, read as they are sent. They can be sent again, should an attempt fail.
pub(crate) async fn body(file: &LocalFile) -> Result<SdkBody> {
    let LocalFile { path, size, .. } = file;
    let stream = ByteStream::read_from().path(path).build().await;
    let body = stream.with_context(|| format!("{} cannot be read", path.display()))?.into_inner();
    if *size < WORTH_COUNTING || !std::io::stderr().is_terminal() {
        return Ok(body);
    }
    let size = *size;
    Ok(body.map(move |body| SdkBody::from_body_1_x(Counted { body, sent: 0, size })))
}

/// `12 B`, `3.4 MB`: a size for people.
pub(crate) fn shown(size: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| size >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", size / unit, size % unit / (unit / 10)),
        None => format!("{size} B"),
    }
}

/// A body that tells how much of it has gone.
struct Counted {
    body: SdkBody,
    sent: u64,
    size: u64,
}

impl Counted {
    fn count(&mut self, bytes: usize) {
        let percent = |sent: u64| sent.saturating_mul(100) / self.size.max(1);
        let before = percent(self.sent);
        let sent = self.sent + bytes as u64;
        if percent(sent) != before {
            anstream::eprint!("\r{} %", percent(sent));
            if sent >= self.size {
                anstream::eprintln!();
            }
            // What cannot be shown is not missed.
            let _shown = std::io::stderr().flush();
        }
        self.sent = sent;
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = aws_smithy_types::body::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.count(bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_sizes_as_people_say_them() {
        for (size, expected) in
            [(12, "12 B"), (1_000, "1.0 kB"), (3_456_789, "3.4 MB"), (5_000_000_000, "5.0 GB")]
        {
            assert_eq!(shown(size), expected);
        }
    }
}
