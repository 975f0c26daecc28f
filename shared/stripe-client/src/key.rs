use std::fmt;

/// A secret or restricted key of Stripe's API. Never prints.
///
/// <https://docs.stripe.com/keys>
#[derive(Clone)]
pub struct ApiKey(String);

/// A text is not a key. The text is not shown: it may be a key with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a key of Stripe's API: it must be one word that begins with `rk_` (restricted) or `sk_` (secret)"
)]
pub struct NotAKey;

impl ApiKey {
    /// Takes a key, as text from wherever secrets are kept.
    ///
    /// # Errors
    ///
    /// When the text is not a restricted or a secret key.
    pub fn new(text: &str) -> Result<Self, NotAKey> {
        let key = text.trim();
        let known = key.starts_with("rk_") || key.starts_with("sk_");
        let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if known && plain { Ok(Self(key.to_owned())) } else { Err(NotAKey) }
    }

    /// Whether the key sees real money.
    pub fn livemode(&self) -> bool {
        self.0.starts_with("rk_live_") || self.0.starts_with("sk_live_")
    }

    /// Whether the key can be limited to what is needed. A secret key can do everything.
    pub fn restricted(&self) -> bool {
        self.0.starts_with("rk_")
    }

    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_keys_and_nothing_else() {
        for (text, livemode) in
            [("rk_test_1aB", Some(false)), (" rk_live_1aB\n", Some(true)), ("sk_live_1", Some(true))]
        {
            assert_eq!(ApiKey::new(text).ok().map(|key| key.livemode()), livemode, "{text}");
        }
        for text in ["", " ", "pk_live_1", "whsec_1", "rk_live_1\r\nx: y", "{\"key\":\"rk_live_1\"}"] {
            assert_eq!(ApiKey::new(text).err(), Some(NotAKey), "{text}");
        }
    }

    #[test]
    fn never_prints() {
        assert_eq!(format!("{:?}", ApiKey::new("rk_live_1aB").unwrap()), "[secret]");
        assert!(!format!("{:?}", ApiKey::new("rk_liveé")).contains("live"));
    }
}
