//! What is no TOML, in words for a marketer who has never heard of TOML.

use fulfilment::is_quote;
use toml::de::{DeTable, Error};

use super::table::{Problem, line_of};

/// The table of a text, as far as it can be read, and what is wrong with the lines that cannot.
pub(super) fn parse(text: &str) -> (DeTable<'_>, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> = Vec::new();
    for error in &errors {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        // What follows from a mistake is none of its own: on the same line, or in a table that is there twice.
        let is_in_twin = is_duplicate(error) && problems.iter().any(|problem| problem.text == TWO_BRACKETS);
        if !is_in_twin && !problems.iter().any(|problem| problem.line == line) {
            problems.push(Problem { line, is_warning: false, text: explained(text, line, error) });
        }
    }
    (table.into_inner(), problems)
}

/// For `[files]`, which each file has of its own.
const TWO_BRACKETS: &str = "write [[files]], with two brackets, above each file";

fn is_duplicate(error: &Error) -> bool {
    error.message().contains("duplicate key")
}

fn explained(text: &str, line: usize, error: &Error) -> String {
    let written = text.lines().nth(line - 1).unwrap_or_default().trim();
    let (field, value) =
        written.split_once('=').map_or((written, ""), |(field, value)| (field.trim(), value.trim()));
    let field = if field.is_empty() { "field" } else { field };
    let is_curly = |c: char| is_quote(c) && !c.is_ascii();
    if is_duplicate(error) {
        return duplicate(written, error, text);
    }
    if written.starts_with(is_curly) || value.contains(is_curly) && !value.starts_with(['"', '\'']) {
        return "the quotes are typographic (“ ”), as word processors make them: type straight ones, \"like these\""
            .to_owned();
    }
    if written.starts_with('[') {
        return "a line in brackets is the name of a table and nothing else, with as many brackets at its end as at its \
                beginning: [price], [[files]]"
            .to_owned();
    }
    if let (false, Some((field, value))) = (written.contains('='), written.split_once(':')) {
        return format!("write = where there is a colon: {} = {}", field.trim(), short(value.trim()));
    }
    if !written.contains('=') {
        return format!(
            "there is no `=` in \"{}\": write {field} = \"…\", each field on a line of its own",
            short(written)
        );
    }
    if value.is_empty() || value.starts_with('#') {
        return format!("`{field}` has no value: write {field} = \"…\", or take the line out");
    }
    in_value(field, value)
}

/// What is wrong behind the `=`.
fn in_value(field: &str, value: &str) -> String {
    let is_curly = |c: char| is_quote(c) && !c.is_ascii();
    if let Some(inside) = value.strip_prefix('"') {
        return if !inside.contains('"') {
            let text = inside.trim_end_matches(is_curly);
            format!("the quote at the end is missing: write {field} = \"{text}\"")
        } else if value.contains('\\') {
            format!(
                "a backslash is read as the beginning of a special sign: write / instead, or {field} = '…'"
            )
        } else {
            format!(
                "there is something after the text's end, or a quote inside it: write {field} = \"…\", and quotes \
                 inside as “ ”"
            )
        };
    }
    let value = value.split('#').next().unwrap_or_default().trim();
    let is_of_an_amount = |c: char| c.is_ascii_digit() || ".,'_ £$€¥-".contains(c);
    if value.contains(|c: char| c.is_ascii_digit()) && value.chars().all(is_of_an_amount) {
        return format!(
            "`{field}`: write the number in the currency's smallest unit, without a point, a comma, a blank or a sign: \
             1250 is 12.50"
        );
    }
    if value.starts_with(['[', '{']) {
        return format!("a bracket, a comma or a quote is missing or too many in {}", short(value));
    }
    match value {
        "True" | "TRUE" | "yes" | "Yes" | "on" => format!("write {field} = true"),
        "False" | "FALSE" | "no" | "No" | "off" => format!("write {field} = false"),
        _ => format!("put the text in quotes: {field} = \"{}\"", short(value)),
    }
}

fn duplicate(written: &str, error: &Error, text: &str) -> String {
    let name = error.span().and_then(|span| text.get(span)).unwrap_or_default().trim_matches('"').to_owned();
    match written {
        "[files]" => TWO_BRACKETS.to_owned(),
        _ if written.starts_with('[') => {
            format!("the table [{name}] is there twice: put its fields together")
        }
        _ => format!("`{name}` is there twice: take one of the two out"),
    }
}

fn short(text: &str) -> String {
    const MOST: usize = 40;
    let cut: String = text.chars().take(MOST).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}
