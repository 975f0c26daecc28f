use anyhow::{Result, bail};
use clap::Args;
use download_claims::{Downloads, DynamoDbDownloads};
use effect_ledger::Verb;
use serde::Serialize;

use crate::deployment::Deployment;
use crate::page::{Page, Report, Time, Verdict};
use crate::purchase::OfPurchase;

/// Lets a customer go on who has fetched their files as often as the policy allows.
///
/// Who asks for that has a bad line, or has given the link away.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink --stage live reset-fetches pi_3Q9… --because 'a bad line' --yes")]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: OfPurchase,
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

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Reset> {
    let of = &arguments.of;
    let operator = of.acting.operator(deployment, now).await?;
    let purchase = of.find(deployment).await?;
    let payment_id = &purchase.payment_id;
    let seen = &purchase.seen;
    if seen.fetches == 0 {
        bail!("no file of {payment_id} was fetched yet: there is nothing to reset");
    }
    if let Some(operator) = &operator {
        let said = (Verb::Reset, fetched(seen), "counted anew".to_owned());
        of.change(deployment, &purchase, operator, said, DynamoDbDownloads::count_anew).await?;
    }
    Ok(Reset {
        payment_id: payment_id.to_string(),
        files: purchase.files(),
        fetches: seen.fetches,
        last_fetched_at: seen.last_fetched_at.map(Time::of_seconds),
        acted: operator.is_some(),
    })
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
