//! Text in the form in which an answer or a notice is compared: by its words alone.
//!
//! Case, punctuation, quotes, emoji beside words, blanks, invisible characters, Markdown and the width of letters do
//! not matter, because none of them changes what a customer said or read.

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::typed::is_invisible;

/// The words of a text, in order.
///
/// A text without any letter or digit is one word of what it has, so that `👎` can be compared too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Words(Vec<String>);

impl Words {
    /// The words of plain text.
    pub(crate) fn of(text: &str) -> Self {
        let text = folded(text);
        let words: Vec<_> = text.split(|c| !is_of_a_word(c)).filter(|word| !word.is_empty()).collect();
        if !words.is_empty() {
            return Self(words.into_iter().map(str::to_owned).collect());
        }
        let symbols: String = text.chars().filter(|c| !c.is_whitespace() && !is_skin_tone(*c)).collect();
        Self(if symbols.is_empty() { Vec::new() } else { vec![symbols] })
    }

    /// Whether there is nothing to compare: only blanks and invisible characters.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many words there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it begins with all words of a phrase.
    pub(crate) fn begin_with(&self, phrase: &Self) -> bool {
        !phrase.is_empty() && self.0.starts_with(&phrase.0)
    }

    /// Whether all words of a phrase stand in it, side by side.
    pub(crate) fn contain(&self, phrase: &Self) -> bool {
        !phrase.is_empty() && self.0.windows(phrase.len()).any(|window| window == phrase.0)
    }
}

/// Whether a page's text shows a notice: all its words in order, from the beginning of a sentence to the end of one.
///
/// `We write to you only if you ask for it` does not show the notice `We write to you`.
pub(crate) fn shows(text: &str, notice: &str) -> bool {
    let notice = Words::of(&without_markdown(notice));
    let text = without_markdown(text);
    let text = folded(&text);
    // Each word, and whether a sentence may begin with it.
    let mut words: Vec<(&str, bool)> = Vec::new();
    let mut begins = true;
    for piece in text.split_inclusive(|c| !is_of_a_word(c)) {
        let word = piece.trim_end_matches(|c| !is_of_a_word(c));
        if !word.is_empty() {
            words.push((word, begins));
            begins = false;
        }
        begins = begins || piece.ends_with(ends_sentence);
    }
    if notice.is_empty() || words.len() < notice.len() {
        return false;
    }
    (0..=words.len() - notice.len()).any(|first| {
        let after = first + notice.len();
        let same = words[first..after].iter().map(|(word, _)| word).eq(notice.0.iter());
        same && words[first].1 && words.get(after).is_none_or(|(_, begins)| *begins)
    })
}

/// Line breaks count, because a text may be a list.
const fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

/// The words of a link without its address: `[Rather not?](https://example.org/no)` reads `Rather not?`.
fn without_markdown(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        read.push_str(before);
        // An address has no blanks; what has some is no link.
        let address = after.split_once(')').filter(|(address, _)| !address.contains(char::is_whitespace));
        rest = address.map_or(after, |(_, beyond)| beyond);
        read.push(']');
    }
    read.push_str(rest);
    read
}

/// Compatible forms as one (`ＮＯ` is `NO`), lower case, without invisible characters and apostrophes within words.
fn folded(text: &str) -> String {
    let visible: Vec<char> = text.chars().filter(|c| !is_invisible(*c)).collect();
    let plain = |at: Option<usize>| at.and_then(|at| visible.get(at)).is_some_and(|c| c.is_alphanumeric());
    // Before the compatible forms, of which an acute accent has one with a blank.
    let joined = visible
        .iter()
        .enumerate()
        .filter(|(at, c)| !(is_apostrophe(**c) && plain(at.checked_sub(1)) && plain(at.checked_add(1))));
    let joined: String = joined.map(|(_, c)| if is_apostrophe(*c) { ' ' } else { *c }).collect();
    ComposingNormalizerBorrowed::new_nfkc().normalize(&joined).to_lowercase()
}

/// A letter, a digit, or an accent that has no letter of its own.
fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36f}')
}

const fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | '‘' | 'ʼ' | '´' | '`' | '＇')
}

const fn is_skin_tone(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_are_compared() {
        for typed in [
            "no",
            "No.",
            "NO!!",
            " no\u{a0}",
            "\"No\"",
            "“no”",
            "« no »",
            "(no)",
            "*no*",
            "__No__",
            "no…",
            "- no",
            "ＮＯ",
            "Ｎｏ！",
            "𝐍𝐨",
            "Ⓝⓞ",
            "n\u{200b}o",
            "\u{feff}no",
            "n\u{ad}o",
            "no\u{fe0f}",
            "no 👎🏽",
            "\u{202e}no",
        ] {
            assert_eq!(Words::of(typed), Words(vec!["no".to_owned()]), "{typed:?}");
        }
        for typed in ["don't", "Don’t", "DON´T!", "don`t"] {
            assert_eq!(Words::of(typed), Words(vec!["dont".to_owned()]), "{typed:?}");
        }
        assert_eq!(Words::of("na\u{303}o"), Words::of("não"), "composed and decomposed");
        assert_ne!(Words::of("n o"), Words::of("no"));
        assert_ne!(Words::of("nо"), Words::of("no"), "a Cyrillic letter is another letter");
    }

    #[test]
    fn symbols_are_compared_where_there_are_no_words() {
        assert_eq!(Words::of("👎"), Words::of(" 👎🏽 "));
        assert_ne!(Words::of("👎"), Words::of("👍"));
        assert!(Words::of(" \u{200b}\u{3000}").is_empty());
    }

    #[test]
    fn phrases_are_found_by_whole_words() {
        let [no, do_not] = ["no", "do not"].map(Words::of);
        assert!(Words::of("No, thank you").begin_with(&no) && Words::of("Do NOT write").begin_with(&do_not));
        assert!(!Words::of("notable").begin_with(&no) && !Words::of("do").begin_with(&do_not));
        assert!(Words::of("please do not").contain(&do_not) && !Words::of("nothing").contain(&no));
        assert!(
            !Words::of("no").begin_with(&Words::default()) && !Words::of("no").contain(&Words::default())
        );
    }

    #[test]
    fn a_notice_is_shown_by_whole_sentences() {
        const NOTICE: &str = "We write to you about similar guides. Rather not?";
        for text in [
            NOTICE,
            "we write to you about similar guides - rather not",
            "**We write** to you about  similar\nguides. [Rather not?](https://example.org/no-mail)",
            "Your files come by mail. We write to you about similar guides. Rather not? Thank you!",
            "Your files come by mail\n\n* WE WRITE TO YOU ABOUT SIMILAR GUIDES; RATHER NOT?",
            "_We write to you about similar guides._ _Rather not?_",
        ] {
            assert!(shows(text, NOTICE), "{text}");
        }
        for text in [
            "",
            "Your files come by mail.",
            "We write to you about similar guides.",
            "If you ask us, we write to you about similar guides. Rather not?",
            "We write to you about similar guides. Rather not use this link twice.",
            "We write to you about [similar](We write to you about similar guides. Rather not?)",
        ] {
            assert!(!shows(text, NOTICE), "{text}");
        }
        assert!(!shows("anything", " "));
    }
}
