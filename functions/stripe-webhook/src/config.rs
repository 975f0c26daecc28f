use aws::Environment;

/// What the function is configured with.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) stage: String,
    /// The fulfilment bus, by name.
    pub(crate) fulfilment_bus: String,
    /// The secret that holds Stripe's signing secrets, by name.
    pub(crate) signing_secret_name: String,
}

impl Config {
    /// `None` when something is missing, which `env` has recorded.
    pub(crate) fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let stage = env.text("STAGE");
        let fulfilment_bus = env.text("FULFILMENT_BUS");
        let signing_secret_name = env.text("SIGNING_SECRET_NAME");
        Some(Self {
            stage: stage?,
            fulfilment_bus: fulfilment_bus?,
            signing_secret_name: signing_secret_name?,
        })
    }
}
