//! Whether a stage is set up right, check by check.

mod alarms;
mod consent;
mod contract;
mod deliveries;
mod destination;
mod functions;
mod key;
mod links;
mod mail;
mod promises;
mod queues;
mod secrets;

use anyhow::Result;
use serde::Serialize;
use stripe_client::StripeClient;

use self::links::Surroundings;
use crate::deployment::Deployment;
use crate::page::{BAD, Cell, DIM, GOOD, Page, Report, Verdict, WARN, count};
use crate::progress::Progress;
use crate::stripe;

#[derive(Serialize)]
pub(crate) struct Health {
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    what: String,
    result: CheckResult,
    /// The observation.
    seen: String,
    /// What to do about it.
    fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum CheckResult {
    Pass,
    /// It need not be looked at, or there is nothing to look at yet.
    Skipped,
    /// It could not be looked at, which says nothing of whether it is sound.
    Unchecked,
    Warn,
    Fail,
}

impl Check {
    fn pass(what: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { what: what.into(), result: CheckResult::Pass, seen: seen.into(), fix: None }
    }

    fn unchecked(what: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { result: CheckResult::Unchecked, ..Self::warn(what, seen, fix) }
    }

    fn skipped(what: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { result: CheckResult::Skipped, ..Self::warn(what, seen, fix) }
    }

    /// AWS did not say: the operator may not ask, or it did not answer. Nothing is known then, and nothing is proposed.
    fn unanswered(
        what: impl Into<String>,
        permission: &str,
        is_denied: bool,
        error: impl Into<String>,
    ) -> Self {
        if is_denied {
            let seen = format!("you may not look ({permission})");
            return Self::unchecked(
                what,
                seen,
                "nothing is said about it: change nothing, and ask whoever may look",
            );
        }
        Self::unchecked(what, error, "run it again later")
    }

    fn warn(what: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), result: CheckResult::Warn, seen: seen.into(), fix: Some(fix.into()) }
    }

    fn fail(what: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), result: CheckResult::Fail, seen: seen.into(), fix: Some(fix.into()) }
    }
}

pub(crate) async fn find_out(deployment: &Deployment, now: i64) -> Result<Health> {
    let progress = Progress::new();
    let mut checks = Vec::new();
    progress.say("Trying the Stripe key");
    // Why there is no key, if there is none, is said of the secret it is in.
    if let Ok(client) = stripe::client(deployment, stripe::BUDGET).await {
        checks.extend(of_stripe(deployment, &client, &progress, now).await);
    }
    progress.say("Looking at secrets, mail, queues and functions");
    checks.extend(secrets::of_secrets(deployment).await);
    checks.extend(mail::of_mail(deployment).await);
    checks.extend(queues::of_queues(deployment).await);
    checks.extend(functions::of_functions(deployment, now).await);
    checks.push(queues::of_ledger(deployment).await);
    if !deployment.local {
        checks.push(alarms::of_alarms(deployment).await);
    }
    Ok(Health { checks })
}

async fn of_stripe(
    deployment: &Deployment,
    client: &StripeClient,
    progress: &Progress,
    now: i64,
) -> Vec<Check> {
    let access = key::tried(client).await;
    let mut checks = key::of_access(&access);
    if access.is_refused() {
        return checks;
    }
    checks.push(key::of_account_version(access.newest_event.as_ref()));
    let destinations = destination::of_destinations(deployment, client).await;
    checks.extend(destinations.checks);
    if destinations.has_webhook {
        checks.push(deliveries::of_deliveries(client, now).await);
    }
    progress.say("Looking at Payment Links, their templates and their files");
    let around = Surroundings {
        pages_url: deployment.optional("PagesUrl"),
        access: &access,
        listens: &destinations.listens,
    };
    let links = contract::selling(deployment, client).await;
    checks.extend(contract::of_payment_links(&links, &around, deployment.optional("FilesBucketName")));
    checks.extend(promises::of_promises(deployment, links.as_deref().unwrap_or_default()).await);
    checks
}

impl Report for Health {
    fn print(&self, page: &mut Page) {
        let rows: Vec<_> = self
            .checks
            .iter()
            .map(|check| {
                let (style, name) = match check.result {
                    CheckResult::Pass => (GOOD, "pass"),
                    CheckResult::Skipped => (DIM, "skipped"),
                    CheckResult::Unchecked => (WARN, "unchecked"),
                    CheckResult::Warn => (WARN, "warn"),
                    CheckResult::Fail => (BAD, "FAIL"),
                };
                let fix = check.fix.as_ref().map(|fix| format!(" → {fix}")).unwrap_or_default();
                vec![
                    Cell::styled(style, name),
                    Cell::new(&check.what),
                    Cell::new(format!("{}{fix}", check.seen)),
                ]
            })
            .collect();
        page.table(&["result", "what", "seen → fix"], &rows);
        let of = |result| self.checks.iter().filter(|check| check.result == result).count();
        let (failed, unchecked) = (of(CheckResult::Fail), of(CheckResult::Unchecked));
        page.line(format_args!(
            "\n{} of {} failed{}.",
            failed,
            count(self.checks.len(), "check"),
            if unchecked > 0 { format!(", {unchecked} could not be looked at") } else { String::new() }
        ));
    }

    fn verdict(&self) -> Verdict {
        let has = |result| self.checks.iter().any(|check| check.result == result);
        Verdict::needs_you_if(has(CheckResult::Fail)).max(Verdict::unclear_if(has(CheckResult::Unchecked)))
    }
}

#[cfg(test)]
mod tests;
