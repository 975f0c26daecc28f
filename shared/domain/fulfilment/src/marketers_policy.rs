use serde::Deserialize;

use crate::{PolicyError, recipient};

/// Who writes the templates, and who is informed about them.
///
/// An uploader may name any owner in a template, so an address counts only within these domains: an upload
/// must not be a way to send mail to strangers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketersPolicy {
    /// The organisation's own mail domains, in lower case.
    domains: Vec<String>,
    /// Who is informed about templates that name no owner.
    #[serde(default)]
    notify: Vec<String>,
}

/// So many addresses of `notify` at most: SES takes fifty recipients to a mail, and a list is one address.
const MOST_ADDRESSES: usize = 10;

impl MarketersPolicy {
    /// An address as a mail goes to it, if it is one address of a marketers' domain. Of a domain, its subdomains are
    /// not: each is listed by itself.
    pub fn admitted(&self, address: &str) -> Option<String> {
        let address = recipient(address.trim()).ok()?;
        let (_, domain) = address.rsplit_once('@')?;
        self.domains.iter().any(|admitted| admitted == domain).then_some(address)
    }

    /// Who is informed about templates that name no owner; empty where the table is missing.
    pub fn notify(&self) -> impl Iterator<Item = String> {
        self.notify.iter().filter_map(|address| self.admitted(address))
    }

    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let wrong = |problem: String| Err(PolicyError::new(format!("[marketers] {problem}")));
        for domain in &self.domains {
            let address = recipient(&format!("marketer@{domain}"));
            if address.as_deref() != Ok(&format!("marketer@{domain}")) {
                return wrong(format!(
                    "`domains` has \"{domain}\"; write what follows the @ of an address, in small letters, like \
                     \"example.org\""
                ));
            }
        }
        if self.notify.len() > MOST_ADDRESSES {
            return wrong(format!(
                "`notify` has {} addresses; write {MOST_ADDRESSES} at most, or the address of a mailing list",
                self.notify.len()
            ));
        }
        if let Some(address) = self.notify.iter().find(|address| self.admitted(address).is_none()) {
            return wrong(format!(
                "`notify` has \"{address}\", which is no address of a domain in `domains`; mail goes to these domains \
                 only"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(domains: &[&str], notify: &[&str]) -> MarketersPolicy {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        MarketersPolicy { domains: owned(domains), notify: owned(notify) }
    }

    #[test]
    fn an_address_counts_only_within_the_domains() {
        let policy = policy(&["example.org", "xn--mller-kva.de"], &[]);
        for (written, admitted) in [
            ("ada@example.org", Some("ada@example.org")),
            (" ada@Example.ORG \r\n", Some("ada@example.org")),
            ("ada@müller.de", Some("ada@xn--mller-kva.de")),
            ("ada@mail.example.org", None),
            ("ada@notexample.org", None),
            ("ada@example.org.evil.net", None),
            ("eve@evil.net", None),
            ("eve@evil.net,ada@example.org", None),
            ("eve@evil.net ada@example.org", None),
            ("eve@evil.net\nada@example.org", None),
            ("eve@evil.net\r\nBcc: x@example.org", None),
            ("<eve@evil.net>ada@example.org", None),
            ("eve@evil.net@example.org", None),
            ("\"eve@evil.net\"@example.org", None),
            ("Ada <ada@example.org>", None),
            ("@example.org", None),
            ("example.org", None),
            ("", None),
        ] {
            assert_eq!(policy.admitted(written).as_deref(), admitted, "{written:?}");
        }
        assert_eq!(
            MarketersPolicy::default().admitted("ada@example.org"),
            None,
            "an absent table admits nothing"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_written_mail_stays_within_the_domains(
            written in prop_oneof![".{0,60}", "[a-z<>,; @\\r\\n\"]{0,20}@(example\\.org|evil\\.net)[ ,;@a-z.]{0,12}"],
        ) {
            if let Some(admitted) = policy(&["example.org"], &[]).admitted(&written) {
                let (local, domain) = admitted.rsplit_once('@').unwrap();
                prop_assert_eq!(domain, "example.org");
                prop_assert!(!local.contains(['@', ',', ';', '<', '>', ' ', '\r', '\n', '"']), "{}", admitted);
            }
        }
    }

    #[test]
    fn a_mistake_is_named_in_a_sentence() {
        let check = |domains: &[&str], notify: &[&str]| {
            policy(domains, notify).check().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(check(&["example.org", "shop.example.org"], &["team@shop.example.org"]), "");
        assert_eq!(check(&[], &[]), "");
        for domain in ["Example.org", "@example.org", "ada@example.org", "example", "*.example.org", ""] {
            assert!(check(&[domain], &[]).contains("write what follows the @"), "{domain}");
        }
        for address in ["team@example.com", "team", "team@mail.example.org"] {
            assert!(
                check(&["example.org"], &[address]).contains("mail goes to these domains only"),
                "{address}"
            );
        }
        assert!(check(&[], &["team@example.org"]).contains("`domains`"));
        let eleven = ["team@example.org"; 11];
        assert!(check(&["example.org"], &eleven).contains("write 10 at most"));
    }
}
