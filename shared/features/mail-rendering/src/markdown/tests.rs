use proptest::prelude::*;

use super::*;

const APPEAL: &str = "Subject: Your {{ amount }} for the trees\nPreview: *Forty* trees & more\n\n# Forty trees, {{ customer.name or \"friend\" }}\n\nYour gift of **{{ amount }}** has *arrived*.\nWe plant <hello@example.org> and [by the river]({{ organisation.site | default(\"https://example.org/?a=1&b=2\") }}).\n\n{% if renewal %}\nThank you for *staying*.\n{% else %}\nWelcome{% if customer.name %}, {{ customer.name }}{% endif %}!\n{% endif %}\n\n## What next\n\n- one_two_three & 2 < 3\n- [See](https://example.org)\n\n1. first\n2. second\n\n> quoted\n\n---\nThe end.\n";

#[test]
fn one_file_becomes_three_with_the_same_words() {
    assert_eq!(derived(APPEAL, "en", Part::Subject).unwrap(), "Your {{ amount }} for the trees\n");
    insta::assert_snapshot!("html", derived(APPEAL, "en", Part::Html).unwrap());
    insta::assert_snapshot!("text", derived(APPEAL, "en", Part::Text).unwrap());
    assert_eq!(problem_of(APPEAL), None);
}

#[test]
fn what_makes_no_mail_is_named_with_its_line() {
    let check = |text: &str, line: usize, problem: &str| {
        let found = problem_of(text).unwrap();
        assert_eq!((found.line, found.problem.contains(problem)), (line, true), "{}", found.problem);
    };
    check("# Thanks\n", 1, "`Subject: …`");
    check("Subject:\n# Thanks\n", 1, "`Subject: …`");
    check("Subject: a\n\nText\n# Thanks\n", 3, "headline is missing");
    check("Subject: a\n", 1, "headline is missing");
    check("Subject: a\n# b\n\ntext\n{% block x %}y{% endblock %}", 5, "`block` is not available");
    check("Subject: a\n# b\n\n{% extends \"layout/en.html\" %}", 4, "`extends`");
    check("Subject: a\n# b\n\none\n\na <b>bold</b> word\n", 6, "`<b>` is HTML");
    check("Subject: a\n# b\n\n<div>\nx\n</div>\n", 4, "`<div>");
}

#[test]
fn a_line_that_ends_with_a_statement_keeps_its_end() {
    let text = "Subject: a\n\n# {% if renewal %}Again{% else %}Welcome{% endif %}\n\nFirst{% if a %} b{% endif %}\n\nSecond {# later #}\n\n{% if c %}\nThird\n{% endif %}\n";
    let text = derived(text, "en", Part::Text).unwrap();
    assert!(text.contains("Welcome{% endif +%}\n\n{{ super() }}"), "{text}");
    assert!(
        text.contains("First{% if a %} b{% endif +%}\n\nSecond \n\n{% if c %}\nThird\n\n{% endif %}"),
        "{text}"
    );
}

#[test]
fn between_paragraphs_is_one_empty_line() {
    assert_eq!(evenly_spaced("\n\na\r\n\r\n\n\nb\n\nc"), "a\r\n\r\nb\n\nc");
}

proptest! {
    /// Whatever a marketer types, the conversion ends, and no character of a tag is lost or made up.
    #[test]
    fn any_text_converts_and_keeps_its_tags(words in "[a-z*_#>`\\[\\]()!\n -]{0,80}", at in 0..80_usize) {
        let at = words.char_indices().map(|(at, _)| at).nth(at).unwrap_or(words.len());
        let text = format!("Subject: a\n# b\n\n{}{{{{ customer.name | default(\"*x_\") }}}}{}\n", &words[..at], &words[at..]);
        for part in [Part::Html, Part::Text] {
            if let Some(derived) = derived(&text, "en", part) {
                prop_assert_eq!(derived.matches("{{ customer.name | default(\"*x_\") }}").count(), 1, "{}", derived);
                prop_assert!(!derived.chars().any(is_tag));
            }
        }
    }
}
