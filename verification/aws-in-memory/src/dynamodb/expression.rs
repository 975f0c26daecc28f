//! Expressions: what they are made of, and how they are read.
//!
//! The grammar is
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html> and
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>.
//! `#names` and `:values` are put in place while reading. Mistakes are answered in DynamoDB's words.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::value::Attribute;

mod check;
mod clauses;
mod read;

/// A condition: of a write, of a key, or a filter.
#[derive(Debug)]
pub(super) enum Condition<'a> {
    Or(Box<Condition<'a>>, Box<Condition<'a>>),
    And(Box<Condition<'a>>, Box<Condition<'a>>),
    Not(Box<Condition<'a>>),
    Compare(Operand<'a>, Comparator, Operand<'a>),
    Between(Operand<'a>, Operand<'a>, Operand<'a>),
    In(Operand<'a>, Vec<Operand<'a>>),
    Exists(Path<'a>),
    NotExists(Path<'a>),
    HasType(Path<'a>, &'a str),
    BeginsWith(Operand<'a>, Operand<'a>),
    Contains(Operand<'a>, Operand<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operand<'a> {
    Path(Path<'a>),
    Value(&'a Attribute),
}

/// Where a value is: `refunds.re_1[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path<'a>(pub(super) Vec<Step<'a>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The attribute it starts at.
    pub(super) fn root(&self) -> &'a str {
        match self.0[0] {
            Step::Name(name) => name,
            Step::Index(_) => unreachable!("a path starts with a name"),
        }
    }
}

/// What an update does, clause by clause.
#[derive(Debug, Default)]
pub(super) struct Update<'a> {
    pub(super) set: Vec<(Path<'a>, NewValue<'a>)>,
    pub(super) remove: Vec<Path<'a>>,
    pub(super) add: Vec<(Path<'a>, &'a Attribute)>,
}

/// The right side of a `SET`.
#[derive(Debug)]
pub(super) enum NewValue<'a> {
    Operand(Operand<'a>),
    IfNotExists(Path<'a>, Box<NewValue<'a>>),
    ListAppend(Box<NewValue<'a>>, Box<NewValue<'a>>),
    Plus(Box<NewValue<'a>>, Box<NewValue<'a>>),
    Minus(Box<NewValue<'a>>, Box<NewValue<'a>>),
}

/// What stands for `#names` and `:values` in the expressions of one request, and which of them were used.
#[derive(Debug)]
pub(super) struct Placeholders<'a> {
    names: Option<&'a BTreeMap<String, String>>,
    values: Option<&'a BTreeMap<String, Attribute>>,
    used: RefCell<BTreeSet<&'a str>>,
}

/// A mistake in a request, as the sentence of a `ValidationException`.
pub(super) type Invalid = String;

impl<'a> Placeholders<'a> {
    pub(super) fn new(
        names: Option<&'a BTreeMap<String, String>>,
        values: Option<&'a BTreeMap<String, Attribute>>,
    ) -> Self {
        Self { names, values, used: RefCell::default() }
    }

    /// Reads a condition. `parameter` is what the request calls it.
    pub(super) fn condition(
        &self,
        parameter: &str,
        text: Option<&'a str>,
    ) -> Result<Option<Condition<'a>>, Invalid> {
        let read =
            |text| read::condition(self, text).map_err(|error| format!("Invalid {parameter}: {error}"));
        text.map(read).transpose()
    }

    /// Reads an update.
    pub(super) fn update(&self, text: Option<&'a str>) -> Result<Update<'a>, Invalid> {
        let read =
            |text| read::update(self, text).map_err(|error| format!("Invalid UpdateExpression: {error}"));
        text.map_or_else(|| Ok(Update::default()), read)
    }

    /// Reads what of an item is asked for.
    pub(super) fn projection(&self, text: Option<&'a str>) -> Result<Option<Vec<Path<'a>>>, Invalid> {
        let read = |text| {
            read::projection(self, text).map_err(|error| format!("Invalid ProjectionExpression: {error}"))
        };
        text.map(read).transpose()
    }

    /// Everything that was given has to be used, once all expressions are read.
    pub(super) fn check_all_used(&self, any_expression: bool) -> Result<(), Invalid> {
        let used = self.used.borrow();
        fn unused<'m, T>(map: &'m BTreeMap<String, T>, used: &BTreeSet<&str>) -> Vec<&'m str> {
            map.keys().map(String::as_str).filter(|key| !used.contains(key)).collect()
        }
        let check = |what: &str, empty: bool, unused: Vec<&str>| {
            if !any_expression {
                return Err(format!("{what} can only be specified when using expressions"));
            }
            if empty {
                return Err(format!("{what} must not be empty"));
            }
            if !unused.is_empty() {
                let unused = unused.join(", ");
                return Err(format!("Value provided in {what} unused in expressions: keys: {{{unused}}}"));
            }
            Ok(())
        };
        if let Some(names) = self.names {
            check("ExpressionAttributeNames", names.is_empty(), unused(names, &used))?;
        }
        if let Some(values) = self.values {
            check("ExpressionAttributeValues", values.is_empty(), unused(values, &used))?;
        }
        Ok(())
    }

    fn name(&self, placeholder: &'a str) -> Result<&'a str, Invalid> {
        self.used.borrow_mut().insert(placeholder);
        self.names.and_then(|names| names.get(placeholder)).map(String::as_str).ok_or_else(|| {
            format!(
                "An expression attribute name used in the document path is not defined; attribute name: {placeholder}"
            )
        })
    }

    fn value(&self, placeholder: &'a str) -> Result<&'a Attribute, Invalid> {
        self.used.borrow_mut().insert(placeholder);
        self.values.and_then(|values| values.get(placeholder)).ok_or_else(|| {
            format!(
                "An expression attribute value used in expression is not defined; attribute value: {placeholder}"
            )
        })
    }
}
