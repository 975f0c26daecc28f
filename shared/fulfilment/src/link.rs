use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attribution::split;

/// What a Payment Link sells: the value of its metadata key `fulfilment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FulfilmentKind {
    /// A donation.
    Contribution,
    /// One or more files.
    Download,
    /// Access for a time.
    Membership,
}

impl FulfilmentKind {
    /// Every kind, in the order they are listed to people.
    pub const ALL: [Self; 3] = [Self::Contribution, Self::Download, Self::Membership];

    /// The value as a marketer types it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contribution => "contribution",
            Self::Download => "download",
            Self::Membership => "membership",
        }
    }
}

impl fmt::Display for FulfilmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a mail template: lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateName(String);

impl TemplateName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TemplateName {
    type Error = ContractError;

    fn try_from(name: String) -> Result<Self, ContractError> {
        // A template name becomes part of a path, so nothing but a plain slug may pass.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 60 || !name.chars().all(plain) {
            return Err(ContractError::TemplateName);
        }
        Ok(Self(name))
    }
}

impl From<TemplateName> for String {
    fn from(name: TemplateName) -> Self {
        name.0
    }
}

/// What the marketer promised us in the Payment Link's metadata, which Stripe copies to the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkContract {
    /// `fulfilment`: what was sold.
    pub kind: FulfilmentKind,
    /// `thank_you`: the mail template, when the link names its own.
    pub thank_you: Option<TemplateName>,
    /// What was typed into `thank_you` and cannot be a name. It stops neither the records nor the thanks, which
    /// then are the kind's own: a session keeps its metadata, so a typing error could never be mended.
    pub unusable_thank_you: Option<ContractError>,
    /// `files`: the keys of the files that were bought.
    pub files: Vec<String>,
}

/// A link that carries our marker but breaks the contract. The sentence is for the marketer who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The kind is not one we know. The value itself is the marketer's own text, never a customer's.
    #[error("metadata key `fulfilment` is \"{0}\"; it must be contribution, download or membership")]
    Kind(String),
    /// The template's name cannot be one.
    #[error("metadata key `thank_you` must be lower-case letters, digits and hyphens, at most 60")]
    TemplateName,
}

impl LinkContract {
    /// The metadata key that marks a link as ours.
    pub const MARKER: &str = "fulfilment";

    /// The marker as it is spelled in the United States. Forwarded, so that the mistake can be seen.
    const MARKER_IN_THE_US: &str = "fulfillment";

    /// Whether a metadata key marks a link as ours, or was meant to: capitals, white space and the other spelling do
    /// not make it another business's.
    pub fn is_marker(key: &str) -> bool {
        let key = key.trim();
        [Self::MARKER, Self::MARKER_IN_THE_US].iter().any(|marker| key.eq_ignore_ascii_case(marker))
    }

    /// Reads the contract; `None` when the marker is missing, which means the session is somebody else's.
    ///
    /// White space and capitals are forgiven: it is all typed by hand.
    ///
    /// # Errors
    ///
    /// When the marker is there but says nothing we know: then nobody can tell what was sold.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, ContractError> {
        let Some(marker) = metadata.get(Self::MARKER) else {
            return Ok(None);
        };
        let typed = marker.trim().to_lowercase();
        let kind = FulfilmentKind::ALL.into_iter().find(|kind| kind.as_str() == typed);
        let kind = kind.ok_or_else(|| ContractError::Kind(marker.chars().take(40).collect()))?;
        let thank_you = metadata.get("thank_you").map(|name| name.trim().to_lowercase());
        let thank_you = thank_you.filter(|name| !name.is_empty()).map(|name| name.replace([' ', '_'], "-"));
        let (thank_you, unusable_thank_you) = match thank_you.map(TemplateName::try_from).transpose() {
            Ok(thank_you) => (thank_you, None),
            Err(error) => (None, Some(error)),
        };
        // A missing file stops neither the thanks nor the records: it is for whoever hands the files out.
        let files = file_keys(metadata);
        Ok(Some(Self { kind, thank_you, unusable_thank_you, files }))
    }
}

/// The files that metadata names, of a Payment Link or of a product: `file` names one, `files` several with commas
/// between them.
///
/// Keys are told from the files' own folder. Whoever copies one from the S3 console copies the folder too, which is
/// forgiven.
pub fn file_keys(metadata: &BTreeMap<String, String>) -> Vec<String> {
    let one = metadata.get("file").map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    let several = metadata.get("files").map_or_else(Vec::new, |keys| split(keys));
    let mut keys: Vec<String> = Vec::new();
    for typed in one.into_iter().chain(several) {
        let key = typed.trim_start_matches('/');
        let key = key.strip_prefix("files/").unwrap_or(key).to_owned();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metadata: &[(&str, &str)], expected: Result<Option<(FulfilmentKind, Option<&str>)>, &str>) {
        let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let read = LinkContract::from_metadata(&metadata);
        let read = read.map(|link| link.map(|link| (link.kind, link.thank_you.map(String::from))));
        let expected = expected.map(|link| link.map(|(kind, name)| (kind, name.map(str::to_owned))));
        assert_eq!(read.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn reads_what_a_marketer_types() {
        use FulfilmentKind::*;
        check(&[], Ok(None));
        check(&[("order_id", "42")], Ok(None));
        check(&[("fulfilment", "contribution")], Ok(Some((Contribution, None))));
        check(&[("fulfilment", " Download ")], Ok(Some((Download, None))));
        check(&[("fulfilment", "membership"), ("thank_you", "")], Ok(Some((Membership, None))));
        check(
            &[("fulfilment", "contribution"), ("thank_you", "Autumn-2026")],
            Ok(Some((Contribution, Some("autumn-2026")))),
        );
        check(
            &[("fulfilment", "contribution"), ("thank_you", " Autumn 2026 ")],
            Ok(Some((Contribution, Some("autumn-2026")))),
        );
    }

    #[test]
    fn lists_the_files_that_were_bought() {
        let files = |typed: &str| {
            let metadata =
                [("fulfilment", "download"), ("files", typed)].map(|(k, v)| (k.to_owned(), v.to_owned()));
            LinkContract::from_metadata(&metadata.into()).unwrap().unwrap().files
        };
        assert_eq!(files("guide.pdf"), ["guide.pdf"]);
        assert_eq!(files(" guide.pdf, audio/Guide one.mp3 ,"), ["guide.pdf", "audio/Guide one.mp3"]);
        assert_eq!(files("files/guide.pdf, /guide.pdf, /files/a/b.pdf"), ["guide.pdf", "a/b.pdf"]);
        assert!(files(" ").is_empty());
        let product = [("file", " Guide, second edition.pdf "), ("files", "guide.epub")];
        let product = product.map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(file_keys(&product.into()), ["Guide, second edition.pdf", "guide.epub"]);
    }

    /// The tables of the marketers' own handbook, each a link.
    fn examples() -> Vec<BTreeMap<String, String>> {
        let handbook = include_str!("../../../docs/PAYMENT-LINKS.md");
        let tables = handbook.split("| key | value |\n|---|---|\n").skip(1);
        let row = |line: &str| {
            let line = line.strip_prefix("| `")?.strip_suffix("` |")?;
            line.split_once("` | `").map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        tables.map(|table| table.lines().map_while(row).collect()).collect()
    }

    #[test]
    fn the_examples_of_the_handbook_are_right() {
        let kinds: Vec<_> = examples()
            .iter()
            .map(|metadata| {
                let known = ["fulfilment", "campaign", "source", "component", "component_type"];
                let known = [&known[..], &["labels", "ab_test", "thank_you", "files"]].concat();
                assert!(metadata.keys().all(|key| known.contains(&key.as_str())), "{metadata:?}");
                LinkContract::from_metadata(metadata).unwrap().unwrap()
            })
            .map(|link| (link.kind, link.files.len()))
            .collect();
        use FulfilmentKind::*;
        assert_eq!(kinds, [(Contribution, 0), (Download, 2), (Membership, 0)]);
    }

    #[test]
    fn names_the_key_and_the_allowed_values() {
        let kinds = |value: &str| {
            format!(
                "metadata key `fulfilment` is \"{value}\"; it must be contribution, download or membership"
            )
        };
        check(&[("fulfilment", "donation")], Err(&kinds("donation")));
        check(&[("fulfilment", "")], Err(&kinds("")));
    }

    #[test]
    fn a_thank_you_that_cannot_be_a_name_stops_nothing() {
        let too_long = "a".repeat(61);
        for typed in ["../secret", "a\r\nb", "hello!", &too_long] {
            let metadata =
                [("fulfilment", "download"), ("thank_you", typed)].map(|(k, v)| (k.to_owned(), v.to_owned()));
            let link = LinkContract::from_metadata(&metadata.into()).unwrap().unwrap();
            assert_eq!((link.kind, &link.thank_you), (FulfilmentKind::Download, &None), "{typed}");
            assert_eq!(
                link.unusable_thank_you.unwrap().to_string(),
                "metadata key `thank_you` must be lower-case letters, digits and hyphens, at most 60"
            );
        }
    }
}
