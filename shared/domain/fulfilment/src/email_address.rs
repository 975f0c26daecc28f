use crate::typed::is_invisible;

/// An email address as the customer meant it: without the blanks around it and without characters that cannot be seen,
/// which come along when an address is copied from a page or a chat. `None` when nothing is left.
///
/// Recipient, record and supporter id all begin with this form. Nothing else is changed: the record keeps the address as
/// it was typed, capitals and other alphabets included.
pub fn without_invisible(address: &str) -> Option<String> {
    let seen: String = address.chars().filter(|c| !is_no_part(*c)).collect();
    let seen = seen.trim();
    (!seen.is_empty()).then(|| seen.to_owned())
}

/// Characters that show nothing, and control characters. What breaks a line stays, so that two lines are never taken
/// for one address.
fn is_no_part(c: char) -> bool {
    is_invisible(c) || c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_an_address_and_invisible_characters_are_no_part_of_it() {
        for typed in [
            "ada@example.org",
            " ada@example.org",
            "ada@example.org\t\r\n",
            "\u{a0}ada@example.org\u{3000}",
            "\u{200b}ada@example.org\u{feff}",
            "\u{200b} ada@example.org \u{200b}",
            "ada@exam\u{ad}ple.org",
            "\u{202a}ada@example.org\u{202c}",
            "ada@example.org\u{0}",
        ] {
            assert_eq!(without_invisible(typed).as_deref(), Some("ada@example.org"), "{typed:?}");
        }
        assert_eq!(without_invisible("Ada@Müller.DE").as_deref(), Some("Ada@Müller.DE"));
        assert_eq!(without_invisible("a b@example.org").as_deref(), Some("a b@example.org"));
        assert_eq!(without_invisible("a@b.org\r\nc@d.org").as_deref(), Some("a@b.org\r\nc@d.org"));
        for nothing in ["", " ", "\u{200b}", " \u{200b} "] {
            assert_eq!(without_invisible(nothing), None, "{nothing:?}");
        }
    }
}
