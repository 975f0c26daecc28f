//! The way of a file into the bucket, as a stream.

use std::io::{IsTerminal as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::product::LocalFile;

/// Smaller files are there before anybody wonders.
const WORTH_COUNTING: u64 = 16 * 1024 * 1024;

/// The file's bytes, read as they are sent. They can be sent again, should an attempt fail.
pub(crate) async fn body(file: &LocalFile) -> Result<ByteStream> {
    let LocalFile { path, size, .. } = file;
    let stream = ByteStream::read_from().path(path).build().await;
    let stream = stream.with_context(|| format!("{} cannot be read", path.display()))?;
    if *size < WORTH_COUNTING || !std::io::stderr().is_terminal() {
        return Ok(stream);
    }
    Ok(counted(stream, *size))
}

fn counted(stream: ByteStream, size: u64) -> ByteStream {
    let counted = move |body| SdkBody::from_body_1_x(Counted { body, sent: 0, size });
    ByteStream::new(stream.into_inner().map(counted))
}

/// `12 B`, `3.4 MB`: a size for people.
pub(crate) fn shown(size: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| size >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", size / unit, size % unit / (unit / 10)),
        None => format!("{size} B"),
    }
}

/// A body that reports how much of it was sent.
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
    type Error = <SdkBody as Body>::Error;

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
    use serde_json::json;
    use testkit::aws::{Endpoint, Reply};

    use super::super::bucket::{FilesBucket, Sha256Sum};
    use super::super::tests::Folder;
    use super::*;

    #[tokio::test]
    async fn a_file_goes_up_whole_and_once_more_if_need_be() {
        // The endpoint reads as much as the request says it has: S3 takes no body of unknown length.
        let folder = Folder::with(&[("guide.json", b"\"forty walks\"")]);
        let path = folder.join("guide.json");
        let file = LocalFile { path, key: "guide.json".to_owned(), size: 13, sha256: Sha256Sum([7; 32]) };
        for count in [false, true] {
            let s3 = Endpoint::start([Reply::Answer(503, String::new()), Reply::Answer(200, String::new())]);
            let bucket = FilesBucket::new(&s3.sdk_config_without_pauses(), "goods");
            let body = body(&file).await.unwrap();
            let body = if count { counted(body, file.size) } else { body };
            bucket.put("files/guide.json", body, file.sha256).await.unwrap();
            assert_eq!(s3.bodies(), [json!("forty walks"), json!("forty walks")]);
            assert_eq!(s3.lines(), ["PUT /goods/files/guide.json?x-id=PutObject"; 2]);
        }
    }

    #[test]
    fn shows_sizes_as_people_say_them() {
        for (size, expected) in
            [(12, "12 B"), (1_000, "1.0 kB"), (3_456_789, "3.4 MB"), (5_000_000_000, "5.0 GB")]
        {
            assert_eq!(shown(size), expected);
        }
    }
}
