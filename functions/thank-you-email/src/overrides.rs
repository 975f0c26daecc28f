//! The marketers' own template files, kept for a few minutes so that a mail seldom waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::Clock;
use futures_util::future::try_join_all;
use mail_rendering::{LARGEST_FILE, OwnFiles, Unusable, Wordings, is_built_in, is_template_file, text_of};
use tokio::sync::Mutex;
use tracing::warn;

/// A place that holds template files.
pub(crate) trait TemplateFiles {
    /// Every file.
    fn list(&self) -> impl Future<Output = Result<Vec<ListedFile>, FilesError>>;

    /// A file's bytes; `None` when it is gone.
    fn read(&self, path: &str) -> impl Future<Output = Result<Option<Vec<u8>>, FilesError>>;
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedFile {
    /// `gala/en.html`
    pub(crate) path: String,
    /// Another one when the content is another.
    pub(crate) version: String,
    /// In bytes.
    pub(crate) size: i64,
}

/// Why files cannot be had. Codes only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilesError {
    /// No answer, or not now. Soon there will be one.
    #[error("the templates bucket does not answer ({0})")]
    Unavailable(String),
    /// A refusal that lasts until its cause is fixed.
    #[error("the templates bucket refuses to be read ({0})")]
    Refused(String),
}

/// How long a listing counts as new: at most so long after an upload the old wording is still used.
const FRESH_MS: i64 = 5 * 60 * 1000;

/// How long a listing serves mails of a template that it lacks: the link may have been made just after its template.
const FRESH_FOR_MISSING_MS: i64 = 10 * 1000;

/// How long an old listing serves when a new one cannot be had.
const GRACE_MS: i64 = 30 * 1000;

/// The folder that every template may use files of, beside its own.
const LAYOUT: &str = "layout";

/// The marketers' own wordings over the built-in ones.
///
/// One listing shows which files are there and, as important, which are not: most templates have no files of their own,
/// and asking for each would cost a dozen calls a mail.
pub(crate) struct Overrides<F, C> {
    files: F,
    clock: C,
    shelf: Mutex<Shelf>,
}

/// The last listing of the files.
#[derive(Default)]
struct Shelf {
    /// When the listing is due again, in Unix milliseconds.
    due_at: Option<i64>,
    /// When it was made or last tried, in Unix milliseconds.
    tried_at: i64,
    files: BTreeMap<String, File>,
    wordings: Option<Arc<Wordings>>,
}

struct File {
    version: String,
    /// Once it has been needed.
    text: Option<Result<Arc<str>, Unusable>>,
}

impl<F: TemplateFiles, C: Clock> Overrides<F, C> {
    /// Nothing is read before it is needed.
    pub(crate) fn new(files: F, clock: C) -> Self {
        Self { files, clock, shelf: Mutex::default() }
    }

    /// Wordings that know the own files of these templates; `None` when there are none.
    ///
    /// # Errors
    ///
    /// When the files cannot be had.
    pub(crate) async fn wordings(&self, templates: &[&str]) -> Result<Option<Arc<Wordings>>, FilesError> {
        // Held while reading: mails that come together read once.
        let mut shelf = self.shelf.lock().await;
        let now = self.clock.now_ms();
        if shelf.is_due(now) || shelf.lacks_any(templates) && now - shelf.tried_at >= FRESH_FOR_MISSING_MS {
            self.list(&mut shelf, now).await?;
        }
        self.read(&mut shelf, templates).await?;
        let has_own = shelf.files.keys().any(|path| is_of(path, templates));
        Ok(if has_own { shelf.wordings() } else { None })
    }

    async fn list(&self, shelf: &mut Shelf, now: i64) -> Result<(), FilesError> {
        shelf.tried_at = now;
        match self.files.list().await {
            Ok(listed) => {
                shelf.replace(listed);
                shelf.due_at = Some(now + FRESH_MS);
                Ok(())
            }
            Err(error @ FilesError::Unavailable(_)) if shelf.due_at.is_some() => {
                warn!("templates as they were last seen: {error}");
                shelf.due_at = Some(now + GRACE_MS);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self, shelf: &mut Shelf, templates: &[&str]) -> Result<(), FilesError> {
        let needed = shelf.files.iter().filter(|(path, file)| file.text.is_none() && is_of(path, templates));
        let needed: Vec<String> = needed.map(|(path, _)| path.clone()).collect();
        let read = try_join_all(needed.iter().map(|path| self.files.read(path))).await?;
        for (path, bytes) in needed.into_iter().zip(read) {
            shelf.wordings = None;
            match (bytes, shelf.files.get_mut(&path)) {
                (Some(bytes), Some(file)) => file.text = Some(text_of(bytes)),
                // Taken away since it was listed.
                _ => drop(shelf.files.remove(&path)),
            }
        }
        Ok(())
    }
}

/// Whether mails of these templates may use a file.
fn is_of(path: &str, templates: &[&str]) -> bool {
    is_in(path, LAYOUT) || templates.iter().any(|template| is_in(path, template))
}

fn is_in(path: &str, folder: &str) -> bool {
    path.split_once('/').is_some_and(|(its_folder, _)| its_folder == folder)
}

impl Shelf {
    fn is_due(&self, now: i64) -> bool {
        self.due_at.is_none_or(|due_at| now >= due_at)
    }

    /// Whether one of these templates has no file, neither here nor among those that ship.
    fn lacks_any(&self, templates: &[&str]) -> bool {
        let is_here = |template: &str| self.files.keys().any(|path| is_in(path, template));
        templates.iter().any(|template| !is_built_in(template) && !is_here(template))
    }

    fn replace(&mut self, listed: Vec<ListedFile>) {
        let mut known = std::mem::take(&mut self.files);
        self.wordings = None;
        for ListedFile { path, version, size } in listed {
            if !is_template_file(&path) {
                continue;
            }
            let known = known.remove(&path).filter(|file| file.version == version);
            let text = known.and_then(|file| file.text);
            let too_large = usize::try_from(size)
                .map_or(true, |size| size > LARGEST_FILE)
                .then_some(Err(Unusable("larger than 100 KB")));
            self.files.insert(path, File { version, text: text.or(too_large) });
        }
    }

    fn wordings(&mut self) -> Option<Arc<Wordings>> {
        if self.wordings.is_none() {
            let read = self.files.iter().filter_map(|(path, file)| Some((path.clone(), file.text.clone()?)));
            let files = OwnFiles(read.collect());
            if !files.0.is_empty() {
                self.wordings = Some(Arc::new(files.over_built_in()));
            }
        }
        self.wordings.clone()
    }
}

#[cfg(test)]
pub(crate) mod tests;
