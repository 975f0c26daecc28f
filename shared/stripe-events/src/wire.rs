//! Deserializers for the shapes Stripe uses everywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::Personal;

/// `"id"`, `{"id": "id", …}` (expanded) or null; Stripe also writes `""` for null.
pub(crate) fn expandable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Expandable {
        Id(String),
        Object { id: String },
    }
    let id = Option::<Expandable>::deserialize(deserializer)?.map(|value| match value {
        Expandable::Id(id) | Expandable::Object { id } => id,
    });
    Ok(id.filter(|id| !id.is_empty()))
}

/// Text or null, where `""` and white space mean the same as null.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

/// Like [`text`], for personal data.
pub(crate) fn personal_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Personal<String>>, D::Error> {
    Ok(text(deserializer)?.map(Personal::new))
}

/// Stripe's metadata: a map of strings, or null.
pub(crate) fn metadata<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list, or null.
pub(crate) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
