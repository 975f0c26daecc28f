#![doc = include_str!("../README.md")]

mod answer;
mod service;

pub use answer::Answer;
pub use percent_encoding::PercentEncode;
pub use service::{AwsService, Body, Request, ServiceConfig};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A text as it stands in a path, a query or a form: every byte but what RFC 3986 calls unreserved is written as `%XX`.
///
/// <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
pub fn percent_encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &RESERVED)
}

/// A path, encoded the same way, whose slashes stay.
pub fn percent_encoded_path(path: &str) -> PercentEncode<'_> {
    const RESERVED_IN_A_PATH: AsciiSet = RESERVED.remove(b'/');
    utf8_percent_encode(path, &RESERVED_IN_A_PATH)
}

const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
