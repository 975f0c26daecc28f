//! What the metadata of Payment Links promises, and whether it can be kept.

use fulfilment::{Attribution, LinkContract, MetadataKey, Policy, object_key, shown};
use stripe_client::{PaymentLink, Request, StripeClient, StripeError};

use super::links::Surroundings;
use super::{Check, consent, links};
use crate::deployment::Deployment;

/// The active Payment Links of this stage's mode, with what they sell.
pub(super) async fn selling(
    deployment: &Deployment,
    client: &StripeClient,
) -> Result<Vec<PaymentLink>, StripeError> {
    let livemode = deployment.livemode().unwrap_or_default();
    let objects = match client.all(Request::payment_links().expand("data.line_items")).await {
        // The key may not read prices, which is another check's to say.
        Err(StripeError::KeyRefused { .. }) => client.all(Request::payment_links()).await?,
        found => found?,
    };
    let links = objects.iter().filter_map(|object| object.read::<PaymentLink>().ok());
    Ok(links.filter(|link| link.active && link.livemode == livemode).collect())
}

pub(super) fn of_payment_links(
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
pub(super) fn of_links(links: &[PaymentLink], policy: &Policy, files_bucket: Option<&str>) -> Vec<Check> {
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
                checks.extend(new_campaigns(link, policy));
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

/// Campaigns that `policy.toml` does not list. They count as they are.
fn new_campaigns(link: &PaymentLink, policy: &Policy) -> Vec<Check> {
    let codes = Attribution::read(&link.metadata, None).campaign_codes;
    let new = policy.attribution.new_campaigns(&codes).into_iter();
    let fix = "correct its metadata `campaign` in Stripe, or add the code to `campaigns` in policy.toml";
    new.map(|new| Check::warn(format!("link {}", link.id), new.to_string(), fix)).collect()
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
