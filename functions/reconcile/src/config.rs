use aws::Environment;
use stripe_client::STRIPE_API;

/// What the function is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) stage: String,
    pub(crate) livemode: bool,
    pub(crate) effects_table: String,
    /// Where it writes down how far it has come.
    pub(crate) reconciliation_table: String,
    pub(crate) fulfilment_bus: String,
    /// The secret that holds Stripe's restricted key, by name.
    pub(crate) stripe_key_secret_name: String,
    /// Where Stripe's API is. Another place than Stripe's only where no real money is.
    pub(crate) stripe_api_base_url: String,
    pub(crate) lag_seconds: i64,
    pub(crate) overlap_seconds: i64,
}

impl Config {
    /// `None` when something is missing or wrong, which `env` has recorded.
    pub fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let stage = env.text("STAGE");
        let livemode = env.parsed("LIVEMODE");
        let effects_table = env.text("EFFECTS_TABLE");
        let reconciliation_table = env.text("RECONCILIATION_TABLE");
        let fulfilment_bus = env.text("FULFILMENT_BUS");
        let stripe_key_secret_name = env.text("STRIPE_KEY_SECRET_NAME");
        let stripe_api_base_url = env.optional("STRIPE_API_BASE_URL");
        if livemode == Some(true) && stripe_api_base_url.is_some() {
            env.problem("STRIPE_API_BASE_URL is set, but real money is asked for at Stripe only");
        }
        let lag_seconds = env.parsed("LAG_SECONDS");
        let overlap_seconds = env.parsed("OVERLAP_SECONDS");
        Some(Self {
            stage: stage?,
            livemode: livemode?,
            effects_table: effects_table?,
            reconciliation_table: reconciliation_table?,
            fulfilment_bus: fulfilment_bus?,
            stripe_key_secret_name: stripe_key_secret_name?,
            stripe_api_base_url: stripe_api_base_url.unwrap_or_else(|| STRIPE_API.to_owned()),
            lag_seconds: lag_seconds?,
            overlap_seconds: overlap_seconds?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(livemode: &str, base_url: Option<&str>) -> Result<Config, String> {
        let mut env = Environment::new(|name: &str| match name {
            "LIVEMODE" => Some(livemode.to_owned()),
            "STRIPE_API_BASE_URL" => base_url.map(ToOwned::to_owned),
            "LAG_SECONDS" | "OVERLAP_SECONDS" => Some("60".to_owned()),
            _ => Some("x".to_owned()),
        });
        let config = Config::from_env(&mut env);
        env.finish(|| config).map_err(|error| error.to_string())
    }

    #[test]
    fn real_money_is_asked_for_at_stripe_only() {
        assert_eq!(read("true", None).unwrap().stripe_api_base_url, "https://api.stripe.com");
        assert!(read("true", Some("http://127.0.0.1:1")).unwrap_err().contains("at Stripe only"));
        let fake = read("false", Some("http://127.0.0.1:1")).unwrap();
        assert_eq!(fake.stripe_api_base_url, "http://127.0.0.1:1");
    }
}
