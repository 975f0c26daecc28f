//! Text that people type and paste: a marketer into Stripe's dashboard, a site or a visitor into an address.
//!
//! Texts copied from a web page or a spreadsheet bring characters along that show nothing. They are left out
//! wherever a text is compared, and named wherever a wrong text is shown, because a message in which the wrong value
//! looks right helps no one to correct it.

use std::collections::BTreeMap;

/// Whether a character shows nothing, or changes how its neighbours are shown: joiners, fillers, selectors, marks of
/// the writing direction, tags.
///
/// <https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point>, and a few that are drawn as nothing.
pub const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Whether a character ends a word: white space of any kind, a line break, a tab, any other control character.
fn breaks_words(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// The text in one line: words with single spaces between them, and nothing invisible. `None` when nothing is left.
pub(crate) fn tidy(typed: &str) -> Option<String> {
    let mut line = String::new();
    for word in typed.split(breaks_words) {
        let start = line.len();
        line.extend(word.chars().filter(|c| !is_invisible(*c)));
        if start > 0 && line.len() > start {
            line.insert(start, ' ');
        }
    }
    (!line.is_empty()).then_some(line)
}

/// The text without quotes and blanks around it, as text has them that comes from a document or a spreadsheet.
///
/// Quotes go in pairs. One that stands alone goes too, because a list in quotes is parted at its commas. A quote whose
/// partner is inside belongs to the text, and so does an apostrophe without one: `The "best"`, `writers'`.
pub fn unquoted(typed: &str) -> &str {
    let blank = |c: char| c.is_whitespace() || is_invisible(c);
    let mut text = typed.trim_matches(blank);
    loop {
        let is_single = |end: Option<char>| end.is_some_and(|c| is_quote(c) && !is_apostrophe(c));
        let lone = |inside: &str| !inside.contains(|c| is_quote(c) && !is_apostrophe(c));
        let after = text.strip_prefix(is_quote);
        let before = text.strip_suffix(is_quote);
        let inside = match (after, before) {
            (Some(after), Some(_)) => after.strip_suffix(is_quote).unwrap_or_default(),
            (Some(after), None) if is_single(text.chars().next()) && lone(after) => after,
            (None, Some(before)) if is_single(text.chars().next_back()) && lone(before) => before,
            (Some(_) | None, Some(_) | None) => return text,
        };
        text = inside.trim_matches(blank);
    }
}

/// Whether a character is a quote of any language, straight or typographic, or is typed as one.
pub const fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '‟' | '«' | '»' | '‹' | '›' | '＂' | '″') || is_apostrophe(c)
}

const fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '‘' | '’' | '‚' | '‛' | '´' | '`' | '＇' | '′')
}

/// The parts of a list: between commas, line breaks, tabs and other control characters. Empty parts and repetitions
/// are left out.
pub(crate) fn split(typed: &str) -> Vec<String> {
    distinct(typed.split(separates).filter_map(tidy))
}

/// Whether a character stands between the parts of a list. U+2028 and U+2029 are line breaks too, and no control
/// characters.
pub(crate) fn separates(c: char) -> bool {
    c == ',' || breaks_lines(c)
}

/// Whether a character begins another line or column.
pub fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Each text once, in the order in which they came.
pub(crate) fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}

/// A key or a word as it is compared: lower case, without blanks and without what shows nothing.
pub(crate) fn bare(typed: &str) -> String {
    let bare = typed.chars().filter(|c| !breaks_words(*c) && !is_invisible(*c));
    bare.flat_map(char::to_lowercase).collect()
}

/// The value of a metadata key. A key that differs in nothing but case, blanks and invisible characters counts where
/// the exact one is missing.
pub(crate) fn value<'a>(metadata: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    let alike = || metadata.iter().find(|(typed, _)| bare(typed) == key).map(|(_, value)| value);
    metadata.get(key).or_else(alike).map(String::as_str)
}

/// Whether a typed word is a name but for so many typing errors.
pub fn is_nearly(typed: &str, name: &str, errors: usize) -> bool {
    let typed: Vec<char> = typed.chars().collect();
    let name: Vec<char> = name.chars().collect();
    name.len().abs_diff(typed.len()) <= errors && edit_distance(&typed, &name) <= errors
}

/// How many letters have to be changed, added, left out, or swapped with the next one: the optimal string alignment
/// distance.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(from != to)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// A wrong text as a message shows it, in one line and at most about forty characters: what shows nothing, or looks
/// like a Latin letter and is none, is named by its number: `donation[U+200B]`.
pub fn shown(typed: &str) -> String {
    let mut shown = String::new();
    for c in typed.chars().take(LONGEST_SHOWN) {
        let number = format_args!("[U+{:04X}]", u32::from(c)).to_string();
        match c {
            ' ' => shown.push(c),
            _ if breaks_words(c) || is_invisible(c) => shown.push_str(&number),
            _ if latin_lookalike(c).is_some() => {
                shown.push(c);
                shown.push_str(&number);
            }
            _ => shown.push(c),
        }
    }
    shown
}

const LONGEST_SHOWN: usize = 40;

/// The Latin letter that a letter of another script, or another form, is easily taken for. Only those that matter
/// for the keys and words of the contract.
pub(crate) const fn latin_lookalike(c: char) -> Option<char> {
    Some(match c {
        'а' | 'А' | 'α' | 'Α' => 'a',
        'Ь' | 'Β' | 'В' => 'b',
        'с' | 'С' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'Е' | 'ε' | 'Ε' | 'ҽ' => 'e',
        'ƒ' | 'ſ' | 'Ϝ' => 'f',
        'һ' | 'Н' | 'Η' => 'h',
        'і' | 'І' | 'ι' | 'Ι' | 'ı' | 'ї' => 'i',
        'ӏ' | 'Ӏ' | 'ǀ' => 'l',
        'м' | 'М' | 'Μ' | 'μ' | 'µ' => 'm',
        'п' | 'η' | 'ո' | 'Ν' => 'n',
        'о' | 'О' | 'ο' | 'Ο' => 'o',
        'р' | 'Р' | 'ρ' | 'Ρ' => 'p',
        'ѕ' | 'Ѕ' => 's',
        'т' | 'Т' | 'τ' | 'Τ' => 't',
        'υ' | 'ս' | 'ц' => 'u',
        'ԝ' => 'w',
        // Full-width letters are the Latin ones, a fixed way further on.
        'Ａ'..='Ｚ' | 'ａ'..='ｚ' => match char::from_u32(c as u32 - 0xFEE0) {
            Some(latin) => latin.to_ascii_lowercase(),
            None => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_never_grow_together() {
        for (typed, expected) in [
            ("spring\nautumn", Some("spring autumn")),
            ("spring\r\n\tautumn ", Some("spring autumn")),
            (" a\u{a0}b\u{0}c\u{2028}d ", Some("a b c d")),
            ("re\u{ad}new\u{200b}\u{202e}al\u{feff}", Some("renewal")),
            ("\u{200b} \u{2060}", None),
            ("", None),
        ] {
            assert_eq!(tidy(typed).as_deref(), expected, "{typed:?}");
        }
    }

    #[test]
    fn a_control_character_separates_as_a_comma_does() {
        assert_eq!(split("spring\nautumn"), ["spring", "autumn"]);
        assert_eq!(split("a\r\nb\tc\u{85}d\u{2028}e,f\u{0}g"), ["a", "b", "c", "d", "e", "f", "g"]);
        assert_eq!(split("one word, ,one\u{200b} word\n"), ["one word"]);
    }

    #[test]
    fn quotes_around_a_text_are_no_part_of_it() {
        for quoted in [
            "autumn-2026",
            "“autumn-2026”",
            "„autumn-2026“",
            "«autumn-2026»",
            "« autumn-2026 »",
            "\"autumn-2026\"",
            " 'autumn-2026' ",
            "‘autumn-2026’",
            "\"'autumn-2026'\"",
            "\u{feff}“autumn-2026”\u{200b}",
            "“autumn-2026",
            "autumn-2026”",
        ] {
            assert_eq!(unquoted(quoted), "autumn-2026", "{quoted}");
        }
        for whole in ["The \"best\"", "\"Best\" of 2026", "writers’", "'90s", "don't", "a “b” c"] {
            assert_eq!(unquoted(whole), whole);
        }
        for nothing in ["", "\"", "“”", " ' ' "] {
            assert_eq!(unquoted(nothing), "", "{nothing}");
        }
    }

    #[test]
    fn shows_what_cannot_be_seen() {
        assert_eq!(shown("donation\u{200b}"), "donation[U+200B]");
        assert_eq!(shown("a b\u{a0}c\n\u{feff}"), "a b[U+00A0]c[U+000A][U+FEFF]");
        assert_eq!(shown("d\u{43e}nation"), "d\u{43e}[U+043E]nation");
        assert_eq!(shown("Spende für Ärzte"), "Spende für Ärzte");
        assert_eq!(shown(&"x".repeat(60)).len(), 40);
    }

    #[test]
    fn a_key_counts_whatever_its_case_and_blanks() {
        let metadata = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(value(&metadata(&[("Campaign ", "a")]), "campaign"), Some("a"));
        assert_eq!(value(&metadata(&[("CAMPAIGN", "a"), ("campaign", "b")]), "campaign"), Some("b"));
        assert_eq!(value(&metadata(&[("campaign_code", "a")]), "campaign"), None);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_line_and_stays_it(typed in any::<String>()) {
            if let Some(line) = tidy(&typed) {
                prop_assert!(!line.chars().any(|c| c.is_control() || is_invisible(c)));
                prop_assert_eq!(tidy(&line), Some(line.clone()));
            }
            prop_assert_eq!(unquoted(unquoted(&typed)), unquoted(&typed));
            prop_assert!(!shown(&typed).chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
