//! What may be missing: the customer's name, the address of the files.
//!
//! The engine's own `none` prints as the word "None" as soon as a filter or `~` has it. This one can be asked for and
//! replaced (`if`, `or`, `default`), and carries a mark into whatever else is made of it, which is never printed.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};

/// A character that no text has: <https://www.unicode.org/faq/private_use.html#nonchar1>
const MARK: char = '\u{10FFFE}';

/// A value that is not there.
#[derive(Clone, Copy)]
struct Missing;

impl Object for Missing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Debug for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}")
    }
}

/// A value for a template: the text, or one that must not be printed.
pub(crate) fn or_missing<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or_else(|| Value::from_object(Missing), Into::into)
}

/// Whether there is nothing here to print, or to make a text of.
pub(super) fn is_missing(value: &Value) -> bool {
    value.is_undefined() || value.is_none() || value.downcast_object_ref::<Missing>().is_some()
}

/// Whether a text was made of a missing value.
pub(super) fn is_made_of_missing(text: &str) -> bool {
    text.contains(MARK)
}
