//! The mails that customers get: checked, shown and tried by those who write them. Two of the three commands need no
//! stage and no key.

mod files;
mod report;
mod sending;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use fulfilment::{Policy, TemplateName, recipient, without_invisible};
use mail_rendering::check::{check_template, templates_in};
use mail_rendering::preview::{Preview, PreviewRequest};
use serde::Serialize;

use self::files::{Files, files_below, files_in_bucket};
use self::report::{Checked, Mail};
use crate::deployment::Deployment;
use crate::page::{BOLD, Page, Report, Verdict};

/// Checks, shows and tries the mails that customers get.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: MailCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MailCommand {
    /// Names what is wrong with mails of your own, with the line and what to do
    Check(CheckArguments),
    /// Shows a mail with an invented payment in it, before a customer gets it
    Preview(PreviewArguments),
    /// Sends you a mail as it is in the stage's templates bucket
    Test(TestArguments),
}

/// Names what is wrong with mails of your own: what customers would see of it, the line, and what to do.
///
/// Needs no stage, no key and no network. The same checks run when the files are uploaded.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink mail check templates autumn-appeal")]
pub(crate) struct CheckArguments {
    /// The folder with your mails, a folder for each, as in the templates bucket; or the folder of one
    folder: PathBuf,
    /// Only these of them
    templates: Vec<String>,
}

/// Shows a mail with an invented payment in it: what is wrong with it first, then the plain text; the HTML goes into a
/// file for the browser.
///
/// Of ours there are contribution, download, membership, payment-pending, payment-failed and files-ready.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink mail preview autumn-appeal --from templates --locale de --open")]
pub(crate) struct PreviewArguments {
    /// The mail: one of ours, or one of your own
    template: String,
    /// The folder with your own mails
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    #[command(flatten)]
    invented: Invented,
    /// Where the HTML goes; the plain text goes beside it [default: the folder for temporary files]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Opens the HTML in the browser
    #[arg(long)]
    open: bool,
}

/// Sends you a mail as it is in the stage's templates bucket, by the stage's own sender, with an invented payment in it.
///
/// No customer gets anything, and the ledger does not know of it. The subject says that it is a test.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live mail test autumn-appeal --to me@example.org --locale de"
)]
pub(crate) struct TestArguments {
    /// The mail: one of ours, or one in the bucket
    template: String,
    /// Your address
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    #[command(flatten)]
    invented: Invented,
}

/// The payment that the mail is about.
#[derive(Debug, Args)]
struct Invented {
    /// The customer's language: en, de, fr-CA
    #[arg(long, default_value = "en")]
    locale: String,
    /// What was sold: contribution, download or membership [default: what the mail is named after]
    #[arg(long)]
    kind: Option<String>,
    /// A subscription that is paid again
    #[arg(long)]
    renewal: bool,
    /// The currency: eur, jpy, kwd
    #[arg(long, default_value = "gbp")]
    currency: String,
    /// The amount in pence or cents; 0 where nothing was due
    #[arg(long, default_value_t = 1250)]
    amount: i64,
    /// The customer's name; try a strange one, or an empty one
    #[arg(long, default_value = "Ada Lovelace")]
    name: String,
}

impl Invented {
    fn preview(&self, template: &str, files: Files) -> Result<Preview> {
        let request = PreviewRequest {
            template: template.to_owned(),
            locale: self.locale.clone(),
            kind: self.kind.clone(),
            renewal: self.renewal,
            currency: self.currency.clone(),
            minor: self.amount,
            name: Some(self.name.clone()),
            files,
        };
        Ok(mail_rendering::preview::preview(&request)?)
    }
}

/// # Errors
///
/// When there is nothing to check.
pub(crate) fn check(arguments: &CheckArguments) -> Result<Checked> {
    let (files, only) = files_below(&arguments.folder)?;
    let found = templates_in(files.iter().map(|(path, _)| path.as_str()));
    let wanted: Vec<&str> = match (&only, arguments.templates.as_slice()) {
        (Some(only), []) => vec![only],
        (_, []) => found.iter().copied().collect(),
        (_, names) => names.iter().map(String::as_str).collect(),
    };
    ensure!(
        !wanted.is_empty(),
        "there is no mail in {}: put each into a folder of its name, such as autumn-appeal/en.md",
        arguments.folder.display()
    );
    for name in &wanted {
        ensure!(
            found.contains(name),
            "there is no folder {name} in {}{}",
            arguments.folder.display(),
            listed(&found)
        );
    }
    let policy = Policy::compiled_in()?;
    let templates = wanted.into_iter().map(|name| check_template(name, &files, &policy).into()).collect();
    Ok(Checked { templates })
}

fn listed(found: &std::collections::BTreeSet<&str>) -> String {
    if found.is_empty() {
        return String::new();
    }
    format!("; there are {}", found.iter().copied().collect::<Vec<_>>().join(", "))
}

/// A mail as a customer would get it.
#[derive(Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    mail: Mail,
    html: String,
    text: String,
    html_file: PathBuf,
    text_file: PathBuf,
}

/// # Errors
///
/// When there is no such mail, or a file cannot be written.
pub(crate) fn preview(arguments: &PreviewArguments) -> Result<Shown> {
    let files = match &arguments.from {
        Some(folder) => files_below(folder)?.0,
        None => Vec::new(),
    };
    let template = &arguments.template;
    must_be_there(template, &files)?;
    let preview = arguments.invented.preview(template, files.clone())?;
    let mail = Mail::of(&preview, template, &files)?;
    let html_file = arguments.out.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("{template}-{}.html", arguments.invented.locale))
    });
    let html_file = html_file.with_extension("html");
    let text_file = html_file.with_extension("txt");
    if let Some(folder) = html_file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for (path, part) in [(&html_file, &preview.html), (&text_file, &preview.text)] {
        fs::write(path, part).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.open {
        open(&html_file)?;
    }
    Ok(Shown { mail, html: preview.html, text: preview.text, html_file, text_file })
}

/// A mail of one's own that is not there would be shown in the standard wording, which looks like a mistake of ours.
fn must_be_there(template: &str, files: &Files) -> Result<()> {
    TemplateName::try_from(template.to_owned())
        .context("a mail's name is lower-case letters, digits and hyphens, at most 60")?;
    let found = templates_in(files.iter().map(|(path, _)| path.as_str()));
    if !mail_rendering::is_built_in(template) && !found.contains(template) {
        bail!("there is no mail {template}{}", listed(&found));
    }
    Ok(())
}

/// Opens a file in the browser.
fn open(file: &Path) -> Result<()> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let opened = Command::new(program).arg(file).status();
    ensure!(
        opened.is_ok_and(|status| status.success()),
        "no browser could be opened: open {} yourself",
        file.display()
    );
    Ok(())
}

impl Report for Shown {
    fn print(&self, page: &mut Page) {
        self.mail.print(page);
        page.line(format_args!("{BOLD}Subject: {}{BOLD:#}", self.mail.subject));
        page.line("");
        self.text.trim_end().lines().for_each(|line| page.line(line));
        page.line("");
        page.line(format_args!("{} in {}", self.mail.template, self.mail.locale));
        page.line(format_args!("  HTML {}", self.html_file.display()));
        page.line(format_args!("  text {}", self.text_file.display()));
    }

    fn verdict(&self) -> Verdict {
        self.mail.verdict()
    }
}

/// A mail that was sent to its writer.
#[derive(Serialize)]
pub(crate) struct Sent {
    #[serde(flatten)]
    mail: Mail,
    to: String,
    message_id: String,
}

/// # Errors
///
/// When there is no such mail, or it cannot be sent.
pub(crate) async fn test(deployment: &Deployment, arguments: &TestArguments) -> Result<Sent> {
    let to = without_invisible(&arguments.to).context("--to is no address")?;
    let to = recipient(&to).context("--to is no address that mails reach")?;
    let files = files_in_bucket(deployment, &arguments.template).await?;
    must_be_there(&arguments.template, &files)?;
    let preview = arguments.invented.preview(&arguments.template, files.clone())?;
    let mail = Mail::of(&preview, &arguments.template, &files)?;
    let message_id = sending::send(deployment, &preview, &to).await?;
    Ok(Sent { mail, to, message_id })
}

impl Report for Sent {
    fn print(&self, page: &mut Page) {
        self.mail.print(page);
        page.line(format_args!(
            "Sent to {}: \"[Test] {}\", {} in {}, message {}.",
            self.to, self.mail.subject, self.mail.template, self.mail.locale, self.message_id
        ));
    }

    fn verdict(&self) -> Verdict {
        self.mail.verdict()
    }
}

#[cfg(test)]
mod tests;
