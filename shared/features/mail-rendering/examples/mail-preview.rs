//! Shows a mail before a customer gets it; `cargo xtask mail preview` runs it.
//!
//! An example and no binary, so that it never ships with the function.

#![expect(clippy::print_stdout, reason = "it talks to a person")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use mail_rendering::preview::{PreviewRequest, preview};

/// Shows a mail with an invented payment in it: the plain text here, the HTML in a file for the browser.
#[derive(Parser)]
#[command(name = "mail preview", bin_name = "cargo xtask mail preview")]
struct Arguments {
    /// contribution, download, membership, payment-pending, payment-failed, files-ready, or one of your own
    #[arg(long)]
    template: String,
    /// The customer's language: en, de, fr-CA
    #[arg(long, default_value = "en")]
    locale: String,
    /// The kind of product: contribution, download or membership [default: the one the template is named after]
    #[arg(long)]
    kind: Option<String>,
    /// A subscription that is paid again
    #[arg(long)]
    renewal: bool,
    /// The currency of the payment: eur, jpy, kwd
    #[arg(long, default_value = "gbp")]
    currency: String,
    /// The amount as Stripe counts it, in pence or cents; 0 when nothing was due
    #[arg(long, default_value_t = 1250)]
    amount: i64,
    /// The customer's name; try a strange one, or an empty one
    #[arg(long, default_value = "Ada Lovelace")]
    name: String,
    /// A folder with templates of your own, laid out like the templates bucket
    #[arg(long)]
    from: Option<PathBuf>,
    /// Where the HTML goes; the plain text goes beside it [default: target/mail/<template>-<locale>.html]
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let shown = preview(&PreviewRequest {
        template: arguments.template.clone(),
        locale: arguments.locale.clone(),
        kind: arguments.kind,
        renewal: arguments.renewal,
        currency: arguments.currency,
        minor: arguments.amount,
        name: Some(arguments.name),
        files: arguments.from.as_deref().map(files_in).transpose()?.unwrap_or_default(),
    })?;
    let out = arguments.out.unwrap_or_else(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace = workspace.canonicalize().unwrap_or(workspace);
        workspace.join(format!("target/mail/{}-{}.html", arguments.template, arguments.locale))
    });
    let html = out.with_extension("html");
    let text = out.with_extension("txt");
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for (path, part) in [(&html, &shown.html), (&text, &shown.text)] {
        fs::write(path, part).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("Subject: {}\n\n{}", shown.subject, shown.text.trim_end());
    println!("\n{} in {}", shown.template, shown.locale);
    println!("  HTML {}\n  text {}", html.display(), text.display());
    if shown.mistakes.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nThere is something to fix. Until then, customers get the next best wording:");
    for mistake in &shown.mistakes {
        println!("  {mistake}");
    }
    Ok(ExitCode::FAILURE)
}

/// The files of a folder and its folders, by their paths within it.
fn files_in(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let within: Vec<_> =
                path.strip_prefix(folder)?.iter().map(|part| part.to_string_lossy()).collect();
            if within.len() > 1 && within.iter().all(|part| !part.starts_with('.')) {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                files.push((within.join("/"), bytes));
            }
        }
    }
    Ok(files)
}
