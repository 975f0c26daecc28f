//! Tables, their keys and indexes.

use std::collections::BTreeMap;

use super::expression::Invalid;
use super::value::{Attribute, Item, Number, size_of};

/// What a table is made with.
#[derive(Debug, Clone)]
pub struct TableDefinition {
    pub(super) name: String,
    pub(super) keys: Keys,
    pub(super) indexes: Vec<Index>,
    expiry: Option<String>,
}

/// The attribute that is a partition or a sort key, and its type.
#[derive(Debug, Clone)]
pub struct KeyAttribute {
    pub(super) name: String,
    number: bool,
}

impl KeyAttribute {
    /// A key that is a string.
    pub fn text(name: &str) -> Self {
        Self { name: name.to_owned(), number: false }
    }

    /// A key that is a number.
    pub fn number(name: &str) -> Self {
        Self { name: name.to_owned(), number: true }
    }

    fn type_name(&self) -> &'static str {
        if self.number { "N" } else { "S" }
    }

    /// The value of this key, if its type fits.
    pub(super) fn of(&self, value: &Attribute) -> Option<KeyValue> {
        match value {
            Attribute::S(text) if !self.number => Some(KeyValue::Text(text.clone())),
            Attribute::N(number) if self.number => Some(KeyValue::Number(*number)),
            Attribute::S(_)
            | Attribute::N(_)
            | Attribute::Bool(_)
            | Attribute::Null(_)
            | Attribute::M(_)
            | Attribute::L(_) => None,
        }
    }
}

/// The keys of a table or an index.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) partition: KeyAttribute,
    pub(super) sort: Option<KeyAttribute>,
}

impl Keys {
    pub(super) fn iter(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// The key of an item; `None` when it lacks one or one has another type, which keeps it out of an index.
    pub(super) fn of(&self, item: &Item) -> Option<Key> {
        let value = |key: &KeyAttribute| key.of(item.get(&key.name)?);
        let sort = match &self.sort {
            Some(sort) => Some(value(sort)?),
            None => None,
        };
        Some(Key(value(&self.partition)?, sort))
    }
}

/// A global secondary index. It holds the items that have its keys.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) name: String,
    pub(super) keys: Keys,
    pub(super) projection: Projection,
}

/// The attributes that an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// All of them.
    All,
    /// The keys of the table and of the index.
    KeysOnly,
}

/// The value of a partition key or a sort key, in the order DynamoDB sorts by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyValue {
    Text(String),
    Number(Number),
}

/// An item's place: partition key, sort key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) KeyValue, pub(super) Option<KeyValue>);

impl TableDefinition {
    /// A table with a partition key.
    pub fn new(name: &str, partition: KeyAttribute) -> Self {
        let keys = Keys { partition, sort: None };
        Self { name: name.to_owned(), keys, indexes: Vec::new(), expiry: None }
    }

    /// With a sort key.
    #[must_use]
    pub fn sorted_by(mut self, sort: KeyAttribute) -> Self {
        self.keys.sort = Some(sort);
        self
    }

    /// With a global secondary index over all attributes. Items without its keys are not in it.
    #[must_use]
    pub fn indexed(self, name: &str, partition: KeyAttribute, sort: Option<KeyAttribute>) -> Self {
        self.indexed_with(name, partition, sort, Projection::All)
    }

    /// With a global secondary index over these attributes.
    #[must_use]
    pub fn indexed_with(
        mut self,
        name: &str,
        partition: KeyAttribute,
        sort: Option<KeyAttribute>,
        projection: Projection,
    ) -> Self {
        self.indexes.push(Index { name: name.to_owned(), keys: Keys { partition, sort }, projection });
        self
    }

    /// With a TTL attribute: a number of Unix seconds.
    #[must_use]
    pub fn expiring_by(mut self, attribute: &str) -> Self {
        self.expiry = Some(attribute.to_owned());
        self
    }
}

/// A table and its items.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) definition: TableDefinition,
    pub(super) items: BTreeMap<Key, Item>,
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items>
const MAX_ITEM_BYTES: usize = 400 * 1024;

impl Table {
    pub(super) const fn new(definition: TableDefinition) -> Self {
        Self { definition, items: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, key: Key, item: Item) {
        self.items.insert(key, item);
    }

    /// The place a request names by its whole key.
    pub(super) fn key(&self, key: &Item) -> Result<Key, Invalid> {
        let keys = &self.definition.keys;
        match keys.of(key) {
            Some(place) if key.len() == keys.iter().count() => {
                check_not_empty(keys, key, "Key: ")?;
                Ok(place)
            }
            _ => Err("The provided key element does not match the schema".to_owned()),
        }
    }

    /// The place of an item that is about to be written.
    pub(super) fn key_of_new(&self, item: &Item) -> Result<Key, Invalid> {
        let keys = &self.definition.keys;
        for key in keys.iter() {
            let value = item.get(&key.name).ok_or_else(|| {
                format!("One or more parameter values were invalid: Missing the key {} in the item", key.name)
            })?;
            if key.of(value).is_none() {
                return Err(format!(
                    "One or more parameter values were invalid: Type mismatch for key {} expected: {} actual: {}",
                    key.name,
                    key.type_name(),
                    value.type_name()
                ));
            }
        }
        check_not_empty(keys, item, "Key: ")?;
        keys.of(item).ok_or_else(|| "The provided key element does not match the schema".to_owned())
    }

    /// What an item has to keep to besides its key.
    pub(super) fn check(&self, item: &Item) -> Result<(), Invalid> {
        for index in &self.definition.indexes {
            for key in index.keys.iter() {
                let Some(value) = item.get(&key.name) else {
                    continue;
                };
                if key.of(value).is_none() {
                    return Err(format!(
                        "One or more parameter values were invalid: Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: {}",
                        key.name,
                        key.type_name(),
                        value.type_name(),
                        index.name
                    ));
                }
            }
            check_not_empty(&index.keys, item, &format!("IndexName: {}, IndexKey: ", index.name))?;
        }
        if size_of(item) > MAX_ITEM_BYTES {
            return Err("Item size has exceeded the maximum allowed size".to_owned());
        }
        Ok(())
    }

    /// Deletes what has expired, as DynamoDB does some time after. An item without the attribute, or with anything
    /// but a number in it, stays.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html>
    pub(super) fn expire(&mut self, now_ms: i64) {
        let Some(expiry) = &self.definition.expiry else {
            return;
        };
        let now: Number = now_ms.div_euclid(1000).to_string().parse().unwrap();
        self.items.retain(|_, item| !matches!(item.get(expiry), Some(Attribute::N(at)) if *at < now));
    }
}

fn check_not_empty(keys: &Keys, item: &Item, place: &str) -> Result<(), Invalid> {
    for key in keys.iter() {
        if item.get(&key.name) == Some(&Attribute::S(String::new())) {
            return Err(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. {place}{}",
                key.name
            ));
        }
    }
    Ok(())
}
