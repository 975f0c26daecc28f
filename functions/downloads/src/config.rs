use aws::Environment;
use download_claims::PurchasesConfig;

/// What the function is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) stage: String,
    pub(crate) livemode: bool,
    pub(crate) contributions_table: String,
    pub(crate) effects_table: String,
    pub(crate) purchases: PurchasesConfig,
    /// The secret that CloudFront sends along, by name, where only CloudFront is answered.
    pub(crate) origin_secret_name: Option<String>,
}

impl Config {
    /// `None` when something is missing, which `env` has recorded.
    pub fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let stage = env.text("STAGE");
        let livemode = env.parsed("LIVEMODE");
        let contributions_table = env.text("CONTRIBUTIONS_TABLE");
        let effects_table = env.text("EFFECTS_TABLE");
        let purchases = PurchasesConfig::from_env(env, livemode);
        Some(Self {
            stage: stage?,
            livemode: livemode?,
            contributions_table: contributions_table?,
            effects_table: effects_table?,
            purchases: purchases?,
            origin_secret_name: env.optional("ORIGIN_SECRET_NAME"),
        })
    }
}
