//! What a condition says of an item, and what an update makes of it.

use std::cmp::Ordering;

use super::expression::{Comparator, Condition, NewValue, Operand, Path, Step, Update};
use super::value::{Attribute, Item};

/// Whether a condition holds. An item that is not there has no attributes.
///
/// A comparison with an attribute that is not there is false, except that it differs from everything. Values of
/// different types are never equal and have no order.
pub(super) fn holds(condition: &Condition<'_>, item: Option<&Item>) -> bool {
    let value = |operand| resolve(operand, item);
    match condition {
        Condition::Or(a, b) => holds(a, item) || holds(b, item),
        Condition::And(a, b) => holds(a, item) && holds(b, item),
        Condition::Not(a) => !holds(a, item),
        Condition::Compare(left, comparator, right) => compare(value(left), *comparator, value(right)),
        Condition::Between(operand, low, high) => {
            compare(value(operand), Comparator::GreaterOrEqual, value(low))
                && compare(value(operand), Comparator::LessOrEqual, value(high))
        }
        Condition::In(operand, list) => {
            list.iter().any(|other| compare(value(operand), Comparator::Equal, value(other)))
        }
        Condition::Exists(path) => find(path, item).is_some(),
        Condition::NotExists(path) => find(path, item).is_none(),
        Condition::HasType(path, kind) => find(path, item).is_some_and(|value| value.type_name() == *kind),
        Condition::BeginsWith(operand, prefix) => match (value(operand), value(prefix)) {
            (Some(Attribute::S(text)), Some(Attribute::S(prefix))) => text.starts_with(prefix.as_str()),
            _ => false,
        },
        Condition::Contains(operand, part) => match (value(operand), value(part)) {
            (Some(Attribute::S(text)), Some(Attribute::S(part))) => text.contains(part.as_str()),
            (Some(Attribute::L(list)), Some(part)) => list.contains(part),
            _ => false,
        },
    }
}

fn compare(left: Option<&Attribute>, comparator: Comparator, right: Option<&Attribute>) -> bool {
    let order = left.zip(right).and_then(|(left, right)| left.order(right));
    match comparator {
        Comparator::Equal => left.is_some() && left == right,
        Comparator::NotEqual => left != right,
        Comparator::Less => order.is_some_and(Ordering::is_lt),
        Comparator::LessOrEqual => order.is_some_and(Ordering::is_le),
        Comparator::Greater => order.is_some_and(Ordering::is_gt),
        Comparator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    }
}

fn resolve<'v>(operand: &'v Operand<'_>, item: Option<&'v Item>) -> Option<&'v Attribute> {
    match operand {
        Operand::Path(path) => find(path, item),
        Operand::Value(value) => Some(value),
    }
}

/// The value at a path.
pub(super) fn find<'v>(path: &Path<'_>, item: Option<&'v Item>) -> Option<&'v Attribute> {
    let mut found = item?.get(path.root())?;
    for step in &path.0[1..] {
        found = match (step, found) {
            (Step::Name(name), Attribute::M(map)) => map.get(*name)?,
            (Step::Index(index), Attribute::L(list)) => list.get(*index)?,
            _ => return None,
        };
    }
    Some(found)
}

const NO_SUCH_ATTRIBUTE: &str =
    "The provided expression refers to an attribute that does not exist in the item";
const WRONG_TYPE: &str = "An operand in the update expression has an incorrect data type";
const NO_SUCH_PATH: &str = "The document path provided in the update expression is invalid for update";

/// An item after an update. Every right side sees the item as it was before.
///
/// # Errors
///
/// DynamoDB's sentence, when the update does not fit the item.
pub(super) fn updated(update: &Update<'_>, before: &Item) -> Result<Item, &'static str> {
    let mut after = before.clone();
    for (path, value) in &update.set {
        put(&mut after, path, new_value(value, before)?)?;
    }
    for (path, value) in &update.add {
        let sum = match (find(path, Some(before)), value) {
            (None, value) => (*value).clone(),
            (Some(Attribute::N(a)), Attribute::N(b)) => Attribute::N(a.plus(*b)?),
            _ => return Err(WRONG_TYPE),
        };
        put(&mut after, path, sum)?;
    }
    // From the end, so that places in a list stay what they were.
    let mut remove: Vec<_> = update.remove.iter().collect();
    remove.sort_by_key(|path| std::cmp::Reverse(path.0.last().and_then(index)));
    for path in remove {
        take_out(&mut after, path)?;
    }
    Ok(after)
}

const fn index(step: &Step<'_>) -> Option<usize> {
    match step {
        Step::Name(_) => None,
        Step::Index(index) => Some(*index),
    }
}

fn new_value(value: &NewValue<'_>, before: &Item) -> Result<Attribute, &'static str> {
    let number = |value: &NewValue<'_>| {
        let value = new_value(value, before)?;
        if let Attribute::N(number) = value { Ok(number) } else { Err(WRONG_TYPE) }
    };
    match value {
        NewValue::Operand(operand) => resolve(operand, Some(before)).cloned().ok_or(NO_SUCH_ATTRIBUTE),
        NewValue::IfNotExists(path, otherwise) => {
            find(path, Some(before)).map_or_else(|| new_value(otherwise, before), |found| Ok(found.clone()))
        }
        NewValue::ListAppend(first, second) => {
            match (new_value(first, before)?, new_value(second, before)?) {
                (Attribute::L(mut list), Attribute::L(more)) => {
                    list.extend(more);
                    Ok(Attribute::L(list))
                }
                _ => Err(WRONG_TYPE),
            }
        }
        NewValue::Plus(a, b) => Ok(Attribute::N(number(a)?.plus(number(b)?)?)),
        NewValue::Minus(a, b) => Ok(Attribute::N(number(a)?.plus(number(b)?.negated())?)),
    }
}

/// Puts a value at a path; everything above it must be there.
fn put(item: &mut Item, path: &Path<'_>, value: Attribute) -> Result<(), &'static str> {
    match (path.0.last(), parent(item, path)?) {
        (_, None) => {
            item.insert(path.root().to_owned(), value);
        }
        (Some(Step::Name(name)), Some(Attribute::M(map))) => {
            map.insert((*name).to_owned(), value);
        }
        (Some(Step::Index(index)), Some(Attribute::L(list))) => match list.get_mut(*index) {
            Some(place) => *place = value,
            // Beyond the end is at the end.
            None => list.push(value),
        },
        _ => return Err(NO_SUCH_PATH),
    }
    Ok(())
}

fn take_out(item: &mut Item, path: &Path<'_>) -> Result<(), &'static str> {
    match (path.0.last(), parent(item, path)?) {
        (_, None) => {
            item.remove(path.root());
        }
        (Some(Step::Name(name)), Some(Attribute::M(map))) => {
            map.remove(*name);
        }
        (Some(Step::Index(index)), Some(Attribute::L(list))) => {
            if *index < list.len() {
                list.remove(*index);
            }
        }
        _ => return Err(NO_SUCH_PATH),
    }
    Ok(())
}

/// What a path's last step is taken in; `None` when that is the item itself.
fn parent<'v>(item: &'v mut Item, path: &Path<'_>) -> Result<Option<&'v mut Attribute>, &'static str> {
    let [root, between @ .., _last] = path.0.as_slice() else {
        return Ok(None);
    };
    let Step::Name(root) = root else {
        return Err(NO_SUCH_PATH);
    };
    let mut found = item.get_mut(*root).ok_or(NO_SUCH_PATH)?;
    for step in between {
        found = match (step, found) {
            (Step::Name(name), Attribute::M(map)) => map.get_mut(*name),
            (Step::Index(index), Attribute::L(list)) => list.get_mut(*index),
            _ => None,
        }
        .ok_or(NO_SUCH_PATH)?;
    }
    Ok(Some(found))
}

/// An item cut down to some paths. Only whole attributes can be asked for here.
pub(super) fn projected(item: &Item, paths: &[Path<'_>]) -> Item {
    paths
        .iter()
        .filter_map(|path| {
            assert!(path.0.len() == 1, "the cloud in memory projects whole attributes only: {path:?}");
            item.get_key_value(path.root()).map(|(name, value)| (name.clone(), value.clone()))
        })
        .collect()
}
