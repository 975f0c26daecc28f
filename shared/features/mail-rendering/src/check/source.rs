//! What the text of one file says by itself.

use std::collections::BTreeSet;

use super::Finding;
use super::files::{Ending, OwnFile, OwnTemplate};
use super::frame::check_frame;
use super::html::{check_html, check_link, has_typographic_quotes};
use super::sentences::{nearest, unknown_value};
use super::tags::{Segment, SegmentKind, segments};

/// Characters of a subject that most inboxes show.
const LONGEST_SUBJECT: usize = 60;

/// The statements that a template may use, with their ends.
const STATEMENTS: [&str; 15] = [
    "if", "elif", "else", "endif", "for", "endfor", "set", "endset", "with", "endwith", "block", "endblock",
    "extends", "include", "raw",
];

/// Checks one file of a template.
pub(super) fn check_source(file: &OwnFile, own: &OwnTemplate) -> Vec<Finding> {
    let segments = segments(&file.text);
    let mut findings = Vec::new();
    for segment in &segments {
        findings.extend(check_tag(file, segment));
        if segment.kind == SegmentKind::Text {
            findings.extend(check_text(file, segment));
        }
    }
    // What is wrong with a tag would show once more as an end that is missing.
    if findings.is_empty() {
        findings.extend(check_ends(file, &segments));
    }
    findings.extend(check_values(file, &segments));
    findings.extend(check_frame(file, &segments, own));
    if file.ending == Ending::Html {
        let html = check_html(&segments).into_iter();
        findings.extend(html.map(|finding| {
            let new = if finding.is_mistake { Finding::mistake } else { Finding::warning };
            new(&file.path, finding.line, finding.problem, finding.fix)
        }));
    }
    if file.ending == Ending::Subject {
        findings.extend(check_subject(file, 1, &file.text));
    }
    if file.ending == Ending::Markdown {
        findings.extend(check_markdown(file));
    }
    findings
}

fn check_tag(file: &OwnFile, segment: &Segment<'_>) -> Option<Finding> {
    let line = segment.line;
    match segment.kind {
        SegmentKind::Unclosed => Some(Finding::mistake(
            &file.path,
            line,
            "A tag begins here and never ends, so customers get the standard mail.".to_owned(),
            "End it with the same sign as it begins: `{{ amount }}`, `{% endif %}`, `{# note #}`.",
        )),
        SegmentKind::Print | SegmentKind::Statement if has_typographic_quotes(segment.text) => {
            Some(Finding::mistake(
                &file.path,
                line,
                format!(
                    "Line {line} has typographic quotes “ ” in a tag, so customers get the standard mail."
                ),
                "Type straight ones: \"",
            ))
        }
        SegmentKind::Statement if !STATEMENTS.contains(&segment.word()) => {
            let word = segment.word();
            let meant = nearest(word, STATEMENTS);
            let fix = meant.map_or_else(
                || "There are `if`, `for`, `set`, `block`, `extends` and `include`.".to_owned(),
                |meant| format!("Did you mean `{{% {meant} %}}`?"),
            );
            Some(Finding::mistake(
                &file.path,
                line,
                format!("`{{% {word} %}}` is no tag, so customers get the standard mail."),
                fix,
            ))
        }
        SegmentKind::Print | SegmentKind::Statement | SegmentKind::Comment | SegmentKind::Text => None,
    }
}

/// Whether each tag that holds something has its end.
fn check_ends(file: &OwnFile, segments: &[Segment<'_>]) -> Vec<Finding> {
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut findings = Vec::new();
    for segment in segments.iter().filter(|segment| segment.kind == SegmentKind::Statement) {
        let word = segment.word();
        // A `set` without a `=` keeps what comes up to its end.
        let holds =
            ["if", "for", "block", "with"].contains(&word) || word == "set" && !segment.inner().contains('=');
        if holds {
            open.push((word, segment.line));
        }
        let Some(ended) = word.strip_prefix("end") else { continue };
        if open.last().is_some_and(|(word, _)| *word == ended) {
            open.pop();
        } else if let Some(at) = open.iter().rposition(|(word, _)| *word == ended) {
            findings.extend(open.split_off(at).into_iter().skip(1).map(|unended| without_end(file, unended)));
        } else if STATEMENTS.contains(&word) {
            findings.push(Finding::mistake(
                &file.path,
                segment.line,
                format!("`{{% {word} %}}` ends something that was never begun, so customers get the standard mail."),
                format!("Take it out, or write `{{% {ended} … %}}` where it should begin."),
            ));
        }
    }
    findings.extend(open.into_iter().map(|unended| without_end(file, unended)));
    findings
}

fn without_end(file: &OwnFile, (word, line): (&str, usize)) -> Finding {
    Finding::mistake(
        &file.path,
        line,
        format!("`{{% {word} … %}}` begins here and never ends, so customers get the standard mail."),
        format!("Write `{{% end{word} %}}` where it should end."),
    )
}

/// What other mail tools use for values, by its begin and end.
const FOREIGN: [(&str, &str); 5] = [("*|", "|*"), ("%%", "%%"), ("[[", "]]"), ("((", "))"), ("${", "}")];

fn check_text(file: &OwnFile, segment: &Segment<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, text) in segment.text.split('\n').enumerate() {
        let line = segment.line + index;
        for (begin, end) in FOREIGN {
            let Some(at) = text.find(begin) else { continue };
            let Some(inner) = text[at + begin.len()..].split_once(end).map(|(inner, _)| inner) else {
                continue;
            };
            let is_value =
                !inner.is_empty() && inner.chars().all(|c| c.is_alphanumeric() || "_-.:| ".contains(c));
            // Numbers in parentheses, and blanks around a thought.
            let is_prose = begin == "((" && inner.contains(' ');
            if is_value && !is_prose {
                findings.push(Finding::mistake(
                    &file.path,
                    line,
                    format!("`{begin}{inner}{end}` is another tool's tag: customers read it as it stands."),
                    "Take it out, or write one of ours: `{{ amount }}`.",
                ));
            }
        }
        if matches!(file.ending, Ending::Text) {
            findings.extend(check_plain(file, line, text, "plain text"));
        }
    }
    findings
}

/// HTML where there is none.
fn check_plain(file: &OwnFile, line: usize, text: &str, place: &str) -> Option<Finding> {
    let shown = element_in(text).or_else(|| entity_in(text))?;
    Some(Finding::mistake(
        &file.path,
        line,
        format!("Customers read `{shown}` as it stands: {place} has no HTML."),
        "Write the words alone; an address stands for a link.",
    ))
}

/// The first HTML element in a text: `<b>`.
fn element_in(text: &str) -> Option<&str> {
    text.match_indices('<').find_map(|(at, _)| {
        let tag = text[at..].split_inclusive('>').next().filter(|tag| tag.ends_with('>'))?;
        let first = tag[1..].trim_start_matches('/').chars().next()?;
        // `<hello@example.org>` and `<https://…>` are how plain text writes addresses.
        (first.is_ascii_alphabetic() && !tag.contains('@') && !tag.contains("://")).then_some(tag)
    })
}

/// The first HTML entity in a text: `&amp;`.
fn entity_in(text: &str) -> Option<&str> {
    text.match_indices('&').find_map(|(at, _)| {
        let entity = text[at..].split_inclusive(';').next().filter(|entity| entity.ends_with(';'))?;
        let name = &entity[1..entity.len() - 1];
        let is_name =
            (2..=8).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#');
        is_name.then_some(entity)
    })
}

/// The subject as it is written, values not filled in.
pub(super) fn check_subject(file: &OwnFile, line: usize, subject: &str) -> Option<Finding> {
    let text: String = segments(subject)
        .iter()
        .filter(|segment| segment.kind == SegmentKind::Text)
        .map(|segment| segment.text)
        .collect();
    check_plain(file, line, &text, "a subject")
}

/// A subject as a customer gets it.
pub(super) fn check_subject_length(path: &str, subject: &str) -> Option<Finding> {
    let length = subject.chars().count();
    (length > LONGEST_SUBJECT).then(|| {
        Finding::warning(
            path,
            1,
            format!("The subject has {length} characters; inboxes show about {LONGEST_SUBJECT} and cut off the rest."),
            "Shorten it, and put the most important words first.",
        )
    })
}

fn check_markdown(file: &OwnFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut lines = file.text.split('\n').enumerate();
    match lines.next().and_then(|(_, first)| first.strip_prefix("Subject:")) {
        Some(subject) => findings.extend(check_subject(file, 1, subject)),
        None => findings.push(Finding::mistake(
            &file.path,
            1,
            "The first line is not the subject, so customers get the standard mail.".to_owned(),
            "Begin the file with `Subject: ` and the subject.",
        )),
    }
    for (index, text) in lines {
        let line = index + 1;
        if let Some(element) = element_in(text).filter(|_| !text.contains('`')) {
            findings.push(Finding::mistake(
                &file.path,
                line,
                format!("`{element}` is HTML, which this form does not have."),
                "Write Markdown: `**bold**`, `[words](https://…)`. Designers use the form of three files.",
            ));
        }
        if text.contains("![") {
            findings.push(Finding::warning(
                &file.path,
                line,
                "The picture is not shown in many mail programs, and tells others who opened the mail."
                    .to_owned(),
                "Leave pictures out.",
            ));
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            if link.contains("{{") {
                continue;
            }
            if let Some(finding) = check_link(link) {
                let new = if finding.is_mistake { Finding::mistake } else { Finding::warning };
                findings.push(new(&file.path, line, finding.problem, finding.fix));
            }
        }
    }
    findings
}

/// The values that a template names and no mail has.
fn check_values(file: &OwnFile, segments: &[Segment<'_>]) -> Vec<Finding> {
    let mut own: BTreeSet<String> = BTreeSet::new();
    for segment in segments.iter().filter(|segment| segment.kind == SegmentKind::Statement) {
        let rest = segment.after_word();
        let defined = match segment.word() {
            "for" => rest.split(" in ").next().unwrap_or_default(),
            // Of a block that is kept there is the name alone.
            "set" | "with" => rest.split('=').next().unwrap_or_default(),
            _ => continue,
        };
        own.extend(defined.split([',', '(', ')']).map(|name| name.trim().to_owned()));
    }
    let mut findings = Vec::new();
    for segment in segments {
        let is_printed = segment.kind == SegmentKind::Print;
        let asks = segment.kind == SegmentKind::Statement
            && matches!(segment.word(), "if" | "elif" | "for" | "set" | "with");
        if !is_printed && !asks {
            continue;
        }
        for name in segment.names() {
            let root = name.split('.').next().unwrap_or_default();
            if own.contains(root) || STATEMENTS.contains(&root) {
                continue;
            }
            if let Some(fix) = unknown_value(&name) {
                findings.push(Finding::mistake(
                    &file.path,
                    segment.line,
                    format!("`{name}` is not known, so customers get the standard mail."),
                    fix,
                ));
            }
        }
    }
    findings
}
