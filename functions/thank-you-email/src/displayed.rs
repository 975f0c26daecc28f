//! Text that somebody else typed, made fit to be shown.

/// Longer names are cut: nobody's mail should be their name.
const LONGEST: usize = 80;

/// One line of visible text, or `None` when nothing visible is left.
///
/// Control characters, direction overrides and invisible characters go, because they can make a mail read
/// differently from what it says. White space becomes single spaces. This is not escaping, which the template
/// engine does.
pub(crate) fn displayed(text: &str) -> Option<String> {
    let mut line = String::new();
    for word in text.split(breaks_words) {
        let visible = word.chars().filter(|c| !is_invisible(*c));
        let start = line.len();
        line.extend(visible);
        if line.len() > start && start > 0 {
            line.insert(start, ' ');
        }
    }
    // Joiners matter between letters and emoji only; alone they are nothing.
    line.chars().any(|c| c != ' ' && !is_joiner(c)).then_some(line)
}

/// A person's name in one short line, or `None` when the text is not one.
///
/// Names come from a public form. One that holds an address would be turned into a link by the reader's mail
/// program, under our name, so such a customer is greeted without it.
pub(crate) fn displayed_name(text: &str) -> Option<String> {
    let name = displayed(text)?;
    (!name.split(' ').any(is_address)).then(|| shortened(name))
}

fn breaks_words(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

fn is_joiner(c: char) -> bool {
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

fn is_address(word: &str) -> bool {
    let is_domain = |part: &str| {
        let part = part.trim_matches(|c: char| !c.is_alphanumeric());
        // `Mr.Smith` and `J.R.R.` are names, `example.org` is not.
        part.rsplit_once('.').is_some_and(|(host, end)| {
            !host.is_empty() && end.len() >= 2 && end.chars().all(|c| c.is_ascii_lowercase())
        })
    };
    word.contains('@') || word.to_lowercase().contains("www.") || word.split(['/', ':']).any(is_domain)
}

fn shortened(line: String) -> String {
    let Some((limit, _)) = line.char_indices().nth(LONGEST) else {
        return line;
    };
    let kept = &line[..limit];
    // Between words if one ends in the second half, and never after a joiner that lost its partner.
    let at_word = kept.rfind(' ').filter(|space| *space >= limit / 2);
    let kept = &kept[..at_word.unwrap_or(limit)];
    let kept = kept.trim_end_matches(|c| matches!(c, ' ' | ',' | ';' | '-') || is_joiner(c));
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(displayed_name(text).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn keeps_names_as_they_are() {
        for name in [
            "Ada Lovelace",
            "Søren Kierkegård-Ødegaard",
            "O’Neill & Sons",
            "毛利 蘭",
            "محمد علی",
            "می‌خواهم",
            "J. R. R. Tolkien",
            "Mr.Smith",
            "Family 👨‍👩‍👧‍👦",
            "<b>Bob</b>",
            "Ada c/o Byron",
        ] {
            check(name, Some(name));
        }
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

    #[test]
    fn greets_nobody_with_an_address() {
        for text in [
            "Win now https://example.org/x",
            "example.org/x",
            "example.org",
            "(www.EXAMPLE.ORG)",
            "ada@example.org",
            "Ada, see example.org!",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn shortens_long_names() {
        let words = "Wolfeschlegelsteinhausen ".repeat(12);
        assert_eq!(
            displayed_name(&words).as_deref(),
            Some("Wolfeschlegelsteinhausen Wolfeschlegelsteinhausen Wolfeschlegelsteinhausen…")
        );
        let titles = "Ada King, Countess of Lovelace, ".repeat(3);
        assert_eq!(
            displayed_name(&titles).as_deref(),
            Some("Ada King, Countess of Lovelace, Ada King, Countess of Lovelace, Ada King…")
        );
        let one = displayed_name(&"é".repeat(300)).unwrap();
        assert_eq!(one, format!("{}…", "é".repeat(80)));
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_line(text in any::<String>()) {
            if let Some(line) = displayed_name(&text) {
                prop_assert!(line.chars().count() <= LONGEST + 1);
                prop_assert!(!line.chars().any(|c| c.is_control() || is_invisible(c)));
                prop_assert_eq!(line.trim(), &line);
                prop_assert_eq!(displayed_name(&line), Some(line.clone()));
            }
        }
    }
}
