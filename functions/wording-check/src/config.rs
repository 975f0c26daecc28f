use aws::Environment;

/// What the function is configured with, beyond its queue.
#[derive(Debug, Clone)]
pub struct Config {
    /// `local`, `test` or `live`.
    pub(crate) stage: String,
    /// The bucket with the marketers' own templates.
    pub(crate) templates_bucket: String,
    /// The `From` of every mail, as a mailbox: `Example Project <thanks@example.org>`.
    pub(crate) sender: String,
    /// SES's configuration set, which reports bounces and complaints.
    pub(crate) configuration_set: String,
}

impl Config {
    /// `None` when something is missing, which `env` has recorded.
    pub fn from_env<L: Fn(&str) -> Option<String>>(env: &mut Environment<L>) -> Option<Self> {
        let stage = env.text("STAGE");
        let templates_bucket = env.text("TEMPLATES_BUCKET");
        let sender = env.text("SENDER");
        let configuration_set = env.text("CONFIGURATION_SET");
        Some(Self {
            stage: stage?,
            templates_bucket: templates_bucket?,
            sender: sender?,
            configuration_set: configuration_set?,
        })
    }
}
