use std::fmt::Write as _;

use crate::request::encoded;

/// A POST of Stripe's API: something new, or a change of something that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    path: String,
    /// The path without ids.
    endpoint: String,
    form: Vec<(String, String)>,
    file: Option<File>,
    idempotency_key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    name: String,
    content_type: &'static str,
    bytes: Vec<u8>,
}

impl Write {
    /// A new product; `id` may be chosen. <https://docs.stripe.com/api/products/create>
    pub fn new_product() -> Self {
        Self::to("/v1/products")
    }

    /// A change of a product. <https://docs.stripe.com/api/products/update>
    pub fn product(id: &str) -> Self {
        Self::of("/v1/products", id)
    }

    /// A new price. <https://docs.stripe.com/api/prices/create>
    pub fn new_price() -> Self {
        Self::to("/v1/prices")
    }

    /// A change of a price: never of its amount. <https://docs.stripe.com/api/prices/update>
    pub fn price(id: &str) -> Self {
        Self::of("/v1/prices", id)
    }

    /// A new Payment Link. <https://docs.stripe.com/api/payment-link/create>
    pub fn new_payment_link() -> Self {
        Self::to("/v1/payment_links")
    }

    /// A change of a Payment Link: never of the prices of its line items.
    /// <https://docs.stripe.com/api/payment-link/update>
    pub fn payment_link(id: &str) -> Self {
        Self::of("/v1/payment_links", id)
    }

    /// A new file, kept by Stripe. <https://docs.stripe.com/api/files/create>
    pub fn new_file(name: &str, content_type: &'static str, bytes: Vec<u8>) -> Self {
        let file = File { name: name.to_owned(), content_type, bytes };
        Self { file: Some(file), ..Self::to("/v1/files") }
    }

    /// With a parameter: `metadata[campaign]`, `autumn-2026`. An empty value unsets it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.form.push((name.into(), value.into()));
        self
    }

    /// Done once only, however often it is sent with this key within a day; at most 255 characters.
    ///
    /// <https://docs.stripe.com/api/idempotent_requests>
    #[must_use]
    pub fn once(mut self, idempotency_key: String) -> Self {
        self.idempotency_key = Some(idempotency_key);
        self
    }

    /// Where it goes.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The endpoint, with `{id}` for an id: what errors and logs show.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The names of the parameters, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.form.iter().map(|(name, _)| name.as_str()).chain(self.file.iter().map(|_| "file"))
    }

    /// The type of the body, and the body.
    pub fn body(&self) -> (String, Vec<u8>) {
        match &self.file {
            None => ("application/x-www-form-urlencoded".to_owned(), self.urlencoded().into_bytes()),
            Some(file) => self.multipart(file),
        }
    }

    pub(crate) fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    pub(crate) const fn is_upload(&self) -> bool {
        self.file.is_some()
    }

    fn urlencoded(&self) -> String {
        let mut body = String::new();
        for (name, value) in &self.form {
            let separator = if body.is_empty() { "" } else { "&" };
            // Writing to a string cannot fail.
            let _infallible = write!(body, "{separator}{}={}", encoded(name), encoded(value));
        }
        body
    }

    /// <https://www.rfc-editor.org/rfc/rfc7578>
    fn multipart(&self, file: &File) -> (String, Vec<u8>) {
        let boundary = self.boundary(file);
        let mut body = String::new();
        for (name, value) in &self.form {
            let _infallible = write!(
                body,
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        // A name that could end the header is written as one that cannot.
        let name: String = file.name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let _infallible = write!(
            body,
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: {}\r\n\r\n",
            file.content_type
        );
        let end = format!("\r\n--{boundary}--\r\n");
        let body = [body.as_bytes(), &file.bytes, end.as_bytes()].concat();
        (format!("multipart/form-data; boundary={boundary}"), body)
    }

    /// A line that is not in the file. The same each time: a repeated request is the same, byte for byte.
    fn boundary(&self, file: &File) -> String {
        let taken = |boundary: &str| {
            let inside = |text: &[u8]| text.windows(boundary.len()).any(|part| part == boundary.as_bytes());
            inside(&file.bytes) || self.form.iter().any(|(_, value)| inside(value.as_bytes()))
        };
        let mut boundary = "afterlink-boundary".to_owned();
        while taken(&boundary) {
            boundary.push('x');
        }
        boundary
    }

    fn to(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            endpoint: path.to_owned(),
            form: Vec::new(),
            file: None,
            idempotency_key: None,
        }
    }

    fn of(path: &str, id: &str) -> Self {
        Self { endpoint: format!("{path}/{{id}}"), ..Self::to(&format!("{path}/{}", encoded(id))) }
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._ ".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_forms_as_stripe_reads_them() {
        let write = Write::price("../x").with("metadata[a b]", "c&d=é").with("active", "true");
        assert_eq!(write.path(), "/v1/prices/..%2Fx");
        let (content_type, body) = write.body();
        assert_eq!(content_type, "application/x-www-form-urlencoded");
        assert_eq!(body, b"metadata%5Ba%20b%5D=c%26d%3D%C3%A9&active=true");
    }

    #[test]
    fn writes_files_with_a_boundary_that_is_not_in_them() {
        let write = Write::new_file("a\"\r\nb.png", "image/png", b"1--afterlink-boundary--2".to_vec());
        let (content_type, body) = write.with("purpose", "business_logo").body();
        assert_eq!(content_type, "multipart/form-data; boundary=afterlink-boundaryx");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "--afterlink-boundaryx\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbusiness_logo\r\n\
             --afterlink-boundaryx\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a___b.png\"\r\n\
             content-type: image/png\r\n\r\n1--afterlink-boundary--2\r\n--afterlink-boundaryx--\r\n"
        );
    }
}
