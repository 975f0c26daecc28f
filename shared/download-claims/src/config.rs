use task_runtime::Environment;

/// What it takes to tell what a customer bought, and to make links to it.
#[derive(Debug, Clone)]
pub struct PurchasesConfig {
    /// The table of what payments may fetch.
    pub downloads_table: String,
    /// The bucket with what is sold.
    pub files_bucket: String,
    /// The secret with the keys that sign customers' links, by name.
    pub token_keys_secret_name: String,
    /// The secret with the restricted key of Stripe's API, by name.
    pub stripe_key_secret_name: String,
    /// Where a fake of Stripe's API is, in a stage without real money.
    pub stripe_api_base_url: Option<String>,
}

impl PurchasesConfig {
    /// `None` when something is missing, which `env` has noted. `livemode` is none where that is what is missing.
    pub fn from_env<L: Fn(&str) -> Option<String>>(
        env: &mut Environment<L>,
        livemode: Option<bool>,
    ) -> Option<Self> {
        let downloads_table = env.text("DOWNLOADS_TABLE");
        let files_bucket = env.text("FILES_BUCKET");
        let token_keys_secret_name = env.text("TOKEN_KEYS_SECRET_NAME");
        let stripe_key_secret_name = env.text("STRIPE_KEY_SECRET_NAME");
        let stripe_api_base_url = env.optional("STRIPE_API_BASE_URL");
        if livemode == Some(true) && stripe_api_base_url.is_some() {
            env.problem("STRIPE_API_BASE_URL is set, but real money is asked for at Stripe only");
        }
        Some(Self {
            downloads_table: downloads_table?,
            files_bucket: files_bucket?,
            token_keys_secret_name: token_keys_secret_name?,
            stripe_key_secret_name: stripe_key_secret_name?,
            stripe_api_base_url,
        })
    }
}
