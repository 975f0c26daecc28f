//! A recursive-descent reader of expressions.

use std::sync::LazyLock;

use super::{Comparator, Condition, Invalid, NewValue, Operand, Path, Placeholders, Step, Update};
use crate::cloud::dynamodb::value::Attribute;

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

struct Reader<'p, 'a> {
    placeholders: &'p Placeholders<'a>,
    text: &'a str,
    tokens: Vec<&'a str>,
    at: usize,
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

    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(token));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), Invalid> {
        if self.take(token) { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn end(&self) -> Result<(), Invalid> {
        if self.at < self.tokens.len() { Err(self.syntax_error()) } else { Ok(()) }
    }

    fn syntax_error(&self) -> Invalid {
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

    fn list_of<T>(
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
        let (first, second) = (operands.next(), operands.next());
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

    fn operand(&mut self) -> Result<Operand<'a>, Invalid> {
        match self.peek() {
            Some(token) if token.starts_with(':') => {
                self.at += 1;
                self.placeholders.value(token).map(Operand::Value)
            }
            _ => self.path().map(Operand::Path),
        }
    }

    fn path(&mut self) -> Result<Path<'a>, Invalid> {
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

    fn clauses(&mut self) -> Result<Update<'a>, Invalid> {
        let mut update = Update::default();
        let mut seen = Vec::new();
        while let Some(token) = self.peek() {
            let clause = token.to_ascii_uppercase();
            if seen.contains(&clause) {
                return Err(format!(
                    "The \"{clause}\" section can only be used once in an update expression;"
                ));
            }
            self.at += 1;
            match clause.as_str() {
                "SET" => update.set = self.list_of(Self::assignment)?,
                "REMOVE" => update.remove = self.list_of(Self::path)?,
                "ADD" => update.add = self.list_of(Self::addition)?,
                "DELETE" => panic!("the cloud in memory has no sets, so no DELETE clause: {}", self.text),
                _ => {
                    self.at -= 1;
                    return Err(self.syntax_error());
                }
            }
            seen.push(clause);
        }
        Ok(update)
    }

    fn assignment(&mut self) -> Result<(Path<'a>, NewValue<'a>), Invalid> {
        let path = self.path()?;
        self.expect("=")?;
        let left = self.new_value()?;
        let value = if self.take("+") {
            NewValue::Plus(Box::new(left), Box::new(self.new_value()?))
        } else if self.take("-") {
            NewValue::Minus(Box::new(left), Box::new(self.new_value()?))
        } else {
            left
        };
        if let NewValue::Plus(left, right) | NewValue::Minus(left, right) = &value {
            let operator = if matches!(value, NewValue::Plus(..)) { "+" } else { "-" };
            for operand in [left, right] {
                if let NewValue::Operand(operand) = operand.as_ref() {
                    check_operand_type(operator, operand, |value| matches!(value, Attribute::N(_)))?;
                }
            }
        }
        Ok((path, value))
    }

    fn new_value(&mut self) -> Result<NewValue<'a>, Invalid> {
        let (Some(name), Some(&"(")) = (self.peek(), self.tokens.get(self.at + 1)) else {
            return self.operand().map(NewValue::Operand);
        };
        self.at += 2;
        let value = match name {
            "if_not_exists" => {
                let path = self.path()?;
                self.expect(",")?;
                NewValue::IfNotExists(path, Box::new(self.new_value()?))
            }
            "list_append" => {
                let first = Box::new(self.new_value()?);
                self.expect(",")?;
                NewValue::ListAppend(first, Box::new(self.new_value()?))
            }
            _ => return Err(format!("Invalid function name; function: {name}")),
        };
        self.expect(")")?;
        Ok(value)
    }

    fn addition(&mut self) -> Result<(Path<'a>, &'a Attribute), Invalid> {
        let path = self.path()?;
        let token = self.next().filter(|token| token.starts_with(':'));
        let Some(token) = token else {
            self.at -= 1;
            return Err(self.syntax_error());
        };
        let value = self.placeholders.value(token)?;
        check_operand_type("ADD", &Operand::Value(value), |value| matches!(value, Attribute::N(_)))?;
        Ok((path, value))
    }
}

const fn has_order(value: &Attribute) -> bool {
    matches!(value, Attribute::S(_) | Attribute::N(_))
}

/// A value's type is known before any item is looked at; an attribute's is not.
fn check_operand_type(
    operator: &str,
    operand: &Operand<'_>,
    fits: impl Fn(&Attribute) -> bool,
) -> Result<(), Invalid> {
    match operand {
        Operand::Value(value) if !fits(value) => Err(format!(
            "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {}",
            value.type_name()
        )),
        Operand::Value(_) | Operand::Path(_) => Ok(()),
    }
}

fn check_distinct(operator: &str, first: &Operand<'_>, second: &Operand<'_>) -> Result<(), Invalid> {
    match (first, second) {
        (Operand::Path(a), Operand::Path(b)) if a == b => Err(format!(
            "The first operand must be distinct from the remaining operands for this operator or function; operator: {operator}, first operand: {}",
            shown(a)
        )),
        _ => Ok(()),
    }
}

fn check_bounds(low: &Attribute, high: &Attribute) -> Result<(), Invalid> {
    if low.type_name() != high.type_name() {
        return Err("The BETWEEN operator requires same data type for lower and upper bounds".to_owned());
    }
    if low.order(high).is_some_and(std::cmp::Ordering::is_gt) {
        return Err(
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound".to_owned()
        );
    }
    Ok(())
}

/// No two changes of one update may touch the same place, or one within the other.
fn check_paths(update: &Update<'_>) -> Result<(), Invalid> {
    let set = update.set.iter().map(|(path, _)| path);
    let paths: Vec<_> = set.chain(&update.remove).chain(update.add.iter().map(|(path, _)| path)).collect();
    for (index, one) in paths.iter().enumerate() {
        for two in &paths[index + 1..] {
            if one.0.iter().zip(&two.0).all(|(a, b)| a == b) {
                return Err(format!(
                    "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {}, path two: {}",
                    shown(one),
                    shown(two)
                ));
            }
        }
    }
    Ok(())
}

fn shown(path: &Path<'_>) -> String {
    let step = |step: &Step<'_>| match step {
        Step::Name(name) => (*name).to_owned(),
        Step::Index(index) => format!("[{index}]"),
    };
    format!("[{}]", path.0.iter().map(step).collect::<Vec<_>>().join(", "))
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
