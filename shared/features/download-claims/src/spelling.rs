use fulfilment::is_invisible;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// The names under which an object may lie in the bucket that looks like this key, the key itself first.
///
/// A letter with an accent can be one character or two (`ü`, or `u` and a mark), and which of them a file's name has
/// depends on the system it was uploaded from. S3 compares bytes, people see no difference
/// (<https://unicode.org/reports/tr15/>). The same goes for characters that show nothing.
pub(crate) fn spellings(key: &str) -> Vec<String> {
    let mut spellings = vec![key.to_owned()];
    if key.is_ascii() {
        return spellings;
    }
    let composed = ComposingNormalizerBorrowed::new_nfc();
    let decomposed = DecomposingNormalizerBorrowed::new_nfd();
    let visible: String = key.chars().filter(|c| !is_invisible(*c)).collect();
    for text in [key, &visible] {
        for form in [text.to_owned(), composed.normalize(text).into(), decomposed.normalize(text).into()] {
            if !form.is_empty() && !spellings.contains(&form) {
                spellings.push(form);
            }
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_looked_for_as_it_is_first_and_in_both_forms() {
        assert_eq!(spellings("a.pdf"), ["a.pdf"]);
        assert_eq!(spellings("Müller.pdf"), ["Müller.pdf", "Mu\u{308}ller.pdf"]);
        assert_eq!(spellings("Mu\u{308}ller.pdf"), ["Mu\u{308}ller.pdf", "Müller.pdf"]);
        assert_eq!(spellings("é\u{65}\u{301}"), ["é\u{65}\u{301}", "éé", "e\u{301}e\u{301}"]);
        assert_eq!(spellings("a\u{200b}.pdf"), ["a\u{200b}.pdf", "a.pdf"]);
        assert_eq!(spellings("毛利.pdf"), ["毛利.pdf"]);
    }
}
