use std::cell::{OnceCell, RefCell};
use std::error::Error;
use std::fmt;

use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;
use tracing::error;

use crate::{Clock, cause_chain};

/// A place that keeps a secret.
pub trait SecretSource {
    /// The secret's name, for errors.
    fn name(&self) -> &str;

    /// The secret's text.
    fn fetch(&self) -> impl Future<Output = Result<String, Box<dyn Error + Send + Sync>>>;
}

/// A secret in Secrets Manager, by name.
#[derive(Debug)]
pub struct StoredSecret {
    sdk: SdkConfig,
    /// Made when it is first needed: most processes never ask.
    client: OnceCell<Client>,
    name: String,
}

impl StoredSecret {
    /// Nothing is fetched before it is needed.
    pub fn new(sdk: &SdkConfig, name: impl Into<String>) -> Self {
        Self { sdk: sdk.clone(), client: OnceCell::new(), name: name.into() }
    }
}

impl SecretSource for StoredSecret {
    fn name(&self) -> &str {
        &self.name
    }

    async fn fetch(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        let client = self.client.get_or_init(|| Client::new(&self.sdk));
        let secret = client.get_secret_value().secret_id(&self.name).send().await?;
        secret.secret_string.ok_or_else(|| "the secret holds bytes, not text".into())
    }
}

/// A secret, fetched seldom.
///
/// It is fetched again when it is old, and when the caller finds it wrong (an operator may have rolled it a moment ago),
/// but then at most every ten seconds, so that a flood of bad requests causes no flood of calls.
#[derive(Debug)]
pub struct CachedSecret<C, S = StoredSecret> {
    source: S,
    clock: C,
    cached: RefCell<Option<Cached>>,
}

#[derive(Clone)]
struct Cached {
    text: String,
    fetched_at_ms: i64,
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret cannot be read. The cause is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret {name} cannot be read")]
pub struct SecretError {
    /// The secret's name.
    pub name: String,
}

const MAX_AGE_MS: i64 = 300_000;
const MIN_AGE_MS: i64 = 10_000;

impl<C: Clock> CachedSecret<C> {
    /// A secret in Secrets Manager, by name. Nothing is fetched before it is needed.
    pub fn stored(sdk: &SdkConfig, name: impl Into<String>, clock: C) -> Self {
        Self::new(StoredSecret::new(sdk, name), clock)
    }
}

impl<C: Clock, S: SecretSource> CachedSecret<C, S> {
    /// A cache that is empty.
    pub const fn new(source: S, clock: C) -> Self {
        Self { source, clock, cached: RefCell::new(None) }
    }

    /// Fetches the secret before it is needed. A failure is logged, and the first use fetches again.
    pub async fn warm_up(&self) {
        let _logged = self.current().await;
    }

    /// The secret, at most five minutes old if Secrets Manager answers.
    ///
    /// # Errors
    ///
    /// When it has never been read.
    pub async fn current(&self) -> Result<String, SecretError> {
        self.younger_than(MAX_AGE_MS).await
    }

    /// The secret, fetched again unless that was done a moment ago: for when it turns out to be wrong.
    ///
    /// # Errors
    ///
    /// When it has never been read.
    pub async fn fresh(&self) -> Result<String, SecretError> {
        self.younger_than(MIN_AGE_MS).await
    }

    async fn younger_than(&self, age_ms: i64) -> Result<String, SecretError> {
        let now = self.clock.now_ms();
        let is_young = |cached: &Cached| now - cached.fetched_at_ms < age_ms;
        if !self.cached.borrow().as_ref().is_some_and(is_young) {
            match self.source.fetch().await {
                Ok(text) => *self.cached.borrow_mut() = Some(Cached { text, fetched_at_ms: now }),
                // An old secret is better than none.
                Err(cause) => {
                    error!(cause = cause_chain(&*cause), "cannot fetch the secret {}", self.source.name());
                }
            }
        }
        let cached = self.cached.borrow();
        cached
            .as_ref()
            .map(|cached| cached.text.clone())
            .ok_or_else(|| SecretError { name: self.source.name().to_owned() })
    }
}
