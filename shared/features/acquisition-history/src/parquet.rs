//! Events as a Parquet file, with the types of the table in `docs/ACQUISITION-EVENTS.md`: lists are lists, amounts are
//! decimals, times are timestamps. <https://parquet.apache.org/docs/file-format/>

use std::io::Write;
use std::sync::Arc;

use ::parquet::basic::{ConvertedType, Repetition, Type as Physical};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::parser::parse_message_type;
use ::parquet::schema::types::{Type, TypePtr};
use serde::Serialize;
use serde_json::Value;

/// One row of the file. `amount_decimal` has room for the three decimals of a dinar.
const SCHEMA: &str = "
message acquisition_event {
  required int64 schema_version;
  required binary event_id (utf8);
  required binary kind (utf8);
  optional binary reverses (utf8);
  optional binary cause (utf8);
  optional binary cause_id (utf8);
  optional binary reason (utf8);
  required int64 occurred_at (timestamp(micros,true));
  required int64 published_at (timestamp(micros,true));
  optional binary product (utf8);
  optional binary item (utf8);
  required group items (list) {
    repeated group list {
      required group element {
        optional binary product_id (utf8);
        optional binary price_id (utf8);
        optional binary name (utf8);
        optional int64 quantity;
        optional int64 amount;
      }
    }
  }
  required int64 amount;
  required binary currency (utf8);
  required int64 currency_exponent;
  required int64 amount_decimal (decimal(18,3));
  optional int64 amount_subtotal;
  optional int64 amount_discount;
  optional int64 amount_tax;
  optional int64 amount_shipping;
  optional int64 presentment_amount;
  optional binary presentment_currency (utf8);
  optional binary country (utf8);
  optional binary state (utf8);
  optional binary payment_frequency (utf8);
  required binary payment_provider (utf8);
  required binary contribution_id (utf8);
  required binary payment_id (utf8);
  optional binary session_id (utf8);
  optional binary payment_link_id (utf8);
  optional binary supporter_id (utf8);
  required group campaign_codes (list) { repeated group list { required binary element (utf8); } }
  optional binary component_id (utf8);
  optional binary component_type (utf8);
  optional binary source (utf8);
  optional binary referrer_url (utf8);
  optional binary page_view_id (utf8);
  optional binary browser_id (utf8);
  required group ab_tests (list) {
    repeated group list {
      required group element { optional binary name (utf8); optional binary variant (utf8); }
    }
  }
  required group labels (list) { repeated group list { required binary element (utf8); } }
  optional binary promo_code (utf8);
  required group query_parameters (list) {
    repeated group list {
      required group element { optional binary name (utf8); optional binary value (utf8); }
    }
  }
  optional binary platform (utf8);
  optional binary reader_type (utf8);
  optional binary acquisition_type (utf8);
  optional binary marketing_answer (utf8);
  required boolean livemode;
  required boolean replayed;
}";

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ParquetFailed {
    /// The disk, or the format.
    #[error(transparent)]
    File(#[from] ParquetError),
    /// An event is not JSON.
    #[error("an event cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// An event has a value that its column cannot hold.
    #[error("an event's `{column}` is not what its column holds")]
    Value {
        /// The column, as `items.list.element.quantity`.
        column: String,
    },
}

/// Writes acquisition events as one file, a row each. Buffered here: `file` need not be.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_parquet(events: &[impl Serialize], file: impl Write + Send) -> Result<(), ParquetFailed> {
    let rows: Vec<_> = events.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file, Arc::clone(&schema), properties)?;
    let mut group = writer.next_row_group()?;
    for path in leaves(&schema) {
        let mut column = Column::default();
        for row in &rows {
            column.add(&path, row.get(path[0].name()).unwrap_or(&Value::Null), Place::default())?;
        }
        let mut written = group.next_column()?.ok_or_else(|| wrong(&path))?;
        column.write(&path, &mut written)?;
        written.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

/// The way from a field of the event to each leaf, in the order of the schema.
fn leaves(node: &TypePtr) -> Vec<Vec<TypePtr>> {
    let mut found = Vec::new();
    for child in node.get_fields() {
        if child.is_primitive() {
            found.push(vec![Arc::clone(child)]);
        } else {
            found.extend(leaves(child).into_iter().map(|below| [vec![Arc::clone(child)], below].concat()));
        }
    }
    found
}

/// How deep a value is defined, and at which list it repeats.
/// <https://parquet.apache.org/docs/file-format/nestedencoding/>
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    definition: i16,
    repetition: i16,
    lists: i16,
}

/// The values of a leaf with their levels.
#[derive(Debug, Default)]
struct Column {
    values: Vec<Value>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl Column {
    /// Adds what a field's value has for the leaf at the end of `path`, whose first node is the field.
    fn add(&mut self, path: &[TypePtr], value: &Value, place: Place) -> Result<(), ParquetFailed> {
        let Some((node, below)) = path.split_first() else {
            self.push(value.clone(), place);
            return Ok(());
        };
        match node.get_basic_info().repetition() {
            Repetition::REPEATED => {
                let values = value.as_array().ok_or_else(|| wrong(path))?;
                if values.is_empty() {
                    self.push(Value::Null, place);
                }
                for (index, value) in values.iter().enumerate() {
                    let lists = place.lists + 1;
                    let repetition = if index == 0 { place.repetition } else { lists };
                    let place = Place { definition: place.definition + 1, repetition, lists };
                    self.enter(node, below, value, place)?;
                }
                Ok(())
            }
            Repetition::OPTIONAL if value.is_null() => {
                self.push(Value::Null, place);
                Ok(())
            }
            Repetition::OPTIONAL => {
                let place = Place { definition: place.definition + 1, ..place };
                self.enter(node, below, value, place)
            }
            Repetition::REQUIRED if value.is_null() => Err(wrong(path)),
            Repetition::REQUIRED => self.enter(node, below, value, place),
        }
    }

    /// A list and its repeated group are nodes of the format, and one value of the event; other groups have fields.
    fn enter(
        &mut self,
        node: &Type,
        below: &[TypePtr],
        value: &Value,
        place: Place,
    ) -> Result<(), ParquetFailed> {
        let info = node.get_basic_info();
        let is_list =
            info.converted_type() == ConvertedType::LIST || info.repetition() == Repetition::REPEATED;
        let value = match below.first() {
            Some(child) if !is_list => value.get(child.name()).unwrap_or(&Value::Null),
            Some(_) | None => value,
        };
        self.add(below, value, place)
    }

    fn push(&mut self, value: Value, place: Place) {
        self.definitions.push(place.definition);
        self.repetitions.push(place.repetition);
        if !value.is_null() {
            self.values.push(value);
        }
    }

    fn write(&self, path: &[TypePtr], writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetFailed> {
        let leaf = path.last().ok_or_else(|| wrong(path))?;
        let levels = (Some(self.definitions.as_slice()), Some(self.repetitions.as_slice()));
        match (leaf.get_physical_type(), leaf.get_basic_info().converted_type()) {
            (Physical::BOOLEAN, _) => {
                let values = self.each(path, Value::as_bool)?;
                writer.typed::<BoolType>().write_batch(&values, levels.0, levels.1)?;
            }
            (Physical::INT64, ConvertedType::TIMESTAMP_MICROS) => {
                let values = self.each(path, |value| microseconds(value.as_str()?))?;
                writer.typed::<Int64Type>().write_batch(&values, levels.0, levels.1)?;
            }
            (Physical::INT64, ConvertedType::DECIMAL) => {
                let values = self.each(path, |value| thousandths(value.as_str()?))?;
                writer.typed::<Int64Type>().write_batch(&values, levels.0, levels.1)?;
            }
            (Physical::INT64, _) => {
                let values = self.each(path, Value::as_i64)?;
                writer.typed::<Int64Type>().write_batch(&values, levels.0, levels.1)?;
            }
            _ => {
                let values = self.each(path, |value| value.as_str().map(ByteArray::from))?;
                writer.typed::<ByteArrayType>().write_batch(&values, levels.0, levels.1)?;
            }
        }
        Ok(())
    }

    fn each<T>(&self, path: &[TypePtr], read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, ParquetFailed> {
        self.values.iter().map(|value| read(value).ok_or_else(|| wrong(path))).collect()
    }
}

fn wrong(path: &[TypePtr]) -> ParquetFailed {
    let names: Vec<_> = path.iter().map(|node| node.name()).collect();
    ParquetFailed::Value { column: names.join(".") }
}

/// A time such as `2026-11-18T11:06:40Z`.
fn microseconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// An amount such as `-12.50`, which has at most three decimals.
fn thousandths(amount: &str) -> Option<i64> {
    let (whole, decimals) = amount.split_once('.').unwrap_or((amount, ""));
    let missing = 3_usize.checked_sub(decimals.len())?;
    format!("{whole}{decimals}{}", "0".repeat(missing)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_exact() {
        for (text, expected) in [
            ("12.50", Some(12_500)),
            ("-0.05", Some(-50)),
            ("500", Some(500_000)),
            ("-1.234", Some(-1_234)),
            ("1.2345", None),
            ("twelve", None),
        ] {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }

    #[test]
    fn a_value_that_its_column_cannot_hold_is_named() {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let path = leaves(&schema).into_iter().find(|path| path[0].name() == "amount").unwrap();
        let mut column = Column::default();
        let missing = column.add(&path, &Value::Null, Place::default()).unwrap_err();
        assert_eq!(missing.to_string(), "an event's `amount` is not what its column holds");
    }
}
