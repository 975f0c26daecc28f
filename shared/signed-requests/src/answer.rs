use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::http::Headers;

/// What a service answered, read to its end. As an error: a status that is no success.
///
/// Prints its status only: a body may quote what was sent.
#[derive(thiserror::Error)]
#[error("status {status}")]
pub struct Answer {
    /// `200`
    pub status: u16,
    headers: Headers,
    /// Whatever form the service writes.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    #[expect(clippy::result_large_err, reason = "the runtime asks for this type")]
    pub(crate) fn read(response: &HttpResponse) -> Result<Self, OrchestratorError<Self>> {
        let answer = Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body().bytes().unwrap_or_default().to_vec(),
        };
        if response.status().is_success() { Ok(answer) } else { Err(OrchestratorError::operation(answer)) }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}
