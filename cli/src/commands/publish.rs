mod bucket;
mod object;
mod plan;
mod price;
mod product;
mod report;
mod upload;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use aws::Clock as _;
use aws::SystemClock;
use clap::Args;
use download_claims::FOLDER;
use fulfilment::Policy;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use stripe_client::{ApiKey, ApiObject, Request, Sentence, StripeClient, StripeError, Write, Written};

use self::bucket::FilesBucket;
use self::object::{Form, FormObject, inactive};
use self::plan::{Made, Place, Seen, Step, current_link, next_step, prices_kept};
use self::product::{Checked, Image, LocalFile, PUBLISHED_AS, Problem, Product};
pub(crate) use self::report::{CheckedFile, Published};
use self::report::{KeptPrice, StepReport, report_step};
use crate::deployment::Deployment;
use crate::page::{DIM, printable};
use crate::stripe::client_with;

const HELP: &str = "\
Publishing is what this command is for, so it acts unless it is told --dry-run or --check. It is safe to
repeat, also after it was interrupted: what is as it shall be is left alone.

--check reads the product file and the files it names, and nothing else: no stage, no key, no network.
It names everything that is wrong at once, each with its line, as `FILE:LINE: error: …`, and exits with 3;
what is only odd is a warning.

A price that changed becomes a new price with a new link, and the old link is switched off: Stripe
changes neither the amount of a price nor the price of a link. The old price is archived, unless a link
that you made yourself sells it: then it stays, and the output names those links.

The key comes from the environment variable STRIPE_API_KEY: a restricted key of the stage's mode that
may write Products, Prices, Payment Links and Files. docs/PAYMENT-LINKS.md describes the product file.

Examples:
  afterlink publish guide.toml --check
  afterlink --stage live publish guide.toml --dry-run";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The product file
    #[arg(value_name = "PRODUCT.TOML")]
    product: PathBuf,
    /// Shows what would be done, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Checks the product file alone: no stage, no key, no network
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) check: bool,
}

/// Requests of Stripe: an account may have thousands of links, a hundred to a page.
const BUDGET: u32 = 500;

/// Other idempotency keys than the first, for what Stripe keeps a failure of.
const OTHER_KEYS: u32 = 3;

/// A product file that can be published, with what is odd about it.
pub(crate) struct SoundProduct {
    product: Product,
    warnings: Vec<Problem>,
}

/// Checks a product file, and reaches for nothing but the files it names.
pub(crate) fn check(arguments: &Arguments) -> Result<CheckedFile> {
    let Checked { product, problems } = read_file(arguments)?;
    let file = arguments.product.display().to_string();
    Ok(CheckedFile { file, id: product.map(|product| product.id), problems })
}

/// Reads a product file before it is known where to publish it.
pub(crate) fn read_sound(arguments: &Arguments) -> Result<SoundProduct> {
    let (product, warnings) = read_file(arguments)?.sound(&arguments.product)?;
    Ok(SoundProduct { product, warnings })
}

fn read_file(arguments: &Arguments) -> Result<Checked> {
    Product::check(&arguments.product, &Policy::compiled_in()?)
}

pub(crate) async fn run(
    deployment: &Deployment,
    arguments: &Arguments,
    file: SoundProduct,
) -> Result<Published> {
    let SoundProduct { product, warnings } = file;
    let stripe = client_with(deployment, key(deployment.livemode()?, environment())?, BUDGET)?;
    let files = FilesBucket::new(&deployment.sdk, deployment.output("FilesBucketName")?);
    let pages_url = deployment.output("PagesUrl")?.trim_end_matches('/').to_owned();
    let place = Place { stage: deployment.stage.clone(), pages_url };
    let run = format!("{}-{}", SystemClock.now_ms(), std::process::id());
    let shop = Shop { product: &product, place: &place, stripe: &stripe, files: &files, run: &run };
    if arguments.dry_run {
        return Ok(Published { warnings, ..rehearse(&shop).await? });
    }
    // Progress for a person who waits; the report comes at the end, on another stream. Each step is shown once.
    let is_watched = std::io::stderr().is_terminal();
    let published = publish(&shop, |report| {
        if is_watched {
            anstream::eprintln!("{DIM}{} {}{DIM:#}", report.step, printable(&report.what));
        }
    })
    .await?;
    Ok(Published { warnings, is_shown: is_watched && std::io::stdout().is_terminal(), ..published })
}

/// A product, where it is sold, and by whose help.
struct Shop<'a> {
    product: &'a Product,
    place: &'a Place,
    stripe: &'a StripeClient,
    files: &'a FilesBucket,
    /// A name of this run: part of the idempotency keys that take the place of spent ones.
    run: &'a str,
}

/// Takes every step that is left.
async fn publish(shop: &Shop<'_>, mut on_step: impl FnMut(&StepReport)) -> Result<Published> {
    let Shop { product, place, .. } = shop;
    let mut seen = look(shop).await?;
    let mut steps = Vec::new();
    let mut other_key = 0;
    while let Some(step) = next_step(product, place, &seen) {
        let report = report_step(&step, product, &seen);
        on_step(&report);
        match take(shop, &step, other_key).await {
            Ok(made) if made.replayed => match read_again(shop, &step, &made.id).await? {
                // As it is now, and not as it was when it was made: it may have been archived since.
                Some(object) => {
                    seen.learn(&step, object);
                    steps.push(report);
                }
                // It is no longer ours to change, so another one takes its place.
                None if other_key < OTHER_KEYS => other_key += 1,
                None => {
                    bail!("{}: Stripe returns {}, which was made before and taken over", report.what, made.id)
                }
            },
            Ok(made) => {
                seen.apply(&step, product, made);
                steps.push(report);
            }
            // It may have been done, by this run or another. Whether it was is seen, and only what was not is done
            // anew.
            Err(error) if other_key < OTHER_KEYS && is_kept(&error) => {
                other_key += 1;
                let image = seen.image.take();
                seen = Seen { image, ..look(shop).await? };
            }
            Err(error) => {
                return Err(with_stripes_words(error).context(format!(
                    "{}: {} of the steps before it were taken; run it again to go on",
                    report.what,
                    steps.len()
                )));
            }
        }
    }
    Ok(published(product, &seen, steps, true))
}

/// Takes every step on paper.
async fn rehearse(shop: &Shop<'_>) -> Result<Published> {
    let Shop { product, place, .. } = shop;
    let mut seen = look(shop).await?;
    let mut steps = Vec::new();
    while let Some(step) = next_step(product, place, &seen) {
        steps.push(report_step(&step, product, &seen));
        let url = (step == Step::UploadImage).then(|| "new".to_owned());
        let on_paper = Made { id: "new".to_owned(), url, replayed: false };
        seen.apply(&step, product, on_paper);
    }
    Ok(published(product, &seen, steps, false))
}

fn published(product: &Product, seen: &Seen, steps: Vec<StepReport>, acted: bool) -> Published {
    let url = current_link(product, seen).map(|link| link.url().to_owned());
    let kept = prices_kept(product, seen).into_iter().map(|(price, links)| KeptPrice {
        price: price.id.clone(),
        links: links.into_iter().map(|link| link.url().to_owned()).collect(),
    });
    let kept = kept.collect();
    let url = url.filter(|url| !url.is_empty());
    Published { id: product.id.clone(), acted, steps, url, kept, warnings: Vec::new(), is_shown: false }
}

/// Adds Stripe's own words. No request of this command holds a customer's data, and only the person at the terminal
/// can do something about "You must have a valid head office address".
fn with_stripes_words(error: anyhow::Error) -> anyhow::Error {
    let words = error.downcast_ref::<StripeError>().and_then(StripeError::sentence);
    match words.and_then(Sentence::text) {
        Some(words) => error.context(words),
        None => error,
    }
}

/// A failure that Stripe keeps with its key, a key that was used for something else, or an id that is taken.
fn is_kept(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(StripeError::Kept { .. }) => true,
        Some(StripeError::Refused { code, .. }) => {
            code == "idempotency_error" || code == "resource_already_exists"
        }
        Some(
            StripeError::KeyRefused { .. }
            | StripeError::NotFound { .. }
            | StripeError::RateLimited { .. }
            | StripeError::Unavailable { .. }
            | StripeError::Unreadable { .. }
            | StripeError::BudgetSpent,
        )
        | None => false,
    }
}

async fn look(shop: &Shop<'_>) -> Result<Seen> {
    looked(shop).await.map_err(with_stripes_words)
}

async fn looked(shop: &Shop<'_>) -> Result<Seen> {
    let Shop { product, place, stripe, files, .. } = shop;
    let mut seen = Seen::default();
    for LocalFile { key, .. } in &product.files {
        let stored = files.stored(&format!("{FOLDER}{key}")).await?;
        seen.files.extend(stored.map(|stored| (key.clone(), stored)));
    }
    let product_id = place.product_id(product);
    seen.product = match stripe.one(&Request::product(&product_id)).await {
        Ok(object) => read(&object)?,
        Err(StripeError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if seen.product.is_none() {
        return Ok(seen);
    }
    let read_all = |objects: Vec<ApiObject>| -> Result<Vec<FormObject>> {
        let read: Vec<_> = objects.iter().map(read).collect::<Result<_>>()?;
        Ok(read.into_iter().flatten().collect())
    };
    for active in [true, false] {
        let prices = Request::prices().of_product(&product_id).active(active);
        seen.prices.extend(read_all(stripe.all(prices).await?)?);
    }
    seen.prices.retain(|price| is_ours(shop, price));
    // Newest first again. The sort is stable: what is of one second stays as Stripe lists it.
    seen.prices.sort_by_key(|price| std::cmp::Reverse(price.created()));
    let links = read_all(all_links(stripe).await?)?;
    (seen.links, seen.other_links) = links.into_iter().partition(|link| is_ours(shop, link));
    seen.other_links.retain(|link| link.is("active", "true"));
    Ok(seen)
}

/// Every Payment Link, with everything that it sells: a list expands the first ten of its items only.
async fn all_links(stripe: &StripeClient) -> Result<Vec<ApiObject>> {
    let mut links = stripe.all(Request::payment_links().expand("data.line_items")).await?;
    for link in &mut links {
        let mut json: Value = link.read()?;
        if json["active"] == true && json["line_items"]["has_more"] == true {
            let items = stripe.all(Request::payment_link_line_items(&link.id)).await?;
            let items: Vec<Value> = items.iter().map(ApiObject::read).collect::<Result<_, _>>()?;
            json["line_items"]["data"] = items.into();
            *link = ApiObject::from_json(&json.to_string()).context("a Payment Link without an id")?;
        }
    }
    Ok(links)
}

fn is_ours(shop: &Shop<'_>, object: &FormObject) -> bool {
    let Shop { product, place, .. } = shop;
    object.is(&format!("metadata[{PUBLISHED_AS}]"), &product.id)
        && object.is("product", &place.product_id(product))
}

/// An object that an earlier run made, as it is now. `None` when it is not ours any more.
async fn read_again(shop: &Shop<'_>, step: &Step, id: &str) -> Result<Option<FormObject>> {
    let request = if matches!(step, Step::CreateLink(_)) {
        Request::payment_link(id).expand("line_items")
    } else {
        Request::price(id)
    };
    let object = shop.stripe.one(&request).await.map_err(|error| with_stripes_words(error.into()))?;
    Ok(read(&object)?.filter(|object| is_ours(shop, object)))
}

fn read(object: &ApiObject) -> Result<Option<FormObject>> {
    let json: Value = object.read()?;
    Ok(FormObject::read(&object.id, &json))
}

/// Does it. What makes something new is done once for each key, which follows from what is said.
async fn take(shop: &Shop<'_>, step: &Step, other_key: u32) -> Result<Made> {
    let Shop { product, stripe, files, .. } = shop;
    let once = |write: Write| {
        let (_, body) = write.body();
        let said = Sha256::new().chain_update(write.path()).chain_update([0]).chain_update(body).finalize();
        let said = hex::encode(said);
        write.once(match other_key {
            0 => format!("afterlink-{said}"),
            // Also the keys of earlier runs may be spent.
            _ => format!("afterlink-{said}-{}-{other_key}", shop.run),
        })
    };
    let write = match step {
        Step::Upload { file, .. } => {
            let file = product.files.get(*file).context("no such file")?;
            let key = format!("{FOLDER}{}", file.key);
            let body = upload::body(file).await?;
            files.put(&key, body, file.sha256).await?;
            return Ok(Made::default());
        }
        Step::UploadImage => {
            let Some(Image::File { name, content_type, bytes, .. }) = &product.image else {
                bail!("there is no image to upload");
            };
            let file = Write::new_file(name, content_type, bytes.clone());
            // Of the purposes whose files can be shown to customers, the only one for pictures that never expires.
            once(file.with("purpose", "business_logo").with("file_link_data[create]", "true"))
        }
        // Its id makes it unique.
        Step::CreateProduct(form) => with(Write::new_product(), form),
        Step::ChangeProduct(form) => with(Write::product(&shop.place.product_id(product)), form),
        Step::CreatePrice(form) => once(with(Write::new_price(), form)),
        Step::ChangePrice { id, form } => with(Write::price(id), form),
        Step::CreateLink(form) => once(with(Write::new_payment_link(), form)),
        Step::ChangeLink { id, form } => with(Write::payment_link(id), form),
        Step::Deactivate { id, .. } => with(Write::payment_link(id), &inactive()),
        Step::Archive { id } => with(Write::price(id), &inactive()),
    };
    let Written { object, replayed } = stripe.write(&write).await?;
    let json: Value = object.read()?;
    let uploaded = matches!(step, Step::UploadImage);
    let url = if uploaded { &json["links"]["data"][0]["url"] } else { &json["url"] };
    let can_change = matches!(step, Step::CreatePrice(_) | Step::CreateLink(_));
    Ok(Made { id: object.id, url: url.as_str().map(str::to_owned), replayed: replayed && can_change })
}

fn with(write: Write, form: &Form) -> Write {
    form.iter().fold(write, |write, (name, value)| write.with(name, value))
}

/// The key that may write. The stage's own may not, and shall not.
fn key(livemode: bool, text: Option<String>) -> Result<ApiKey> {
    const HOW: &str = "docs/PAYMENT-LINKS.md says how to make one";
    let text = text.with_context(|| {
        format!("set the environment variable STRIPE_API_KEY to a restricted key that may write: {HOW}")
    })?;
    let key = ApiKey::new(&text).with_context(|| format!("STRIPE_API_KEY holds no key: {HOW}"))?;
    if key.livemode() != livemode {
        let mode = |live| if live { "live mode" } else { "test mode" };
        bail!("STRIPE_API_KEY is a key of {}, and this stage is of {}", mode(key.livemode()), mode(livemode));
    }
    Ok(key)
}

#[expect(clippy::disallowed_methods, reason = "a secret is no argument: other processes can read those")]
fn environment() -> Option<String> {
    std::env::var("STRIPE_API_KEY").ok()
}

#[cfg(test)]
mod tests;
