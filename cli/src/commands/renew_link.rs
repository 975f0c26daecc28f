use anyhow::{Result, bail};
use clap::Args;
use download_claims::DynamoDbDownloads;
use effect_ledger::Verb;
use serde::Serialize;

use crate::deployment::Deployment;
use crate::page::{Page, Report, Verdict};
use crate::purchase::OfPurchase;

/// Replaces a customer's download link by a new one: links in mails that are out stop working at once.
///
/// For a link that was passed on or published. The purchase, its files and its count of fetches stay as they are;
/// `afterlink resend` mails the new link.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: afterlink --stage live renew-link pi_3Q9… --because 'posted in a forum' --yes"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: OfPurchase,
}

#[derive(Serialize)]
pub(crate) struct Renewed {
    payment_id: String,
    files: Vec<String>,
    /// The generation of the links that are out.
    generation: u32,
    acted: bool,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Renewed> {
    let of = &arguments.of;
    let operator = of.acting.operator(deployment, now).await?;
    let purchase = of.find(deployment).await?;
    let payment_id = &purchase.payment_id;
    let generation = purchase.seen.generation;
    let Some(next) = generation.checked_add(1) else {
        bail!("the link of {payment_id} cannot be renewed any more");
    };
    if let Some(operator) = &operator {
        let said = (Verb::RenewLink, format!("link {generation}"), format!("link {next}"));
        of.change(deployment, &purchase, operator, said, DynamoDbDownloads::renew_link).await?;
    }
    Ok(Renewed {
        payment_id: payment_id.to_string(),
        files: purchase.files(),
        generation,
        acted: operator.is_some(),
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
