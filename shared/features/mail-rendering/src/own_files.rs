use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::wording::{BuiltIn, Unusable, WordingSource, Wordings};

/// Own template files, by path, as they have been read.
#[derive(Debug, Default)]
pub struct OwnFiles(pub BTreeMap<String, Result<Arc<str>, Unusable>>);

impl OwnFiles {
    /// These files before the built-in ones.
    pub fn over_built_in(self) -> Wordings {
        Wordings::of(vec![Box::new(self), Box::new(BuiltIn)])
    }
}

impl WordingSource for OwnFiles {
    fn file(&self, path: &str) -> Option<Result<Cow<'_, str>, Unusable>> {
        Some(self.0.get(path)?.as_ref().map(|text| Cow::Borrowed(&**text)).map_err(|unusable| *unusable))
    }
}

/// A template file's text, whatever editor it was written with.
pub fn text_of(bytes: Vec<u8>) -> Result<Arc<str>, Unusable> {
    let text = String::from_utf8(bytes).map_err(|_| Unusable("not text in UTF-8"))?;
    // Some editors begin a file with a mark that would be printed, and end lines in their own way.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
    Ok(text.into())
}
