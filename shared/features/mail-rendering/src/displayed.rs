//! Text that others typed, made fit to be shown.

/// One line of visible text, or `None` when nothing visible is left.
///
/// Control characters, direction overrides and invisible characters go, because they can make a mail read
/// differently from what it says. White space becomes single spaces. This is not escaping, which the template
/// engine does.
pub fn displayed(text: &str) -> Option<String> {
    let mut line = String::new();
    for word in text.split(breaks_words) {
        let start = line.len();
        line.push_str(&visible(word));
        if line.len() > start && start > 0 {
            line.insert(start, ' ');
        }
    }
    // Joiners matter between letters and emoji only; alone they are nothing.
    line.chars().any(|c| c != ' ' && !is_joiner(c)).then_some(line)
}

fn breaks_words(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

pub(crate) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator, fillers that show nothing.
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}'
        // Zero-width space and the direction marks, embeddings, overrides and isolates around it.
        | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        // Byte order mark, annotations, tags.
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
    )
}

/// A word without what cannot be seen.
fn visible(word: &str) -> String {
    let mut shown = String::with_capacity(word.len());
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        if !is_invisible(c) {
            shown.push(c);
        }
        if c == BLACK_FLAG
            && let Some(tags) = flag_tags(rest.as_str())
        {
            shown.push_str(tags);
            rest = rest.as_str()[tags.len()..].chars();
        }
    }
    shown
}

/// What makes a black flag one of a part of a country: England is `gbeng` in tag characters and a last one that ends it.
const BLACK_FLAG: char = '\u{1F3F4}';

/// The tags that complete a flag, if the text begins with them. Tags anywhere else say something that is not shown.
/// <https://www.unicode.org/reports/tr51/#def_emoji_tag_sequence>
fn flag_tags(text: &str) -> Option<&str> {
    const LONGEST_SUBDIVISION: usize = 6;
    let (end, _) = text.char_indices().find(|(_, c)| *c == '\u{E007F}')?;
    let tags = &text[..end];
    let named = tags.chars().all(|c| matches!(c, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}'));
    let end = end + '\u{E007F}'.len_utf8();
    (named && (1..=LONGEST_SUBDIVISION).contains(&tags.chars().count())).then_some(&text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(displayed(text).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn drops_what_cannot_be_seen() {
        check("Ada\r\nBcc: all", Some("Ada Bcc: all"));
        check("  Ada \t\u{a0} Lovelace\u{2028}", Some("Ada Lovelace"));
        check("Ada\u{202e}ecalevoL\u{202c}", Some("AdaecalevoL"));
        check("A\u{0}d\u{7f}a", Some("A d a"));
        check("\u{feff}Ada\u{200b}\u{2066}", Some("Ada"));
        for empty in ["", "   ", "\r\n", "\u{200b}\u{200d}", "\u{3164}"] {
            check(empty, None);
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_line(text in any::<String>()) {
            if let Some(line) = displayed(&text) {
                prop_assert!(!line.chars().any(|c| c.is_control()));
                prop_assert_eq!(line.trim(), &line);
                prop_assert_eq!(displayed(&line), Some(line.clone()));
            }
        }
    }
}
