//! A recursive-descent reader of expressions.

use std::sync::LazyLock;

use super::check::{check_bounds, check_distinct, check_operand_type, check_paths, has_order};
use super::{Comparator, Condition, Invalid, Operand, Path, Placeholders, Step, Update};
use crate::dynamodb::value::Attribute;

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html>
static RESERVED_WORDS: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../reserved_words.txt").split_whitespace().collect());

pub(super) fn condition<'a>(
    placeholders: &Placeholders<'a>,
    text: &'a str,
) -> Result<Condition<'a>, Invalid> {
    let mut reader = Reader::new(placeholders, text)?;
    let condition = reader.either()?;
    reader.end()?;
    Ok(condition)
}

pub(super) fn update<'a>(placeholders: &Placeholders<'a>, text: &'a str) -> Result<Update<'a>, Invalid> {
    let mut reader = Reader::new(placeholders, text)?;
    let update = reader.clauses()?;
    check_paths(&update)?;
    Ok(update)
}

pub(super) fn projection<'a>(
    placeholders: &Placeholders<'a>,
    text: &'a str,
) -> Result<Vec<Path<'a>>, Invalid> {
    let mut reader = Reader::new(placeholders, text)?;
    let paths = reader.list_of(Reader::path)?;
    reader.end()?;
    Ok(paths)
}

pub(super) struct Reader<'p, 'a> {
    pub(super) placeholders: &'p Placeholders<'a>,
    pub(super) text: &'a str,
    pub(super) tokens: Vec<&'a str>,
    pub(super) at: usize,
}

const COMPARATORS: [(&str, Comparator); 6] = [
    ("=", Comparator::Equal),
    ("<>", Comparator::NotEqual),
    ("<", Comparator::Less),
    ("<=", Comparator::LessOrEqual),
    (">", Comparator::Greater),
    (">=", Comparator::GreaterOrEqual),
];

impl<'p, 'a> Reader<'p, 'a> {
    fn new(placeholders: &'p Placeholders<'a>, text: &'a str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err("The expression can not be empty;".to_owned());
        }
        Ok(Self { placeholders, text, tokens: tokens(text)?, at: 0 })
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<&'a str> {
        let token = self.peek();
        self.at += 1;
        token
    }

    pub(super) fn take(&mut self, token: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(token));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), Invalid> {
        if self.take(token) { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn end(&self) -> Result<(), Invalid> {
        if self.at < self.tokens.len() { Err(self.syntax_error()) } else { Ok(()) }
    }

    pub(super) fn syntax_error(&self) -> Invalid {
        let token = self.peek().unwrap_or("<EOF>");
        let start = self.at.saturating_sub(1).min(self.tokens.len());
        let end = (self.at + 2).min(self.tokens.len());
        let near = match self.tokens.get(start..end) {
            Some([first, .., last]) => {
                // Tokens are slices of the text, so that their addresses are places in it.
                let place = |token: &str| token.as_ptr() as usize - self.text.as_ptr() as usize;
                &self.text[place(first)..place(last) + last.len()]
            }
            Some([only]) => only,
            Some([]) | None => "",
        };
        format!("Syntax error; token: \"{token}\", near: \"{near}\"")
    }

    pub(super) fn list_of<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Invalid>,
    ) -> Result<Vec<T>, Invalid> {
        let mut list = vec![read(self)?];
        while self.take(",") {
            list.push(read(self)?);
        }
        Ok(list)
    }

    fn either(&mut self) -> Result<Condition<'a>, Invalid> {
        let mut condition = self.both()?;
        while self.take("OR") {
            condition = Condition::Or(Box::new(condition), Box::new(self.both()?));
        }
        Ok(condition)
    }

    fn both(&mut self) -> Result<Condition<'a>, Invalid> {
        let mut condition = self.negation()?;
        while self.take("AND") {
            condition = Condition::And(Box::new(condition), Box::new(self.negation()?));
        }
        Ok(condition)
    }

    fn negation(&mut self) -> Result<Condition<'a>, Invalid> {
        if self.take("NOT") {
            return Ok(Condition::Not(Box::new(self.negation()?)));
        }
        if self.take("(") {
            // A parenthesis right within a parenthesis that ends where it ends.
            let opened = self.at;
            let doubled = self.peek() == Some("(");
            let condition = self.either()?;
            self.expect(")")?;
            if doubled && self.closes_at(opened) == self.at - 2 {
                return Err("The expression has redundant parentheses;".to_owned());
            }
            return Ok(condition);
        }
        if let (Some(name), Some(&"(")) = (self.peek(), self.tokens.get(self.at + 1)) {
            return self.function(name);
        }
        self.comparison()
    }

    /// Where the parenthesis closes that opens at a token.
    fn closes_at(&self, opened: usize) -> usize {
        let mut depth = 0_i32;
        for (index, token) in self.tokens.iter().enumerate().skip(opened) {
            depth += i32::from(*token == "(") - i32::from(*token == ")");
            if depth == 0 {
                return index;
            }
        }
        self.tokens.len()
    }

    fn function(&mut self, name: &'a str) -> Result<Condition<'a>, Invalid> {
        self.at += 2;
        assert!(name != "size", "the cloud in memory has no size() in expressions yet: {}", self.text);
        let wanted = match name {
            "attribute_exists" | "attribute_not_exists" => 1,
            "attribute_type" | "begins_with" | "contains" => 2,
            _ => return Err(format!("Invalid function name; function: {name}")),
        };
        let operands = self.list_of(Self::operand)?;
        self.expect(")")?;
        if operands.len() != wanted {
            return Err(format!(
                "Incorrect number of operands for operator or function; operator or function: {name}, number of operands: {}",
                operands.len()
            ));
        }
        let path = |operand| match operand {
            Operand::Path(path) => Ok(path),
            Operand::Value(_) => {
                Err(format!("Operator or function requires a document path; operator or function: {name}"))
            }
        };
        let mut operands = operands.into_iter();
        let first = operands.next();
        let second = operands.next();
        let first = first.ok_or_else(|| self.syntax_error())?;
        match (name, second) {
            ("attribute_exists", _) => Ok(Condition::Exists(path(first)?)),
            ("attribute_not_exists", _) => Ok(Condition::NotExists(path(first)?)),
            ("attribute_type", Some(Operand::Value(Attribute::S(kind)))) => {
                Ok(Condition::HasType(path(first)?, kind))
            }
            ("begins_with", Some(prefix)) => {
                for operand in [&first, &prefix] {
                    check_operand_type("begins_with", operand, |value| matches!(value, Attribute::S(_)))?;
                }
                check_distinct("begins_with", &first, &prefix)?;
                Ok(Condition::BeginsWith(first, prefix))
            }
            ("contains", Some(part)) => {
                check_distinct("contains", &first, &part)?;
                Ok(Condition::Contains(first, part))
            }
            _ => Err(self.syntax_error()),
        }
    }

    fn comparison(&mut self) -> Result<Condition<'a>, Invalid> {
        let left = self.operand()?;
        if self.take("BETWEEN") {
            let low = self.operand()?;
            self.expect("AND")?;
            let high = self.operand()?;
            for operand in [&left, &low, &high] {
                check_operand_type("BETWEEN", operand, has_order)?;
            }
            if let (Operand::Value(low), Operand::Value(high)) = (&low, &high) {
                check_bounds(low, high)?;
            }
            return Ok(Condition::Between(left, low, high));
        }
        if self.take("IN") {
            self.expect("(")?;
            let list = self.list_of(Self::operand)?;
            self.expect(")")?;
            return Ok(Condition::In(left, list));
        }
        let comparator = self.peek().and_then(|token| COMPARATORS.iter().find(|(text, _)| *text == token));
        let Some((text, comparator)) = comparator else {
            return Err(self.syntax_error());
        };
        self.at += 1;
        let right = self.operand()?;
        if !matches!(comparator, Comparator::Equal | Comparator::NotEqual) {
            for operand in [&left, &right] {
                check_operand_type(text, operand, has_order)?;
            }
        }
        check_distinct(text, &left, &right)?;
        Ok(Condition::Compare(left, *comparator, right))
    }

    pub(super) fn operand(&mut self) -> Result<Operand<'a>, Invalid> {
        match self.peek() {
            Some(token) if token.starts_with(':') => {
                self.at += 1;
                self.placeholders.value(token).map(Operand::Value)
            }
            _ => self.path().map(Operand::Path),
        }
    }

    pub(super) fn path(&mut self) -> Result<Path<'a>, Invalid> {
        let mut steps = vec![Step::Name(self.name()?)];
        loop {
            if self.take(".") {
                steps.push(Step::Name(self.name()?));
            } else if self.take("[") {
                let index = self.peek().and_then(|token| token.parse().ok());
                steps.push(Step::Index(index.ok_or_else(|| self.syntax_error())?));
                self.at += 1;
                self.expect("]")?;
            } else {
                return Ok(Path(steps));
            }
        }
    }

    fn name(&mut self) -> Result<&'a str, Invalid> {
        let Some(token) = self.peek() else {
            return Err(self.syntax_error());
        };
        if token.starts_with('#') {
            self.at += 1;
            return self.placeholders.name(token);
        }
        if !token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(self.syntax_error());
        }
        if ["AND", "OR", "NOT", "IN", "BETWEEN"].iter().any(|word| token.eq_ignore_ascii_case(word)) {
            return Err(self.syntax_error());
        }
        if RESERVED_WORDS.binary_search(&token.to_ascii_uppercase().as_str()).is_ok() {
            return Err(format!("Attribute name is a reserved keyword; reserved keyword: {token}"));
        }
        self.at += 1;
        Ok(token)
    }
}

/// The parts of an expression: words with their `#` or `:`, numbers, symbols.
fn tokens(text: &str) -> Result<Vec<&str>, Invalid> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            'a'..='z' | 'A'..='Z' | '_' | '#' | ':' | '0'..='9' => {
                let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
                rest[1..].find(word).map_or(rest.len(), |end| end + 1)
            }
            '<' if rest.starts_with("<=") || rest.starts_with("<>") => 2,
            '>' if rest.starts_with(">=") => 2,
            '=' | '<' | '>' | '(' | ')' | ',' | '.' | '[' | ']' | '+' | '-' => 1,
            _ => {
                return Err(format!("Syntax error; token: \"{first}\", near: \"{rest}\""));
            }
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}
