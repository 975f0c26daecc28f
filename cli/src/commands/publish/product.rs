//! A product file: what a marketer says is sold, checked before anything is changed.
//!
//! ```text
//! text ─ syntax ─▶ table ─ fields, one by one ─▶ Product
//!          └──────────┴────────────────────────▶ Problems, all at once, each with its line
//! ```

mod checkout;
mod files;
mod link;
mod syntax;
mod table;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub(crate) use self::checkout::Checkout;
use self::files::local_image;
use self::link::fits;
use self::table::Findings;
pub(crate) use self::table::{Fields, Problem, number_in, text_in};
use super::bucket::Sha256Sum;
use super::price::{Amount, Price};
use anyhow::{Context as _, Result, bail};
use fulfilment::{FulfilmentKind, LinkContract, MetadataKey, Policy, TemplateName, is_nearly};

/// The product to sell.
#[derive(Debug)]
pub(crate) struct Product {
    /// Ours, and the same for ever: by it the product is found again.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) image: Option<Image>,
    pub(crate) price: Price,
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

/// A text that says something, on one line, of at most so many characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line<const MOST: usize = { usize::MAX }>(pub(crate) String);

/// What came of reading a product file.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The product; none when anything is wrong.
    pub(crate) product: Option<Product>,
    /// Everything that is wrong or odd, by line.
    pub(crate) problems: Vec<Problem>,
}

/// The metadata key of a Payment Link, and of a price, that says which product file it was made of.
pub(crate) const PUBLISHED_AS: &str = LinkContract::PUBLISHED_AS;

/// The fields at the top of the file.
const FIELDS: [&str; 10] =
    ["id", "name", "description", "image", "fulfilment", "thank_you", "price", "files", "link", "checkout"];

/// Where fields belong that are easily put into another table. Whatever follows a table's name is in that table.
pub(crate) const HOMES: &[(&str, &str)] = &[
    ("id", ""),
    ("name", ""),
    ("title", ""),
    ("description", ""),
    ("image", ""),
    ("fulfilment", ""),
    ("fulfillment", ""),
    ("thank_you", ""),
    ("amount", "[price]"),
    ("currency", "[price]"),
    ("customer_chooses", "[price]"),
    ("every", "[price]"),
    ("trial_days", "[price]"),
    ("path", "[[files]]"),
    ("key", "[[files]]"),
    ("campaign", "[link]"),
    ("source", "[link]"),
    ("component", "[link]"),
    ("component_type", "[link]"),
    ("labels", "[link]"),
    ("ab_test", "[link]"),
    ("item", "[link]"),
    ("promotion_codes", "[checkout]"),
    ("billing_address", "[checkout]"),
    ("automatic_tax", "[checkout]"),
    ("promotions_box", "[checkout]"),
    ("marketing", "[checkout]"),
];

/// A value of metadata. Keys have room for 40 characters and objects for 50 keys, and ours are short and few.
/// <https://docs.stripe.com/api/metadata>
const LONGEST_METADATA: usize = 500;

/// The longest name that a mail shows whole (`shown_as` of the link contract).
const LONGEST_SHOWN: usize = 100;

/// A product's name. <https://docs.stripe.com/changelog#2018-10-31>
const LONGEST_NAME: usize = 250;

/// A product's description. <https://docs.stripe.com/api/products/create>
const LONGEST_DESCRIPTION: usize = 40_000;

/// An address that Stripe is given.
const LONGEST_ADDRESS: usize = 2_048;

impl Product {
    /// Reads a product file, and the files that it names. No network, no key, no stage.
    ///
    /// # Errors
    ///
    /// When the file itself cannot be read.
    pub(crate) fn check(file: &Path, policy: &Policy) -> Result<Checked> {
        let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let text = text_of(bytes).with_context(|| {
            format!(
                "{} is no plain text: save it as plain text, in UTF-8, with the name guide.toml",
                file.display()
            )
        })?;
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        Ok(Self::read(&text, folder, policy))
    }

    /// `folder` is where the paths in the text begin.
    pub(crate) fn read(text: &str, folder: &Path, policy: &Policy) -> Checked {
        let (table, unreadable) = syntax::parse(text);
        let findings = Findings::new(text, unreadable);
        let product = read_product(Fields::new(&findings, "", 0..0, table), folder, policy);
        let problems = findings.into_problems();
        let is_sound = problems.iter().all(|problem| problem.is_warning);
        Checked { product: product.filter(|_| is_sound), problems }
    }
}

impl Checked {
    /// The product, with what is odd about its file.
    ///
    /// # Errors
    ///
    /// With everything that is wrong, if anything is.
    pub(crate) fn sound(self, file: &Path) -> Result<(Product, Vec<Problem>)> {
        let Some(product) = self.product else {
            let errors = self.problems.iter().filter(|problem| !problem.is_warning);
            let errors: Vec<_> =
                errors.map(|problem| format!("line {}: {}", problem.line, problem.text)).collect();
            bail!("{} cannot be published:\n{}", file.display(), errors.join("\n"));
        };
        Ok((product, self.problems))
    }
}

/// Text in UTF-8, with or without a byte order mark; `None` for a document of a word processor, or another encoding.
fn text_of(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    (!text.contains('\0') && !text.starts_with("{\\rtf")).then_some(text)
}

/// Reads the file, field by field, then what its fields say together.
fn read_product(mut fields: Fields<'_, '_>, folder: &Path, policy: &Policy) -> Option<Product> {
    let findings = fields.findings();
    let id = fields.needed_text::<LONGEST_METADATA>("id", "guide");
    let id = id.and_then(|(at, id)| findings.keep(&at, slug(&id.0)));
    let name = name(&mut fields);
    let description = fields.text::<LONGEST_DESCRIPTION>("description").map(|(_, text)| text.0);
    let image = fields.text::<LONGEST_ADDRESS>("image");
    let image = image.and_then(|(at, image)| findings.keep(&at, local_image(folder, &image.0)));
    let kind = kind(&mut fields);
    let thank_you = fields.text::<LONGEST_METADATA>("thank_you");
    let thank_you = thank_you.and_then(|(at, name)| findings.keep(&at, template(&name.0)));
    let price_at = fields.place_of("price");
    const PRICE: &str = "[price], and below it amount = 1250 and currency = \"gbp\"";
    fields.needs("price", PRICE);
    let price = fields.table("price", "[price]", PRICE).and_then(Price::read);
    let files_at = fields.has("files").then(|| fields.place_of("files"));
    let files = files::read(&mut fields, id.as_deref().unwrap_or("guide"), folder);
    let link = fields.table("link", "[link]", "[link], and below it campaign = \"autumn-2026\"");
    let link = link.map(|link| link::read(link, policy)).unwrap_or_default();
    let checkout_at = fields.place_of("checkout");
    let checkout = fields.table("checkout", "[checkout]", "[checkout], and below it promotion_codes = true");
    let checkout = checkout.map(|checkout| Checkout::read(checkout, policy)).unwrap_or_default();
    fields.finish(&FIELDS, HOMES);

    let (kind_at, kind) = kind?;
    let named = files.iter().map(|file| file.key.as_str()).collect::<Vec<_>>().join(",");
    match (kind, files_at) {
        (FulfilmentKind::Download, None) => {
            findings.missing(&kind_at, "a download needs at least one table [[files]], with a `path`");
        }
        (FulfilmentKind::Download, Some(at)) => {
            findings.keep(&at, fits("files", &named, "give the files shorter keys"));
        }
        (_, Some(at)) => findings.error(&at, format!("a {kind} hands out no files: only a download does")),
        (_, None) => {}
    }
    if let Some(price) = &price {
        findings.keep(&price_at, check_price(kind, price));
        findings.keep(&checkout_at, check_codes(price, &checkout));
    }
    let id = id?;
    let name = name?;
    let own = [
        (LinkContract::MARKER, kind.to_string()),
        (MetadataKey::ThankYou.name(), thank_you.map(String::from).unwrap_or_default()),
        (MetadataKey::Files.name(), named),
        (MetadataKey::ShownAs.name(), name.clone()),
        (PUBLISHED_AS, id.clone()),
    ];
    let mut metadata: BTreeMap<_, _> = own.into_iter().chain(link).collect();
    metadata.retain(|_, value| !value.is_empty());
    Some(Product { id, name, description, image, price: price?, files, metadata, checkout })
}

fn name(fields: &mut Fields<'_, '_>) -> Option<String> {
    let (at, Line(name)) = fields.needed_text::<LONGEST_NAME>("name", "The guide")?;
    if name.chars().count() > LONGEST_SHOWN {
        let text =
            format!("mails show the first {LONGEST_SHOWN} characters of a name, and this one has more");
        fields.findings().warn(&at, text);
    }
    Some(name)
}

/// Words that say another kind than they are, in the languages of the mails.
const KINDS: [(&str, FulfilmentKind); 14] = [
    ("donation", FulfilmentKind::Contribution),
    ("gift", FulfilmentKind::Contribution),
    ("spende", FulfilmentKind::Contribution),
    ("don", FulfilmentKind::Contribution),
    ("file", FulfilmentKind::Download),
    ("files", FulfilmentKind::Download),
    ("pdf", FulfilmentKind::Download),
    ("product", FulfilmentKind::Download),
    ("sale", FulfilmentKind::Download),
    ("subscription", FulfilmentKind::Membership),
    ("abo", FulfilmentKind::Membership),
    ("member", FulfilmentKind::Membership),
    ("mitgliedschaft", FulfilmentKind::Membership),
    ("adhésion", FulfilmentKind::Membership),
];

/// The kind, under either spelling, as a link's metadata may have it.
fn kind(fields: &mut Fields<'_, '_>) -> Option<(Range<usize>, FulfilmentKind)> {
    let findings = fields.findings();
    let ours = fields.text::<LONGEST_METADATA>("fulfilment");
    let other = fields.text::<LONGEST_METADATA>("fulfillment");
    if let (Some(_), Some((at, _))) = (&ours, &other) {
        findings.error(at, "`fulfilment` is there in both spellings: take this one out");
    }
    let Some((at, Line(typed))) = ours.or(other) else {
        fields.needs("fulfilment", "fulfilment = \"download\", or \"contribution\", or \"membership\"");
        return None;
    };
    let meant = typed.to_lowercase();
    let near = || FulfilmentKind::ALL.into_iter().find(|kind| is_nearly(&meant, kind.as_str(), 2));
    let by_word = || KINDS.iter().find(|(word, _)| *word == meant).map(|(_, kind)| *kind);
    let kind = FulfilmentKind::from_typed(&typed).ok_or_else(|| match by_word().or_else(near) {
        Some(kind) => format!("`fulfilment` has no value \"{typed}\": write \"{kind}\""),
        None => format!(
            "`fulfilment` has no value \"{typed}\": it is \"contribution\" for a donation, \"download\" for files, or \
             \"membership\""
        ),
    });
    Some((at.clone(), findings.keep(&at, kind)?))
}

/// Renewals hand out nothing, so nobody may be charged again and again for the same files.
fn check_price(kind: FulfilmentKind, price: &Price) -> Result<(), String> {
    match (kind, price.every) {
        (FulfilmentKind::Download, Some(_)) => {
            Err("a download is sold once: take `every` out, or sell a membership".to_owned())
        }
        (FulfilmentKind::Download | FulfilmentKind::Contribution | FulfilmentKind::Membership, _) => Ok(()),
    }
}

fn check_codes(price: &Price, checkout: &Checkout) -> Result<(), String> {
    match price.amount {
        Amount::Chosen { .. } if checkout.promotion_codes == Some(true) => Err(
            "Stripe takes no promotion codes where customers choose the price: take `promotion_codes` out"
                .to_owned(),
        ),
        Amount::Chosen { .. } | Amount::Fixed(_) => Ok(()),
    }
}

/// The name of a mail template, with what a link's metadata forgives.
fn template(typed: &str) -> Result<TemplateName, String> {
    let name = typed.to_lowercase().replace([' ', '_'], "-");
    TemplateName::try_from(name).map_err(|_| {
        "`thank_you` is the name of a mail, lower-case letters, digits and hyphens: thank_you = \"autumn-appeal\"".to_owned()
    })
}

/// The product's own name for ever.
fn slug(typed: &str) -> Result<String, String> {
    const MOST: usize = 60;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if typed.len() <= MOST && typed.chars().all(plain) {
        return Ok(typed.to_owned());
    }
    let parts = typed.to_lowercase();
    let parts: Vec<_> =
        parts.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let example: String = parts.join("-").chars().take(MOST).collect();
    let example = if example.is_empty() { "guide".to_owned() } else { example };
    Err(format!("`id` is lower-case letters, digits and hyphens, at most {MOST}: id = \"{example}\""))
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

#[cfg(test)]
mod tests;
