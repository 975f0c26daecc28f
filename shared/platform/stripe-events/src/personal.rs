use std::fmt;

use serde::{Deserialize, Serialize};

/// Personal data: usable where it is needed, redacted wherever it is printed.
///
/// `Debug` prints `[redacted]`, and there is deliberately no `Display`: to show the value, code has to write
/// [`Personal::expose`], which is easy to find in a review.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the places that must have it: a recipient, a record, a rendered mail.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Personal;

    #[test]
    fn prints_redacted() {
        let email = Personal::new("ada@example.org".to_owned());
        assert_eq!(format!("{:?}", Some(&email)), "Some([redacted])");
        assert_eq!(email.expose(), "ada@example.org");
    }
}
