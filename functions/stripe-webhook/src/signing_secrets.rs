use aws::{CachedSecret, Clock, SecretError, SecretSource};
use stripe_events::SigningSecret;
use tracing::error;

/// The signing secrets of the endpoint: one, or two while one is rolled.
pub(crate) struct SigningSecrets<S, C>(pub(crate) CachedSecret<C, S>);

impl<S: SecretSource, C: Clock> SigningSecrets<S, C> {
    /// The secrets, at most five minutes old if Secrets Manager answers.
    pub(crate) async fn current(&self) -> Result<Vec<SigningSecret>, SecretError> {
        self.0.current().await.map(|text| parsed(&text))
    }

    /// The secrets, fetched again unless that was done a moment ago.
    pub(crate) async fn fresh(&self) -> Result<Vec<SigningSecret>, SecretError> {
        self.0.fresh().await.map(|text| parsed(&text))
    }
}

fn parsed(text: &str) -> Vec<SigningSecret> {
    let secrets = SigningSecret::parse_all(text);
    if secrets.is_empty() {
        error!("the signing secret holds no `whsec_…`: every request will be refused");
    }
    secrets
}
