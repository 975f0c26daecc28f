//! Reads.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::evaluate::{holds, projected};
use super::expression::{Comparator, Condition, Invalid, Operand, Path, Placeholders};
use super::table::{Key, KeyValue, Keys, Projection};
use super::value::{Attribute, Item, size_of};
use super::{Answer, DynamoDb, Failure};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Get {
    table_name: String,
    key: Item,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Query {
    table_name: String,
    index_name: Option<String>,
    key_condition_expression: String,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<BTreeMap<String, Attribute>>,
    #[serde(default)]
    consistent_read: bool,
    #[serde(default = "forward")]
    scan_index_forward: bool,
    limit: Option<usize>,
    exclusive_start_key: Option<Item>,
}

const fn forward() -> bool {
    true
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html>
const MAX_PAGE_BYTES: usize = 1024 * 1024;

impl DynamoDb {
    /// `GetItem`. Every read sees every write here, also those that need not.
    pub(super) fn get(&self, get: &Get) -> Result<Answer<'_>, Failure> {
        let placeholders = Placeholders::new(get.expression_attribute_names.as_ref(), None);
        let projection = placeholders.projection(get.projection_expression.as_deref())?;
        placeholders.check_all_used(projection.is_some())?;
        let table = self.tables.get(&get.table_name).ok_or(Failure::ResourceNotFound)?;
        let item = table.items.get(&table.key(&get.key)?);
        let item = item.map(|item| match &projection {
            Some(paths) => Cow::Owned(projected(item, paths)),
            None => Cow::Borrowed(item),
        });
        Ok(Answer { item, ..Answer::default() })
    }

    /// `Query`, of a table or an index.
    pub(super) fn query(&self, query: &Query) -> Result<Answer<'_>, Failure> {
        let table = self.tables.get(&query.table_name).ok_or(Failure::ResourceNotFound)?;
        let (keys, held) = match &query.index_name {
            None => (&table.definition.keys, Projection::All),
            Some(name) => {
                let index = table.definition.indexes.iter().find(|index| index.name == *name);
                let index = index.ok_or_else(|| {
                    Failure::Validation(format!("The table does not have the specified index: {name}"))
                })?;
                if query.consistent_read {
                    return Err(Failure::Validation(
                        "Consistent reads are not supported on global secondary indexes".to_owned(),
                    ));
                }
                (&index.keys, index.projection)
            }
        };
        if query.limit == Some(0) {
            return Err(Failure::Validation(
                "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1".to_owned(),
            ));
        }
        let placeholders = Placeholders::new(
            query.expression_attribute_names.as_ref(),
            query.expression_attribute_values.as_ref(),
        );
        let key_condition =
            placeholders.condition("KeyConditionExpression", Some(&query.key_condition_expression))?;
        let filter = placeholders.condition("FilterExpression", query.filter_expression.as_deref())?;
        let projection = placeholders.projection(query.projection_expression.as_deref())?;
        placeholders.check_all_used(true)?;
        let key_condition = key_condition.ok_or_else(|| Failure::Validation(NOT_SUPPORTED.to_owned()))?;
        let partition = partition_of(&key_condition, keys)?;

        // In the order of the sort key: an index's own, else the table's, which is in the table's key.
        let mut found: Vec<((Option<KeyValue>, &Key), &Item)> = match &query.index_name {
            None => {
                let from = table.items.range(Key(partition.clone(), None)..);
                from.take_while(|(key, _)| key.0 == partition)
                    .map(|(key, item)| ((None, key), item))
                    .collect()
            }
            Some(_) => {
                let in_index = table.items.iter().filter_map(|(key, item)| {
                    let Key(of_item, sort) = keys.of(item)?;
                    (of_item == partition).then_some(((sort, key), item))
                });
                let mut in_index: Vec<_> = in_index.collect();
                in_index.sort_by(|(a, _), (b, _)| a.cmp(b));
                in_index
            }
        };
        found.retain(|(_, item)| holds(&key_condition, Some(item)));
        if !query.scan_index_forward {
            found.reverse();
        }
        if let Some(start) = &query.exclusive_start_key {
            let invalid = || Failure::Validation("The provided starting key is invalid".to_owned());
            let key = table.definition.keys.of(start).ok_or_else(invalid)?;
            let sort = query.index_name.as_ref().and_then(|_| keys.of(start)).and_then(|key| key.1);
            let start = (sort, &key);
            found.retain(|(place, _)| if query.scan_index_forward { *place > start } else { *place < start });
        }

        let mut page = Vec::new();
        let mut scanned = 0;
        let mut bytes = 0;
        let mut last = None;
        for (_, item) in found {
            scanned += 1;
            bytes += size_of(item);
            if filter.as_ref().is_none_or(|filter| holds(filter, Some(item))) {
                let item = match held {
                    Projection::All => Cow::Borrowed(item),
                    Projection::KeysOnly => {
                        let names = table.definition.keys.iter().chain(keys.iter()).map(|key| &key.name);
                        let key = names.filter_map(|name| item.get_key_value(name));
                        Cow::Owned(key.map(|(name, value)| (name.clone(), value.clone())).collect())
                    }
                };
                page.push(match &projection {
                    Some(paths) => Cow::Owned(projected(&item, paths)),
                    None => item,
                });
            }
            // DynamoDB does not look whether there is more.
            if query.limit == Some(scanned) || bytes >= MAX_PAGE_BYTES {
                let names = table.definition.keys.iter().chain(keys.iter()).map(|key| &key.name);
                let key = names.filter_map(|name| item.get_key_value(name));
                last = Some(key.map(|(name, value)| (name.clone(), value.clone())).collect());
                break;
            }
        }
        Ok(Answer {
            count: Some(page.len()),
            items: Some(page),
            scanned_count: Some(scanned),
            last_evaluated_key: last,
            ..Answer::default()
        })
    }
}

const NOT_SUPPORTED: &str = "Query key condition not supported";

/// The partition a query looks into. Beside it a key condition may say one thing of the sort key.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html>
fn partition_of(condition: &Condition<'_>, keys: &Keys) -> Result<KeyValue, Invalid> {
    let (one, other) = if let Condition::And(one, other) = condition {
        (one.as_ref(), Some(other.as_ref()))
    } else {
        (condition, None)
    };
    let (partition, sort) = match (partition_value(one, keys), other) {
        (Some(value), sort) => (value, sort),
        (None, Some(other)) => match partition_value(other, keys) {
            Some(value) => (value, Some(one)),
            None => return Err(missed(keys)),
        },
        (None, None) => return Err(missed(keys)),
    };
    let no_match =
        "One or more parameter values were invalid: Condition parameter type does not match schema type";
    if let Some(sort) = sort {
        let key = keys.sort.as_ref().ok_or(NOT_SUPPORTED)?;
        let (path, values) = compared(sort).ok_or(NOT_SUPPORTED)?;
        if path.0.len() != 1 || path.root() != key.name {
            return Err(format!("Query condition missed key schema element: {}", key.name));
        }
        for value in values {
            match value {
                Operand::Value(value) if key.of(value).is_some() => {}
                Operand::Value(_) => return Err(no_match.to_owned()),
                Operand::Path(_) => return Err(NOT_SUPPORTED.to_owned()),
            }
        }
    }
    if *partition == Attribute::S(String::new()) {
        return Err(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: {}",
            keys.partition.name
        ));
    }
    keys.partition.of(partition).ok_or_else(|| no_match.to_owned())
}

fn missed(keys: &Keys) -> Invalid {
    format!("Query condition missed key schema element: {}", keys.partition.name)
}

/// What a condition on the sort key compares with what.
fn compared<'c, 'a>(condition: &'c Condition<'a>) -> Option<(&'c Path<'a>, Vec<&'c Operand<'a>>)> {
    if let Condition::Compare(Operand::Path(path), comparator, value) = condition {
        return (*comparator != Comparator::NotEqual).then_some((path, vec![value]));
    }
    if let Condition::BeginsWith(Operand::Path(path), value) = condition {
        return Some((path, vec![value]));
    }
    if let Condition::Between(Operand::Path(path), low, high) = condition {
        return Some((path, vec![low, high]));
    }
    None
}

/// The value in `partition key = value`.
fn partition_value<'a>(condition: &Condition<'a>, keys: &Keys) -> Option<&'a Attribute> {
    if let Condition::Compare(Operand::Path(path), Comparator::Equal, Operand::Value(value)) = condition
        && path.0.len() == 1
        && path.root() == keys.partition.name
    {
        return Some(value);
    }
    None
}
