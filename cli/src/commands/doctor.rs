//! Whether a stage is set up right, check by check.
//!
//! Long because it is a list of checks, each a few lines.

mod consent;
mod destination;
mod key;
mod links;

use anyhow::{Context as _, Result};
use aws_types::SdkConfig;
use catalogue::Task;
use download_claims::TokenKeys;
use fulfilment::{LinkContract, MetadataKey, Policy, object_key, shown};
use serde::Serialize;
use stripe_client::{ApiKey, PaymentLink, Request, StripeClient, StripeError};
use stripe_events::SigningSecret;

use self::links::Surroundings;
use crate::deployment::Deployment;
use crate::page::{BAD, Cell, DIM, GOOD, Page, Report, Verdict, WARN};
use crate::query_api::QueryApi;
use crate::queues::depth;
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

    fn warn(what: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), result: CheckResult::Warn, seen: seen.into(), fix: Some(fix.into()) }
    }

    fn fail(what: impl Into<String>, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), result: CheckResult::Fail, seen: seen.into(), fix: Some(fix.into()) }
    }
}

pub(crate) async fn find_out(deployment: &Deployment) -> Result<Health> {
    let mut checks = Vec::new();
    match stripe::client(deployment, stripe::BUDGET).await {
        Ok(client) => {
            let access = key::tried(&client).await;
            checks.extend(key::of_access(&access));
            if !access.is_refused() {
                checks.push(key::of_account_version(access.newest_event.as_ref()));
                let (found, listens) = destination::of_destinations(deployment, &client).await;
                checks.extend(found);
                let around = Surroundings {
                    pages_url: deployment.optional("PagesUrl"),
                    access: &access,
                    listens: &listens,
                };
                checks.extend(of_payment_links(
                    &selling(deployment, &client).await,
                    &around,
                    deployment.optional("FilesBucketName"),
                ));
            }
        }
        Err(error) => checks.push(Check::fail(
            "Stripe key",
            format!("{error:#}"),
            "put a restricted key into the secret: docs/DEPLOY.md says which permissions",
        )),
    }
    checks.extend(of_secrets(deployment).await);
    checks.extend(of_mail(deployment).await);
    for task in Task::ALL {
        checks.push(of_queues(deployment, task).await);
    }
    checks.push(of_ledger(deployment).await);
    if !deployment.local {
        checks.push(of_alarms(deployment).await);
    }
    Ok(Health { checks })
}

/// The active Payment Links of this stage's mode, with what they sell.
async fn selling(deployment: &Deployment, client: &StripeClient) -> Result<Vec<PaymentLink>, StripeError> {
    let livemode = deployment.livemode().unwrap_or_default();
    let objects = match client.all(Request::payment_links().expand("data.line_items")).await {
        // The key may not read prices, which is another check's to say.
        Err(StripeError::KeyRefused { .. }) => client.all(Request::payment_links()).await?,
        found => found?,
    };
    let links = objects.iter().filter_map(|object| object.read::<PaymentLink>().ok());
    Ok(links.filter(|link| link.active && link.livemode == livemode).collect())
}

fn of_payment_links(
    found: &Result<Vec<PaymentLink>, StripeError>,
    around: &Surroundings<'_>,
    files_bucket: Option<&str>,
) -> Vec<Check> {
    match found {
        Ok(links) => {
            let settings = links.iter().flat_map(|link| links::of_settings(link, around));
            match Policy::compiled_in() {
                Ok(policy) => consent::of_policy(&policy)
                    .into_iter()
                    .chain(of_links(links, &policy, files_bucket))
                    .chain(settings)
                    .collect(),
                Err(error) => vec![Check::fail("policy", error.to_string(), "correct policy.toml")],
            }
        }
        // What the key lacks is named with its permissions.
        Err(error) => vec![Check::unchecked(
            "Payment Links",
            error.to_string(),
            "run it again when the key may read them",
        )],
    }
}

/// `files_bucket` is where the files of this stage are.
fn of_links(links: &[PaymentLink], policy: &Policy, files_bucket: Option<&str>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut sound = 0;
    let mut foreign = 0;
    for link in links {
        let contract = LinkContract::from_metadata(&link.metadata);
        let found = match (&contract, LinkContract::misspelt_marker(&link.metadata)) {
            (_, Some(key)) => vec![misspelt(link, key, matches!(contract, Ok(Some(_))))],
            (Ok(None), None) => {
                foreign += 1;
                continue;
            }
            (Ok(Some(contract)), None) => {
                checks.extend(consent::of_link(link, contract, policy));
                checks.extend(unread_keys(link));
                of_contract(link, contract, files_bucket)
            }
            (Err(error), None) => vec![Check::fail(
                format!("link {}", link.id),
                error.to_string(),
                format!(
                    "correct its metadata in Stripe: docs/PAYMENT-LINKS.md. Every payment over it is parked; then \
                     `afterlink complete --link {}` makes up for them",
                    link.id
                ),
            )],
        };
        sound += usize::from(found.is_empty());
        checks.extend(found);
    }
    let summary = format!(
        "{} active, {sound} with a sound contract, {foreign} without our marker (another business's, or the key is missing)",
        links.len()
    );
    checks.insert(0, Check::pass("Payment Links", summary));
    checks
}

/// A key that is nearly the marker: some are read all the same, of the others no payment is seen by any task.
fn misspelt(link: &PaymentLink, key: &str, is_read: bool) -> Check {
    let seen = format!("its metadata key `{}` must be `{}`", shown(key), LinkContract::MARKER);
    let fix = if is_read {
        "correct the key in Stripe: it is read as it is, and not promised to be".to_owned()
    } else {
        format!(
            "correct the key in Stripe: nothing is done for payments over it; then `afterlink complete --link {}` makes \
             up for them",
            link.id
        )
    };
    Check::fail(format!("link {}", link.id), seen, fix)
}

/// Keys that are nearly ones of the contract, and read as none.
fn unread_keys(link: &PaymentLink) -> impl Iterator<Item = Check> {
    let meant = link.metadata.keys().filter_map(|typed| Some((typed, MetadataKey::meant_by(typed)?)));
    // The marker has a check of its own.
    meant.filter(|(_, key)| *key != MetadataKey::Fulfilment).map(|(typed, key)| {
        let seen = format!("its metadata key `{}` is not read; `{}` would be", shown(typed), key.name());
        Check::warn(format!("link {}", link.id), seen, "correct the key in Stripe: docs/PAYMENT-LINKS.md")
    })
}

/// The defects of a contract whose kind is right.
fn of_contract(link: &PaymentLink, contract: &LinkContract, files_bucket: Option<&str>) -> Vec<Check> {
    let what = || format!("link {}", link.id);
    let wording = contract
        .unusable_thank_you
        .as_ref()
        .map(|error| Check::warn(what(), error.to_string(), "correct its metadata `thank_you` in Stripe"));
    let files = contract.files.iter().filter_map(|typed| object_key(typed, files_bucket?).err());
    let files = files.map(|error| {
        Check::fail(
            what(),
            error.to_string(),
            "name a file below `files/` of the files bucket in its metadata `files`: docs/PAYMENT-LINKS.md",
        )
    });
    wording.into_iter().chain(files).collect()
}

async fn of_secrets(deployment: &Deployment) -> Vec<Check> {
    const MEND: &str = "put Stripe's value in: docs/DEPLOY.md";
    let secrets = aws_sdk_secretsmanager::Client::new(&deployment.sdk);
    let read = async |output: &str| {
        let name = deployment.output(output)?;
        let secret = secrets.get_secret_value().secret_id(name).send().await;
        let secret = secret.with_context(|| format!("{name} cannot be read"))?;
        Ok::<_, anyhow::Error>(secret.secret_string().unwrap_or_default().to_owned())
    };
    let livemode = deployment.livemode().unwrap_or_default();
    let signing = match read("SigningSecretName").await {
        Ok(text) if SigningSecret::parse_all(&text).is_empty() => {
            Check::fail("signing secret", "holds no whsec_…", MEND)
        }
        Ok(_) => Check::pass("signing secret", "readable"),
        Err(error) => Check::fail("signing secret", format!("{error:#}"), MEND),
    };
    let key = match read("StripeKeyName").await.map(|text| ApiKey::new(&text)) {
        Ok(Ok(key)) if key.livemode() != livemode => {
            Check::fail("Stripe key's mode", "of the other mode", "put in the key of this stage's mode")
        }
        Ok(Ok(key)) if !key.restricted() => Check::warn(
            "Stripe key's mode",
            "a secret key, which may do everything",
            "make a restricted key with read permissions",
        ),
        Ok(Ok(_)) => Check::pass("Stripe key's mode", "this stage's, and restricted"),
        Ok(Err(error)) => Check::fail("Stripe key's mode", error.to_string(), MEND),
        Err(error) => Check::fail("Stripe key's mode", format!("{error:#}"), MEND),
    };
    const MEND_LINKS: &str =
        "put a random line into the secret: docs/DEPLOY.md. Links that a lost key signed are dead";
    let links = match read("TokenKeysName").await.map(|text| TokenKeys::parse(&text)) {
        Ok(Ok(_)) => Check::pass("keys of download links", "readable"),
        Ok(Err(error)) => Check::fail("keys of download links", error.to_string(), MEND_LINKS),
        Err(error) => Check::fail("keys of download links", format!("{error:#}"), MEND_LINKS),
    };
    vec![signing, key, links]
}

async fn of_mail(deployment: &Deployment) -> Vec<Check> {
    let ses = aws_sdk_sesv2::Client::new(&deployment.sdk);
    let identity = match deployment.output("MailIdentity") {
        Ok(name) => match ses.get_email_identity().email_identity(name).send().await {
            Ok(found) if found.verified_for_sending_status() => {
                Check::pass("mail identity", format!("{name} is verified"))
            }
            Ok(_) => Check::fail(
                "mail identity",
                format!("{name} is not verified"),
                "publish the DKIM records: docs/DEPLOY.md",
            ),
            Err(error) => Check::fail(
                "mail identity",
                format!("{:#}", anyhow::Error::from(error)),
                "deploy the data stack",
            ),
        },
        Err(error) => Check::fail("mail identity", error.to_string(), "deploy the pipeline stack"),
    };
    let account = match ses.get_account().send().await {
        Ok(account) if !account.sending_enabled() => Check::fail(
            "mail account",
            "SES has stopped it from sending",
            "see the account dashboard of SES, and docs/runbooks/mail-reputation.md",
        ),
        Ok(account) if !account.production_access_enabled() => {
            let seen = "in the sandbox: mails reach verified addresses only";
            if deployment.livemode().unwrap_or_default() {
                Check::fail("mail account", seen, "ask SES for production access: docs/DEPLOY.md")
            } else {
                Check::warn("mail account", seen, "well enough for a test stage")
            }
        }
        Ok(_) => Check::pass("mail account", "out of the sandbox"),
        Err(error) => Check::fail(
            "mail account",
            format!("{:#}", anyhow::Error::from(error)),
            "is ses:GetAccount allowed?",
        ),
    };
    vec![identity, account]
}

async fn of_queues(deployment: &Deployment, task: Task) -> Check {
    let what = format!("queues of {}", task.name());
    let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
    let look = async || {
        depth(&sqs, deployment.queue_url(task)?).await?;
        depth(&sqs, deployment.dlq_url(task)?).await
    };
    match look().await {
        Ok(dlq) if dlq.waiting + dlq.in_flight > 0 => Check::warn(
            what,
            format!("{} messages in the DLQ", dlq.waiting + dlq.in_flight),
            format!("`afterlink redrive --task {}` shows why", task.name()),
        ),
        Ok(_) => Check::pass(what, "there, and the DLQ is empty"),
        Err(error) => Check::fail(what, format!("{error:#}"), "deploy the pipeline stack"),
    }
}

async fn of_ledger(deployment: &Deployment) -> Check {
    let look =
        async || deployment.ledger()?.open_effects("").await.context("the index open-effects cannot be read");
    match look().await {
        Ok(open) => Check::pass("ledger", format!("its index answers in {} pages", open.pages)),
        Err(error) => Check::fail(
            "ledger",
            format!("{error:#}"),
            "deploy the data stack; a new index takes a few minutes to fill",
        ),
    }
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>
async fn of_alarms(deployment: &Deployment) -> Check {
    let prefix = format!("afterlink-{}-", deployment.stage);
    match alarm_states(&deployment.sdk, &prefix).await {
        Ok(states) => of_alarm_states(&states),
        Err(error) => Check::warn("alarms", format!("{error:#}"), "is cloudwatch:DescribeAlarms allowed?"),
    }
}

/// The alarms whose names begin so, with their states. A page has at most a hundred of them.
async fn alarm_states(sdk: &SdkConfig, prefix: &str) -> Result<Vec<(String, String)>> {
    let monitoring = QueryApi::of("monitoring", sdk)?;
    let mut states = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut form = vec![
            ("Action", "DescribeAlarms"),
            ("Version", "2010-08-01"),
            ("AlarmNamePrefix", prefix),
            ("MaxRecords", "100"),
        ];
        form.extend(next.as_deref().map(|token| ("NextToken", token)));
        let answer = monitoring.call(&form).await?;
        states.extend(states_in(&answer));
        next = next_token_in(&answer);
        if next.is_none() {
            return Ok(states);
        }
    }
}

fn next_token_in(answer: &str) -> Option<String> {
    let document = roxmltree::Document::parse(answer).ok()?;
    let node = document.descendants().find(|node| node.tag_name().name() == "NextToken")?;
    node.text().map(str::to_owned)
}

fn states_in(answer: &str) -> Vec<(String, String)> {
    let Ok(document) = roxmltree::Document::parse(answer) else {
        return Vec::new();
    };
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.tag_name().name() == name)?;
        child.text().map(str::to_owned)
    };
    document
        .descendants()
        .filter_map(|node| Some((text(node, "AlarmName")?, text(node, "StateValue")?)))
        .collect()
}

fn of_alarm_states(alarms: &[(String, String)]) -> Check {
    let ringing: Vec<_> =
        alarms.iter().filter(|(_, state)| state == "ALARM").map(|(name, _)| name.as_str()).collect();
    if alarms.is_empty() {
        return Check::fail(
            "alarms",
            "none",
            "deploy the operations stack: without it nobody is told of anything",
        );
    }
    if ringing.is_empty() {
        return Check::pass("alarms", format!("{} there, none ringing", alarms.len()));
    }
    Check::warn(
        "alarms",
        format!("ringing: {}", ringing.join(", ")),
        "docs/runbooks/README.md names a page for each",
    )
}

impl Report for Health {
    fn print(&self, page: &mut Page) {
        let rows: Vec<_> = self
            .checks
            .iter()
            .map(|check| {
                let (style, name) = match check.result {
                    CheckResult::Pass => (GOOD, "pass"),
                    CheckResult::Unchecked => (DIM, "unchecked"),
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
    }

    fn verdict(&self) -> Verdict {
        Verdict::needs_you_if(self.checks.iter().any(|check| check.result == CheckResult::Fail))
    }
}

#[cfg(test)]
mod tests;
