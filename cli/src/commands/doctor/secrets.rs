//! The stage's secrets: one that cannot be read, one that is empty and one that is malformed are three things.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use download_claims::TokenKeys;
use stripe_client::ApiKey;
use stripe_events::SigningSecret;

use super::Check;
use crate::deployment::Deployment;
use crate::query_api::is_denial;

/// What reading a secret came to.
#[derive(Debug)]
enum Found {
    Text(String),
    /// It is there, and holds nothing.
    Empty,
    /// There is no such secret.
    None,
    /// The caller may not read it.
    Denied,
    NoAnswer(String),
}

pub(super) async fn of_secrets(deployment: &Deployment) -> Vec<Check> {
    let client = Client::new(&deployment.sdk);
    let livemode = deployment.livemode().unwrap_or_default();
    let read = async |output: &str| match deployment.output(output) {
        Ok(name) => read(&client, name).await,
        Err(error) => Found::NoAnswer(error.to_string()),
    };
    vec![
        of_signing_secret(read("SigningSecretName").await),
        of_stripe_key("Stripe key's secret", read("StripeKeyName").await, livemode),
        of_stripe_key("Stripe key of the pages", read("StripePagesKeyName").await, livemode),
        of_token_keys(read("TokenKeysName").await),
    ]
}

/// A secret that was never given a value is not found either, in other words.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
async fn read(client: &Client, name: &str) -> Found {
    match client.get_secret_value().secret_id(name).send().await {
        Ok(found) => match found.secret_string() {
            Some(text) if !text.trim().is_empty() => Found::Text(text.to_owned()),
            _ => Found::Empty,
        },
        Err(error) => match error.code() {
            Some("ResourceNotFoundException")
                if error.message().is_some_and(|said| said.contains("staging label")) =>
            {
                Found::Empty
            }
            Some("ResourceNotFoundException") => Found::None,
            Some(code) if is_denial(code) => Found::Denied,
            _ => Found::NoAnswer(format!("{:#}", anyhow::Error::from(error))),
        },
    }
}

/// The text of a secret; else the check that says why there is none. `fill` says what belongs into an empty one.
fn text_of(what: &str, found: Found, fill: &str) -> Result<String, Check> {
    match found {
        Found::Text(text) => Ok(text),
        Found::Empty => Err(Check::fail(what, "is empty", fill)),
        Found::None => {
            Err(Check::fail(what, "there is no such secret", "deploy the data stack: docs/DEPLOY.md"))
        }
        Found::Denied => Err(Check::unanswered(what, "secretsmanager:GetSecretValue", true, "")),
        Found::NoAnswer(error) => Err(Check::unanswered(what, "secretsmanager:GetSecretValue", false, error)),
    }
}

fn of_signing_secret(found: Found) -> Check {
    const WHAT: &str = "signing secret";
    match text_of(WHAT, found, "put the destination's whsec_… in: docs/DEPLOY.md") {
        Ok(text) if SigningSecret::parse_all(&text).is_empty() => {
            Check::fail(WHAT, "holds no whsec_…", "put the destination's whsec_… in: docs/DEPLOY.md")
        }
        Ok(_) => {
            Check::pass(WHAT, "holds a whsec_…; whether it is the destination's, Stripe's deliveries show")
        }
        Err(check) => check,
    }
}

fn of_stripe_key(what: &str, found: Found, livemode: bool) -> Check {
    const FILL: &str = "put a restricted key in: docs/DEPLOY.md says with which permissions";
    match text_of(what, found, FILL).map(|text| ApiKey::new(&text)) {
        Ok(Ok(key)) if key.livemode() != livemode => {
            Check::fail(what, "of the other mode", "put in the key of this stage's mode")
        }
        Ok(Ok(key)) if !key.restricted() => Check::warn(
            what,
            "a secret key, which may do everything",
            "make a restricted key with read permissions",
        ),
        Ok(Ok(_)) => Check::pass(what, "of this stage's mode, and restricted"),
        Ok(Err(error)) => Check::fail(what, error.to_string(), FILL),
        Err(check) => check,
    }
}

/// The links in mails that are out hang on it: a new key is proposed only where there is none.
fn of_token_keys(found: Found) -> Check {
    const WHAT: &str = "keys of download links";
    match text_of(WHAT, found, "put a random line in: docs/DEPLOY.md").map(|text| TokenKeys::parse(&text)) {
        Ok(Ok(_)) => Check::pass(WHAT, "readable"),
        Ok(Err(error)) => Check::fail(
            WHAT,
            format!("malformed: {error}"),
            "put the version before it back; a new key would make every link that is out worthless: docs/DEPLOY.md",
        ),
        Err(check) => check,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::aws::{Endpoint, Reply};

    use super::super::CheckResult;
    use super::*;

    /// Losing the keys would make every link that was sold worthless.
    #[test]
    fn a_new_key_is_proposed_only_where_there_is_none() {
        for (found, result, proposes) in [
            (Found::Denied, CheckResult::Unchecked, false),
            (Found::NoAnswer("throttled".to_owned()), CheckResult::Unchecked, false),
            (Found::Text("short".to_owned()), CheckResult::Fail, false),
            (Found::None, CheckResult::Fail, false),
            (Found::Empty, CheckResult::Fail, true),
        ] {
            let said = format!("{found:?}");
            let check = of_token_keys(found);
            assert_eq!(check.result, result, "{said}");
            assert_eq!(check.fix.unwrap().contains("put a random line in"), proposes, "{said}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_what_is_empty_and_what_is_not_there_are_three_things() {
        let refusal =
            |code: &str, message: &str| Reply::json(400, &json!({ "__type": code, "Message": message }));
        for (reply, expected) in [
            (Reply::json(200, &json!({ "SecretString": "whsec_1" })), "Text"),
            (Reply::json(200, &json!({ "SecretString": " \n" })), "Empty"),
            (
                refusal(
                    "ResourceNotFoundException",
                    "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
                ),
                "Empty",
            ),
            (
                refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
                "None",
            ),
            (refusal("AccessDeniedException", "User is not authorized to perform"), "Denied"),
            (refusal("DecryptionFailure", "no key"), "NoAnswer"),
        ] {
            let endpoint = Endpoint::start([reply]);
            let found = format!("{:?}", read(&Client::new(&endpoint.sdk_config()), "name").await);
            assert!(found.starts_with(expected), "{found}, not {expected}");
        }
    }

    #[test]
    fn keys_are_of_the_right_mode_and_kind() {
        for (text, livemode, result) in [
            ("rk_test_1234567890abcdef", false, CheckResult::Pass),
            ("rk_test_1234567890abcdef", true, CheckResult::Fail),
            ("sk_test_1234567890abcdef", false, CheckResult::Warn),
            ("hunter2", false, CheckResult::Fail),
        ] {
            let check = of_stripe_key("key", Found::Text(text.to_owned()), livemode);
            assert_eq!(check.result, result, "{text}");
            assert!(!check.seen.contains("hunter2"), "{}", check.seen);
        }
        assert_eq!(of_signing_secret(Found::Text("secret".to_owned())).result, CheckResult::Fail);
        assert_eq!(of_signing_secret(Found::Text("whsec_c2VjcmV0".to_owned())).result, CheckResult::Pass);
    }
}
