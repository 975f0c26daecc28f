//! A secret from Secrets Manager.

use std::time::Duration;

use aws::{CachedSecret, SecretSource, StoredSecret};
use testkit::clock::ManualClock;
use testkit::silence::SilentAws;

#[tokio::test]
async fn a_silent_secrets_manager_is_given_up_after_nine_seconds() {
    let aws = SilentAws::start();
    let secret = StoredSecret::new(&aws.sdk_config(), "secret");
    let (fetched, waited) = aws.wait(Duration::from_secs(2), secret.fetch()).await;
    assert!(fetched.is_err());
    assert_eq!(waited.elapsed, Duration::from_secs(9));
    // The remaining time after two tries and short pauses may begin a third.
    assert!((2..=3).contains(&waited.requests), "{waited:?}");
}

/// A secret that counts how often it is fetched.
struct Counted(std::cell::Cell<u32>);

impl SecretSource for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    async fn fetch(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        self.0.set(self.0.get() + 1);
        if self.0.get() == 1 { Err("out of reach".into()) } else { Ok(format!("text {}", self.0.get())) }
    }
}

#[tokio::test]
async fn is_fetched_again_when_it_is_old_or_wrong_but_not_in_a_flood() {
    let clock = ManualClock::default();
    let secret = CachedSecret::new(Counted(0.into()), clock.clone());
    assert_eq!(secret.current().await.unwrap_err().to_string(), "the secret counted cannot be read");
    assert_eq!(secret.current().await.unwrap(), "text 2");
    assert_eq!(secret.fresh().await.unwrap(), "text 2", "fetched a moment ago");
    clock.advance_ms(11_000);
    assert_eq!(secret.current().await.unwrap(), "text 2");
    assert_eq!(secret.fresh().await.unwrap(), "text 3");
    clock.advance_ms(301_000);
    assert_eq!(secret.current().await.unwrap(), "text 4");
}
