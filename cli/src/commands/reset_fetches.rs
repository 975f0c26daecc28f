use anyhow::{Context as _, Result, bail};
use clap::Args;
use download_claims::{Downloads, DynamoDbDownloads};
use effect_ledger::Verb;
use serde::Serialize;

use crate::deployment::Deployment;
use crate::operator::{Acting, Operator};
use crate::page::{Page, Report, Time, Verdict};
use crate::payments::{self, PAYMENT};

/// Lets a customer go on who has fetched their files as often as the policy allows.
///
/// Who asks for that has a bad line, or has given the link away.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink --stage live reset-fetches pi_3Q9… --because 'a bad line' --yes")]
pub(crate) struct Arguments {
    #[arg(help = PAYMENT)]
    payment: String,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Serialize)]
pub(crate) struct Reset {
    payment_id: String,
    files: Vec<String>,
    /// How often they were fetched so far, all together.
    fetches: i64,
    last_fetched_at: Option<Time>,
    acted: bool,
}

pub(crate) async fn run(here: &Deployment, arguments: &Arguments, now: i64) -> Result<Reset> {
    let payment_id = payments::one(here, &arguments.payment).await?;
    let table = downloads(here)?;
    let seen = table.of_payment(&payment_id).await?;
    let seen = seen.with_context(|| {
        format!("nobody has asked for files of {payment_id} yet; `afterlink explain` tells what it is")
    })?;
    if seen.fetches == 0 {
        bail!("no file of {payment_id} was fetched yet: there is nothing to reset");
    }
    if arguments.acting.yes {
        let operator = Operator::identify(here, &arguments.acting, now).await?;
        let action = operator.action(Verb::Reset, None, fetched(&seen), "counted anew");
        let change = table.count_anew(&payment_id, &seen)?;
        here.ledger()?.record_with(&payment_id, &action, change).await?;
    }
    Ok(Reset {
        payment_id: payment_id.to_string(),
        files: seen.files.iter().map(|file| file.key.clone()).collect(),
        fetches: seen.fetches,
        last_fetched_at: seen.last_fetched_at.map(Time::of_seconds),
        acted: arguments.acting.yes,
    })
}

pub(crate) fn downloads(here: &Deployment) -> Result<DynamoDbDownloads> {
    let client = aws_sdk_dynamodb::Client::new(&here.sdk);
    Ok(DynamoDbDownloads::new(client, here.output("DownloadsTableName")?))
}

/// `fetched 3 times`
pub(crate) fn fetched(downloads: &Downloads) -> String {
    match downloads.fetches {
        0 => "never fetched".to_owned(),
        1 => "fetched once".to_owned(),
        times => format!("fetched {times} times"),
    }
}

impl Report for Reset {
    fn print(&self, page: &mut Page) {
        let Self { payment_id, files, fetches, last_fetched_at, .. } = self;
        let last = last_fetched_at.map(|at| format!(", last at {at}")).unwrap_or_default();
        let so_far = format!("{} of {payment_id}: {fetches} fetched{last}", files.join(", "));
        page.line(if self.acted {
            format!("{so_far}. From now on counted anew; the ledger has it.")
        } else {
            format!("A dry run: {so_far}. With --yes they are counted anew.")
        });
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}
