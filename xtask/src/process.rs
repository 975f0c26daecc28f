//! Child processes: each in a group of its own, none left behind.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};

use crate::terminal::Step;

/// What a program says that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;
/// How long a process may take to put its things in order before it is killed. Nothing here has much to lose.
const GRACE: Duration = Duration::from_millis(700);
const LOG_TAIL_LINES: usize = 25;

/// The groups to end when this program is ended.
static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
/// Set once this program is on its way out.
static ENDING: AtomicBool = AtomicBool::new(false);
/// Who wants to hear of Ctrl-C instead.
static LISTENER: Mutex<Option<Sender<()>>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on Ctrl-C and SIGTERM end all children first.
///
/// # Errors
///
/// When it was called before.
pub fn end_children_with_us() -> Result<()> {
    ctrlc::set_handler(|| {
        if let Some(listener) = lock(&LISTENER).take()
            && listener.send(()).is_ok()
        {
            return;
        }
        ENDING.store(true, Ordering::SeqCst);
        let groups = lock(&GROUPS).clone();
        for group in groups {
            stop(group);
        }
        std::process::exit(INTERRUPTED);
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether a failure is only Ctrl-C at work: the children are being ended.
pub(crate) fn ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

/// Ctrl-C arrives here, once, instead of ending the program.
pub(crate) fn interrupt() -> Receiver<()> {
    let (sender, receiver) = channel();
    *lock(&LISTENER) = Some(sender);
    receiver
}

/// A child process and its children, ended when this value is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    detached: bool,
}

impl Group {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        lock(&GROUPS).insert(child.id());
        Ok(Self { child, detached: false })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Lets it live on after this program.
    pub(crate) fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        lock(&GROUPS).remove(&self.child.id());
        if !self.detached && !matches!(self.child.try_wait(), Ok(Some(_))) {
            stop(self.child.id());
        }
    }
}

/// Ends a process group: politely, then not.
pub(crate) fn stop(group: u32) {
    let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) else {
        return;
    };
    if kill_process_group(pid, Signal::TERM).is_err() {
        return;
    }
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        // Takes a dead child off the process table, without which its group would seem to live.
        let _not_our_child = waitpgid(pid, WaitOptions::NOHANG);
        if test_kill_process_group(pid).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // No process is left to kill, as wanted.
    let _none_left = kill_process_group(pid, Signal::KILL);
}

/// The command line of a process, if it lives.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// Runs a command to its end with its output in a file; the step's live line shows the newest line of it.
///
/// `remedy` is what a person can do when it fails.
pub(crate) fn run_logged(command: &mut Command, log: &Path, step: &Step, remedy: &str) -> Result<()> {
    let shown = describe(command);
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut group = Group::spawn(command)?;
    let status = loop {
        if let Some(status) = group.exited()? {
            break status;
        }
        if let Some(line) = last_line(log) {
            step.note(line);
        }
        std::thread::sleep(Duration::from_millis(60));
    };
    if !status.success() {
        bail!("`{shown}` failed ({status}). {remedy}\n\n{}", tail(log));
    }
    Ok(())
}

/// Runs a command that shows its own progress on this terminal.
pub(crate) fn run_shown(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    let status = Group::spawn(command.stdin(Stdio::null()))?.child().wait()?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a command that shows its own progress, and also hands back what it printed.
pub(crate) fn run_read(command: &mut Command) -> Result<(ExitStatus, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let stdout = group.child().stdout.take().context("no output to read")?;
    let stderr = group.child().stderr.take().context("no output to read")?;
    let text = std::thread::scope(|scope| {
        let errors = scope.spawn(|| pass_on(stderr, std::io::stderr()));
        let mut text = pass_on(stdout, std::io::stdout());
        text.push_str(&errors.join().unwrap_or_default());
        text
    });
    Ok((group.child().wait()?, text))
}

/// What a command prints on its standard output, and nothing else of it.
pub(crate) fn output_of(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn pass_on(from: impl Read, mut to: impl Write) -> String {
    let mut text = String::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(length) if length > 0) {
        // A terminal that is gone is no reason to stop working.
        let _gone = to.write_all(&line).and_then(|()| to.flush());
        text.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    text
}

fn last_line(log: &Path) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// The end of a log, indented, under its name.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.get(lines.len().saturating_sub(LOG_TAIL_LINES)..).unwrap_or_default();
    format!("The end of {}:\n    {}", log.display(), end.join("\n    "))
}

fn describe(command: &Command) -> String {
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}
