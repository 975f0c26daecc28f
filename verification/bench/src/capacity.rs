//! What DynamoDB counts a call as.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>

use aws_in_memory::Cloud;
use serde_json::Value;
use xtask::stack::plain_item;

use crate::aws::Call;

/// Units of capacity, as they are billed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Units {
    pub(crate) write: f64,
    pub(crate) read: f64,
}

impl std::ops::AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        self.write += other.write;
        self.read += other.read;
    }
}

/// The units of a call that was made a moment ago; none for a call to another service.
///
/// An item is as large as it is in the table now: the larger of before and after counts, and ours only grow.
/// A condition that fails costs the same.
pub(crate) fn of_call(cloud: &Cloud, call: &Call) -> Units {
    let (Ok(request), Ok(response)) =
        (serde_json::from_slice::<Value>(&call.request), serde_json::from_slice::<Value>(&call.response))
    else {
        return Units::default();
    };
    match call.kind.as_str() {
        "DynamoDb UpdateItem" | "DynamoDb PutItem" => {
            let Write { table, indexes } = write_units(cloud, &request);
            Units { write: table + indexes, read: 0.0 }
        }
        "DynamoDb TransactWriteItems" => {
            let writes = request["TransactItems"].as_array().into_iter().flatten();
            let writes = writes.filter_map(Value::as_object).flat_map(|item| item.values());
            // In a transaction everything is written twice, once to prepare, once to commit; indexes follow it.
            let units =
                writes.map(|write| write_units(cloud, write)).map(|write| 2.0 * write.table + write.indexes);
            Units { write: units.sum(), read: 0.0 }
        }
        "DynamoDb Query" | "DynamoDb GetItem" => {
            let items = response["Items"].as_array().into_iter().flatten().chain(response.get("Item"));
            let size = items.map(|item| item_size(&plain_item(item))).sum();
            let share = if request["ConsistentRead"] == true { 1.0 } else { 0.5 };
            Units { write: 0.0, read: share * kilobytes(size, 4) }
        }
        _ => Units::default(),
    }
}

/// The tables' secondary indexes, each by what an item must have to be in it. An entry is a begun kilobyte: the one
/// holds keys only, and there are few open effects.
const INDEXES: [(&str, &str); 2] = [("contributions", "session_id"), ("effects", "open")];

/// Units of one write.
struct Write {
    table: f64,
    /// As if the item were new to them: an entry that stays as it is costs nothing.
    indexes: f64,
}

/// A put, an update or a delete.
fn write_units(cloud: &Cloud, write: &Value) -> Write {
    let table = write["TableName"].as_str().unwrap_or_default();
    let row = if write["Item"].is_object() {
        Some(plain_item(&write["Item"]))
    } else {
        let key = plain_item(&write["Key"]);
        let is_of_key = |row: &Value| {
            key.as_object().into_iter().flatten().all(|(name, value)| row[name.as_str()] == *value)
        };
        cloud.rows(table).into_iter().find(is_of_key)
    };
    let is_in = |(of, attribute): &&(&str, &str)| {
        *of == table && row.as_ref().is_some_and(|row| !row[*attribute].is_null())
    };
    Write {
        table: kilobytes(row.as_ref().map_or(0, item_size), 1),
        indexes: INDEXES.iter().filter(is_in).map(|_| 1.0).sum(),
    }
}

/// How many times `unit` KB, begun ones included; at least one.
fn kilobytes(bytes: usize, unit: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an item has at most 400 KB")]
    let units = bytes.div_ceil(unit * 1024).max(1) as f64;
    units
}

/// An item's size in bytes: names and values.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
fn item_size(item: &Value) -> usize {
    item.as_object().into_iter().flatten().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number.to_string().len().div_ceil(2) + 1,
        Value::String(text) => text.len(),
        Value::Array(values) => 3 + values.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        Value::Object(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: &str, request: &Value, response: &Value, write: f64, read: f64) {
        let cloud = Cloud::with_tables();
        cloud.put_row(
            "effects",
            &json!({ "payment_id": "pi_1", "effect": "large", "reason": "x".repeat(1500) }),
        );
        let call = Call {
            kind: kind.to_owned(),
            request: request.to_string().into_bytes(),
            response: response.to_string().into_bytes(),
        };
        assert_eq!(of_call(&cloud, &call), Units { write, read }, "{request}");
    }

    #[test]
    fn a_write_counts_each_begun_kilobyte_of_the_item_and_twice_in_a_transaction() {
        let key = json!({ "payment_id": { "S": "pi_1" }, "effect": { "S": "large" } });
        let update = json!({ "TableName": "effects", "Key": key });
        check("DynamoDb UpdateItem", &update, &json!({}), 2.0, 0.0);
        let put = json!({ "TableName": "effects", "Item": { "payment_id": { "S": "pi_2" } } });
        let transaction = json!({ "TransactItems": [{ "Update": update }, { "Put": put }] });
        check("DynamoDb TransactWriteItems", &transaction, &json!({}), 6.0, 0.0);
    }

    #[test]
    fn an_entry_in_an_index_is_a_unit_more_in_a_transaction_or_not() {
        let item = json!({ "payment_id": { "S": "pi_2" }, "session_id": { "S": "cs_2" } });
        let put = json!({ "TableName": "contributions", "Item": item });
        check("DynamoDb PutItem", &put, &json!({}), 2.0, 0.0);
        check(
            "DynamoDb TransactWriteItems",
            &json!({ "TransactItems": [{ "Put": put }] }),
            &json!({}),
            3.0,
            0.0,
        );
    }

    #[test]
    fn a_consistent_read_counts_each_begun_four_kilobytes_and_an_empty_one_counts_too() {
        let answer = json!({ "Items": [{ "reason": { "S": "x".repeat(5000) } }] });
        check("DynamoDb Query", &json!({ "ConsistentRead": true }), &answer, 0.0, 2.0);
        check("DynamoDb Query", &json!({}), &json!({ "Items": [] }), 0.0, 0.5);
        check("Ses SendEmail", &json!({}), &json!({}), 0.0, 0.0);
    }
}
