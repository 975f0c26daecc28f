use aws::Environment;
use stripe_access::StripeConfig;

/// What reading a purchase, and making links to it, takes.
#[derive(Debug, Clone)]
pub struct PurchasesConfig {
    /// The table of what payments may fetch.
    pub downloads_table: String,
    /// The bucket of sold files.
    pub files_bucket: String,
    /// The secret with the keys that sign customers' links, by name.
    pub token_keys_secret_name: String,
    /// How Stripe is asked.
    pub stripe: StripeConfig,
}

impl PurchasesConfig {
    /// `None` when something is missing, which `env` has recorded. `livemode` is none where it is missing itself.
    pub fn from_env<L: Fn(&str) -> Option<String>>(
        env: &mut Environment<L>,
        livemode: Option<bool>,
    ) -> Option<Self> {
        let downloads_table = env.text("DOWNLOADS_TABLE");
        let files_bucket = env.text("FILES_BUCKET");
        let token_keys_secret_name = env.text("TOKEN_KEYS_SECRET_NAME");
        let stripe = StripeConfig::from_env(env, livemode);
        Some(Self {
            downloads_table: downloads_table?,
            files_bucket: files_bucket?,
            token_keys_secret_name: token_keys_secret_name?,
            stripe: stripe?,
        })
    }
}
