//! The local cloud: MiniStack, on loopback, with IAM enforced.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::aws::{Aws, hex, http};
use crate::checkout::Checkout;
use crate::functions::Profile;
use crate::process::{self, Group, command_line};
use crate::stripe;
use crate::terminal::Step;

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ACCOUNT: &str = "000000000000";

/// MiniStack's usual port, so that what people know of it holds here.
const USUAL_PORT: u16 = 4566;
/// How many ports after the usual one are tried.
const PORTS_TRIED: u16 = 100;
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The folder of one local cloud: its log, its process id and its stack.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    folder: PathBuf,
    profile: Profile,
    /// Whether calls of the functions can be made to fail.
    has_faults: bool,
}

impl Site {
    /// The one people work with.
    pub(crate) fn local(checkout: &Checkout) -> Self {
        Self::of(checkout, "local", Profile::Everyday)
    }

    /// The one of `cargo xtask test`, which leaves the other alone.
    pub(crate) fn test(checkout: &Checkout) -> Self {
        Self::of(checkout, "local-test", Profile::Everyday)
    }

    /// The one of `cargo xtask bench`.
    pub(crate) fn bench(checkout: &Checkout) -> Self {
        Self::of(checkout, "local-bench", Profile::Release)
    }

    /// The one of `cargo xtask drills`, on which bad days are staged.
    pub(crate) fn drills(checkout: &Checkout) -> Self {
        Self { has_faults: true, ..Self::of(checkout, "local-drills", Profile::Everyday) }
    }

    fn of(checkout: &Checkout, folder: &str, profile: Profile) -> Self {
        Self { folder: checkout.root().join("target").join(folder), profile, has_faults: false }
    }

    /// How its functions are built.
    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn functions(&self) -> PathBuf {
        self.folder.join("functions")
    }

    /// The operator's command line, as it was built with the functions.
    pub(crate) fn operator(&self) -> PathBuf {
        self.folder.join("afterlink")
    }

    pub(crate) fn stack_file(&self) -> PathBuf {
        self.folder.join("stack.json")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("ministack.log")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("ministack.pid")
    }

    /// The process of this site's cloud, if one lives. A process id that now belongs to another program is not it.
    pub(crate) fn running(&self) -> Option<u32> {
        let pid = fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()?;
        let line = command_line(pid)?;
        line.contains(self.folder.to_str()?).then_some(pid)
    }

    /// Ends this site's cloud. False when none was running.
    pub(crate) fn stop(&self) -> Result<bool> {
        let running = self.running();
        if let Some(pid) = running {
            process::stop(pid);
        }
        self.clear()?;
        Ok(running.is_some())
    }

    /// Removes the files about a cloud that is gone. The log stays, for the developer who looks for the cause.
    fn clear(&self) -> Result<()> {
        for path in [self.pid_file(), self.stack_file()] {
            if path.exists() {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        // The unpacked functions.
        let scratch = self.scratch();
        if scratch.exists() {
            fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
        }
        Ok(())
    }

    fn scratch(&self) -> PathBuf {
        self.folder.join("tmp")
    }
}

/// How long a cloud lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// As long as this program, even if that is killed.
    Ours,
    /// Until `cargo xtask local down`.
    UntilStopped,
}

/// A cloud that is up. Dropping it ends it.
#[derive(Debug)]
pub struct Cloud {
    site: Site,
    group: Option<Group>,
    pub(crate) pid: u32,
    pub(crate) aws: Aws,
    /// Where Stripe's API is played.
    pub(crate) stripe_api: String,
    /// The way of the functions to the cloud, where it is one on which calls can be made to fail.
    pub(crate) fault_proxy: Option<String>,
}

impl Cloud {
    /// Starts it on `port`, or on the first free one, and waits until it answers.
    pub(crate) fn start(
        checkout: &Checkout,
        site: &Site,
        port: Option<u16>,
        lifetime: Lifetime,
        step: &Step,
    ) -> Result<Self> {
        if let Some(pid) = site.running() {
            bail!(
                "a local cloud of this clone is running already (process {pid}). \
                 Use it, or end it with `cargo xtask local down`."
            );
        }
        site.clear()?;
        fs::create_dir_all(site.scratch())?;

        if let Some(port) = port {
            ensure!(
                is_free(port),
                "port {port} is in use. Choose another with --port, or leave --port (and AFTERLINK_PORT) out and \
                 the first free port is taken."
            );
            return Self::start_on(checkout, site, port, lifetime, step);
        }
        for port in (USUAL_PORT..=USUAL_PORT + PORTS_TRIED).filter(|&port| is_free(port)) {
            match Self::start_on(checkout, site, port, lifetime, step) {
                // Another program took the port between our look and MiniStack's: the next one, then.
                Err(error) if !is_free(port) => step.note(format!("{error:#}")),
                result => return result,
            }
        }
        bail!(
            "no port from {USUAL_PORT} to {} is free: say which to use with --port",
            USUAL_PORT + PORTS_TRIED
        )
    }

    fn start_on(
        checkout: &Checkout,
        site: &Site,
        port: u16,
        lifetime: Lifetime,
        step: &Step,
    ) -> Result<Self> {
        let aws = Aws {
            endpoint: format!("http://127.0.0.1:{port}"),
            region: REGION.to_owned(),
            access_key_id: format!("LOCAL{}", random_hex(8)?.to_uppercase()),
            secret_access_key: random_hex(20)?,
            session_token: None,
        };
        let fault_proxy = site.has_faults.then(|| fault_proxy::start(&aws.endpoint)).transpose()?;
        let log = site.log();
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;

        let mut command = Command::new(checkout.venv_bin("python"));
        command.arg(checkout.xtask().join("local_cloud.py")).arg(site.folder());
        command.stdout(output.try_clone()?).stderr(output);
        match lifetime {
            Lifetime::Ours => command.arg("--with-parent").stdin(Stdio::piped()),
            Lifetime::UntilStopped => command.stdin(Stdio::null()),
        };
        // Functions inherit the cloud's environment, so it starts from a clean one.
        command.env_clear();
        command
            .envs(["PATH", "HOME", "LANG"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .env("PYTHONUNBUFFERED", "1")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            // The host of the queue URLs that it hands out, and the endpoint that functions are given.
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("AWS_ENDPOINT_URL", fault_proxy.as_ref().unwrap_or(&aws.endpoint))
            .env("AUTH", "true")
            .env("AWS_ACCESS_KEY_ID", &aws.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &aws.secret_access_key)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("MINISTACK_ACCOUNT_ID", ACCOUNT)
            // Functions run as native processes; a Docker on this machine is none of our business.
            .env("LAMBDA_EXECUTOR", "local")
            // Listeners of services that we do not use, on ports that others may.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("TMPDIR", site.scratch());

        let group = Group::spawn(&mut command)?;
        let pid = group.id();
        let stripe_api = String::new();
        let mut cloud = Self { site: site.clone(), pid, group: Some(group), aws, stripe_api, fault_proxy };
        fs::write(site.pid_file(), cloud.pid.to_string())?;
        cloud.stripe_api = stripe::start_api(pid)?;
        cloud.wait_until_ready(step)?;
        Ok(cloud)
    }

    fn wait_until_ready(&mut self, step: &Step) -> Result<()> {
        let health = format!("{}/_ministack/health", self.aws.endpoint);
        let deadline = Instant::now() + READY_WITHIN;
        step.note(format!("MiniStack on {}", self.aws.endpoint));
        loop {
            if http().get(&health).call().is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            let exited = match &mut self.group {
                Some(group) => group.exited()?,
                None => None,
            };
            if let Some(status) = exited {
                bail!("the local cloud ended at once ({status})\n\n{}", process::tail(&self.site.log()));
            }
            ensure!(
                Instant::now() < deadline,
                "the local cloud does not answer\n\n{}",
                process::tail(&self.site.log())
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Lets it live on after this program.
    pub(crate) fn leave_running(mut self) {
        if let Some(group) = self.group.take() {
            group.detach();
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            drop(group);
            // What stays behind is found and cleared at the next start.
            let _cleared_later = self.site.clear();
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// `bytes` random bytes, as hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    use std::io::Read as _;
    let mut buffer = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut buffer))
        .context("no random numbers")?;
    Ok(hex(&buffer))
}
