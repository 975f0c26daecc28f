use anyhow::{Context as _, Result, bail};
use clap::Args;
use effect_ledger::Verb;
use serde::Serialize;

use crate::commands::reset_fetches::downloads;
use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Page, Report, Verdict};
use crate::payments::{self, PAYMENT};

/// Replaces a customer's download link by a new one: links in mails that are out stop working at once.
///
/// For a link that was passed on or published. The purchase, its files and its count of fetches stay as they are;
/// `afterlink resend` mails the new link.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live renew-link pi_3Q9… --because 'posted in a forum' --yes"
)]
pub(crate) struct Arguments {
    #[arg(help = PAYMENT)]
    payment: String,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Serialize)]
pub(crate) struct Renewed {
    payment_id: String,
    files: Vec<String>,
    /// The generation of the links that are out.
    generation: u32,
    acted: bool,
}

pub(crate) async fn run(here: &Deployment, arguments: &Arguments, now: i64) -> Result<Renewed> {
    let act = arguments.acting.decided()?;
    let payment_id = payments::one(here, &arguments.payment).await?;
    let table = downloads(here)?;
    let seen = table.of_payment(&payment_id).await?;
    let seen = seen.with_context(|| {
        format!("{payment_id} has no download link yet; `afterlink explain` shows what it is")
    })?;
    if seen.generation == u32::MAX {
        bail!("the link of {payment_id} cannot be renewed any more");
    }
    if act {
        let operator = Operator::identify(here, &arguments.acting, now).await?;
        let before = format!("link {}", seen.generation);
        let after = format!("link {}", seen.generation + 1);
        let action = operator.action(Verb::RenewLink, None, before, after);
        let change = table.renew_link(&payment_id, &seen)?;
        here.ledger()?.record_with(&payment_id, &action, change).await?;
    }
    Ok(Renewed {
        payment_id: payment_id.to_string(),
        files: seen.files.iter().map(|file| file.key.clone()).collect(),
        generation: seen.generation,
        acted: act,
    })
}

impl Report for Renewed {
    fn print(&self, page: &mut Page) {
        let Self { payment_id, files, acted, .. } = self;
        let files = files.join(", ");
        if *acted {
            page.line(format!(
                "Links to {files} of {payment_id} that are out no longer work. \
                 `afterlink resend {payment_id} --template thank-you --because '…' --yes` mails the new one."
            ));
        } else {
            page.line(format!(
                "A dry run: with --yes the links to {files} of {payment_id} that are out stop working."
            ));
        }
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}
