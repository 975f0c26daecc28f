//! The customers' pages, asked as a browser asks.

use anyhow::{Context as _, Result};

use crate::aws::http;

/// An answer, as far as it matters here.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where a browser is redirected to. This client does not follow.
    pub location: String,
    /// What the browser is to do with a file.
    pub disposition: String,
    /// The page, or the file.
    pub body: String,
}

impl Answer {
    /// What the page is headed.
    pub fn heading(&self) -> Option<&str> {
        let (_, rest) = self.body.split_once("<h1>")?;
        Some(rest.split_once("</h1>")?.0)
    }
}

/// Asks for an address. `form` goes with POST and PUT only.
///
/// # Errors
///
/// When there is no reply, or none with text. A refusal is a reply.
pub fn ask(method: &str, url: &str, form: &str) -> Result<Answer> {
    let client = http();
    let answer = match method {
        "POST" => client.post(url).content_type("application/x-www-form-urlencoded").send(form),
        "PUT" => client.put(url).send(form),
        "HEAD" => client.head(url).call(),
        "DELETE" => client.delete(url).call(),
        _ => client.get(url).call(),
    };
    let mut answer = answer.with_context(|| format!("{url} does not answer"))?;
    let header = |name: &str| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let location = header("location");
    let disposition = header("content-disposition");
    let body = answer.body_mut().read_to_string().context("the answer is not text")?;
    Ok(Answer { status: answer.status().as_u16(), location, disposition, body })
}
