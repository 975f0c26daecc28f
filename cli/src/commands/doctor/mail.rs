//! Whether SES lets the stage send.

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::ProvideErrorMetadata;

use super::Check;
use crate::deployment::Deployment;
use crate::query_api::is_denial;

pub(super) async fn of_mail(deployment: &Deployment) -> Vec<Check> {
    let ses = Client::new(&deployment.sdk);
    vec![of_identity(deployment, &ses).await, of_account(deployment, &ses).await]
}

async fn of_identity(deployment: &Deployment, ses: &Client) -> Check {
    const WHAT: &str = "mail identity";
    let name = match deployment.output("MailIdentity") {
        Ok(name) => name,
        Err(error) => return Check::fail(WHAT, error.to_string(), "deploy the pipeline stack"),
    };
    match ses.get_email_identity().email_identity(name).send().await {
        Ok(found) if found.verified_for_sending_status() => Check::pass(WHAT, format!("{name} is verified")),
        Ok(_) => {
            Check::fail(WHAT, format!("{name} is not verified"), "publish the DKIM records: docs/DEPLOY.md")
        }
        Err(error) if error.code() == Some("NotFoundException") => {
            Check::fail(WHAT, format!("SES does not know {name}"), "deploy the data stack")
        }
        Err(error) => unanswered(WHAT, "ses:GetEmailIdentity", error),
    }
}

async fn of_account(deployment: &Deployment, ses: &Client) -> Check {
    const WHAT: &str = "mail account";
    match ses.get_account().send().await {
        Ok(account) if !account.sending_enabled() => Check::fail(
            WHAT,
            "SES has stopped it from sending",
            "see the account dashboard of SES, and docs/runbooks/mail-reputation.md",
        ),
        Ok(account) if !account.production_access_enabled() => {
            let seen = "in the sandbox: mails reach verified addresses only";
            if deployment.livemode().unwrap_or_default() {
                Check::fail(WHAT, seen, "ask SES for production access: docs/DEPLOY.md")
            } else {
                Check::pass(WHAT, format!("{seen}, which is well enough for a test stage"))
            }
        }
        Ok(_) => Check::pass(WHAT, "out of the sandbox"),
        Err(error) => unanswered(WHAT, "ses:GetAccount", error),
    }
}

fn unanswered<E>(what: &str, permission: &str, error: E) -> Check
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let is_denied = error.code().is_some_and(is_denial);
    Check::unanswered(what, permission, is_denied, format!("{:#}", anyhow::Error::from(error)))
}
