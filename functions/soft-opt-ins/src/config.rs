use aws::Environment;
use uuid::Uuid;

/// What the function is configured with, beyond its queue.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) livemode: bool,
    pub(crate) consents_table: String,
    pub(crate) effects_table: String,
    /// The deployment's own, so that supporter ids of two deployments cannot be joined.
    pub(crate) supporter_namespace: Uuid,
}

impl Config {
    /// `None` when something is missing, which `env` has recorded.
    pub fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let livemode = env.parsed("LIVEMODE");
        let consents_table = env.text("CONSENTS_TABLE");
        let effects_table = env.text("EFFECTS_TABLE");
        let supporter_namespace = env.parsed("SUPPORTER_NAMESPACE");
        Some(Self {
            livemode: livemode?,
            consents_table: consents_table?,
            effects_table: effects_table?,
            supporter_namespace: supporter_namespace?,
        })
    }
}
