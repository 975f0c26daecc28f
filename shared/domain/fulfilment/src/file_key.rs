//! The keys of files as people give them: typed, copied from a list, or copied from the S3 console in one of the
//! forms in which it offers an object's place.

use std::collections::BTreeMap;

use crate::metadata_key::{MetadataKey, ONE_FILE};
use crate::typed::{breaks_lines, distinct, separates, unquoted, value};

/// The folder of the files bucket that customers' files are in. Keys are relative to it.
const FOLDER: &str = "files/";

/// The files that metadata names, of a Payment Link or of a product: `file` names one, `files` several with commas
/// between them. Either may have one a line.
///
/// Keys are relative to the files' own folder. A key copied from the S3 console has the folder in it, which is
/// forgiven. A place copied as an address stays what it is: [`object_key`] says what it means for a bucket.
pub fn file_keys(metadata: &BTreeMap<String, String>) -> Vec<String> {
    // A name with a comma in it can be said with `file` only.
    let one = value(metadata, ONE_FILE).into_iter().flat_map(|typed| typed.split(breaks_lines));
    let several = MetadataKey::Files.value_in(metadata).into_iter().flat_map(|typed| typed.split(separates));
    distinct(one.chain(several).filter_map(tidy_key))
}

/// The key without what surrounds it: blanks, quotes, and the folder. What is inside stays: a joiner holds an emoji together, and two spaces are
/// another name than one.
fn tidy_key(typed: &str) -> Option<String> {
    let key = unquoted(typed);
    let key = key.trim_start_matches('/');
    let key = if is_place(key) { key } else { key.strip_prefix(FOLDER).unwrap_or(key) };
    (!key.is_empty()).then(|| key.to_owned())
}

/// Why a file that is named cannot be handed out. The key is the marketer's own text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileKeyError {
    /// It is in a bucket that is not the files bucket.
    #[error("the file \"{typed}\" is in the bucket \"{bucket}\", not in the files bucket")]
    OtherBucket {
        /// As it was typed.
        typed: String,
        /// Whose file it is.
        bucket: String,
    },
    /// It has an address whose form is not one of S3's.
    #[error("the file \"{typed}\" is an address that names no object of the files bucket")]
    NoObject {
        /// As it was typed.
        typed: String,
    },
    /// A part of the path is `.`, `..` or empty: a browser would ask for another object than the one that was signed.
    #[error("the file \"{typed}\" has an empty part, `.` or `..` in its path")]
    Path {
        /// As it was typed.
        typed: String,
    },
}

/// The key, below the files' folder, of an object of `bucket` that a text of [`file_keys`] names: the key itself, or
/// the object's S3 URI, URL or ARN.
///
/// # Errors
///
/// When it names another bucket, no object, or a path that no browser would ask for.
pub fn object_key(typed: &str, bucket: &str) -> Result<String, FileKeyError> {
    let key = match place(typed, bucket) {
        Some(key) => {
            let key = key?;
            key.strip_prefix(FOLDER).unwrap_or(&key).to_owned()
        }
        None => typed.to_owned(),
    };
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(FileKeyError::Path { typed: typed.to_owned() });
    }
    Ok(key)
}

fn is_place(key: &str) -> bool {
    let lower = key.get(..8).unwrap_or(key).to_ascii_lowercase();
    lower.starts_with("s3://")
        || lower.starts_with("http://")
        || lower.starts_with("https://")
        || (lower.starts_with("arn:aws") && key.contains(":s3:::"))
}

/// The key in an address; `None` for a text that is none.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>
fn place(typed: &str, own: &str) -> Option<Result<String, FileKeyError>> {
    if !is_place(typed) {
        return None;
    }
    let in_bucket = |path: &str| {
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        of_bucket(typed, bucket, own, key)
    };
    if let Some((_, path)) = typed.split_once(":s3:::") {
        return Some(in_bucket(path));
    }
    let (scheme, rest) = typed.split_once("://")?;
    if scheme.eq_ignore_ascii_case("s3") {
        return Some(in_bucket(rest));
    }
    let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.to_ascii_lowercase();
    let path = percent_decoded(path);
    Some(if host.contains("console.aws.") {
        in_console(typed, own, &path, query)
    } else if let Some(bucket) = bucket_of_host(&host) {
        of_bucket(typed, bucket, own, &path)
    } else {
        in_bucket(&path)
    })
}

/// The bucket in a host name like `<bucket>.s3.eu-west-1.amazonaws.com`; `None` where the path names it. A bucket's
/// name may itself have dots, and older host names have a hyphen before the region.
fn bucket_of_host(host: &str) -> Option<&str> {
    let host = host.split(':').next().unwrap_or(host);
    let service = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let at = service.rfind(".s3.").or_else(|| service.rfind(".s3-"));
    let at = at.or_else(|| service.ends_with(".s3").then(|| service.len() - 3))?;
    service.get(..at)
}

/// The address of an object's page in the console: `…/s3/object/<bucket>?region=…&prefix=<key>`.
fn in_console(typed: &str, own: &str, path: &str, query: &str) -> Result<String, FileKeyError> {
    let bucket = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix="));
    of_bucket(typed, bucket, own, &percent_decoded(&prefix.unwrap_or_default().replace('+', "%20")))
}

fn of_bucket(typed: &str, bucket: &str, own: &str, key: &str) -> Result<String, FileKeyError> {
    let typed = typed.to_owned();
    if bucket.is_empty() || key.is_empty() {
        return Err(FileKeyError::NoObject { typed });
    }
    if bucket != own {
        return Err(FileKeyError::OtherBucket { typed, bucket: bucket.to_owned() });
    }
    Ok(key.to_owned())
}

/// The text behind its percent signs. What does not decode stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(key: &str, typed: &str) -> Vec<String> {
        file_keys(&[(key.to_owned(), typed.to_owned())].into())
    }

    #[test]
    fn files_are_separated_by_commas_and_lines() {
        assert_eq!(files("files", "guide.pdf"), ["guide.pdf"]);
        assert_eq!(files("files", " guide.pdf, audio/Guide one.mp3 ,"), ["guide.pdf", "audio/Guide one.mp3"]);
        assert_eq!(
            files("files", "a+b.pdf\n2016–2026.pdf\r\n\tc.pdf"),
            ["a+b.pdf", "2016–2026.pdf", "c.pdf"]
        );
        assert_eq!(files("files", "files/guide.pdf, /guide.pdf, /files/a/b.pdf"), ["guide.pdf", "a/b.pdf"]);
        assert_eq!(files("file", " Guide, second edition.pdf "), ["Guide, second edition.pdf"]);
        assert_eq!(files("file", "a.pdf\nb, c.pdf"), ["a.pdf", "b, c.pdf"]);
        assert_eq!(files("Files ", "a.pdf"), ["a.pdf"]);
        for nothing in ["", " ", "\n", "\u{200b}", "/", "files/"] {
            assert!(files("files", nothing).is_empty() && files("file", nothing).is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn a_key_keeps_what_is_inside_and_loses_what_is_around() {
        assert_eq!(files("files", "\u{feff}👩\u{200d}💻  a.pdf\u{200b}\u{a0}"), ["👩\u{200d}💻  a.pdf"]);
        assert!(!files("file", "a\u{1b}]0;x\u{7}\u{1b}[2J.pdf")[0].contains('\u{1b}'));
    }

    #[test]
    fn every_form_the_console_offers_is_the_key() {
        for typed in [
            "a b+ü.pdf",
            "s3://shop-files/files/a b+ü.pdf",
            "S3://shop-files/a b+ü.pdf",
            "arn:aws:s3:::shop-files/files/a b+ü.pdf",
            "arn:aws-cn:s3:::shop-files/files/a b+ü.pdf",
            "https://shop-files.s3.eu-west-1.amazonaws.com/files/a%20b%2B%C3%BC.pdf",
            "https://shop-files.s3.amazonaws.com/files/a%20b+%C3%BC.pdf?X-Amz-Signature=a%2Fb",
            "https://shop-files.s3.dualstack.eu-west-1.amazonaws.com/files/a%20b+%c3%bc.pdf",
            "https://shop-files.s3-eu-west-1.amazonaws.com/files/a%20b+%C3%BC.pdf#page=2",
            "https://s3.eu-west-1.amazonaws.com/shop-files/files/a%20b+%C3%BC.pdf",
            "https://s3.amazonaws.com/shop-files/files/a%20b%2B%C3%BC.pdf?versionId=x",
            "http://127.0.0.1:4566/shop-files/files/a%20b+%C3%BC.pdf",
            "https://eu-west-1.console.aws.amazon.com/s3/object/shop-files?region=eu-west-1&prefix=files/a+b%2B%C3%BC.pdf",
        ] {
            let [key] = &files("files", typed)[..] else { panic!("{typed}") };
            assert_eq!(object_key(key, "shop-files").as_deref(), Ok("a b+ü.pdf"), "{typed}");
        }
        let dotted =
            object_key("https://files.example.org.s3.eu-west-1.amazonaws.com/a.pdf", "files.example.org");
        assert_eq!(dotted.as_deref(), Ok("a.pdf"));
    }

    #[test]
    fn another_buckets_file_is_refused_by_name() {
        for typed in [
            "s3://theirs/files/a.pdf",
            "arn:aws:s3:::theirs/a.pdf",
            "https://theirs.s3.eu-west-1.amazonaws.com/a.pdf",
            "https://s3.eu-west-1.amazonaws.com/theirs/a.pdf",
            "https://s3.console.aws.amazon.com/s3/object/theirs?prefix=a.pdf",
            "https://theirs/a.pdf",
        ] {
            let refused = object_key(typed, "shop-files").unwrap_err();
            let named = matches!(&refused, FileKeyError::OtherBucket { bucket, .. } if bucket == "theirs");
            assert!(named || typed.starts_with("https://theirs/"), "{typed}: {refused}");
            assert!(refused.to_string().contains(typed));
        }
        for typed in ["s3://shop-files", "s3://shop-files/", "https://shop-files.s3.amazonaws.com/", "s3://"]
        {
            let no_object = FileKeyError::NoObject { typed: typed.to_owned() };
            assert_eq!(object_key(typed, "shop-files"), Err(no_object), "{typed}");
        }
    }

    #[test]
    fn a_path_that_a_browser_would_change_is_refused() {
        for typed in
            ["../a.pdf", "a/../b.pdf", "./a.pdf", "a//b.pdf", "a/", "..", "", "s3://shop-files/files/../x"]
        {
            let refused = FileKeyError::Path { typed: typed.to_owned() };
            assert_eq!(object_key(typed, "shop-files"), Err(refused), "{typed}");
        }
        let decoded = object_key("https://shop-files.s3.amazonaws.com/files/%2e%2e/x", "shop-files");
        assert!(matches!(decoded, Err(FileKeyError::Path { .. })));
        for typed in ["...", "a..b/.c", "http.pdf", "s3.pdf", "arn:x.pdf"] {
            assert_eq!(object_key(typed, "shop-files").as_deref(), Ok(typed));
        }
    }
}
