//! What a product file says for analysts: the keys of the link contract that are about where a sale came from.

use std::collections::BTreeMap;

use fulfilment::{Arity, Attribution, Concern, MetadataKey, Policy};
use toml::de::DeValue;

use super::table::{Fields, text_in};
use super::{HOMES, LONGEST_METADATA, Line};

/// A value of metadata.
type Value = Line<LONGEST_METADATA>;

/// The table `[link]`: what analysts read, as the link's metadata has it.
pub(super) fn read(mut link: Fields<'_, '_>, policy: &Policy) -> BTreeMap<&'static str, String> {
    let findings = link.findings();
    let mut metadata = BTreeMap::new();
    let known: Vec<_> = MetadataKey::about(Concern::Attribution).collect();
    for key in &known {
        let Some((at, value)) = link.take(key.name()) else { continue };
        let Some(value) = findings.keep(&at, attribution(*key, &value)) else { continue };
        let typed = BTreeMap::from([(key.name().to_owned(), value.clone())]);
        let read = Attribution::read(&typed, None);
        if *key != MetadataKey::Item && read == Attribution::default() {
            findings.error(
                &at,
                format!("`{}` is left out of what analysts read: it holds an e-mail address", key.name()),
            );
        }
        for new in policy.attribution.new_campaigns(&read.campaign_codes) {
            findings.warn(&at, new.to_string());
        }
        metadata.insert(key.name(), value);
    }
    let names: Vec<_> = known.iter().map(|key| key.name()).collect();
    link.finish(&names, HOMES);
    metadata
}

/// The value of a key of `[link]`.
fn attribution(key: MetadataKey, value: &DeValue<'_>) -> Result<String, String> {
    let name = key.name();
    let text = |value: &DeValue<'_>| {
        let text = text_in(name, value)?;
        Value::try_from(text).map(|line| line.0).map_err(|problem| format!("`{name}`: {problem}"))
    };
    let value = match (value, key.arity()) {
        (DeValue::Array(values), Arity::Several) => {
            if values.iter().any(|value| value.get_ref().as_str().is_none()) {
                return Err(format!("each of `{name}` must be text in quotes: {name} = [\"…\", \"…\"]"));
            }
            let values = values.iter().map(|value| text(value.get_ref())).collect::<Result<Vec<_>, _>>()?;
            if values.iter().any(|value| value.contains(',')) {
                return Err(format!("one of `{name}` has a comma in it: commas separate one from the next"));
            }
            values.join(",")
        }
        (value, Arity::One | Arity::Several) => text(value)?,
    };
    fits(name, &value, "give fewer or shorter ones").map(|()| value)
}

/// Whether a value that is put together has room in metadata.
pub(super) fn fits(key: &str, value: &str, fix: &str) -> Result<(), String> {
    match value.chars().count() {
        0..=LONGEST_METADATA => Ok(()),
        length => Err(format!(
            "`{key}` has {length} characters together, longer than Stripe's {LONGEST_METADATA} characters; {fix}"
        )),
    }
}
