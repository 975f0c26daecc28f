//! What is meant by a word that is not known, and what the engine's errors say in plain words.

use std::sync::LazyLock;

use fulfilment::is_nearly;

use super::rendering::known_values;
use crate::wording::BrokenTemplate;

/// Words that are no values: of the language, and of what a loop knows.
const WORDS: [&str; 25] = [
    "if",
    "elif",
    "else",
    "and",
    "or",
    "not",
    "in",
    "is",
    "for",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "null",
    "loop",
    "self",
    "super",
    "defined",
    "undefined",
    "string",
    "number",
    "odd",
    "even",
];

/// The values of a mail, with what follows a dot: `customer`, `customer.name`.
static VALUES: LazyLock<Vec<String>> = LazyLock::new(known_values);

/// The known word that a typed one is most likely meant to be: the same but for its case, one that holds it, or one but
/// for a few typing errors.
pub(super) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let small = typed.to_lowercase();
    let errors = if small.chars().count() < 5 { 1 } else { 2 };
    let known: Vec<&str> = known.into_iter().collect();
    let same = known.iter().find(|word| **word == small);
    same.or_else(|| known.iter().find(|word| is_nearly(&small, word, errors))).copied()
}

/// What to do about a value that no mail has; `None` for one that is there.
pub(super) fn unknown_value(name: &str) -> Option<String> {
    let root = name.split('.').next().unwrap_or_default();
    if WORDS.contains(&root) || VALUES.iter().any(|value| value == name) {
        return None;
    }
    let has_parts = VALUES.iter().any(|value| value.starts_with(&format!("{root}.")));
    if VALUES.iter().any(|value| value == root) && !has_parts {
        // Of an element of a list the loop's own name says more.
        return name.contains('.').then(|| format!("`{root}` has no parts: write `{{{{ {root} }}}}`."));
    }
    // Many write the part alone.
    let by_part = VALUES.iter().find(|value| value.rsplit('.').next() == Some(&*name.to_lowercase()));
    let meant = nearest(name, VALUES.iter().map(String::as_str)).or(by_part.map(String::as_str));
    Some(meant.map_or_else(
        || "The handbook lists what you can put in; there is nothing else.".to_owned(),
        |meant| format!("Did you mean `{{{{ {meant} }}}}`?"),
    ))
}

/// What a mistake that shows when a mail is filled in says to the person who wrote the template: the problem, and what to
/// do. `when` is the kind of customer for whom it shows.
pub(super) fn sentence(broken: &BrokenTemplate, when: &str) -> (String, String) {
    let problem = broken.problem.as_str();
    let detail = problem.split_once(": ").map_or(problem, |(_, detail)| detail);
    let instead = format!("{when} the standard mail goes out");
    let (what, fix): (String, &str) = if problem.starts_with("undefined value") {
        (
            "Something is printed here that may be missing".to_owned(),
            "Ask first: `{% if customer.name %}Dear {{ customer.name }}{% else %}Dear friend{% endif %}`.",
        )
    } else if let Some(name) = detail
        .strip_prefix("filter ")
        .or_else(|| detail.strip_prefix("function "))
        .and_then(|rest| rest.strip_suffix(" is unknown"))
    {
        (
            format!("`{name}` is not available in mails"),
            "Write it without; the handbook says what a template may do.",
        )
    } else if problem.contains("is not available in mails") || problem.contains("cannot join texts") {
        (capitalised(problem), "Write it without; the handbook says what a template may do.")
    } else if problem == "it comes out empty" {
        ("The file comes out empty".to_owned(), "Write the words into a block that the frame has.")
    } else if problem.starts_with("it loops") || problem.contains("longer than any mail") {
        (capitalised(problem), "Take the loop out, or let it go over `files` alone.")
    } else if problem.starts_with("template not found") {
        (
            format!("It builds on a file that is not there ({detail})"),
            "Copy the name from the handbook: `layout/en.html`, `layout/en.txt`.",
        )
    } else if problem.starts_with("syntax error") {
        (
            format!("The tags cannot be read ({detail})"),
            "Compare them with the handbook's: each `{% if %}` ends with `{% endif %}`, each `{% block %}` with `{% endblock %}`.",
        )
    } else {
        (capitalised(problem), "Compare it with the handbook's example.")
    };
    (format!("{what}; {instead}."), fix.to_owned())
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
