use std::borrow::Cow;

/// Replaces every escape of half a surrogate pair in a JSON text by `\ufffd`, the replacement character.
///
/// Valid JSON may hold such an escape (RFC 8259, section 8.2), although it names no character: a name that another
/// system cut in the middle of an emoji has one. Rust's text cannot hold it, so without this one letter would make a
/// whole event unreadable. Escapes of whole pairs, and everything else, stay byte for byte as they are.
pub fn without_lone_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let mut repaired: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(offset) = json.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += offset;
        match escaped_unit(json, at) {
            // Another escape: what follows the backslash does not begin one of its own.
            None => at += 2,
            Some(unit) if is_high(unit) && escaped_unit(json, at + ESCAPE).is_some_and(is_low) => {
                at += 2 * ESCAPE;
            }
            Some(unit) => {
                if is_high(unit) || is_low(unit) {
                    let repaired = repaired.get_or_insert_with(|| json.to_vec());
                    // Both texts have the same length, so a place in one is a place in the other.
                    repaired[at..at + ESCAPE].copy_from_slice(br"\ufffd");
                }
                at += ESCAPE;
            }
        }
    }
    repaired.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// The length of `\uXXXX`.
const ESCAPE: usize = 6;

/// The UTF-16 unit that is escaped here, if one is.
fn escaped_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + ESCAPE)?.strip_prefix(br"\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

const fn is_high(unit: u16) -> bool {
    matches!(unit, 0xD800..=0xDBFF)
}

const fn is_low(unit: u16) -> bool {
    matches!(unit, 0xDC00..=0xDFFF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn check(json: &str, expected: &str) {
        let repaired = without_lone_surrogates(json.as_bytes());
        assert_eq!(std::str::from_utf8(&repaired).unwrap(), expected);
        assert_eq!(matches!(repaired, Cow::Borrowed(_)), json == expected, "{json}");
    }

    #[test]
    fn half_a_pair_becomes_the_replacement_character() {
        check(r#"{"a":"Ada \ud83d"}"#, r#"{"a":"Ada \ufffd"}"#);
        check(r#"{"a":"\uDE00 Ada"}"#, r#"{"a":"\ufffd Ada"}"#);
        check(r#"{"\ud83d":"x"}"#, r#"{"\ufffd":"x"}"#);
        check(r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#);
        check(r#"["\ud83d\ude00\ude00"]"#, r#"["\ud83d\ude00\ufffd"]"#);
        check(r#"["\ude00\ud83d"]"#, r#"["\ufffd\ufffd"]"#);
        check(r#"["\ud83d\n\ude00"]"#, r#"["\ufffd\n\ufffd"]"#);
        check(r#"["\ud83dx"]"#, r#"["\ufffdx"]"#);
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for json in [
            "",
            "{}",
            r#"["\ud83d\ude00 \u00e9 😀"]"#,
            r#"["\\ud83d"]"#,
            r#"["\\\\ud83d \" \/"]"#,
            r#"["\ud83"#,
            r#"["\u+83d"]"#,
            "\\",
            "\\u",
        ] {
            check(json, json);
        }
        check(r#"["\\\ud83d"]"#, r#"["\\\ufffd"]"#);
    }

    proptest! {
        #[test]
        fn every_valid_text_stays_as_it_is(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(without_lone_surrogates(json.as_bytes()), json.as_bytes());
        }

        /// As UTF-16 is decoded with replacement, unit by unit.
        #[test]
        fn any_units_are_read_as_lossy_utf_16(units in proptest::collection::vec(prop_oneof![
            any::<u16>(), 0xD7F0u16..0xE010
        ], 0..12)) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("[\"{escaped}\"]");
            let read: Value = serde_json::from_slice(&without_lone_surrogates(json.as_bytes())).unwrap();
            prop_assert_eq!(read[0].as_str().unwrap(), String::from_utf16_lossy(&units));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let repaired = without_lone_surrogates(&bytes);
            prop_assert_eq!(repaired.len(), bytes.len());
            prop_assert_eq!(without_lone_surrogates(&repaired), repaired.clone());
        }
    }
}
