//! A product file as TOML has it, read field by field: everything that is wrong is said at once, with its line, in
//! words for a marketer.

use std::cell::RefCell;
use std::ops::Range;

use fulfilment::{is_nearly, unquoted};
use toml::de::{DeTable, DeValue};

use super::Line;

/// What is wrong with a product file, or only odd about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Problem {
    /// From 1.
    pub(crate) line: usize,
    /// Whether the file can be published all the same.
    pub(crate) is_warning: bool,
    pub(crate) text: String,
}

/// Collects what is wrong with a text.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
    /// Lines that are no TOML. What is read of them may be anything, and what is missing may stand there.
    unreadable: Vec<usize>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(text: &'a str, unreadable: Vec<Problem>) -> Self {
        let lines = unreadable.iter().map(|problem| problem.line).collect();
        Self { text, problems: unreadable.into(), unreadable: lines }
    }

    pub(crate) fn error(&self, place: &Range<usize>, text: impl Into<String>) {
        self.add(place, text.into(), false);
    }

    pub(crate) fn warn(&self, place: &Range<usize>, text: impl Into<String>) {
        self.add(place, text.into(), true);
    }

    /// Something that is not there. Where a line cannot be read, it may stand in it.
    pub(crate) fn missing(&self, place: &Range<usize>, text: impl Into<String>) {
        if self.unreadable.is_empty() {
            self.error(place, text);
        }
    }

    fn add(&self, place: &Range<usize>, text: String, is_warning: bool) {
        let line = line_of(self.text, place.start);
        if !self.unreadable.contains(&line) {
            self.problems.borrow_mut().push(Problem { line, is_warning, text });
        }
    }

    /// Notes the problem of a result, and returns what there is otherwise.
    pub(crate) fn keep<T>(&self, place: &Range<usize>, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.error(place, problem)).ok()
    }

    /// Everything that was found, in the order of its lines.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }
}

/// The number of the line, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// A value, and where it stands.
pub(crate) type Placed<'i> = (Range<usize>, DeValue<'i>);

/// The fields of a table that were not read yet.
pub(crate) struct Fields<'f, 'i> {
    findings: &'f Findings<'i>,
    /// What messages call it: `[price]`; nothing for the top of the file.
    name: &'static str,
    /// Where it stands.
    pub(crate) place: Range<usize>,
    fields: Vec<(String, Range<usize>, Placed<'i>)>,
}

impl<'f, 'i> Fields<'f, 'i> {
    pub(crate) fn new(
        findings: &'f Findings<'i>,
        name: &'static str,
        place: Range<usize>,
        table: DeTable<'i>,
    ) -> Self {
        let fields = table.into_iter().map(|(key, value)| {
            let key_place = key.span();
            (key.into_inner().into_owned(), key_place, (value.span(), value.into_inner()))
        });
        Self { findings, name, place, fields: fields.collect() }
    }

    pub(crate) const fn findings(&self) -> &'f Findings<'i> {
        self.findings
    }

    /// Takes a field out. The place is that of its name: a value may begin on another line.
    pub(crate) fn take(&mut self, name: &str) -> Option<Placed<'i>> {
        let at = self.fields.iter().position(|(key, ..)| key == name)?;
        let (_, place, (_, value)) = self.fields.remove(at);
        Some((place, value))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(key, ..)| key == name)
    }

    pub(crate) fn place_of(&self, name: &str) -> Range<usize> {
        let field = self.fields.iter().find(|(key, ..)| key == name);
        field.map_or_else(|| self.place.clone(), |(_, place, _)| place.clone())
    }

    /// A text of at most so many characters; `None` when it is not there, or wrong.
    pub(crate) fn text<const MOST: usize>(&mut self, name: &str) -> Option<(Range<usize>, Line<MOST>)> {
        let (place, value) = self.take(name)?;
        let text = text_in(name, &value)
            .and_then(|text| Line::try_from(text).map_err(|problem| format!("`{name}`: {problem}")));
        let text = self.findings.keep(&place, text)?;
        Some((place, text))
    }

    /// The same, of a text that must be there.
    pub(crate) fn needed_text<const MOST: usize>(
        &mut self,
        name: &str,
        example: &str,
    ) -> Option<(Range<usize>, Line<MOST>)> {
        self.needs(name, &format!("{name} = \"{example}\""));
        self.text(name)
    }

    /// Reports a field that must be there.
    pub(crate) fn needs(&self, name: &str, example: &str) {
        // One that is nearly there is reported by its own name.
        if !self.fields.iter().any(|(key, ..)| is_nearly(&key.to_lowercase(), name, errors_in(name))) {
            let whose = if self.name.is_empty() { String::new() } else { format!("{} ", self.name) };
            self.findings.missing(&self.place, format!("{whose}`{name}` is missing: write {example}"));
        }
    }

    pub(crate) fn switch(&mut self, name: &str) -> Option<bool> {
        let (place, value) = self.take(name)?;
        let choice = value.as_bool().ok_or_else(|| match value.as_str() {
            Some(text @ ("true" | "false")) => {
                format!("`{name}`: write it without quotes: {name} = {text}")
            }
            Some(_) | None => format!("`{name}` is either true or false: {name} = true"),
        });
        self.findings.keep(&place, choice)
    }

    /// A table in the table.
    pub(crate) fn table(&mut self, name: &str, title: &'static str, example: &str) -> Option<Fields<'f, 'i>> {
        let (place, value) = self.take(name)?;
        if let DeValue::Table(table) = value {
            return Some(Fields::new(self.findings, title, place, table));
        }
        self.findings.error(
            &place,
            if value.is_array() {
                format!("{title} has one pair of brackets, and is there once")
            } else {
                format!("`{name}` is a table of its own: {example}")
            },
        );
        None
    }

    /// Reports what was not read, with the field that was probably meant.
    pub(crate) fn finish(self, known: &[&str], homes: &[(&str, &str)]) {
        for (key, place, _) in &self.fields {
            let whose = if self.name.is_empty() { "the file" } else { self.name };
            let meant = key.to_lowercase().replace(['-', ' '], "_");
            let near = known.iter().find(|name| is_nearly(&meant, name, errors_in(name)));
            let home = homes.iter().find(|(name, home)| *name == meant && *home != self.name);
            let advice = match (near, home) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some((_, ""))) => {
                    "it belongs at the top of the file, above the first [table]".to_owned()
                }
                (None, Some((_, home))) => format!("it belongs under {home}"),
                (None, None) => {
                    let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                    format!("there are {}", names.join(", "))
                }
            };
            self.findings.error(place, format!("{whose} has no field `{key}`: {advice}"));
        }
    }
}

/// How many letters of a field's name may be wrong.
const fn errors_in(name: &str) -> usize {
    if name.len() < 6 { 1 } else { 2 }
}

/// A text, without typographic quotes that were pasted with it.
pub(crate) fn text_in(name: &str, value: &DeValue<'_>) -> Result<String, String> {
    let number = match value {
        DeValue::String(text) => return Ok(unquoted(text).to_owned()),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => return Err(format!("`{name}` takes one text, and no list: {name} = \"…\"")),
        DeValue::Table(_) => return Err(format!("`{name}` takes one text in quotes: {name} = \"…\"")),
    };
    Err(format!("`{name}` must be text in quotes: {name} = \"{number}\""))
}

/// A whole number without a point and without quotes.
pub(crate) fn number_in(name: &str, value: &DeValue<'_>, example: i64) -> Result<i64, String> {
    let number = match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        DeValue::String(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    number.ok_or_else(|| {
        format!("`{name}` must be a whole number, without quotes and without a point: {name} = {example}")
    })
}
