//! Whom a mail about a template goes to. Decided without any call: an upload must not be a way to send mail to strangers.

use fulfilment::MarketersPolicy;
use stripe_events::Personal;

/// The file in a template's folder that names its owner.
pub(crate) const OWNER_FILE: &str = "owner.txt";

/// Larger than any address.
pub(crate) const LARGEST_OWNER_FILE: i64 = 1024;

/// Who is informed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Informed {
    /// One address, or those of `notify`; empty where `policy.toml` names none.
    pub(crate) to: Vec<Personal<String>>,
    /// Whether the template names an owner who cannot be written to.
    pub(crate) is_owner_refused: bool,
}

/// Decides by the bytes of the template's owner file, where it has one.
pub(crate) fn informed(owner_file: Option<&[u8]>, policy: &MarketersPolicy) -> Informed {
    let written = owner_file.map(|bytes| String::from_utf8_lossy(bytes));
    let written = written.as_deref().map(|text| text.trim_start_matches('\u{feff}').trim());
    let owner = written.and_then(|text| policy.admitted(text));
    match owner {
        Some(owner) => Informed { to: vec![Personal::new(owner)], is_owner_refused: false },
        None => Informed {
            to: policy.notify().map(Personal::new).collect(),
            is_owner_refused: written.is_some_and(|text| !text.is_empty()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> MarketersPolicy {
        serde_json::from_str(json).unwrap()
    }

    fn addresses(informed: &Informed) -> Vec<&str> {
        informed.to.iter().map(|address| address.expose().as_str()).collect()
    }

    #[test]
    fn the_owner_is_informed_and_a_stranger_never_is() {
        let policy = policy(r#"{ "domains": ["example.org"], "notify": ["team@example.org"] }"#);
        for (written, to, refused) in [
            (Some(&b"ada@example.org"[..]), "ada@example.org", false),
            (Some(b"\xef\xbb\xbfada@example.org\r\n"), "ada@example.org", false),
            (Some(b"eve@evil.net"), "team@example.org", true),
            (Some(b"eve@evil.net\nada@example.org"), "team@example.org", true),
            (Some(b"Ada <ada@example.org>"), "team@example.org", true),
            (Some(b"\xff\xfe\x00"), "team@example.org", true),
            (Some(b" \n"), "team@example.org", false),
            (None, "team@example.org", false),
        ] {
            let informed = informed(written, &policy);
            assert_eq!((addresses(&informed), informed.is_owner_refused), (vec![to], refused), "{written:?}");
        }
    }

    #[test]
    fn without_a_table_no_address_is_informed() {
        let informed = informed(Some(b"ada@example.org"), &MarketersPolicy::default());
        assert_eq!((addresses(&informed), informed.is_owner_refused), (vec![], true));
    }
}
