use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How old a signed request may be, in seconds. Stripe's own default.
pub const TOLERANCE_SECONDS: i64 = 300;

/// A webhook signing secret, `whsec_…`, used whole as the HMAC key.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(String);

impl SigningSecret {
    /// Reads every secret from a text that holds one or more, separated by white space.
    ///
    /// During a rotation the text holds the old and the new one. What does not look like a signing secret
    /// is left out, so that a placeholder never lets anything in.
    pub fn parse_all(text: &str) -> Vec<Self> {
        text.split_whitespace()
            .filter(|word| word.strip_prefix("whsec_").is_some_and(|rest| rest.len() >= 8))
            .map(|word| Self(word.to_owned()))
            .collect()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret([redacted])")
    }
}

/// Why a request is refused. For the log; the caller of the webhook learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No integer `t` in the header.
    #[error("the signature header has no timestamp")]
    NoTimestamp,
    /// No `v1` in the header. Other schemes are never a substitute.
    #[error("the signature header has no v1 signature")]
    NoSignature,
    /// Signed too long ago.
    #[error("the signature is older than {TOLERANCE_SECONDS} seconds")]
    Stale,
    /// No signature matches any of our secrets.
    #[error("no signature matches")]
    Mismatch,
}

/// Checks a `Stripe-Signature` header against the raw body.
///
/// Any `v1` made with any of the secrets is enough (<https://docs.stripe.com/webhooks#verify-manually>): Stripe
/// sends one per active secret while a secret is being rolled. As in Stripe's own libraries only old
/// timestamps are refused; a future one can only have been signed by Stripe.
///
/// # Errors
///
/// Says why the request must be refused.
pub fn verify_signature(
    header: &str,
    body: &[u8],
    secrets: &[SigningSecret],
    now_unix_seconds: i64,
) -> Result<(), SignatureError> {
    let mut timestamp = None;
    let mut signatures = Vec::new();
    for item in header.split(',') {
        match item.trim().split_once('=') {
            Some(("t", value)) => timestamp = timestamp.or(value.parse::<i64>().ok().map(|t| (t, value))),
            Some(("v1", value)) => signatures.extend(hex::decode(value)),
            _ => {}
        }
    }
    let (signed_at, signed_at_text) = timestamp.ok_or(SignatureError::NoTimestamp)?;
    if signatures.is_empty() {
        return Err(SignatureError::NoSignature);
    }
    let matches = secrets.iter().any(|secret| {
        let mac = mac(secret, signed_at_text, body);
        // `verify_slice` compares in constant time.
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if !matches {
        return Err(SignatureError::Mismatch);
    }
    if signed_at < now_unix_seconds.saturating_sub(TOLERANCE_SECONDS) {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

/// The signature header for a body, as Stripe would send it. For tests, the demo and the operator's tools.
pub fn sign(secret: &SigningSecret, body: &[u8], unix_seconds: i64) -> String {
    let timestamp = unix_seconds.to_string();
    let signature = hex::encode(mac(secret, &timestamp, body).finalize().into_bytes());
    format!("t={timestamp},v1={signature}")
}

fn mac(secret: &SigningSecret, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so this never fails; an empty key is refused by `parse_all`.
    let mut mac = match Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()) {
        Ok(mac) => mac,
        Err(error) => unreachable!("HMAC accepts keys of every length: {error}"),
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;
    const NOW: i64 = 1_800_000_000;

    fn secrets(text: &str) -> Vec<SigningSecret> {
        SigningSecret::parse_all(text)
    }

    fn signed(secret: &str, at: i64) -> String {
        sign(&secrets(secret)[0], BODY, at)
    }

    fn check(header: &str, expected: Result<(), SignatureError>) {
        let ours = secrets("whsec_current1 whsec_previous");
        assert_eq!(verify_signature(header, BODY, &ours, NOW), expected, "{header}");
    }

    /// Computed with another implementation: `printf '%s.%s' "$t" "$body" | openssl dgst -sha256 -hmac "$secret"`.
    #[test]
    fn agrees_with_openssl() {
        let expected = "78fc44154fc01072ce1316b94fc476d9cf0a5f4a6f808d536067603c78533af6";
        assert_eq!(signed("whsec_current1", NOW), format!("t={NOW},v1={expected}"));
    }

    #[test]
    fn accepts_any_secret_and_any_v1() {
        check(&signed("whsec_current1", NOW), Ok(()));
        check(&signed("whsec_previous", NOW - 300), Ok(()));
        let good = signed("whsec_current1", NOW);
        let v1 = good.split_once("v1=").unwrap().1;
        check(&format!("t={NOW},v1={},v1={v1},v0=ffff", "00".repeat(32)), Ok(()));
        check(&format!(" t={NOW} , v1={v1} "), Ok(()));
    }

    #[test]
    fn refuses_everything_else() {
        use SignatureError::*;
        check("", Err(NoTimestamp));
        check("t=soon,v1=00", Err(NoTimestamp));
        check(&format!("t={NOW}"), Err(NoSignature));
        check(&format!("t={NOW},v1=not-hex"), Err(NoSignature));
        check(&signed("whsec_current1", NOW).replace("v1=", "v0="), Err(NoSignature));
        check(&signed("whsec_of-another", NOW), Err(Mismatch));
        check(
            &signed("whsec_current1", NOW).replace(&NOW.to_string(), &(NOW - 1).to_string()),
            Err(Mismatch),
        );
        check(&signed("whsec_current1", NOW - 301), Err(Stale));
        check(&signed("whsec_current1", i64::MIN), Err(Stale));
    }

    #[test]
    fn a_placeholder_secret_lets_nothing_in() {
        assert!(secrets("").is_empty());
        assert!(secrets("whsec_ changeme \n whsec_short").is_empty());
        assert_eq!(
            verify_signature(&signed("whsec_current1", NOW), BODY, &[], NOW),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn secrets_never_print() {
        assert_eq!(format!("{:?}", secrets("whsec_current1")), "[SigningSecret([redacted])]");
    }

    proptest! {
        #[test]
        fn never_panics_and_never_accepts_noise(header in ".{0,200}", body in proptest::collection::vec(any::<u8>(), 0..200), now in any::<i64>()) {
            prop_assert!(verify_signature(&header, &body, &secrets("whsec_current1"), now).is_err());
        }

        #[test]
        fn a_changed_body_is_refused(at in 0usize..BODY.len(), bit in 0u8..8) {
            let mut body = BODY.to_vec();
            body[at] ^= 1 << bit;
            let header = signed("whsec_current1", NOW);
            prop_assert_eq!(
                verify_signature(&header, &body, &secrets("whsec_current1"), NOW),
                Err(SignatureError::Mismatch)
            );
        }
    }
}
