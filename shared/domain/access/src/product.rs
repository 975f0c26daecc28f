use std::collections::BTreeMap;

use fulfilment::{Allowance, EntitlementName, Limit};

/// The value of a product's metadata key `entitlements` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// A name that no entitlement has.
    #[error("`{0}` is no name of an entitlement: lower-case letters, digits, `-` and `_`")]
    Name(String),
    /// Neither a number nor the word for as many as were bought.
    #[error("`{0}`: write a number above 0, or `quantity`")]
    Limit(String),
    /// The same name twice.
    #[error("`{0}` is there twice")]
    Twice(String),
}

/// What a product of Stripe's says that it gives, in its metadata key `entitlements`: `dapps=quantity, reports, seats=5`.
///
/// # Errors
///
/// The first thing that cannot be read. The caller keeps to the policy then.
pub fn allowances(text: &str) -> Result<BTreeMap<EntitlementName, Allowance>, ProductError> {
    let mut found = BTreeMap::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, limit) =
            entry.split_once('=').map_or((entry, None), |(name, limit)| (name.trim(), Some(limit.trim())));
        let key =
            EntitlementName::try_from(name.to_owned()).map_err(|_| ProductError::Name(name.to_owned()))?;
        let limit = match limit {
            None => Limit::None,
            Some("quantity") => Limit::Quantity,
            Some(number) => match number.parse::<i64>() {
                Ok(number) if number > 0 => Limit::Fixed(number),
                Ok(_) | Err(_) => return Err(ProductError::Limit(entry.to_owned())),
            },
        };
        if found.insert(key, Allowance::of(limit)).is_some() {
            return Err(ProductError::Twice(name.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_says_what_it_gives() {
        let found = allowances(" dapps = quantity, reports,seats=5,, ").unwrap();
        let found: Vec<_> = found.iter().map(|(name, it)| (name.as_str(), it.limit)).collect();
        let expected = [("dapps", Limit::Quantity), ("reports", Limit::None), ("seats", Limit::Fixed(5))];
        assert_eq!(found, expected);
        assert_eq!(allowances("").unwrap().len(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, expected) in [
            ("Dapps", ProductError::Name("Dapps".into())),
            ("dapps=0", ProductError::Limit("dapps=0".into())),
            ("dapps=-1", ProductError::Limit("dapps=-1".into())),
            ("dapps=all", ProductError::Limit("dapps=all".into())),
            ("a=1, a=2", ProductError::Twice("a".into())),
            ("=5", ProductError::Name(String::new())),
        ] {
            assert_eq!(allowances(text), Err(expected), "{text}");
        }
    }
}
