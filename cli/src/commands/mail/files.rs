//! The files of mails: on this computer, and in a stage's templates bucket.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::deployment::Deployment;

/// Files with the paths they have in the templates bucket: `gala/en.html`.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// The most files that are read. A mail has six, and a folder of mails some dozens.
const MOST: usize = 2_000;

/// Bytes of a file that are read at most: a larger one cannot be a mail's, and is reported by its size.
const LARGEST: u64 = 1024 * 1024;

/// The files of a folder of mails. Where it is the folder of one mail, also that mail's name.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn files_below(folder: &Path) -> Result<(Files, Option<String>)> {
    ensure!(folder.is_dir(), "there is no folder {}", folder.display());
    let folder = folder.canonicalize().with_context(|| format!("cannot read {}", folder.display()))?;
    let is_one = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(Result::ok)
        .any(|entry| entry.path().is_file() && is_part(&entry.file_name().to_string_lossy()));
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    match (is_one, folder.parent(), name) {
        (true, Some(parent), Some(name)) => {
            let mut files = Files::new();
            read_below(&folder, parent, &mut files)?;
            let layout = parent.join("layout");
            if layout.is_dir() {
                read_below(&layout, parent, &mut files)?;
            }
            Ok((files, Some(name)))
        }
        _ => {
            let mut files = Files::new();
            read_below(&folder, &folder, &mut files)?;
            Ok((files, None))
        }
    }
}

/// Whether a file is named like a part of a mail: after a language.
fn is_part(name: &str) -> bool {
    let ending =
        [".subject.txt", ".html", ".txt", ".md"].into_iter().find_map(|ending| name.strip_suffix(ending));
    ending.is_some_and(|tag| {
        let language = tag.split('-').next().unwrap_or_default();
        (2..=3).contains(&language.len()) && language.chars().all(|c| c.is_ascii_lowercase())
    })
}

fn read_below(folder: &Path, root: &Path, files: &mut Files) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            ensure!(
                files.len() < MOST,
                "{} has more than {MOST} files: is it the right folder?",
                root.display()
            );
            let within: Vec<_> = path.strip_prefix(root)?.iter().map(|part| part.to_string_lossy()).collect();
            if within.len() > 1 {
                let bytes = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                files.push((within.join("/"), bytes));
            }
        }
    }
    files.sort();
    Ok(())
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A mail's files in the templates bucket, and the layouts.
///
/// # Errors
///
/// When the bucket cannot be read.
pub(super) async fn files_in_bucket(deployment: &Deployment, template: &str) -> Result<Files> {
    let bucket = deployment.output("TemplatesBucketName")?;
    let s3 = aws_sdk_s3::Client::new(&deployment.sdk);
    let mut files = Files::new();
    for folder in [template, "layout"] {
        let listed = s3.list_objects_v2().bucket(bucket).prefix(format!("{folder}/")).send().await;
        let listed = listed.context("the templates bucket cannot be listed")?;
        for key in listed.contents().iter().filter_map(|object| object.key()) {
            let object = s3.get_object().bucket(bucket).key(key).send().await;
            let object = object.with_context(|| format!("{key} cannot be read"))?;
            let bytes = object.body.collect().await.with_context(|| format!("{key} cannot be read"))?;
            files.push((key.to_owned(), bytes.to_vec()));
        }
    }
    Ok(files)
}
