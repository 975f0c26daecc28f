use aws::Environment;
use stripe_access::StripeConfig;
use uuid::Uuid;

/// What the function is configured with, beyond its queue.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) livemode: bool,
    pub(crate) contributions_table: String,
    pub(crate) supporters_table: String,
    pub(crate) effects_table: String,
    /// The deployment's own, so that supporter ids of two deployments cannot be joined.
    pub(crate) supporter_namespace: Uuid,
    /// Where payments and subscriptions are looked up that the ledger does not know.
    pub(crate) stripe: StripeConfig,
}

impl Config {
    /// `None` when something is missing, which `env` has recorded.
    pub fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let livemode = env.parsed("LIVEMODE");
        let contributions_table = env.text("CONTRIBUTIONS_TABLE");
        let supporters_table = env.text("SUPPORTERS_TABLE");
        let effects_table = env.text("EFFECTS_TABLE");
        let supporter_namespace = env.parsed("SUPPORTER_NAMESPACE");
        let stripe = StripeConfig::from_env(env, livemode);
        Some(Self {
            livemode: livemode?,
            contributions_table: contributions_table?,
            supporters_table: supporters_table?,
            effects_table: effects_table?,
            supporter_namespace: supporter_namespace?,
            stripe: stripe?,
        })
    }
}
