//! An address as SES takes it, or why SES would refuse it: then no call is spent on it.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Why a text is no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRecipient {
    /// There is none, or more than one: it becomes a header.
    #[error("the customer has no email address, or the text is not one address")]
    NotOne,
    /// SES speaks no SMTPUTF8: "the local part must use 7-bit ASCII".
    /// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html>
    #[error("the part of the address before the @ has letters that SES cannot send to (it must be ASCII)")]
    NotAscii,
    /// A form that mail servers do not know, and SES refuses with a `BadRequestException`.
    #[error("the address is malformed: {0}")]
    Malformed(&'static str),
}

impl NoRecipient {
    /// A short name for the ledger and the metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotOne => "no_recipient",
            Self::NotAscii => "recipient_not_ascii",
            Self::Malformed(_) => "recipient_malformed",
        }
    }
}

/// The longest parts of an address: <https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1>. SES takes 320 characters
/// in all, which is the two and the @.
const LONGEST_LOCAL: usize = 64;

/// The address as it goes to SES: the domain in lower-case ASCII (Punycode where it needs it), the local part as typed.
///
/// The rules are SES's: "Local address starts with dot", "Domain contains dot-dot", "Domain contains illegal
/// character", "Missing final '@domain'", which are those of RFC 5322 for addresses without quotes.
/// Quoted local parts and address literals are legal there, but no customer's mailbox is reached by them.
///
/// # Errors
///
/// Why no mail can be sent there.
pub fn recipient(address: &str) -> Result<String, NoRecipient> {
    let is_part_of_one = |c: char| !c.is_control() && !c.is_whitespace() && !",;<>".contains(c);
    let (local, domain) = address.rsplit_once('@').ok_or(NoRecipient::NotOne)?;
    if local.is_empty() || domain.is_empty() || !address.chars().all(is_part_of_one) {
        return Err(NoRecipient::NotOne);
    }
    check_local(local)?;
    Ok(format!("{local}@{}", ascii_domain(domain)?))
}

fn check_local(local: &str) -> Result<(), NoRecipient> {
    let malformed = |what| Err(NoRecipient::Malformed(what));
    if local.contains('"') {
        return malformed("it has quotes before the @");
    }
    if local.contains('@') {
        return Err(NoRecipient::NotOne);
    }
    if !local.is_ascii() {
        return Err(NoRecipient::NotAscii);
    }
    if local.len() > LONGEST_LOCAL {
        return malformed("it has more than 64 characters before the @");
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return malformed("it has a dot too many before the @");
    }
    // <https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3>
    if !local.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)) {
        return malformed("it has a character before the @ that no address has");
    }
    Ok(())
}

fn ascii_domain(domain: &str) -> Result<String, NoRecipient> {
    let malformed = |what| NoRecipient::Malformed(what);
    if domain.starts_with('[') {
        return Err(malformed("it has numbers in place of a domain"));
    }
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map_err(|_| malformed("what follows the @ is no domain"))?;
    let (_, last) =
        ascii.rsplit_once('.').ok_or_else(|| malformed("its domain has no ending such as .org"))?;
    if last.len() < 2 || last.chars().all(|c| c.is_ascii_digit()) {
        return Err(malformed("its domain has no ending such as .org"));
    }
    Ok(ascii.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn domains_are_sent_in_lower_case_ascii_and_local_parts_as_typed() {
        for (typed, sent) in [
            ("Ada@Example.ORG", "Ada@example.org"),
            ("ada@müller.de", "ada@xn--mller-kva.de"),
            ("ada@MÜLLER.de", "ada@xn--mller-kva.de"),
            ("ada@mu\u{308}ller.de", "ada@xn--mller-kva.de"),
            ("ada@straße.example", "ada@xn--strae-oqa.example"),
            ("ada@пример。рф", "ada@xn--e1afmkfd.xn--p1ai"),
            ("ada@xn--mller-kva.de", "ada@xn--mller-kva.de"),
            ("o'neill+gift@mail.example.org", "o'neill+gift@mail.example.org"),
            ("a.b-c_d=e@my-shop.example.co.uk", "a.b-c_d=e@my-shop.example.co.uk"),
        ] {
            assert_eq!(recipient(typed).as_deref(), Ok(sent), "{typed}");
        }
    }

    #[test]
    fn what_ses_refuses_is_refused_before_the_call_with_its_reason() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long_label = format!("ada@{}.org", "a".repeat(64));
        let long_domain = format!("ada@{}org", "abcdefghi.".repeat(26));
        for (typed, reason) in [
            ("", "no_recipient"),
            ("ada", "no_recipient"),
            ("ada@", "no_recipient"),
            ("@example.org", "no_recipient"),
            ("a@b@example.org", "no_recipient"),
            ("ada@example.org, eve@example.org", "no_recipient"),
            ("ada@example.org\r\nBcc: eve@example.org", "no_recipient"),
            ("Ada <ada@example.org>", "no_recipient"),
            ("a da@example.org", "no_recipient"),
            ("adä@example.org", "recipient_not_ascii"),
            ("阿达@example.org", "recipient_not_ascii"),
            (".ada@example.org", "recipient_malformed"),
            ("ada.@example.org", "recipient_malformed"),
            ("a..da@example.org", "recipient_malformed"),
            ("\"ada\"@example.org", "recipient_malformed"),
            ("\"a@b\"@example.org", "recipient_malformed"),
            ("a(b)@example.org", "recipient_malformed"),
            ("a\\b@example.org", "recipient_malformed"),
            ("ada@example", "recipient_malformed"),
            ("ada@.example.org", "recipient_malformed"),
            ("ada@example..org", "recipient_malformed"),
            ("ada@example.org.", "recipient_malformed"),
            ("ada@exa_mple.org", "recipient_malformed"),
            ("ada@-example.org", "recipient_malformed"),
            ("ada@example.c", "recipient_malformed"),
            ("ada@192.168.0.1", "recipient_malformed"),
            ("ada@[192.168.0.1]", "recipient_malformed"),
            ("ada@[IPv6:2001:db8::1]", "recipient_malformed"),
            (&long_local, "recipient_malformed"),
            (&long_label, "recipient_malformed"),
            (&long_domain, "recipient_malformed"),
        ] {
            assert_eq!(recipient(typed).map_err(NoRecipient::reason), Err(reason), "{typed}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_to_ses_is_one_ascii_address(typed in "\\PC{0,12}@\\PC{0,20}|[a-z.@ä]{0,20}") {
            if let Ok(sent) = recipient(&typed) {
                prop_assert!(sent.is_ascii() && sent.len() <= 320);
                prop_assert_eq!(sent.matches('@').count(), 1);
                prop_assert_eq!(recipient(&sent), Ok(sent.clone()));
            }
        }
    }
}
