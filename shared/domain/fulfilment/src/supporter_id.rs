use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::without_invisible;

/// A supporter, without their address: UUIDv5 of the trimmed (also of what cannot be seen), lower-cased email in a
/// namespace that each deployment has for itself.
///
/// Guests and customers with an account get the same id, and two deployments cannot be joined by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SupporterId(String);

impl SupporterId {
    /// The id of the supporter with this address.
    pub fn of_email(namespace: &Uuid, email: &str) -> Self {
        let email = without_invisible(email).unwrap_or_default();
        Self(Uuid::new_v5(namespace, email.to_lowercase().as_bytes()).to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SupporterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_person_has_one_id_however_the_address_is_typed() {
        let namespace = Uuid::from_u128(1);
        let id = SupporterId::of_email(&namespace, "ada@example.org");
        assert_eq!(SupporterId::of_email(&namespace, "  Ada@Example.ORG\n"), id);
        assert_eq!(SupporterId::of_email(&namespace, "\u{200b}ada@example.org \u{feff}"), id);
        assert_ne!(SupporterId::of_email(&namespace, "ada@example.com"), id);
        assert_ne!(SupporterId::of_email(&Uuid::from_u128(2), "ada@example.org"), id);
    }
}
