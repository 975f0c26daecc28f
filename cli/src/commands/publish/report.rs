//! What `publish` did or would do, for people and programs.

use download_claims::FOLDER;
use serde::Serialize;

use super::object::Form;
use super::plan::{Seen, Step};
use super::price::Amount;
use super::product::{LocalFile, Problem, Product};
use super::upload;
use crate::page::{BOLD, Cell, Page, Report, Verdict};

/// The steps, taken or planned.
#[derive(Debug, Serialize)]
pub(crate) struct Published {
    pub(super) id: String,
    pub(super) acted: bool,
    pub(super) steps: Vec<StepReport>,
    /// The Payment Link; none when it would be a new one.
    pub(super) url: Option<String>,
    /// Prices that are no longer asked and stay active.
    pub(super) kept: Vec<KeptPrice>,
    /// What is odd about the product file.
    pub(super) warnings: Vec<Problem>,
    /// Whether the steps were shown on this terminal as they were taken.
    #[serde(skip)]
    pub(super) is_shown: bool,
}

/// What a product file has that cannot be, and what is only odd: `publish --check`.
#[derive(Debug, Serialize)]
pub(crate) struct CheckedFile {
    pub(super) file: String,
    /// The product's id; none when anything is wrong.
    pub(super) id: Option<String>,
    pub(super) problems: Vec<Problem>,
}

/// A price that links of others sell: archiving it would stop them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct KeptPrice {
    pub(super) price: String,
    /// The addresses of these links.
    pub(super) links: Vec<String>,
}

/// A step, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct StepReport {
    pub(super) step: &'static str,
    pub(super) what: String,
}

/// A step in words, of what it is about to change.
pub(super) fn report_step(step: &Step, product: &Product, seen: &Seen) -> StepReport {
    let words = product.price.words();
    let price = || match product.price.amount {
        Amount::Fixed(_) => format!("the price {words}"),
        Amount::Chosen { .. } => format!("a price {words}"),
    };
    let (step, what) = match step {
        Step::Upload { file, replaces } => {
            let Some(LocalFile { path, key, size, .. }) = product.files.get(*file) else {
                return StepReport { step: "upload", what: String::new() };
            };
            let replaced =
                if *replaces { ", in place of what is there: also for customers who bought it" } else { "" };
            let what = format!("{} ({}) as {FOLDER}{key}{replaced}", path.display(), upload::shown(*size));
            ("upload", what)
        }
        Step::UploadImage => ("upload", "the image, to Stripe".to_owned()),
        Step::CreateProduct(_) => ("create", format!("the product {:?}", product.name)),
        Step::ChangeProduct(form) => ("change", format!("the product: {}", in_words(form))),
        Step::CreatePrice(_) if seen.prices.is_empty() => ("create", price()),
        Step::CreatePrice(_) => ("create", format!("{}, because Stripe changes no prices", price())),
        Step::ChangePrice { form, .. } => ("change", format!("{}: {}", price(), in_words(form))),
        Step::CreateLink(_) if seen.links.is_empty() => ("create", "the Payment Link".to_owned()),
        Step::CreateLink(_) => {
            let sold = if matches!(product.price.amount, Amount::Fixed(_)) { words } else { price() };
            ("create", format!("a NEW Payment Link for {sold}, because a link keeps its price"))
        }
        Step::ChangeLink { form, .. } => ("change", format!("the Payment Link: {}", in_words(form))),
        Step::Deactivate { url, .. } => (
            "switch off",
            format!("the link {url}, which sells at another price: wherever it stands, put the new one"),
        ),
        Step::Archive { id } => ("archive", format!("the price {id}, which is no longer asked")),
    };
    StepReport { step, what }
}

/// What a form changes, in a marketer's words: each setting once.
fn in_words(form: &Form) -> String {
    let mut words: Vec<String> = Vec::new();
    for (name, value) in form {
        let said = setting(name, value);
        if !said.is_empty() && !words.contains(&said) {
            words.push(said);
        }
    }
    words.join(", ")
}

/// A setting in words; nothing for one that has no meaning for a marketer beside those it comes with.
fn setting(name: &str, value: &str) -> String {
    let on = |what: &str| match value {
        "true" | "required" | "auto" if name != "billing_address_collection" || value == "required" => {
            format!("switch {what} on")
        }
        _ => format!("switch {what} off"),
    };
    if let Some(key) = name.strip_prefix("metadata[").and_then(|key| key.strip_suffix(']')) {
        return match (key, value) {
            ("image_sha256", _) => String::new(),
            (_, "") => format!("take out `{key}`"),
            _ => format!("`{key}` is now {value}"),
        };
    }
    match name.split('[').next().unwrap_or(name) {
        "active" => "switch it on again".to_owned(),
        "name" => format!("its name is now {value:?}"),
        "description" => "change the description".to_owned(),
        "images" => "change the image".to_owned(),
        "default_price" => "its usual price is now this one".to_owned(),
        "lookup_key" => "mark it as the one that is asked".to_owned(),
        "transfer_lookup_key" => String::new(),
        "custom_fields" => "change the question".to_owned(),
        "after_completion" => "lead customers to your page after paying".to_owned(),
        "allow_promotion_codes" => on("promotion codes"),
        "automatic_tax" => on("automatic tax"),
        "billing_address_collection" => on("the question for the address"),
        "consent_collection" => on("Stripe's own box for promotions"),
        "subscription_data" if name.ends_with("[trial_period_days]") => match value {
            "" => "take the trial out".to_owned(),
            days => format!("the trial is now {days} days"),
        },
        "subscription_data" => "say the same of its subscriptions".to_owned(),
        other => format!("change its {}", other.replace('_', " ")),
    }
}

impl Report for Published {
    fn print(&self, page: &mut Page) {
        let Self { id, acted, steps, url, kept, warnings, is_shown } = self;
        page.heading(match (steps.is_empty(), acted) {
            (true, _) => format!("{id} is published, and nothing has changed"),
            (false, true) => format!("{id} is published"),
            (false, false) => format!("A dry run: {id} would be published by"),
        });
        if !steps.is_empty() && !is_shown {
            let row = |report: &StepReport| vec![Cell::new(report.step), Cell::new(&report.what)];
            page.table(&["step", "what"], &steps.iter().map(row).collect::<Vec<_>>());
        }
        for KeptPrice { price, links } in kept {
            page.line(format!(
                "\nThe price {price} stays active, because links that were not published here sell it:"
            ));
            links.iter().for_each(|link| page.line(format!("  {link}")));
        }
        for Problem { line, text, .. } in warnings {
            page.line(format!("\nLine {line} of the product file: {text}"));
        }
        page.line(match url {
            Some(url) => format!("\n{BOLD}{url}{BOLD:#}"),
            None => "\nThe link is a new one. Without --dry-run it is made.".to_owned(),
        });
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}

impl Report for CheckedFile {
    /// A line for each problem, as compilers write them: editors and CI find the place.
    fn print(&self, page: &mut Page) {
        let Self { file, id, problems } = self;
        for Problem { line, is_warning, text } in problems {
            let kind = if *is_warning { "warning" } else { "error" };
            page.line(format!("{file}:{line}: {kind}: {text}"));
        }
        let errors = problems.iter().filter(|problem| !problem.is_warning).count();
        page.line(match (id, errors) {
            (Some(id), _) => format!("{file}: {id} can be published"),
            (None, 1) => format!("{file} cannot be published: 1 error"),
            (None, errors) => format!("{file} cannot be published: {errors} errors"),
        });
    }

    fn verdict(&self) -> Verdict {
        if self.id.is_some() { Verdict::Fine } else { Verdict::NeedsYou }
    }
}
