use task_runtime::Environment;

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
    pub(crate) downloads_table: String,
    /// The bucket with what is sold.
    pub(crate) files_bucket: String,
    /// The secret with the keys that sign customers' links, by name.
    pub(crate) token_keys_secret_name: String,
    /// The secret with the restricted key of Stripe's API, by name.
    pub(crate) stripe_key_secret_name: String,
    /// Where a fake of Stripe's API is, in a stage without real money.
    pub(crate) stripe_api_base_url: Option<String>,
}

impl Config {
    /// `None` when something is missing, which `env` has noted.
    pub fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let livemode = env.parsed("LIVEMODE");
        let effects_table = env.text("EFFECTS_TABLE");
        let templates_bucket = env.text("TEMPLATES_BUCKET");
        let sender = env.text("SENDER");
        let configuration_set = env.text("CONFIGURATION_SET");
        let pages_url = env.text("PAGES_URL");
        let downloads_table = env.text("DOWNLOADS_TABLE");
        let files_bucket = env.text("FILES_BUCKET");
        let token_keys_secret_name = env.text("TOKEN_KEYS_SECRET_NAME");
        let stripe_key_secret_name = env.text("STRIPE_KEY_SECRET_NAME");
        let stripe_api_base_url = env.optional("STRIPE_API_BASE_URL");
        if livemode == Some(true) && stripe_api_base_url.is_some() {
            env.problem("STRIPE_API_BASE_URL is set, but real money is asked for at Stripe only");
        }
        Some(Self {
            livemode: livemode?,
            effects_table: effects_table?,
            templates_bucket: templates_bucket?,
            sender: sender?,
            configuration_set: configuration_set?,
            pages_url: pages_url?,
            downloads_table: downloads_table?,
            files_bucket: files_bucket?,
            token_keys_secret_name: token_keys_secret_name?,
            stripe_key_secret_name: stripe_key_secret_name?,
            stripe_api_base_url,
        })
    }
}
