use std::cell::{OnceCell, RefCell};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::DisplayErrorContext;
use aws_types::SdkConfig;
use effect_ledger::Clock;
use tracing::error;

/// A secret in Secrets Manager, by name, fetched seldom.
#[derive(Debug)]
pub struct CachedSecret<C> {
    sdk: SdkConfig,
    /// Made when it is first needed: most processes never ask.
    client: OnceCell<Client>,
    name: String,
    clock: C,
    cached: RefCell<Option<Cached>>,
}

#[derive(Clone)]
struct Cached {
    text: String,
    fetched_at_ms: i64,
}

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret cannot be read. Why is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret {name} cannot be read")]
pub struct SecretError {
    /// Which one.
    pub name: String,
}

const MAX_AGE_MS: i64 = 300_000;
const MIN_AGE_MS: i64 = 10_000;

impl<C: Clock> CachedSecret<C> {
    /// Nothing is fetched before it is needed.
    pub fn new(sdk: &SdkConfig, name: impl Into<String>, clock: C) -> Self {
        let (client, cached) = (OnceCell::new(), RefCell::default());
        Self { sdk: sdk.clone(), client, name: name.into(), clock, cached }
    }

    /// The secret, at most five minutes old if Secrets Manager answers.
    ///
    /// # Errors
    ///
    /// When it has never been read.
    pub async fn current(&self) -> Result<String, SecretError> {
        self.younger_than(MAX_AGE_MS).await
    }

    /// The secret, fetched again unless that was done a moment ago: for when it turns out to be too old.
    ///
    /// # Errors
    ///
    /// When it has never been read.
    pub async fn fresh(&self) -> Result<String, SecretError> {
        self.younger_than(MIN_AGE_MS).await
    }

    async fn younger_than(&self, age_ms: i64) -> Result<String, SecretError> {
        let now = self.clock.now_ms();
        let young = |cached: &Cached| now - cached.fetched_at_ms < age_ms;
        if !self.cached.borrow().as_ref().is_some_and(young) {
            let client = self.client.get_or_init(|| Client::new(&self.sdk));
            match client.get_secret_value().secret_id(&self.name).send().await {
                Ok(secret) => {
                    let text = secret.secret_string.unwrap_or_default();
                    *self.cached.borrow_mut() = Some(Cached { text, fetched_at_ms: now });
                }
                // An old secret is better than none.
                Err(error) => {
                    error!(cause = %DisplayErrorContext(error), "cannot fetch the secret {}", self.name)
                }
            }
        }
        let cached = self.cached.borrow();
        cached
            .as_ref()
            .map(|cached| cached.text.clone())
            .ok_or_else(|| SecretError { name: self.name.clone() })
    }
}
