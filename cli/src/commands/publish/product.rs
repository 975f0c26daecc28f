//! A product file: what a marketer says is sold, checked before anything is changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use fulfilment::{Arity, Concern, FulfilmentKind, LinkContract, MetadataKey, Money, TemplateName, file_keys};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml::Spanned;

use super::bucket::{LARGEST_UPLOAD, Sha256Sum};
use super::price::Price;

/// The product to sell.
#[derive(Debug)]
pub(crate) struct Product {
    /// Ours, and the same for ever: by it the product is found again.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) image: Option<Image>,
    pub(crate) price: Money,
    pub(crate) files: Vec<LocalFile>,
    /// The link's, as the link contract wants it.
    pub(crate) metadata: BTreeMap<&'static str, String>,
    pub(crate) checkout: Checkout,
}

/// A file on this machine, and where it shall be.
#[derive(Debug)]
pub(crate) struct LocalFile {
    pub(crate) path: PathBuf,
    /// Inside the folder of the bucket.
    pub(crate) key: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) sha256: Sha256Sum,
}

/// What customers see beside the product's name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// Somewhere on the web.
    Address(String),
    /// To be kept by Stripe.
    File { name: String, content_type: &'static str, bytes: Vec<u8>, sha256: String },
}

/// How the payment page shall be. Settings that are left out stay as they are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkout {
    pub(crate) promotion_codes: Option<bool>,
    pub(crate) billing_address: Option<bool>,
    pub(crate) automatic_tax: Option<bool>,
    pub(crate) promotions_box: Option<bool>,
    pub(crate) marketing: Option<Marketing>,
}

/// A question of one's own: may we write to you?
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Marketing {
    pub(crate) question: Label,
    #[serde(default = "yes")]
    pub(crate) yes: Label,
    #[serde(default = "no")]
    pub(crate) no: Label,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Slug,
    name: Line<LONGEST_NAME>,
    description: Option<Line<LONGEST_DESCRIPTION>>,
    image: Option<Spanned<Line<LONGEST_ADDRESS>>>,
    /// As in a link's metadata, in either spelling.
    #[serde(alias = "fulfillment")]
    fulfilment: Spanned<FulfilmentKind>,
    thank_you: Option<TemplateName>,
    price: Price,
    #[serde(default)]
    files: Vec<Entry>,
    /// What analysts read: the keys of the link contract that are about where a sale came from.
    #[serde(default)]
    link: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    #[serde(default)]
    checkout: Checkout,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: Spanned<Line>,
    key: Option<Line>,
}

/// A text that says something, on one line, of at most so many characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Line<const MOST: usize = { usize::MAX }>(pub(crate) String);

/// What a custom field or one of its answers is called.
pub(crate) type Label = Line<LONGEST_LABEL>;

/// A value of metadata.
type Value = Line<LONGEST_METADATA>;

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Slug(String);

/// The metadata key of a Payment Link, and of a price, that says which product file it was made of.
pub(crate) const PUBLISHED_AS: &str = LinkContract::PUBLISHED_AS;

/// A value of metadata. Keys have room for 40 characters and objects for 50 keys, and ours are short and few.
/// <https://docs.stripe.com/api/metadata>
const LONGEST_METADATA: usize = 500;

/// The label of a custom field, and of an option of its dropdown.
/// <https://docs.stripe.com/api/payment-link/create#create_payment_link-custom_fields-label-custom>
const LONGEST_LABEL: usize = 100;

/// A product's name. <https://docs.stripe.com/changelog#2018-10-31>
const LONGEST_NAME: usize = 250;

/// A product's description. <https://docs.stripe.com/api/products/create>
const LONGEST_DESCRIPTION: usize = 40_000;

/// An address that Stripe is given.
const LONGEST_ADDRESS: usize = 2_048;

/// What Stripe takes as a logo, which is what a product's image is uploaded as.
/// <https://docs.stripe.com/file-upload#uploading-a-file>
const LARGEST_IMAGE: usize = 512 * 1024;

impl Product {
    /// Reads a product file, and the files that it names.
    ///
    /// # Errors
    ///
    /// With everything that is wrong, if anything is.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        Self::parse(&text, folder).with_context(|| format!("{} says what cannot be", file.display()))
    }

    /// `folder` is where the paths in the text begin.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self> {
        let written: Written = toml::from_str(text)?;
        let mut problems = Vec::new();
        let mut or_problem = |place: Range<usize>, result: Result<(), String>| {
            problems.extend(
                result.err().map(|problem| format!("line {}: {problem}", line_of(text, place.start))),
            );
        };
        let id = written.id.0;
        let kind = *written.fulfilment.get_ref();
        let mut files: Vec<LocalFile> = Vec::new();
        let mut last_file = written.fulfilment.span();
        for Entry { path, key } in written.files {
            last_file = path.span();
            match local_file(&id, folder, &path.get_ref().0, key) {
                Ok(file) if files.iter().any(|other| other.key == file.key) => {
                    let problem = format!("two files have the key {}; give one another `key`", file.key);
                    or_problem(path.span(), Err(problem));
                }
                Ok(file) => files.push(file),
                Err(problem) => or_problem(path.span(), Err(problem)),
            }
        }
        let named = files.iter().map(|file| file.key.as_str()).collect::<Vec<_>>().join(",");
        or_problem(last_file.clone(), fits("files", &named, "give the files shorter keys"));
        let image = written.image.and_then(|image| {
            let read = local_image(folder, &image.get_ref().0);
            read.map_err(|problem| or_problem(image.span(), Err(problem))).ok()
        });
        let mut metadata: BTreeMap<_, _> = [
            (LinkContract::MARKER, kind.to_string()),
            (MetadataKey::ThankYou.name(), written.thank_you.map(String::from).unwrap_or_default()),
            (MetadataKey::Files.name(), named),
            (MetadataKey::ShownAs.name(), written.name.0.clone()),
            (PUBLISHED_AS, id.clone()),
        ]
        .into();
        for (name, value) in written.link {
            match attribution(name.get_ref(), value.get_ref()) {
                Ok((key, value)) => {
                    metadata.insert(key.name(), value);
                }
                Err(problem) => or_problem(name.span(), Err(problem)),
            }
        }
        metadata.retain(|_, value| !value.is_empty());
        or_problem(last_file, check_files(kind, &files));
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(Self {
            id,
            name: written.name.0,
            description: written.description.map(|text| text.0),
            image,
            price: written.price.0,
            files,
            metadata,
            checkout: written.checkout,
        })
    }
}

/// A key and its value from the table `link`.
fn attribution(name: &str, value: &toml::Value) -> Result<(MetadataKey, String), String> {
    let Some(key) = MetadataKey::from_name(name).filter(|key| key.concern() == Concern::Attribution) else {
        let names: Vec<_> =
            MetadataKey::about(Concern::Attribution).map(|key| format!("`{}`", key.name())).collect();
        return Err(format!("[link] has no field `{name}`: it takes {}", names.join(", ")));
    };
    let text = |value: &toml::Value| {
        let text = value.as_str().ok_or_else(|| format!("`{name}` must be text in quotes"))?;
        Value::try_from(text.to_owned()).map(|line| line.0).map_err(|problem| format!("`{name}`: {problem}"))
    };
    let value = match (value, key.arity()) {
        (toml::Value::Array(values), Arity::Several) => {
            let values = values.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            if values.iter().any(|value| value.contains(',')) {
                return Err(format!("one of `{name}` has a comma in it: commas separate one from the next"));
            }
            values.join(",")
        }
        (toml::Value::Array(_), Arity::One) => {
            return Err(format!("`{name}` takes one text, and no list"));
        }
        (value, Arity::One | Arity::Several) => text(value)?,
    };
    fits(name, &value, "give fewer or shorter ones").map(|()| (key, value))
}

/// The number of the line, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Whether a value that is put together has room in metadata.
fn fits(key: &str, value: &str, fix: &str) -> Result<(), String> {
    match value.chars().count() {
        0..=LONGEST_METADATA => Ok(()),
        length => Err(format!(
            "`{key}` has {length} characters together, longer than Stripe's {LONGEST_METADATA} characters; {fix}"
        )),
    }
}

/// A download hands files out, and nothing else does.
fn check_files(kind: FulfilmentKind, files: &[LocalFile]) -> Result<(), String> {
    match kind {
        FulfilmentKind::Download if files.is_empty() => {
            Err("a download needs at least one table [[files]]".to_owned())
        }
        FulfilmentKind::Contribution | FulfilmentKind::Membership if !files.is_empty() => {
            Err(format!("a {kind} hands out no files: only a download does"))
        }
        FulfilmentKind::Download | FulfilmentKind::Contribution | FulfilmentKind::Membership => Ok(()),
    }
}

fn local_file(id: &str, folder: &Path, path: &str, key: Option<Line>) -> Result<LocalFile, String> {
    let path = folder.join(path);
    let shown = path.display();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let key = key.map_or_else(|| format!("{id}/{name}"), |key| key.0);
    check_key(&key)?;
    let (size, sha256) = digest(&path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
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
fn check_key(key: &str) -> Result<(), String> {
    let inside = key.split('/').all(|part| !["", ".", ".."].contains(&part)) && !key.contains('\\');
    if !inside {
        return Err(format!("the key {key} leads out of the bucket's folder: write it as guide/guide.pdf"));
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

fn local_image(folder: &Path, image: &str) -> Result<Image, String> {
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
    let bytes = std::fs::read(&path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
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

impl<const MOST: usize> TryFrom<String> for Line<MOST> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty; leave it out instead".to_owned());
        }
        if text.chars().any(char::is_control) {
            return Err("it must be one line, without control characters".to_owned());
        }
        let length = text.chars().count();
        if length > MOST {
            return Err(format!(
                "it has {length} characters, longer than Stripe's {MOST} characters: take {} out",
                length - MOST
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Slug {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 60 || !text.bytes().all(plain) {
            return Err("an id is lower-case letters, digits and hyphens, at most 60");
        }
        Ok(Self(text))
    }
}

fn yes() -> Label {
    Line("Yes".to_owned())
}

fn no() -> Label {
    Line("No".to_owned())
}

#[cfg(test)]
mod tests;
