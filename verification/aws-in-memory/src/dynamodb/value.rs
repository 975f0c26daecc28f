//! Items, their values, and how DynamoDB compares them.
//!
//! Sets and binary values are left out: nothing here uses them, and a request that does is refused loudly.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// An item, by attribute name.
pub(super) type Item = BTreeMap<String, Attribute>;

/// A value in the form it has on the wire: `{"S": "…"}`, `{"N": "1"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Attribute {
    S(String),
    N(Number),
    #[serde(rename = "BOOL")]
    Bool(bool),
    #[serde(rename = "NULL")]
    Null(bool),
    M(Item),
    L(Vec<Attribute>),
}

impl Attribute {
    /// The name of its type on the wire.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::Bool(_) => "BOOL",
            Self::Null(_) => "NULL",
            Self::M(_) => "M",
            Self::L(_) => "L",
        }
    }

    /// The order of two values; `None` for types without one, and between types.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            // DynamoDB orders strings by their UTF-8 bytes, as Rust does.
            (Self::S(a), Self::S(b)) => Some(a.cmp(b)),
            (Self::N(a), Self::N(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// As a program would write it down: without types, a whole number as a number.
    pub(super) fn plain(&self) -> Value {
        match self {
            Self::S(text) => json!(text),
            Self::N(number) => {
                number.to_string().parse::<i64>().map_or_else(|_| json!(number.to_string()), Value::from)
            }
            Self::Bool(value) => json!(value),
            Self::Null(_) => Value::Null,
            Self::M(map) => plain_item(map),
            Self::L(list) => list.iter().map(Self::plain).collect(),
        }
    }

    /// The opposite of [`Attribute::plain`].
    pub(super) fn from_plain(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null(true),
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::N(number.to_string().parse().unwrap()),
            Value::String(text) => Self::S(text.clone()),
            Value::Array(list) => Self::L(list.iter().map(Self::from_plain).collect()),
            Value::Object(map) => {
                Self::M(map.iter().map(|(name, value)| (name.clone(), Self::from_plain(value))).collect())
            }
        }
    }
}

/// An item without its types.
pub(super) fn plain_item(item: &Item) -> Value {
    Value::Object(item.iter().map(|(name, value)| (name.clone(), value.plain())).collect())
}

/// How many bytes an item counts for. Close to DynamoDB's own reckoning, enough for pages and limits.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
pub(super) fn size_of(item: &Item) -> usize {
    fn size(value: &Attribute) -> usize {
        match value {
            Attribute::S(text) => text.len(),
            Attribute::N(number) => number.digits().div_ceil(2) + 1,
            Attribute::Bool(_) | Attribute::Null(_) => 1,
            Attribute::M(map) => 3 + size_of(map) + map.len(),
            Attribute::L(list) => 3 + list.iter().map(|value| size(value) + 1).sum::<usize>(),
        }
    }
    item.iter().map(|(name, value)| name.len() + size(value)).sum()
}

/// An exact decimal of at most 38 digits: `mantissa` × 10^`exponent`, without trailing zeros in the mantissa.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    mantissa: i128,
    exponent: i32,
}

/// What a text that is no number is answered with, in DynamoDB's words.
pub(super) const NOT_A_NUMBER: &str = "The parameter cannot be converted to a numeric value";
const TOO_PRECISE: &str = "Attempting to store more than 38 significant digits in a Number";
pub(super) const NUMBER_LIMITS: [&str; 2] = [TOO_PRECISE, OUT_OF_RANGE];
const OUT_OF_RANGE: &str =
    "Number overflow. Attempting to store a number with magnitude larger than supported range";

impl Number {
    /// # Errors
    ///
    /// DynamoDB's sentence, when it has too many digits or is too large.
    fn new(mut mantissa: i128, mut exponent: i32) -> Result<Self, &'static str> {
        if mantissa == 0 {
            return Ok(Self { mantissa: 0, exponent: 0 });
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        let number = Self { mantissa, exponent };
        if number.digits() > 38 {
            return Err(TOO_PRECISE);
        }
        if !(-130..=125).contains(&number.magnitude()) {
            return Err(OUT_OF_RANGE);
        }
        Ok(number)
    }

    /// How many significant digits.
    fn digits(&self) -> usize {
        self.mantissa.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1)
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i32 {
        i32::try_from(self.digits()).unwrap_or(i32::MAX) - 1 + self.exponent
    }

    /// The sum, exact.
    ///
    /// # Errors
    ///
    /// DynamoDB's sentence, when the sum has more than 38 digits.
    pub(super) fn plus(self, other: Self) -> Result<Self, &'static str> {
        let exponent = self.exponent.min(other.exponent);
        let sum = self.scaled_to(exponent).zip(other.scaled_to(exponent));
        let sum = sum.and_then(|(a, b)| a.checked_add(b)).ok_or(TOO_PRECISE)?;
        Self::new(sum, exponent)
    }

    pub(super) const fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, ..self }
    }

    fn scaled_to(self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent - exponent).ok()?;
        self.mantissa.checked_mul(10_i128.checked_pow(shift)?)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| number.mantissa.signum();
        if sign(self) != sign(other) || sign(self) == 0 {
            return sign(self).cmp(&sign(other));
        }
        let larger = self.magnitude().cmp(&other.magnitude()).then_with(|| {
            // Of the same magnitude, so that both fit once they are brought to the same exponent.
            let exponent = self.exponent.min(other.exponent);
            let scaled = |number: &Self| number.scaled_to(exponent).map(i128::abs);
            scaled(self).cmp(&scaled(other))
        });
        if sign(self) < 0 { larger.reverse() } else { larger }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::str::FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_a_number = || format!("{NOT_A_NUMBER}: {text}");
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| not_a_number())?;
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            // `0.0` has no digits left but one before the point; `.` has none at all.
            return Err(not_a_number());
        }
        let kept = digits.trim_end_matches('0');
        let exponent = exponent + i32::try_from(digits.len() - kept.len()).map_err(|_| not_a_number())?
            - i32::try_from(fraction.len()).map_err(|_| not_a_number())?;
        let kept = kept.trim_start_matches('0');
        if kept.len() > 38 {
            return Err(TOO_PRECISE.to_owned());
        }
        let mantissa: i128 = if kept.is_empty() { 0 } else { kept.parse().map_err(|_| not_a_number())? };
        Self::new(if negative { -mantissa } else { mantissa }, exponent).map_err(str::to_owned)
    }
}

impl fmt::Display for Number {
    /// Without an exponent, as DynamoDB answers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mantissa < 0 {
            f.write_str("-")?;
        }
        let digits = self.mantissa.unsigned_abs().to_string();
        if let Ok(zeros) = usize::try_from(self.exponent) {
            return write!(f, "{digits}{}", "0".repeat(zeros));
        }
        let places = usize::try_from(-self.exponent).unwrap_or(usize::MAX);
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        write!(f, "{whole}.{fraction}")
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn writes_a_number_the_shortest_way() {
        for (given, written) in [
            ("1", "1"),
            ("-0", "0"),
            ("001.500", "1.5"),
            ("100", "100"),
            ("1E3", "1000"),
            ("1.5e-3", "0.0015"),
            ("-120e-1", "-12"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ] {
            assert_eq!(number(given).to_string(), written);
        }
    }

    #[test]
    fn refuses_what_is_no_number_or_too_long() {
        for text in ["", "abc", "1_000", "0x1", "1e", ".", "123456789012345678901234567890123456789", "1e126"]
        {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_compare_as_numbers() {
        let ordered = ["-1e125", "-10", "-9.5", "-1e-130", "0", "1e-130", "0.1", "9", "10", "1e125"];
        for pair in ordered.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
        assert_eq!(number("1.0"), number("1"));
    }

    proptest! {
        #[test]
        fn agrees_with_integers(a: i64, b: i64) {
            let x = number(&a.to_string());
            let y = number(&b.to_string());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x.plus(y).unwrap().to_string(), (i128::from(a) + i128::from(b)).to_string());
            prop_assert_eq!(x.plus(y.negated()).unwrap().to_string(), (i128::from(a) - i128::from(b)).to_string());
        }
    }
}
