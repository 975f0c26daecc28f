use aws::Environment;
use download_claims::PurchasesConfig;

/// What the function is configured with, beyond its queue.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) livemode: bool,
    pub(crate) effects_table: String,
    /// The bucket with the marketers' own templates.
    pub(crate) templates_bucket: String,
    /// The `From` of every mail, as a mailbox: `Example Project <thanks@example.org>`.
    pub(crate) sender: String,
    /// SES's configuration set, which reports bounces and complaints.
    pub(crate) configuration_set: String,
    /// Where customers find the pages: `https://shop.example.org`.
    pub(crate) pages_url: String,
    pub(crate) purchases: PurchasesConfig,
}

impl Config {
    /// `None` when something is missing, which `env` has recorded.
    pub fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let livemode = env.parsed("LIVEMODE");
        let effects_table = env.text("EFFECTS_TABLE");
        let templates_bucket = env.text("TEMPLATES_BUCKET");
        let sender = env.text("SENDER");
        let configuration_set = env.text("CONFIGURATION_SET");
        let pages_url = env.text("PAGES_URL");
        let purchases = PurchasesConfig::from_env(env, livemode);
        Some(Self {
            livemode: livemode?,
            effects_table: effects_table?,
            templates_bucket: templates_bucket?,
            sender: sender?,
            configuration_set: configuration_set?,
            pages_url: pages_url?,
            purchases: purchases?,
        })
    }
}
