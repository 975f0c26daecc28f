//! The engine under the wordings: which filters and functions there are, and how values are printed.

use std::cell::Cell;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, filters, tests,
};

use super::allowed::{LONGEST_CONSTANT, check};
use super::missing::{is_made_of_missing, is_missing};
use super::{BrokenTemplate, LONGEST_PART, Unusable, WordingSource, read};

/// How much a template may do; the built-in ones need a tenth. A loop that never ends would hold up every mail.
const FUEL: u64 = 20_000;

/// Four includes within each other; the engine counts ten for each.
const MOST_NESTED: usize = 45;

/// Rounds of a `range`.
const LONGEST_RANGE: usize = 200;

/// What this engine says of mistakes. Quotes no value.
pub(super) const OWN_DETAILS: [&str; 2] =
    ["escaping cannot be changed", "a list is printed; print what is in it"];

thread_local! {
    /// Bytes that the part under way has printed. A part is filled in without a pause, so one number a thread will do.
    static PRINTED: Cell<usize> = const { Cell::new(0) };
}

/// An engine over these sources that escapes in one way.
pub(super) fn engine(sources: Arc<[Box<dyn WordingSource>]>, escape: AutoEscape) -> Environment<'static> {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    // Tags on lines of their own leave no empty lines behind. It fails for odd delimiters only; ours are usual.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default();
    engine.set_syntax(syntax.clone());
    let default = escape.clone();
    engine.set_auto_escape_callback(move |_| default.clone());
    engine.set_formatter(move |out, state, value| print(out, state, value, &escape));
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(MOST_NESTED);
    add_vocabulary(&mut engine);
    engine.set_loader(move |path| match read(&sources, path) {
        None => Ok(None),
        Some((Ok(text), trusted)) => {
            if !trusted {
                check(&text, &syntax).map_err(|problem| {
                    let problem = BrokenTemplate {
                        path: path.to_owned(),
                        line: problem.line,
                        problem: problem.to_string(),
                    };
                    Error::new(ErrorKind::SyntaxError, "not allowed").with_source(problem)
                })?;
            }
            Ok(Some(text.into_owned()))
        }
        // The engine names the file it was working on, which may be the one that includes this one.
        Some((Err(Unusable(what)), _)) => {
            Err(Error::new(ErrorKind::SyntaxError, format!("{path} is {what}")))
        }
    });
    engine
}

/// What templates can use. There is no `safe`: a template is written by hand and filled with what strangers typed. What
/// makes long texts of short ones is left out as well (`allowed.rs`).
fn add_vocabulary(engine: &mut Environment<'static>) {
    engine.add_filter("upper", |value: &Value| Ok::<_, Error>(text_of(value)?.to_uppercase()));
    engine.add_filter("lower", |value: &Value| Ok::<_, Error>(text_of(value)?.to_lowercase()));
    engine.add_filter("title", |value: &Value| Ok::<_, Error>(filters::title(text_of(value)?.into())));
    engine.add_filter("capitalize", |value: &Value| Ok::<_, Error>(capitalized(&text_of(value)?)));
    engine.add_filter("trim", |value: &Value| Ok::<_, Error>(text_of(value)?.trim().to_owned()));
    engine.add_filter("escape", filters::escape);
    engine.add_filter("e", filters::escape);
    engine.add_filter("default", default);
    engine.add_filter("d", default);
    engine.add_filter("length", filters::length);
    engine.add_filter("count", filters::length);
    engine.add_filter("first", filters::first);
    engine.add_filter("last", filters::last);
    engine.add_filter("join", join);
    engine.add_test("defined", |value: &Value| !is_missing(value));
    engine.add_test("undefined", |value: &Value| is_missing(value));
    engine.add_test("none", |value: &Value| is_missing(value));
    engine.add_test("string", tests::is_string);
    engine.add_test("number", tests::is_number);
    engine.add_test("odd", tests::is_odd);
    engine.add_test("even", tests::is_even);
    engine.add_test("eq", tests::is_eq);
    engine.add_test("in", tests::is_in);
    engine.add_function("range", |rounds: usize| {
        if rounds <= LONGEST_RANGE {
            return Ok((0..rounds).collect::<Vec<_>>());
        }
        Err(Error::new(ErrorKind::OutOfFuel, "a range is longer than any mail needs"))
    });
}

/// A value as text, for a filter that makes another text of it.
fn text_of(value: &Value) -> Result<String, Error> {
    if is_missing(value) { Err(missing()) } else { Ok(value.to_string()) }
}

/// The first letter large, the others small.
fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &rest.as_str().to_lowercase()
}

fn missing() -> Error {
    Error::new(ErrorKind::UndefinedError, "used although it may be missing")
}

/// Another value in place of one that is missing; with `true` behind it, also in place of an empty one.
fn default(value: Value, args: Rest<Value>) -> Value {
    let other = args.first().cloned().unwrap_or_else(|| Value::from(""));
    let also_empty = args.get(1).is_some_and(Value::is_true);
    if is_missing(&value) || also_empty && !value.is_true() { other } else { value }
}

fn join(values: &Value, between: Option<String>) -> Result<Value, Error> {
    let between = between.unwrap_or_default();
    let mut joined = String::new();
    for (index, value) in values.try_iter()?.enumerate() {
        if index > 0 {
            joined.push_str(&between);
        }
        joined.push_str(&text_of(&value)?);
        if joined.len() > LONGEST_CONSTANT {
            return Err(too_long());
        }
    }
    Ok(joined.into())
}

fn too_long() -> Error {
    Error::new(ErrorKind::WriteFailure, "it comes out longer than any mail should be")
}

/// Renders a part; one longer than any mail should be ends early.
pub(super) fn render(engine: &Environment<'_>, path: &str, values: &Value) -> Result<String, Error> {
    PRINTED.set(0);
    let template = engine.get_template(path)?;
    let mut part = Bounded(Vec::new());
    template.render_captured_to(values, &mut part)?;
    String::from_utf8(part.0).map_err(|_| Error::new(ErrorKind::WriteFailure, "it comes out as no text"))
}

/// A part of a mail, which ends at its bound.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_PART {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Prints a value. A missing one is a mistake rather than the word "none": the template has to ask first.
fn print(out: &mut Output, state: &mut State, value: &Value, escape: &AutoEscape) -> Result<(), Error> {
    if is_missing(value) {
        return Err(missing());
    }
    if state.auto_escape() != escape {
        return Err(Error::new(ErrorKind::InvalidOperation, OWN_DETAILS[0]));
    }
    // A list would be printed with its brackets, and as a programmer sees it.
    if !matches!(value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool) {
        return Err(Error::new(ErrorKind::InvalidOperation, OWN_DETAILS[1]));
    }
    if let Some(text) = value.as_str() {
        if is_made_of_missing(text) {
            return Err(missing());
        }
        PRINTED.set(PRINTED.get() + text.len());
        if PRINTED.get() > LONGEST_PART {
            return Err(too_long());
        }
    }
    minijinja::escape_formatter(out, state, value)
}
