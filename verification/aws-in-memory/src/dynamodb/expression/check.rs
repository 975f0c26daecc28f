//! Mistakes that show in a request alone, whatever the item.

use super::{Invalid, Operand, Path, Step, Update};
use crate::dynamodb::value::Attribute;

pub(super) const fn has_order(value: &Attribute) -> bool {
    matches!(value, Attribute::S(_) | Attribute::N(_))
}

/// A value's type is known before any item is looked at; an attribute's is not.
pub(super) fn check_operand_type(
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

pub(super) fn check_distinct(
    operator: &str,
    first: &Operand<'_>,
    second: &Operand<'_>,
) -> Result<(), Invalid> {
    match (first, second) {
        (Operand::Path(a), Operand::Path(b)) if a == b => Err(format!(
            "The first operand must be distinct from the remaining operands for this operator or function; operator: {operator}, first operand: {}",
            shown(a)
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_bounds(low: &Attribute, high: &Attribute) -> Result<(), Invalid> {
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
pub(super) fn check_paths(update: &Update<'_>) -> Result<(), Invalid> {
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
