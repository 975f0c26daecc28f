use std::fmt;

/// A secret or restricted key of Stripe's API. Never prints.
///
/// <https://docs.stripe.com/keys>
#[derive(Clone)]
pub struct ApiKey(String);

/// Why a text is not a key that can be used here. The text is not shown: it may be a key with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Nothing but white space.
    #[error("there is no key: the text is empty")]
    Empty,
    /// Such a key needs `Stripe-Context` with every request, and which account's money it sees depends on that.
    ///
    /// <https://docs.stripe.com/keys/organization-api-keys>
    #[error(
        "an organization's key (`sk_org…`) sees several accounts and cannot be used: make a restricted key (`rk_…`) \
         in the one account whose payments these are"
    )]
    Organization,
    /// It is for browsers and may read nothing.
    #[error(
        "a publishable key (`pk_…`) is for web pages and may read nothing: use a restricted key (`rk_…`), which is \
         further down on the same page"
    )]
    Publishable,
    /// It proves where a webhook came from.
    #[error(
        "a webhook's signing secret (`whsec_…`) is not an API key: use a restricted key (`rk_…`). The signing secret \
         has a place of its own"
    )]
    SigningSecret,
    /// Copied with the quotation marks around it.
    #[error("there are quotation marks around the key: store it without them")]
    Quoted,
    /// Stored as a pair of a name and a value.
    #[error("the key is stored as JSON: store it as plain text, the key and nothing else")]
    Json,
    /// The key as lists show it.
    #[error("the key is shortened, as lists show it: copy the whole key, which Stripe shows when it is made")]
    Shortened,
    /// Something else.
    #[error(
        "not a key of Stripe's API: it must be one word that begins with `rk_live_`, `rk_test_` (restricted), \
         `sk_live_` or `sk_test_` (secret)"
    )]
    Other,
}

/// What the keys that are used here begin with.
const PREFIXES: [&str; 4] = ["rk_live_", "rk_test_", "sk_live_", "sk_test_"];

impl ApiKey {
    /// Takes a key, as text from wherever secrets are kept. White space around it is dropped.
    ///
    /// # Errors
    ///
    /// When the text is not a restricted or a secret key of one account.
    pub fn new(text: &str) -> Result<Self, NotAKey> {
        let key = text.trim();
        let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let known =
            PREFIXES.iter().any(|prefix| key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
        if known && plain { Ok(Self(key.to_owned())) } else { Err(why_not(key)) }
    }

    /// Whether the key sees real money.
    pub fn livemode(&self) -> bool {
        self.0.starts_with("rk_live_") || self.0.starts_with("sk_live_")
    }

    /// Whether the key can be limited to the needed permissions. A secret key can do everything.
    pub fn restricted(&self) -> bool {
        self.0.starts_with("rk_")
    }

    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

fn why_not(key: &str) -> NotAKey {
    const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| key.starts_with(prefix));
    if key.is_empty() {
        NotAKey::Empty
    } else if key.starts_with('{') {
        NotAKey::Json
    } else if key.starts_with(QUOTES) || key.ends_with(QUOTES) {
        NotAKey::Quoted
    } else if begins(&["sk_org", "rk_org"]) {
        NotAKey::Organization
    } else if begins(&["pk_"]) {
        NotAKey::Publishable
    } else if begins(&["whsec_"]) {
        NotAKey::SigningSecret
    } else if begins(&PREFIXES) && key.contains(['*', '…', '.', '•']) {
        NotAKey::Shortened
    } else {
        NotAKey::Other
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
    fn takes_the_keys_of_one_account() {
        for (text, livemode, restricted) in [
            ("rk_test_1aB", false, true),
            (" rk_live_1aB\n", true, true),
            ("\tsk_live_1", true, false),
            ("sk_test_51", false, false),
        ] {
            let key = ApiKey::new(text).unwrap();
            assert_eq!((key.livemode(), key.restricted()), (livemode, restricted), "{text}");
        }
    }

    #[test]
    fn says_what_a_text_is_that_is_no_key() {
        for (text, expected) in [
            ("", NotAKey::Empty),
            (" \n", NotAKey::Empty),
            ("sk_org_live_1aB", NotAKey::Organization),
            ("sk_org_test_1aB", NotAKey::Organization),
            ("sk_org1aB", NotAKey::Organization),
            ("pk_live_1", NotAKey::Publishable),
            ("whsec_1", NotAKey::SigningSecret),
            ("\"rk_live_1\"", NotAKey::Quoted),
            ("'rk_live_1", NotAKey::Quoted),
            ("“rk_live_1”", NotAKey::Quoted),
            ("{\"key\":\"rk_live_1\"}", NotAKey::Json),
            ("rk_live_…3kY9", NotAKey::Shortened),
            ("sk_test_****3kY9", NotAKey::Shortened),
            ("rk_live_1\r\nx: y", NotAKey::Other),
            ("rk_live_1 rk_live_2", NotAKey::Other),
            ("rk_live_\u{200b}1", NotAKey::Other),
            ("rk_live_", NotAKey::Other),
            ("rk_1", NotAKey::Other),
            ("Bearer rk_live_1", NotAKey::Other),
        ] {
            let refused = ApiKey::new(text).unwrap_err();
            assert_eq!(refused, expected, "{text}");
            assert!(!refused.to_string().contains("3kY9"), "never shows the text");
        }
    }

    #[test]
    fn never_prints() {
        assert_eq!(format!("{:?}", ApiKey::new("rk_live_1aB").unwrap()), "[secret]");
        assert!(!format!("{:?}", ApiKey::new("rk_liveé")).contains("live"));
    }
}
