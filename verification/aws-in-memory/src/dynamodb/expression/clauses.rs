//! The clauses of an update.

use super::check::check_operand_type;
use super::read::Reader;
use super::{Invalid, NewValue, Operand, Path, Update};
use crate::dynamodb::value::Attribute;

impl<'a> Reader<'_, 'a> {
    pub(super) fn clauses(&mut self) -> Result<Update<'a>, Invalid> {
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
