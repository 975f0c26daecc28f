//! Signed calls to AWS's JSON and REST APIs over plain HTTP, enough to look into the local cloud.
//!
//! The SDK's clients would do this too, at the price of compiling one for each service before the first line of
//! `cargo xtask demo` is shown. Their signer is a crate of its own.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::Value;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Who calls, and where.
#[derive(Debug, Clone)]
pub struct Aws {
    /// `http://127.0.0.1:4566`
    pub endpoint: String,
    /// `us-east-1`
    pub region: String,
    /// The caller's key.
    pub access_key_id: String,
    /// The caller's secret.
    pub secret_access_key: String,
    /// The token of an assumed role.
    pub session_token: Option<String>,
}

impl Aws {
    /// Calls an operation of a service that speaks AWS's JSON protocol, by its `X-Amz-Target`:
    /// `DynamoDB_20120810.Scan`.
    ///
    /// # Errors
    ///
    /// When there is no answer, or not the hoped for one.
    pub fn json(&self, service: &str, target: &str, input: &Value) -> Result<Value> {
        // CloudWatch Logs and Secrets Manager speak 1.1; the others do not mind.
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.call(service, "POST", "/", &headers, &input.to_string())
            .and_then(|answer| parsed(&answer))
            .with_context(|| format!("{target} failed"))
    }

    /// Calls an operation of a service that speaks REST.
    ///
    /// # Errors
    ///
    /// When there is no answer, or not the hoped for one.
    pub fn rest(&self, service: &str, method: &str, path: &str, input: Option<&Value>) -> Result<Value> {
        let body = input.map(ToString::to_string).unwrap_or_default();
        let headers = [("content-type", "application/json")];
        self.call(service, method, path, &headers, &body)
            .and_then(|answer| parsed(&answer))
            .with_context(|| format!("{method} {path} failed"))
    }

    /// Calls an operation of a service that speaks the older query protocol, `Action=…&Version=…`, and hands back its XML.
    ///
    /// # Errors
    ///
    /// When there is no answer, or not the hoped for one.
    pub fn query(&self, service: &str, form: &str) -> Result<String> {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.call(service, "POST", "/", &headers, form).with_context(|| format!("{form} failed"))
    }

    /// Makes a bucket of S3.
    ///
    /// # Errors
    ///
    /// When there is no answer, or not the hoped for one.
    pub fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.call("s3", "PUT", &format!("/{bucket}"), &[], "")
            .map(drop)
            .with_context(|| format!("{bucket} was not made"))
    }

    /// Puts a text into a bucket of S3.
    ///
    /// # Errors
    ///
    /// When there is no answer, or not the hoped for one.
    pub fn put_object(&self, bucket: &str, key: &str, text: &str) -> Result<()> {
        let headers = [("content-type", "text/plain; charset=utf-8")];
        self.call("s3", "PUT", &format!("/{bucket}/{key}"), &headers, text)
            .map(drop)
            .with_context(|| format!("{key} was not uploaded"))
    }

    /// Calls an operation of a service that speaks AWS's JSON protocol, and takes any answer: its status and body.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn any_json(&self, service: &str, target: &str, input: &Value) -> Result<(u16, Value)> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let (status, text) = self.send(service, "POST", "/", &headers, &input.to_string())?;
        Ok((status, parsed(&text)?))
    }

    fn call(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<String> {
        let (status, text) = self.send(service, method, path, headers, body)?;
        if !(200..300).contains(&status) {
            bail!("refused ({status}): {text}");
        }
        Ok(text)
    }

    fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(u16, String)> {
        let url = format!("{}{path}", self.endpoint.trim_end_matches('/'));
        let credentials = Credentials::new(
            &self.access_key_id,
            &self.secret_access_key,
            self.session_token.clone(),
            None,
            "stack.json",
        )
        .into();
        let mut settings = SigningSettings::default();
        // S3 wants the body's checksum as a header; the others do not mind.
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&credentials)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let signable = SignableRequest::new(
            method,
            &url,
            headers.iter().copied(),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();

        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        for (name, value) in headers.iter().copied().chain(signature.headers()) {
            request = request.header(name, value);
        }
        let mut response =
            http().run(request.body(body)?).with_context(|| format!("no answer from {url}"))?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }
}

/// An answer in JSON; REST services also answer with nothing.
fn parsed(text: &str) -> Result<Value> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).context("the answer is not JSON")
}

/// An HTTP client for loopback: no proxy; neither a status is an error nor a redirect an order.
pub fn http() -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(CALL_TIMEOUT))
        .build()
        .into()
}

/// Fetches JSON that needs no signature.
pub(crate) fn get_json(url: &str) -> Result<Value> {
    let mut response = http().get(url).call().with_context(|| format!("no answer from {url}"))?;
    if !response.status().is_success() {
        return Err(anyhow!("{url} answered {}", response.status()));
    }
    serde_json::from_str(&response.body_mut().read_to_string()?)
        .with_context(|| format!("{url} did not answer in JSON"))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Seconds since 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
