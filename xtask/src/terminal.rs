//! What a person sees: steps that say what they do, for how long, and how they ended.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

/// How often a step that is still running says so where nothing can be redrawn.
const REPORT_EVERY: Duration = Duration::from_secs(8);
const REDRAW_EVERY: Duration = Duration::from_millis(100);
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

pub(crate) fn say(line: impl Display) {
    anstream::println!("{line}");
}

pub(crate) fn heading(line: impl Display) {
    say(format_args!("\n{BOLD}{line}{BOLD:#}"));
}

/// `0.34 s`, `12.5 s`, `3 min 20 s`.
pub(crate) fn duration(elapsed: Duration) -> String {
    let millis = elapsed.as_millis();
    match elapsed.as_secs() {
        0 => format!("0.{:02} s", millis / 10),
        1..=99 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// Columns under dim headings, as wide as they need to be.
pub(crate) fn table(columns: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(columns.get(column).map(|name| name.len())).max().unwrap_or(0)
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    say(format_args!("  {DIM}{}{DIM:#}", line(&mut columns.iter().copied())));
    for row in rows {
        say(format_args!("  {}", line(&mut row.iter().map(String::as_str))));
    }
}

/// Something that takes a while. On a terminal a live line says what is going on; elsewhere a plain line now
/// and then. `done` leaves one line behind; a step dropped without it has failed.
pub(crate) struct Step {
    name: &'static str,
    started: Instant,
    note: Arc<Mutex<String>>,
    line: Option<LiveLine>,
    finished: bool,
}

impl Step {
    pub(crate) fn start(name: &'static str, doing: impl Into<String>) -> Self {
        let mut step = Self::silent(name, doing);
        step.line = Some(step.live());
        step
    }

    /// A step without a live line: what it runs shows its own progress, or it runs beside another step.
    pub(crate) fn silent(name: &'static str, doing: impl Into<String>) -> Self {
        let note = Arc::new(Mutex::new(doing.into()));
        Self { name, started: Instant::now(), note, line: None, finished: false }
    }

    /// Shows the live line until the value is dropped.
    pub(crate) fn live(&self) -> LiveLine {
        LiveLine::start(self.name, self.started, Arc::clone(&self.note))
    }

    /// What it is doing now.
    pub(crate) fn note(&self, doing: impl Into<String>) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = doing.into();
    }

    pub(crate) fn done(self, result: impl Display) {
        self.close(format_args!("{GOOD}✔{GOOD:#}"), result);
    }

    /// It came to its end, which is a bad one.
    pub(crate) fn ended_badly(self, result: impl Display) {
        self.close(format_args!("{BAD}✘{BAD:#}"), result);
    }

    fn close(mut self, mark: impl Display, result: impl Display) {
        self.finish();
        let elapsed = duration(self.started.elapsed());
        say(format_args!("{mark} {:<13}{result}  {DIM}{elapsed}{DIM:#}", self.name));
    }

    /// Ends it without a line.
    pub(crate) fn forget(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.finished = true;
        drop(self.line.take());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished {
            self.finish();
            let elapsed = duration(self.started.elapsed());
            say(format_args!("{BAD}✘{BAD:#} {:<13}failed after {elapsed}", self.name));
        }
    }
}

/// The line that is redrawn while something takes its time.
pub(crate) struct LiveLine {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl LiveLine {
    fn start(name: &'static str, started: Instant, note: Arc<Mutex<String>>) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut frames = SPINNER.iter().cycle();
            let pause = if terminal { REDRAW_EVERY } else { REPORT_EVERY };
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let doing = note.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let seconds = started.elapsed().as_secs();
                if terminal {
                    let frame = frames.next().unwrap_or(&'·');
                    let room = width().saturating_sub(28);
                    let doing: String = doing.chars().take(room).collect();
                    anstream::print!(
                        "\r\x1b[2K{GOOD}{frame}{GOOD:#} {name:<13}{doing}  {DIM}{seconds} s{DIM:#}"
                    );
                } else {
                    anstream::print!("· {name:<13}{doing}  {seconds} s\n");
                }
                // A terminal that is gone is no reason to stop working.
                let _gone = std::io::stdout().flush();
            }
            if terminal {
                anstream::print!("\r\x1b[2K");
                let _gone = std::io::stdout().flush();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        let _already_ended = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Of this terminal; a guess where it does not say.
fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 80 } else { columns.max(40) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_durations_as_people_read_them() {
        assert_eq!(duration(Duration::from_millis(42)), "0.04 s");
        assert_eq!(duration(Duration::from_millis(12_540)), "12.5 s");
        assert_eq!(duration(Duration::from_secs(200)), "3 min 20 s");
    }
}
