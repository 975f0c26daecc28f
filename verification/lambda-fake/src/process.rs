//! A function as Lambda runs it: one process.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::runtime_api::RuntimeApi;

/// A running function, ended when this value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    api: RuntimeApi,
    started: Instant,
    log: PathBuf,
}

/// What an invocation took.
#[derive(Debug)]
pub struct Invoked {
    /// From when it was handed the event until it answered.
    pub duration: Duration,
    /// What it answered, in JSON.
    pub answer: Vec<u8>,
}

impl Process {
    /// Starts a function. `command` names its binary, or what runs it, and sets its environment, to which
    /// Lambda's own variables are added; what it logs is written to the file `log`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(mut command: Command, log: PathBuf) -> Result<Self> {
        let api = RuntimeApi::start()?;
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Instant::now();
        let program = command.get_program().display().to_string();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child, api, started, log })
    }

    /// Waits until the function asks for an event.
    fn wait(&self) -> Result<Instant> {
        self.api
            .polled()
            .with_context(|| format!("it logged:\n{}", fs::read_to_string(&self.log).unwrap_or_default()))
    }

    /// How long it took from its start until it asked for its first event.
    ///
    /// # Errors
    ///
    /// When it asks for none.
    pub fn first_poll(&self) -> Result<Duration> {
        Ok(self.wait()?.duration_since(self.started))
    }

    /// How long it took from its start until it had handled this event, its first.
    ///
    /// # Errors
    ///
    /// When it fails, or does not answer.
    pub fn first_event(&self, event: Vec<u8>) -> Result<Duration> {
        let (answered, _) = self.api.invoke(event)?;
        self.wait()?;
        Ok(answered.duration_since(self.started))
    }

    /// Hands it an event, and waits until it asks for the next.
    ///
    /// # Errors
    ///
    /// When it fails, or does not answer.
    pub fn invoke(&self, event: Vec<u8>) -> Result<Invoked> {
        let handed = Instant::now();
        let (answered, answer) = self
            .api
            .invoke(event)
            .with_context(|| format!("it logged:\n{}", fs::read_to_string(&self.log).unwrap_or_default()))?;
        self.wait()?;
        Ok(Invoked { duration: answered.duration_since(handed), answer })
    }

    /// Ends it as Lambda would, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it cannot be ended.
    pub fn end(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status().context("cannot start kill")?;
        self.child.wait()?;
        Ok(())
    }

    /// The time its threads have spent on a processor, in user and in kernel. `None` where there is no `/proc`.
    pub fn cpu(&self) -> Option<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let spent = tasks.flatten().filter_map(|task| {
            // The first of three numbers, in nanoseconds. https://docs.kernel.org/scheduler/sched-stats.html
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Some(Duration::from_nanos(spent.sum()))
    }

    /// The most memory it ever had in use, in bytes. `None` where there is no `/proc`.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(peak.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    }

    /// What it has logged so far.
    ///
    /// # Errors
    ///
    /// When its log cannot be read.
    pub fn logged(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to lose, and Lambda does not ask either.
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// What Lambda adds to the environment of a function.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
const ENVIRONMENT: [(&str, &str); 7] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "function"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
];
