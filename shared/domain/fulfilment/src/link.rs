use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::MetadataKey;
use crate::attribution::publishable;
use crate::file_key::file_keys;
use crate::typed::{bare, is_invisible, is_nearly, latin_lookalike, shown, tidy, unquoted};

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

/// The longest name of what is sold, in characters. A subject line has it.
const LONGEST_SHOWN_AS: usize = 100;

/// What the marketer promised us in the Payment Link's metadata, which Stripe copies to the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkContract {
    /// `fulfilment`: the kind of product.
    pub kind: FulfilmentKind,
    /// `thank_you`: the mail template, when the link names its own.
    pub thank_you: Option<TemplateName>,
    /// A value of `thank_you` that cannot be a name. It stops neither the records nor the thanks, which
    /// then are the kind's own: a session keeps its metadata, so a typing error could never be fixed.
    pub unusable_thank_you: Option<ContractError>,
    /// `files`: the keys of the files that were bought.
    pub files: Vec<String>,
    /// `shown_as`: the name of what is sold, as the customer reads it.
    pub shown_as: Option<String>,
    /// `item`: what analysts count the sale as; by itself the id of the product file that the link was published from.
    pub item: Option<String>,
}

/// A link that carries our marker but breaks the contract. The sentence is for the marketer who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The kind is not one we know. The value itself is the marketer's own text, never a customer's; what cannot be
    /// seen in it is named.
    #[error("metadata key `fulfilment` is \"{0}\"; it must be contribution, download or membership")]
    Kind(String),
    /// The template's name cannot be one.
    #[error("metadata key `thank_you` must be lower-case letters, digits and hyphens, at most 60")]
    TemplateName,
}

impl LinkContract {
    /// The metadata key that marks a link as ours.
    pub const MARKER: &str = MetadataKey::Fulfilment.name();

    /// Every form of the key that is read, the best first. EventBridge matches keys exactly, so the rules list the
    /// same forms (`cdk/lib/event-patterns.ts`): an event is read as ours only where its rule lets it through.
    pub const MARKERS: [&str; 10] = [
        Self::MARKER,
        "fulfillment",
        "fulfilment ",
        " fulfilment",
        "fulfillment ",
        " fulfillment",
        "Fulfilment",
        "Fulfillment",
        "FULFILMENT",
        "FULFILLMENT",
    ];

    /// The metadata key with the id of the product file that a link, a product and a price were published from.
    pub const PUBLISHED_AS: &str = "published_as";

    /// The two spellings that are right.
    const SPELLINGS: [&str; 2] = [Self::MARKER, "fulfillment"];

    /// Whether a metadata key is one of these forms.
    pub fn is_marker(key: &str) -> bool {
        Self::MARKERS.contains(&key)
    }

    /// Reads the contract; `None` when the marker is missing, which means the session is another business's.
    ///
    /// White space, quotes, capitals and characters that show nothing are forgiven: it is all typed by hand. Of several forms
    /// of the key, one whose value is a kind wins over one whose value is none, and of two kinds the one whose form
    /// stands first in [`LinkContract::MARKERS`]: `fulfilment` over `fulfillment`.
    ///
    /// # Errors
    ///
    /// When the marker is there but names no kind we know: then the kind of product is not known.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, ContractError> {
        let mut typed = Self::MARKERS.iter().filter_map(|key| metadata.get(*key)).peekable();
        let Some(first) = typed.peek().copied() else {
            return Ok(None);
        };
        let kind = typed.find_map(|typed| FulfilmentKind::from_typed(typed));
        let kind = kind.ok_or_else(|| ContractError::Kind(shown(first)))?;
        let thank_you = MetadataKey::ThankYou.value_in(metadata).and_then(|typed| tidy(unquoted(typed)));
        let thank_you = thank_you.map(|name| name.to_lowercase());
        let thank_you = thank_you.map(|name| name.replace([' ', '_'], "-"));
        let (thank_you, unusable_thank_you) = match thank_you.map(TemplateName::try_from).transpose() {
            Ok(thank_you) => (thank_you, None),
            Err(error) => (None, Some(error)),
        };
        // A missing file stops neither the thanks nor the records: it is for the function that serves the files.
        let files = file_keys(metadata);
        let shown_as = MetadataKey::ShownAs.value_in(metadata).and_then(|typed| tidy(unquoted(typed)));
        let shown_as = shown_as.map(|name| name.chars().take(LONGEST_SHOWN_AS).collect());
        let published_as = || metadata.get(Self::PUBLISHED_AS).map(String::as_str);
        let item = MetadataKey::Item.value_in(metadata).or_else(published_as);
        let item = item.and_then(tidy).and_then(|item| publishable(&item));
        Ok(Some(Self { kind, thank_you, unusable_thank_you, files, shown_as, item }))
    }

    /// The key of a link's metadata that is nearly the marker, where neither spelling is there. Such a link was most
    /// likely meant to be ours: `Fulfilment`, `fullfilment`, one with a blank or an invisible character in it.
    ///
    /// Only some of these are read ([`LinkContract::MARKERS`]). Keys that merely begin alike (`fulfilment_type`,
    /// `fulfilled`) are another business's.
    pub fn misspelt_marker(metadata: &BTreeMap<String, String>) -> Option<&str> {
        if Self::SPELLINGS.iter().any(|key| metadata.contains_key(*key)) {
            return None;
        }
        metadata.keys().map(String::as_str).find(|key| is_nearly_the_marker(key))
    }
}

impl FulfilmentKind {
    /// The kind that a person typed, whatever the case, blanks and quotes around it, and characters that show nothing.
    pub fn from_typed(typed: &str) -> Option<Self> {
        let word = tidy(unquoted(typed))?.to_lowercase();
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Two letters wrong, missing, too many or swapped are a typing error; three are another word.
const TYPING_ERRORS: usize = 2;

fn is_nearly_the_marker(key: &str) -> bool {
    let latin = |c: char| latin_lookalike(c).unwrap_or(c);
    let letters = bare(&key.chars().filter(|c| !is_invisible(*c)).map(latin).collect::<String>());
    LinkContract::SPELLINGS.iter().any(|spelling| is_nearly(&letters, spelling, TYPING_ERRORS))
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
    fn what_shows_nothing_is_forgiven_in_the_kind() {
        use FulfilmentKind::*;
        for typed in [
            "contribution\u{200b}",
            "\u{feff}contribution",
            "contri\u{ad}bution",
            "\u{a0}Contribution\u{a0}",
            "contribution\n",
            "\tcontribution\r\n",
            "contribution\u{2060}\u{200d}\u{202c}",
        ] {
            check(&[("fulfilment", typed)], Ok(Some((Contribution, None))));
        }
    }

    #[test]
    fn what_shows_nothing_is_shown_where_the_kind_is_wrong() {
        for (typed, shown) in [
            ("donation\u{200b}", "donation[U+200B]"),
            ("contri\u{a0}bution", "contri[U+00A0]bution"),
            ("c\u{43e}ntribution", "c\u{43e}[U+043E]ntribution"),
        ] {
            let metadata = [("fulfilment".to_owned(), typed.to_owned())].into();
            let error = LinkContract::from_metadata(&metadata).unwrap_err();
            assert_eq!(error, ContractError::Kind(shown.to_owned()));
        }
    }

    #[test]
    fn every_form_of_the_marker_is_read_and_the_best_one_wins() {
        use FulfilmentKind::*;
        for key in LinkContract::MARKERS {
            check(&[(key, "membership")], Ok(Some((Membership, None))));
        }
        check(&[("fulfilment", "download"), ("fulfillment", "membership")], Ok(Some((Download, None))));
        check(&[("fulfilment", "donation"), ("fulfillment", "contribution")], Ok(Some((Contribution, None))));
        check(&[("fulfilment", ""), ("Fulfillment", "contribution")], Ok(Some((Contribution, None))));
    }

    #[test]
    fn a_key_that_is_nearly_the_marker_is_noticed() {
        let misspelt = |keys: &[&str]| {
            let metadata = keys.iter().map(|key| ((*key).to_owned(), "contribution".to_owned())).collect();
            LinkContract::misspelt_marker(&metadata).map(str::to_owned)
        };
        for key in [
            "Fulfilment",
            "FULFILLMENT",
            "fulfilment ",
            " fulfillment",
            "fulfilment\u{200b}",
            "\u{feff}fulfilment",
            "fulfilment\u{a0}",
            "FulFilment",
            "fullfilment",
            "fullfillment",
            "fulfilement",
            "fulfiment",
            "fulfilmnet",
            "fufilment",
            "ful filment",
            "ful-filment",
            "fulfilment:",
            "fulfilments",
            "f\u{443}lf\u{456}lm\u{435}nt",
            "\u{ff46}\u{ff55}\u{ff4c}\u{ff46}\u{ff49}\u{ff4c}\u{ff4d}\u{ff45}\u{ff4e}\u{ff54}",
            "fulfilm\u{e9}nt",
        ] {
            assert_eq!(misspelt(&[key]).as_deref(), Some(key));
            assert_eq!(misspelt(&[key, "fulfilment"]), None, "{key} beside the right one");
            assert_eq!(misspelt(&[key, "fulfillment"]), None, "{key} beside the right one");
        }
        let foreign = [
            "fulfilment_type",
            "fulfillment_id",
            "fulfilled",
            "fulfil",
            "fulfiller",
            "order",
            "refilment1",
            "",
        ];
        for key in foreign {
            assert_eq!(misspelt(&[key]), None, "{key}");
        }
    }

    /// The tables of the marketers' own handbook, each a link.
    fn examples() -> Vec<BTreeMap<String, String>> {
        let handbook = include_str!("../../../../docs/PAYMENT-LINKS.md");
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
                assert!(metadata.keys().all(|key| MetadataKey::from_name(key).is_some()), "{metadata:?}");
                LinkContract::from_metadata(metadata).unwrap().unwrap()
            })
            .map(|link| (link.kind, link.files.len()))
            .collect();
        use FulfilmentKind::*;
        assert_eq!(kinds, [(Contribution, 0), (Download, 2), (Membership, 0)]);
    }

    #[test]
    fn reads_the_names_that_customers_and_analysts_read() {
        let read = |metadata: &[(&str, &str)]| {
            let metadata = [("fulfilment", "download")].iter().chain(metadata);
            let metadata = metadata.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let link = LinkContract::from_metadata(&metadata).unwrap().unwrap();
            (link.shown_as, link.item)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(&[]), (None, None));
        assert_eq!(read(&[("shown_as", " The\n guide\u{200b} ")]), (some("The guide"), None));
        assert_eq!(read(&[("shown_as", "\u{200b}"), ("item", " ")]), (None, None));
        assert_eq!(read(&[("shown_as", &"x".repeat(300))]), (Some("x".repeat(100)), None));
        assert_eq!(read(&[("published_as", "guide")]), (None, some("guide")));
        assert_eq!(read(&[("published_as", "guide"), ("Item", "guide-2026")]), (None, some("guide-2026")));
        assert_eq!(read(&[("item", "=1+1")]), (None, some("1+1")));
        assert_eq!(read(&[("item", "ada@example.org")]), (None, None));
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
        for typed in ["../secret", "a/b", "hello!", &too_long] {
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
