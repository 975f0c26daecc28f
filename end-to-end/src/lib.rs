//! Tests of the deployed stack, in `tests/local_cloud/`: real events in at the webhook, real functions on the
//! local cloud, real rows and mails out, IAM enforced. `cargo xtask test` runs them.
