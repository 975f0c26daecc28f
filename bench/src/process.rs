//! A function as Lambda runs it: one process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::aws::{Aws, names};
use crate::purchase;
use crate::runtime_api::RuntimeApi;
use crate::tls::Tls;

/// A running function, ended when this value is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    api: RuntimeApi,
    started: Instant,
    log: PathBuf,
    polls: bool,
}

/// Whether a function's calls to AWS go over TLS, as everywhere but here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Plain,
    Tls,
}

/// What an invocation took.
#[derive(Debug)]
pub(crate) struct Invoked {
    pub(crate) duration: Duration,
    pub(crate) answer: Vec<u8>,
}

impl Process {
    /// Starts a function in an environment of its own; `folder` is for what it logs.
    pub(crate) fn start(binary: &Path, wire: Wire, aws: &Aws, tls: &Tls, folder: &Path) -> Result<Self> {
        Self::spawn(Command::new(binary), binary, wire, aws, tls, folder)
    }

    /// The same under valgrind, which writes what was executed into `profile` when the process ends.
    pub(crate) fn start_counted(
        binary: &Path,
        profile: &Path,
        aws: &Aws,
        tls: &Tls,
        folder: &Path,
    ) -> Result<Self> {
        let mut command = Command::new("valgrind");
        command
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(binary);
        Self::spawn(command, binary, Wire::Plain, aws, tls, folder)
    }

    fn spawn(
        mut command: Command,
        binary: &Path,
        wire: Wire,
        aws: &Aws,
        tls: &Tls,
        folder: &Path,
    ) -> Result<Self> {
        let api = RuntimeApi::start()?;
        let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let endpoint = match wire {
            Wire::Plain => format!("http://{}", aws.plain),
            Wire::Tls => format!("https://{}", aws.tls),
        };
        command
            .env_clear()
            // Where valgrind is; no function reads it.
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("SSL_CERT_FILE", &tls.system_roots)
            // Reading another file of roots is no part of a start on AWS.
            .envs((wire == Wire::Tls).then_some(("AWS_CA_BUNDLE", &tls.amazon_roots)))
            .env("STRIPE_API_BASE_URL", aws.stripe.url())
            .envs(ENVIRONMENT.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Instant::now();
        let program = command.get_program().display().to_string();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child, api, started, log, polls: false })
    }

    /// Waits until the function asks for an event.
    fn wait(&mut self) -> Result<Instant> {
        let polled = self
            .api
            .polled()
            .with_context(|| format!("it logged:\n{}", fs::read_to_string(&self.log).unwrap_or_default()))?;
        self.polls = true;
        Ok(polled)
    }

    /// How long it took from its start until it asked for its first event.
    pub(crate) fn first_poll(&mut self) -> Result<Duration> {
        Ok(self.wait()?.duration_since(self.started))
    }

    /// How long it took from its start until it had handled this event, its first.
    pub(crate) fn first_event(&mut self, event: Vec<u8>) -> Result<Duration> {
        let (answered, _) = self.api.invoke(event)?;
        self.wait()?;
        Ok(answered.duration_since(self.started))
    }

    /// Hands it an event, and waits until it asks for the next.
    pub(crate) fn invoke(&mut self, event: Vec<u8>) -> Result<Invoked> {
        let handed = Instant::now();
        let (answered, answer) = self
            .api
            .invoke(event)
            .with_context(|| format!("it logged:\n{}", fs::read_to_string(&self.log).unwrap_or_default()))?;
        self.wait()?;
        Ok(Invoked { duration: answered.duration_since(handed), answer })
    }

    /// Ends it as Lambda would, and waits until it is gone.
    pub(crate) fn end(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status().context("cannot start kill")?;
        self.child.wait()?;
        Ok(())
    }

    /// The time its threads have spent on a processor, in user and in kernel. `None` where there is no `/proc`.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let spent = tasks.flatten().filter_map(|task| {
            // The first of three numbers, in nanoseconds. https://docs.kernel.org/scheduler/sched-stats.html
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Some(Duration::from_nanos(spent.sum()))
    }

    /// The most memory it ever had in use, in bytes. `None` where there is no `/proc`.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(peak.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to lose, and Lambda does not ask either.
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// What the stages' functions are given, all of it to each: a function reads what it needs.
const ENVIRONMENT: [(&str, &str); 37] = [
    ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "example"),
    ("AWS_SESSION_TOKEN", "example"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_LAMBDA_FUNCTION_NAME", "function"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
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
];
