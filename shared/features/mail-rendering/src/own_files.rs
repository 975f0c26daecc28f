use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::markdown::derived;
use crate::part::Part;
use crate::wording::{BuiltIn, Unusable, WordingSource, Wordings};

/// Own template files, by path, as they have been read.
#[derive(Debug, Default)]
pub struct OwnFiles(pub BTreeMap<String, Result<Arc<str>, Unusable>>);

impl OwnFiles {
    /// A file that one in Markdown stands for. An empty one where that has a mistake, which is reported with its line.
    fn part_of_markdown(&self, path: &str) -> Option<Result<Cow<'_, str>, Unusable>> {
        let (template, name) = path.split_once('/')?;
        let (tag, ending) = name.split_once('.')?;
        let part = Part::ALL.into_iter().find(|part| part.ending() == ending)?;
        if let Some(Err(unusable)) =
            self.0.get(&format!("{template}/{tag}.md")).filter(|_| !self.0.contains_key(path))
        {
            return Some(Err(*unusable));
        }
        let text = self.markdown(template, tag)?;
        let language = tag.split('-').next().unwrap_or(tag);
        Some(Ok(Cow::Owned(derived(text, language, part).unwrap_or_default())))
    }

    /// These files before the built-in ones.
    pub fn over_built_in(self) -> Wordings {
        Wordings::of(vec![Box::new(self), Box::new(BuiltIn)])
    }
}

impl WordingSource for OwnFiles {
    fn markdown(&self, template: &str, tag: &str) -> Option<&str> {
        let has_three =
            Part::ALL.iter().all(|part| self.0.contains_key(&format!("{template}/{tag}.{}", part.ending())));
        let text = self.0.get(&format!("{template}/{tag}.md")).filter(|_| !has_three)?;
        text.as_ref().ok().map(|text| &**text)
    }

    fn file(&self, path: &str) -> Option<Result<Cow<'_, str>, Unusable>> {
        if let Some(part) = self.part_of_markdown(path) {
            return Some(part);
        }
        Some(self.0.get(path)?.as_ref().map(|text| Cow::Borrowed(&**text)).map_err(|unusable| *unusable))
    }
}

/// Bytes of a template file at most. The largest that ships has a tenth.
pub const LARGEST_FILE: usize = 100 * 1024;

/// Whether a file's name ends as those that mails are made of do. Pictures and notes may lie beside them.
pub fn is_template_file(path: &str) -> bool {
    [".html", ".txt", ".md"].iter().any(|ending| path.ends_with(ending))
}

/// A template file's text, whatever editor it was written with.
pub fn text_of(bytes: Vec<u8>) -> Result<Arc<str>, Unusable> {
    let text = String::from_utf8(bytes).map_err(|_| Unusable("not text in UTF-8"))?;
    // Some editors begin a file with a mark that would be printed, and end lines in their own way.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
    Ok(text.into())
}
