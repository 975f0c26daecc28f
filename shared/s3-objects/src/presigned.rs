use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use signed_requests::percent_encoded;

use crate::S3Objects;

impl S3Objects {
    /// An address at which anybody who has it can fetch one object by GET, for `lifetime` from now, as a file of that
    /// name. Made without a call.
    ///
    /// It dies with the credentials it was made with, whatever `lifetime` says. S3 looks at the time when a request
    /// begins: a transfer under way goes on.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html>
    ///
    /// # Errors
    ///
    /// When there are no credentials.
    pub async fn presigned(
        &self,
        key: &str,
        file_name: &str,
        lifetime: Duration,
    ) -> Result<String, BoxError> {
        let disposition = attachment(file_name);
        let disposition = percent_encoded(&disposition);
        let path = format!("{}?response-content-disposition={disposition}", self.path(key));
        self.s3.presigned(&path, lifetime).await
    }
}

/// A Content-Disposition that gives a file its name: plain for old programs, and whole for all others.
///
/// <https://www.rfc-editor.org/rfc/rfc6266#section-5>
fn attachment(file_name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' };
    let ascii: String = file_name.chars().map(plain).collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", percent_encoded(file_name))
}

#[cfg(test)]
mod tests {
    use aws_smithy_async::time::StaticTimeSource;
    use aws_smithy_types::DateTime;
    use task_runtime::{Environment, sdk_config};

    use super::*;

    /// The expected address is botocore's, made of the same time, credentials, key and lifetime.
    #[tokio::test]
    async fn signs_addresses_as_other_clients_do() {
        let variables = |name: &str| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
            "AWS_SESSION_TOKEN" => Some("to/ken+=".to_owned()),
            _ => None,
        };
        // 2026-11-18T11:06:40Z
        let time = StaticTimeSource::new(DateTime::from_secs(1_795_000_000).try_into().unwrap());
        let sdk = sdk_config(&mut Environment::new(variables)).unwrap();
        let sdk = sdk.into_builder().time_source(time).build();
        let objects = S3Objects::new(&sdk, "goods").unwrap();
        let key = "files/audio/Führer durch \"A & B\" 100%.mp3";
        let address = objects.presigned(key, "Führer durch \"A & B\" 100%.mp3", Duration::from_secs(900));
        let address = address.await.unwrap();
        let (place, query) = address.split_once('?').unwrap();
        assert_eq!(
            place,
            "https://goods.s3.eu-west-1.amazonaws.com/files/audio/F%C3%BChrer%20durch%20%22A%20%26%20B%22%20100%25.mp3"
        );
        let mut parts: Vec<_> = query.split('&').collect();
        parts.sort_unstable();
        assert_eq!(parts, EXPECTED);
    }

    const EXPECTED: [&str; 8] = [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Credential=AKIDEXAMPLE%2F20261118%2Feu-west-1%2Fs3%2Faws4_request",
        "X-Amz-Date=20261118T110640Z",
        "X-Amz-Expires=900",
        "X-Amz-Security-Token=to%2Fken%2B%3D",
        "X-Amz-Signature=484f5b2577d74afa8788a11bb7a2c53f865173be47e89de05da5fa0bb5c24016",
        "X-Amz-SignedHeaders=host",
        "response-content-disposition=attachment%3B%20filename%3D%22F_hrer%20durch%20_A%20%26%20B_%20100_.mp3%22%3B%20filename%2A%3DUTF-8%27%27F%25C3%25BChrer%2520durch%2520%2522A%2520%2526%2520B%2522%2520100%2525.mp3",
    ];

    #[test]
    fn names_files_for_every_program() {
        let check = |name: &str, expected: &str| assert_eq!(attachment(name), expected);
        check("guide.pdf", "attachment; filename=\"guide.pdf\"; filename*=UTF-8''guide.pdf");
        check(
            "a\"\r\nX: y;é.pdf",
            "attachment; filename=\"a___X: y;_.pdf\"; filename*=UTF-8''a%22%0D%0AX%3A%20y%3B%C3%A9.pdf",
        );
    }
}
