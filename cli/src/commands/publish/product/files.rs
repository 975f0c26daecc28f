//! The files and the image that a product file names, on this machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use fulfilment::file_keys;
use sha2::{Digest as _, Sha256};
use toml::de::DeValue;

use super::table::Fields;
use super::{HOMES, Image, LONGEST_ADDRESS, Line, LocalFile};
use crate::commands::publish::bucket::{LARGEST_UPLOAD, Sha256Sum};

/// What Stripe takes as a logo, which is what a product's image is uploaded as.
/// <https://docs.stripe.com/file-upload#uploading-a-file>
pub(super) const LARGEST_IMAGE: usize = 512 * 1024;

/// The tables `[[files]]`. What is wrong is in the findings.
pub(super) fn read(fields: &mut Fields<'_, '_>, id: &str, folder: &Path) -> Vec<LocalFile> {
    let findings = fields.findings();
    let mut files: Vec<LocalFile> = Vec::new();
    let Some((at, value)) = fields.take("files") else { return files };
    const HOW: &str =
        "write [[files]], with two brackets, above each file, and below it path = \"guide.pdf\"";
    let DeValue::Array(entries) = value else {
        findings.error(&at, HOW);
        return files;
    };
    for entry in entries {
        let at = entry.span();
        let DeValue::Table(entry) = entry.into_inner() else {
            findings.error(&at, HOW);
            continue;
        };
        let mut entry = Fields::new(findings, "[[files]]", at, entry);
        let path = entry.needed_text("path", "guide.pdf");
        let key = entry.text("key");
        entry.finish(&["path", "key"], HOMES);
        let Some((place, Line::<LONGEST_ADDRESS>(path))) = path else { continue };
        match local_file(id, folder, &path, key.map(|(_, key)| key)) {
            Ok(file) if files.iter().any(|other| other.key == file.key) => {
                findings
                    .error(&place, format!("two files have the key {}; give one another `key`", file.key));
            }
            Ok(file) => files.push(file),
            Err(problem) => findings.error(&place, problem),
        }
    }
    files
}

/// A file to be sold, by its path from the product file's folder.
fn local_file(id: &str, folder: &Path, path: &str, key: Option<Line>) -> Result<LocalFile, String> {
    let path = folder.join(path);
    let shown = path.display();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let key = key.map_or_else(|| format!("{id}/{name}"), |key| key.0);
    check_key(id, &key)?;
    let (size, sha256) =
        digest(&path).map_err(|error| format!("{shown} cannot be read: {}", in_words(&error)))?;
    match size {
        0 => Err(format!("{shown} is empty")),
        size if size > LARGEST_UPLOAD => Err(format!(
            "{shown} is larger than 5 GiB, the most that is uploaded at once: put it into the bucket by other \
             means, and name it with `files` on a link of your own"
        )),
        size => Ok(LocalFile { path, key, size, sha256 }),
    }
}

/// A key must stay in the folder, and come out of the link's metadata as it went in.
fn check_key(id: &str, key: &str) -> Result<(), String> {
    let inside = key.split('/').all(|part| !["", ".", ".."].contains(&part)) && !key.contains('\\');
    if !inside {
        let name = key.rsplit(['/', '\\']).find(|part| !["", ".", ".."].contains(part)).unwrap_or("file.pdf");
        return Err(format!("the key {key} leads out of the bucket's folder: write it as {id}/{name}"));
    }
    let metadata = BTreeMap::from([("files".to_owned(), key.to_owned())]);
    if file_keys(&metadata) != [key] {
        return Err(format!(
            "the key {key} cannot be named on a link: no commas, no spaces around it, and without `files/`"
        ));
    }
    Ok(())
}

/// The size and the SHA-256 of a file, whatever its size.
fn digest(path: &Path) -> std::io::Result<(u64, Sha256Sum)> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut size = 0;
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((size, Sha256Sum(sha256.finalize().into()))),
            read => {
                size += read as u64;
                sha256.update(&buffer[..read]);
            }
        }
    }
}

/// What customers see, on this machine or on the web.
pub(super) fn local_image(folder: &Path, image: &str) -> Result<Image, String> {
    if image.starts_with("https://") {
        return match image.contains(char::is_whitespace) {
            true => Err(format!("the address {image} has a space in it: write it as %20")),
            false => Ok(Image::Address(image.to_owned())),
        };
    }
    if image.starts_with("http://") {
        return Err(format!("{image} cannot be read by customers' browsers: give an `https://` address"));
    }
    let path = folder.join(image);
    let shown = path.display();
    let bytes =
        std::fs::read(&path).map_err(|error| format!("{shown} cannot be read: {}", in_words(&error)))?;
    let content_type = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        _ => return Err(format!("{shown} is no PNG, JPEG or GIF, which Stripe takes")),
    };
    if bytes.len() > LARGEST_IMAGE {
        return Err(format!(
            "{shown} is larger than 512 KiB, the most Stripe takes: make it smaller, or give its `https://` address"
        ));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("image").to_owned();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    Ok(Image::File { name, content_type, bytes, sha256 })
}

/// Why a file cannot be read, for somebody who has it open in a folder.
fn in_words(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        return "there is no such file; paths begin at the folder of the product file".to_owned();
    }
    error.to_string()
}
