//! Reading a template's folder, within bounds: what else lies in the bucket costs nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use fulfilment::{Policy, TemplateName};
use mail_rendering::check::{Finding, Severity, check_template};
use mail_rendering::{LARGEST_FILE, is_template_file};

use crate::bucket::{Listing, StoredFile, TemplatesBucket, Unavailable};
use crate::owner::{LARGEST_OWNER_FILE, OWNER_FILE};
use crate::upload::{Change, Upload};

/// The folder of what all templates stand on.
pub(crate) const LAYOUT: &str = "layout";

/// More files than a template in every language has. The rest of a folder is not read.
const MOST_FILES: usize = 100;

/// So many templates are checked when the layout changes.
const MOST_TEMPLATES: usize = 50;

/// A template file: its path, and its bytes.
type TemplateFile = (String, Vec<u8>);

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) findings: Vec<Finding>,
    /// The languages of a template; the templates on a layout.
    pub(crate) usable: Vec<String>,
}

/// A folder of the bucket and the layout that belongs to it.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) name: String,
    own: Listing,
    layout: Listing,
}

impl Folder {
    pub(crate) async fn list(bucket: &TemplatesBucket, name: &str) -> Result<Self, Unavailable> {
        let own = bucket.list(&format!("{name}/")).await?;
        let layout =
            if name == LAYOUT { Listing::default() } else { bucket.list(&format!("{LAYOUT}/")).await? };
        Ok(Self { name: name.to_owned(), own, layout })
    }

    /// Whether no file is left that a mail could use.
    pub(crate) fn is_empty(&self) -> bool {
        !self.own.files.iter().any(|file| is_of_template(&file.path))
    }

    /// Changes with every upload and deletion that matters to the template.
    pub(crate) fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.own, &self.layout).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether the event of a later change reports on the folder, as it is now, instead of this one.
    ///
    /// A folder that is dragged into the bucket is one event for each file. All of them find the whole folder, and the
    /// one of the newest file reports. Where S3's seconds do not say which is the newest, the path decides.
    pub(crate) fn is_overtaken(&self, upload: &Upload) -> bool {
        let own = self.own.files.iter().find(|file| file.path == upload.key);
        match (&upload.change, own) {
            (Change::Placed { etag }, Some(own)) => {
                let is_later = |file: &StoredFile| (file.modified, &file.path) > (own.modified, &own.path);
                *etag != own.etag || self.own.files.iter().any(is_later)
            }
            // It was deleted since, and its deletion has an event of its own; or it is beyond what was listed.
            (Change::Placed { .. }, None) => !self.own.is_cut_off,
            (Change::Removed, Some(_)) | (Change::OldVersionRemoved, _) => true,
            (Change::Removed, None) => self.own.files.iter().any(|file| file.modified > upload.at),
        }
    }

    /// The bytes of the file that names the owner, where there is one of a sensible size.
    pub(crate) async fn owner_file(&self, bucket: &TemplatesBucket) -> Result<Option<Vec<u8>>, Unavailable> {
        let path = format!("{}/{OWNER_FILE}", self.name);
        let listed = self.own.files.iter().find(|file| file.path == path);
        match listed {
            Some(file) if file.size <= LARGEST_OWNER_FILE => bucket.read(&path).await,
            // It holds something else than an address.
            Some(_) => Ok(Some(b"?".to_vec())),
            None => Ok(None),
        }
    }

    /// Checks the template; of the layout, every template that stands on it.
    pub(crate) async fn check(
        &self,
        bucket: &TemplatesBucket,
        policy: &Policy,
    ) -> Result<Found, Unavailable> {
        if self.name == LAYOUT {
            self.check_layout(bucket, policy).await
        } else {
            self.check_own(bucket, policy).await
        }
    }

    async fn check_own(&self, bucket: &TemplatesBucket, policy: &Policy) -> Result<Found, Unavailable> {
        let mut found = Found::default();
        let mut files = read(bucket, &self.own, &mut found.findings).await?;
        files.extend(read(bucket, &self.layout, &mut Vec::new()).await?);
        let report = check_template(&self.name, &files, policy);
        found.findings.extend(report.findings);
        found.usable = report.locales;
        Ok(found)
    }

    async fn check_layout(&self, bucket: &TemplatesBucket, policy: &Policy) -> Result<Found, Unavailable> {
        let mut found = Found::default();
        let layout = read(bucket, &self.own, &mut found.findings).await?;
        let folders = bucket.folders().await?.into_iter();
        let templates: Vec<_> =
            folders.filter(|folder| folder != LAYOUT && is_template_name(folder)).collect();
        for template in templates.iter().take(MOST_TEMPLATES) {
            let own = bucket.list(&format!("{template}/")).await?;
            let mut files = read(bucket, &own, &mut found.findings).await?;
            if files.is_empty() {
                continue;
            }
            files.extend(layout.iter().cloned());
            let report = check_template(template, &files, policy);
            found.findings.extend(report.findings);
            found.usable.push(template.clone());
        }
        if templates.len() > MOST_TEMPLATES {
            found.findings.push(Finding {
                path: format!("{LAYOUT}/"),
                line: 0,
                severity: Severity::Warning,
                problem: format!("Only the first {MOST_TEMPLATES} templates were checked with this layout."),
                fix: "Upload a file of each other template again to have it checked.".to_owned(),
            });
        }
        Ok(found)
    }
}

/// Whether a Payment Link can name a folder.
fn is_template_name(folder: &str) -> bool {
    TemplateName::try_from(folder.to_owned()).is_ok()
}

/// Whether a file is one that mails are made of.
fn is_of_template(path: &str) -> bool {
    is_template_file(path) && path.split_once('/').is_some_and(|(_, file)| file != OWNER_FILE)
}

/// Reads what mails could use of a folder, and reports what they could not.
async fn read(
    bucket: &TemplatesBucket,
    listing: &Listing,
    findings: &mut Vec<Finding>,
) -> Result<Vec<TemplateFile>, Unavailable> {
    let mut files = Vec::new();
    let texts: Vec<_> = listing.files.iter().filter(|file| is_of_template(&file.path)).collect();
    for file in texts.iter().take(MOST_FILES) {
        if usize::try_from(file.size).map_or(true, |size| size > LARGEST_FILE) {
            findings.push(too_large(&file.path));
        } else if let Some(bytes) = bucket.read(&file.path).await? {
            files.push((file.path.clone(), bytes));
        }
    }
    if let Some(first) = texts.get(MOST_FILES) {
        findings.push(Finding {
            path: first.path.clone(),
            line: 0,
            severity: Severity::Mistake,
            problem: format!(
                "The folder has more than {MOST_FILES} text files. From this one on they were not checked."
            ),
            fix: "Take out of the folder what is not part of the mail.".to_owned(),
        });
    }
    Ok(files)
}

fn too_large(path: &str) -> Finding {
    Finding {
        path: path.to_owned(),
        line: 0,
        severity: Severity::Mistake,
        problem: "The file is larger than 100 KB, so no mail uses it.".to_owned(),
        fix: "Take out what was pasted along, such as pictures or styles of another program.".to_owned(),
    }
}

#[cfg(test)]
mod tests;
