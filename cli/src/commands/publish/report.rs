//! What `publish` did or would do, for people and programs.

use download_claims::FOLDER;
use serde::Serialize;

use super::object::Form;
use super::plan::{Seen, Step};
use super::product::{LocalFile, Product};
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
    let price = || format!("{} {}", product.price.decimal_text(), product.price.currency().code());
    let said = |form: &Form| {
        let names = form.iter().map(|(name, value)| match value.as_str() {
            "" => format!("without {name}"),
            _ => format!("{name} = {value}"),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let (step, what) = match step {
        Step::Upload { file, replaces } => {
            let Some(LocalFile { path, key, size, .. }) = product.files.get(*file) else {
                return StepReport { step: "upload", what: String::new() };
            };
            let replaced =
                if *replaces { ", in place of what is there: also for whoever bought it" } else { "" };
            let what = format!("{} ({}) as {FOLDER}{key}{replaced}", path.display(), upload::shown(*size));
            ("upload", what)
        }
        Step::UploadImage => ("upload", "the image, to Stripe".to_owned()),
        Step::CreateProduct(_) => ("create", format!("the product {:?}", product.name)),
        Step::ChangeProduct(form) => ("change", format!("the product: {}", said(form))),
        Step::CreatePrice(_) if seen.prices.is_empty() => ("create", format!("the price {}", price())),
        Step::CreatePrice(_) => {
            ("create", format!("the price {}, because Stripe changes no amounts", price()))
        }
        Step::ChangePrice { form, .. } => ("change", format!("the price {}: {}", price(), said(form))),
        Step::CreateLink(_) if seen.links.is_empty() => ("create", "the Payment Link".to_owned()),
        Step::CreateLink(_) => {
            ("create", format!("a NEW Payment Link for {}, because a link keeps its price", price()))
        }
        Step::ChangeLink { form, .. } => ("change", format!("the Payment Link: {}", said(form))),
        Step::Deactivate { url, .. } => (
            "switch off",
            format!("the link {url}, which sells at another price: wherever it stands, put the new one"),
        ),
        Step::Archive { id } => ("archive", format!("the price {id}, which is no longer asked")),
    };
    StepReport { step, what }
}

impl Report for Published {
    fn print(&self, page: &mut Page) {
        let Self { id, acted, steps, url, kept } = self;
        page.heading(match (steps.is_empty(), acted) {
            (true, _) => format!("{id} is published, and nothing has changed"),
            (false, true) => format!("{id} is published"),
            (false, false) => format!("A dry run: {id} would be published by"),
        });
        if !steps.is_empty() {
            let row = |report: &StepReport| vec![Cell::new(report.step), Cell::new(&report.what)];
            page.table(&["step", "what"], &steps.iter().map(row).collect::<Vec<_>>());
        }
        for KeptPrice { price, links } in kept {
            page.line(format!(
                "\nThe price {price} stays active, because links that were not published here sell it:"
            ));
            links.iter().for_each(|link| page.line(format!("  {link}")));
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
