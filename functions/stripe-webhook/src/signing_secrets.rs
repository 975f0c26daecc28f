use std::cell::RefCell;
use std::error::Error;

use aws_sdk_secretsmanager::Client;
use effect_ledger::Clock;
use stripe_events::SigningSecret;
use task_runtime::cause_chain;
use tracing::error;

/// Where the signing secrets are kept.
pub(crate) trait SecretSource {
    /// The text that holds them.
    fn fetch(&self) -> impl Future<Output = Result<String, Box<dyn Error + Send + Sync>>>;
}

/// A secret in Secrets Manager, by name.
pub(crate) struct SecretsManagerSecret {
    client: Client,
    name: String,
}

impl SecretsManagerSecret {
    pub(crate) const fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }
}

impl SecretSource for SecretsManagerSecret {
    async fn fetch(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        let secret = self.client.get_secret_value().secret_id(&self.name).send().await?;
        secret.secret_string.ok_or_else(|| "the secret holds bytes, not text".into())
    }
}

/// The signing secrets, fetched seldom.
///
/// They are fetched again when they are old, and when nothing matches (somebody may have rolled them a moment
/// ago), but then at most every ten seconds, so that a flood of bad signatures costs no flood of calls.
pub(crate) struct CachedSecrets<S, C> {
    source: S,
    clock: C,
    cached: RefCell<Option<Cached>>,
}

#[derive(Clone)]
struct Cached {
    secrets: Vec<SigningSecret>,
    fetched_at_ms: i64,
}

/// There are no secrets to check with: they have never been fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing secrets cannot be read")]
pub(crate) struct NoSecrets;

const MAX_AGE_MS: i64 = 300_000;
const MIN_AGE_MS: i64 = 10_000;

impl<S: SecretSource, C: Clock> CachedSecrets<S, C> {
    pub(crate) const fn new(source: S, clock: C) -> Self {
        Self { source, clock, cached: RefCell::new(None) }
    }

    /// Fetches the secrets before they are needed. A failure is logged and mended by the first request.
    pub(crate) async fn warm_up(&self) {
        self.refresh().await;
    }

    /// The secrets, at most five minutes old if Secrets Manager answers.
    pub(crate) async fn current(&self) -> Result<Vec<SigningSecret>, NoSecrets> {
        self.younger_than(MAX_AGE_MS).await
    }

    /// The secrets, fetched again unless that was done a moment ago.
    pub(crate) async fn fresh(&self) -> Result<Vec<SigningSecret>, NoSecrets> {
        self.younger_than(MIN_AGE_MS).await
    }

    async fn younger_than(&self, age_ms: i64) -> Result<Vec<SigningSecret>, NoSecrets> {
        let young = |cached: &Cached| self.clock.now_ms() - cached.fetched_at_ms < age_ms;
        if !self.cached.borrow().as_ref().is_some_and(young) {
            self.refresh().await;
        }
        self.cached.borrow().as_ref().map(|cached| cached.secrets.clone()).ok_or(NoSecrets)
    }

    async fn refresh(&self) {
        match self.source.fetch().await {
            Ok(text) => {
                let secrets = SigningSecret::parse_all(&text);
                if secrets.is_empty() {
                    error!("the signing secret holds no `whsec_…`: every request will be refused");
                }
                *self.cached.borrow_mut() = Some(Cached { secrets, fetched_at_ms: self.clock.now_ms() });
            }
            // Old secrets are better than none.
            Err(cause) => error!(cause = cause_chain(&*cause), "cannot fetch the signing secrets"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use testkit::silence::SilentAws;

    use super::*;

    #[tokio::test]
    async fn silent_secrets_are_given_up_after_nine_seconds() {
        let aws = SilentAws::start();
        let secret = SecretsManagerSecret::new(Client::new(&aws.sdk_config()), "secret".to_owned());
        let (fetched, waited) = aws.wait(Duration::from_secs(2), secret.fetch()).await;
        assert!(fetched.is_err());
        assert_eq!(waited.elapsed, Duration::from_secs(9));
        // What is left after two tries and short pauses may begin a third.
        assert!((2..=3).contains(&waited.requests), "{waited:?}");
    }
}
