//! A function's process, in an environment as its stage gives it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use lambda_fake::Process;

use crate::aws::Aws;
use crate::names;
use crate::purchase;
use crate::tls::Tls;

/// Whether a function's calls to AWS go over TLS, as everywhere but here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Plain,
    Tls,
}

/// Starts a function in an environment of its own; `folder` is for what it logs.
pub(crate) fn start(binary: &Path, wire: Wire, aws: &Aws, tls: &Tls, folder: &Path) -> Result<Process> {
    spawn(Command::new(binary), binary, wire, aws, tls, folder)
}

/// The same under valgrind, which writes the executed instructions into `profile` when the process ends.
pub(crate) fn start_counted(
    binary: &Path,
    profile: &Path,
    aws: &Aws,
    tls: &Tls,
    folder: &Path,
) -> Result<Process> {
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", profile.display())).arg(binary);
    spawn(command, binary, Wire::Plain, aws, tls, folder)
}

fn spawn(
    mut command: Command,
    binary: &Path,
    wire: Wire,
    aws: &Aws,
    tls: &Tls,
    folder: &Path,
) -> Result<Process> {
    let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let log = folder.join(format!("{name}.log"));
    let endpoint = match wire {
        Wire::Plain => format!("http://{}", aws.plain),
        Wire::Tls => format!("https://{}", aws.tls),
    };
    command
        .env_clear()
        // Where valgrind is; no function reads it.
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("SSL_CERT_FILE", &tls.system_roots)
        // Reading another file of roots is no part of a start on AWS.
        .envs((wire == Wire::Tls).then_some(("AWS_CA_BUNDLE", &tls.amazon_roots)))
        .env("STRIPE_API_BASE_URL", aws.stripe.url())
        .envs(ENVIRONMENT.iter().copied());
    Process::start(command, log)
}

/// What the stages' functions are given, and the ordinary one, all of it to each: a function reads what it needs.
const ENVIRONMENT: [(&str, &str); 31] = [
    ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "example"),
    ("AWS_SESSION_TOKEN", "example"),
    ("AWS_REGION", "us-east-1"),
    ("STAGE", "test"),
    ("LIVEMODE", "false"),
    ("QUEUE_URL", names::QUEUE_URL),
    ("DLQ_URL", names::DLQ_URL),
    ("RETRY_BASE_SECONDS", "30"),
    ("RETRY_CAP_SECONDS", "3600"),
    ("RETRY_GIVE_UP_SECONDS", "36000"),
    ("CONTRIBUTIONS_TABLE", "contributions"),
    ("SUPPORTERS_TABLE", "supporters"),
    ("CONSENTS_TABLE", "consents"),
    ("EFFECTS_TABLE", "effects"),
    ("SUPPORTER_NAMESPACE", "5d0f7c1e-6f0e-4c39-9c55-0c2c6f1f2a10"),
    ("FULFILMENT_BUS", names::FULFILMENT_BUS),
    ("ACQUISITION_BUS", names::ACQUISITION_BUS),
    ("TEMPLATES_BUCKET", names::TEMPLATES_BUCKET),
    ("SIGNING_SECRET_NAME", names::SIGNING_SECRET),
    ("PAGES_URL", "https://shop.example.org"),
    ("DOWNLOADS_TABLE", "downloads"),
    ("FILES_BUCKET", names::FILES_BUCKET),
    ("TOKEN_KEYS_SECRET_NAME", names::TOKEN_KEYS_SECRET),
    ("STRIPE_KEY_SECRET_NAME", names::STRIPE_KEY_SECRET),
    ("RECONCILIATION_TABLE", names::RECONCILIATION_TABLE),
    ("LAG_SECONDS", "300"),
    ("OVERLAP_SECONDS", purchase::WINDOW),
    ("SENDER", "Example Project <thanks@example.org>"),
    ("CONFIGURATION_SET", "mail"),
    ("TABLE_NAME", names::EVENTS_TABLE),
];
