//! The names of what the account holds, which the functions' environment repeats.

pub(crate) const QUEUE_URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/task";
pub(crate) const DLQ_URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/task-dlq";
pub(crate) const FULFILMENT_BUS: &str = "fulfilment";
pub(crate) const ACQUISITION_BUS: &str = "acquisition";
pub(crate) const TEMPLATES_BUCKET: &str = "templates";
pub(crate) const FILES_BUCKET: &str = "files";
pub(crate) const TOKEN_KEYS_SECRET: &str = "token-keys";
pub(crate) const TOKEN_KEYS_SECRET_TEXT: &str = "benchbenchbenchbenchbenchbenchbenchbench";
pub(crate) const STRIPE_KEY_SECRET: &str = "stripe-key";
pub(crate) const RECONCILIATION_TABLE: &str = "reconciliation";
pub(crate) const EVENTS_TABLE: &str = "events";
pub(crate) const SIGNING_SECRET: &str = "signing-secret";
pub(crate) const SIGNING_SECRET_TEXT: &str = "whsec_benchbenchbenchbenchbenchbench";
