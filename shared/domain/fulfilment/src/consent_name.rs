use std::fmt;

use serde::{Deserialize, Serialize};

/// What a customer can agree to, by the name `policy.toml` gives it: lower-case letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsentName(String);

/// A name that cannot be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a consent's name must be lower-case letters, digits, _ and -, at most 60")]
pub struct ConsentNameError;

impl ConsentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ConsentName {
    type Error = ConsentNameError;

    fn try_from(name: String) -> Result<Self, ConsentNameError> {
        // The name becomes part of a key whose parts are joined by `#`.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 60 || !name.chars().all(plain) {
            return Err(ConsentNameError);
        }
        Ok(Self(name))
    }
}

impl From<ConsentName> for String {
    fn from(name: ConsentName) -> Self {
        name.0
    }
}

impl fmt::Display for ConsentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
