//! The rules of docs/WORDING.md, "How our mails are written", as far as a machine can read them: over every mail and
//! page that ships, whatever languages there are.

#![expect(clippy::unwrap_used, reason = "a test: what cannot be read is a failure")]
#![expect(clippy::wildcard_enum_match_arm, reason = "all other tokens are neither text nor names")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use customer_locale::LANGUAGES;
use minijinja::machinery::{Token, tokenize};

/// The templates of mails, and those of pages.
const FOLDERS: [&str; 2] = ["templates", "../../../functions/downloads/templates"];

/// A file of words in one language.
struct Words {
    path: PathBuf,
    language: &'static str,
    source: String,
}

/// Every file that is named after a language.
fn all_words() -> Vec<Words> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for template in fs::read_dir(&root).unwrap() {
            for file in fs::read_dir(template.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let language = LANGUAGES.iter().find(|known| name.starts_with(&format!("{}.", known.tag())));
                if let Some(language) = language {
                    let source = fs::read_to_string(&path).unwrap();
                    all.push(Words { path, language: language.tag(), source });
                }
            }
        }
    }
    assert!(all.len() > 150, "{}", all.len());
    all
}

impl Words {
    /// What a reader sees: without tags, comments and attributes, `◊` for each value, a line for each block.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut in_value = false;
        for token in tokenize(&self.source, false, Default::default()) {
            match token.unwrap().0 {
                Token::TemplateData(data) => text.push_str(data),
                Token::VariableStart => in_value = true,
                Token::VariableEnd if in_value => text.push('◊'),
                _ => in_value = false,
            }
        }
        let mut shown = String::new();
        let mut in_tag = false;
        for c in text.chars() {
            match c {
                '<' => in_tag = true,
                '>' => in_tag = false,
                c if !in_tag => shown.push(c),
                _ => {}
            }
        }
        let entities = [("&nbsp;", "\u{a0}"), ("&#8239;", "\u{202f}"), ("&times;", "×"), ("&middot;", "·")];
        entities.iter().fold(shown, |shown, (entity, c)| shown.replace(entity, c))
    }

    /// The variables and blocks that a file uses: the facts it tells.
    fn facts(&self) -> BTreeSet<String> {
        let mut facts = BTreeSet::new();
        let mut path = String::new();
        let mut statement = String::new();
        for token in tokenize(&self.source, false, Default::default()) {
            match token.unwrap().0 {
                Token::Ident(word) => path.push_str(word),
                Token::Dot => path.push('.'),
                Token::BlockStart => statement = "first".to_owned(),
                _ => {
                    facts.insert(std::mem::take(&mut path));
                    continue;
                }
            }
            if statement == "first" && !path.is_empty() {
                statement = std::mem::take(&mut path);
                if statement == "block" {
                    path = "block ".to_owned();
                }
            }
        }
        facts.remove("");
        facts
    }
}

#[test]
fn quotes_and_apostrophes_are_typographic() {
    for words in all_words() {
        let text = words.text();
        assert!(!text.contains(['"', '\'']), "{}: {text}", words.path.display());
    }
}

#[test]
fn french_has_its_spaces() {
    let is_straight = |text: &str| {
        let characters: Vec<char> = text.chars().collect();
        characters.iter().enumerate().all(|(index, c)| {
            let before = index.checked_sub(1).map(|before| characters[before]);
            match c {
                ':' => before == Some('\u{a0}'),
                ';' | '?' | '!' | '»' => before == Some('\u{202f}'),
                '«' => characters.get(index + 1) == Some(&'\u{202f}'),
                _ => true,
            }
        })
    };
    assert!(is_straight("Fait\u{a0}: «\u{202f}oui\u{202f}»\u{202f}!"));
    for wrong in ["Fait :", "Fait:", "Fait\u{202f}:", "Fait !", "Fait\u{a0};", "« oui\u{202f}»", "Quoi?"] {
        assert!(!is_straight(wrong), "{wrong}");
    }
    for words in all_words().into_iter().filter(|words| words.language == "fr") {
        let text = words.text();
        assert!(is_straight(&text), "{}: {text}", words.path.display());
    }
}

/// After "Guten Tag Ada," and "Buongiorno Ada," the sentence goes on in lower case. German has capitals for nouns and for
/// the customer.
#[test]
fn german_and_italian_go_on_in_lower_case_after_the_salutation() {
    let goes_on = |first: &str| {
        let word: String = first.chars().take_while(|c| c.is_alphabetic()).collect();
        word.chars().next().is_none_or(char::is_lowercase)
            || ["Ihr", "Ihre", "Ihren", "Sie"].contains(&&*word)
    };
    assert!(goes_on("vielen Dank") && goes_on("Ihre Spende") && !goes_on("Es tut uns leid"));
    for words in all_words() {
        let is_mail = !words.path.to_string_lossy().contains("downloads/templates");
        if !is_mail || !["de", "it"].contains(&words.language) {
            continue;
        }
        let source = words.source.replace("{% else %}", "{% else %}\u{1}");
        let Some((_, message)) = source.split_once("{% block message %}") else { continue };
        let first = message.split("</p>\n<p").next().unwrap().split("\n\n").next().unwrap().to_owned();
        let first = Words { source: first.replace("{% endblock %}", ""), ..words };
        // A first paragraph may have two forms: for a payment, and for one of nothing.
        for form in first.text().split('\u{1}') {
            assert!(goes_on(form.trim()), "{}: {form}", first.path.display());
        }
    }
}

#[test]
fn every_language_tells_the_same_facts_and_html_tells_those_of_plain_text() {
    let all = all_words();
    for words in &all {
        let name = words.path.file_name().unwrap().to_str().unwrap();
        let beside = |name: String| all.iter().find(|other| other.path == words.path.with_file_name(&name));
        let english = beside(name.replacen(words.language, "en", 1)).unwrap();
        assert_eq!(words.facts(), english.facts(), "{} and English", words.path.display());
        if let Some(html) = name.strip_suffix(".txt").and_then(|stem| beside(format!("{stem}.html"))) {
            let mut facts = html.facts();
            // A plain text part has neither a title nor a colour, and no other inbox line.
            let of_html = ["block tone", "block heading", "block preheader"];
            facts.retain(|fact| !of_html.contains(&fact.as_str()));
            let text_facts = words.facts();
            assert_eq!(facts, text_facts, "{}", words.path.display());
        }
    }
}

/// One word for one thing, in each language.
#[test]
fn words_that_are_not_ours_are_not_used() {
    let wrong = [
        ("en", &["mail", "mails", "fetch", "fetched", "voucher"][..]),
        ("de", &["Mail", "Mails", "Zahlungsbeleg", "Mailprogramme"]),
        ("fr", &["mail", "bon", "complète", "Ko", "courriel"]),
        ("es", &["email", "e-mail", "tu", "tus", "fichero", "ficheros"]),
        ("it", &["email", "mail", "tuo", "tua", "tuoi"]),
        ("nl", &["je", "jij", "jouw", "email", "mail"]),
    ];
    for words in all_words() {
        let (_, wrong) = wrong.iter().find(|(language, _)| *language == words.language).unwrap();
        let text = words.text();
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '-') {
            assert!(!wrong.contains(&word), "{word} in {}", words.path.display());
        }
    }
}
