use aws::Environment;

/// What it takes to ask Stripe.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    /// The secret with the restricted key of Stripe's API, by name.
    pub key_secret_name: String,
    /// Where a fake of Stripe's API is, in a stage without real money.
    pub api_base_url: Option<String>,
}

impl StripeConfig {
    /// `None` when something is missing, which `env` has recorded. `livemode` is none where it is missing itself.
    pub fn from_env<L: Fn(&str) -> Option<String>>(
        env: &mut Environment<L>,
        livemode: Option<bool>,
    ) -> Option<Self> {
        let key_secret_name = env.text("STRIPE_KEY_SECRET_NAME");
        let api_base_url = env.optional("STRIPE_API_BASE_URL");
        if livemode == Some(true) && api_base_url.is_some() {
            env.problem("STRIPE_API_BASE_URL is set, but real money is asked for at Stripe only");
        }
        Some(Self { key_secret_name: key_secret_name?, api_base_url })
    }
}
