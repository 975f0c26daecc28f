//! What a person sees: lines, tables, times, and colours where a terminal shows them.

use std::fmt::{Display, Write as _};

use anstyle::{AnsiColor, Style};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use fulfilment::{breaks_lines, is_invisible};
use serde::{Serialize, Serializer};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const PLAIN: Style = Style::new();

/// What a command found out, in a form for programs (JSON) and one for people.
pub(crate) trait Report: Serialize {
    fn print(&self, page: &mut Page);

    /// Whether an operator has to act.
    fn verdict(&self) -> Verdict;
}

/// Becomes the exit code. The greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// All was looked at, and nothing needs an operator.
    Fine,
    /// Something could not be looked at, so nothing is known of it.
    Unclear,
    /// An operator has to act.
    NeedsYou,
}

impl Verdict {
    pub(crate) const fn needs_you_if(needs: bool) -> Self {
        if needs { Self::NeedsYou } else { Self::Fine }
    }

    pub(crate) const fn unclear_if(unclear: bool) -> Self {
        if unclear { Self::Unclear } else { Self::Fine }
    }
}

/// A moment, in Unix milliseconds; written as RFC 3339, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) i64);

impl Time {
    pub(crate) const fn of_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = DateTime::from_secs(self.0.div_euclid(1000));
        f.pad(&seconds.fmt(Format::DateTime).unwrap_or_else(|_| self.0.to_string()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn new(text: impl Display) -> Self {
        Self::styled(PLAIN, text)
    }

    pub(crate) fn styled(style: Style, text: impl Display) -> Self {
        Self { text: printable(&text.to_string()), style }
    }

    /// Where an effect stands, in the colour of how much it matters.
    pub(crate) fn state(name: &str) -> Self {
        let style = match name {
            "done" => GOOD,
            "retry" | "claimed" => WARN,
            "parked" | "unknown" => BAD,
            _ => DIM,
        };
        Self::styled(style, name)
    }
}

/// A report as text, with colours in it.
pub(crate) struct Page {
    text: String,
    now: i64,
    /// How many characters a line of the terminal has; none where there is no terminal.
    width: Option<usize>,
}

impl Page {
    /// `now` is in Unix milliseconds.
    pub(crate) const fn new(now: i64, width: Option<usize>) -> Self {
        Self { text: String::new(), now, width }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// One line, with our own colours in it. A line break at its beginning is an empty line before it.
    pub(crate) fn line(&mut self, line: impl Display) {
        let line = line.to_string();
        let line = line.strip_prefix('\n').map_or(line.as_str(), |line| {
            self.text.push('\n');
            line
        });
        self.text.push_str(&styled(line));
        self.text.push('\n');
    }

    pub(crate) fn heading(&mut self, line: impl Display) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.line(format_args!("{gap}{BOLD}{line}{BOLD:#}"));
    }

    /// Columns under dim headings, as wide as they need to be; a block for each row where the terminal is too narrow.
    pub(crate) fn table(&mut self, columns: &[&str], rows: &[Vec<Cell>]) {
        let headings: Vec<_> = columns.iter().map(|name| Cell::styled(DIM, name)).collect();
        let widths: Vec<_> = (0..columns.len())
            .map(|column| {
                let cells = rows.iter().chain([&headings]).filter_map(|row| row.get(column));
                cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let needed = widths.iter().map(|width| width + 2).sum::<usize>();
        if self.width.is_some_and(|width| needed > width) {
            return self.blocks(columns, rows);
        }
        for row in [&headings].into_iter().chain(rows) {
            let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
            let mut line = String::new();
            for (column, (Cell { text, style }, width)) in row.iter().zip(&widths).enumerate().take(last + 1)
            {
                if !text.is_empty() {
                    // Writing to a string cannot fail.
                    let _infallible = write!(line, "{style}{text}{style:#}");
                }
                if column != last {
                    let gap = 2 + width.saturating_sub(text.chars().count());
                    let _infallible = write!(line, "{:gap$}", "");
                }
            }
            self.line(format_args!("  {}", line.trim_end()));
        }
    }

    /// The rows of a table one below the other: the first two cells of each, then a line for each other that says
    /// something.
    fn blocks(&mut self, columns: &[&str], rows: &[Vec<Cell>]) {
        for row in rows {
            let heads: Vec<_> =
                row.iter().take(2).map(|Cell { text, style }| format!("{style}{text}{style:#}")).collect();
            self.line(format_args!("  {}", heads.join("  ").trim_end()));
            for (Cell { text, style }, column) in row.iter().zip(columns).skip(2) {
                if !text.is_empty() {
                    self.folded(&format!("{column}: "), text, *style);
                }
            }
        }
    }

    /// A text behind its label, in as many lines as it needs between words.
    fn folded(&mut self, label: &str, text: &str, style: Style) {
        const INDENT: usize = 6;
        let room = self.width.unwrap_or(usize::MAX).saturating_sub(INDENT).max(20);
        let mut line = String::new();
        let mut used = label.chars().count();
        let mut label = label;
        for word in text.split(' ') {
            let length = word.chars().count();
            if used + length > room && !line.is_empty() {
                self.line(format_args!(
                    "{:INDENT$}{DIM}{label}{DIM:#}{style}{}{style:#}",
                    "",
                    line.trim_end()
                ));
                (line, used, label) = (String::new(), 2, "  ");
            }
            line.push_str(word);
            line.push(' ');
            used += length + 1;
        }
        self.line(format_args!("{:INDENT$}{DIM}{label}{DIM:#}{style}{}{style:#}", "", line.trim_end()));
    }

    /// How long ago, in one unit: `12 s`, `5 min`, `3 h`, `4 d`.
    pub(crate) fn ago(&self, time: Time) -> String {
        duration(self.now.saturating_sub(time.0) / 1000)
    }
}

/// `12 s`, `5 min`, `3 h`, `4 d`.
pub(crate) fn duration(seconds: i64) -> String {
    match seconds {
        ..0 => "0 s".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Whether a terminal, or a program that shows text, would obey a character instead of showing it, or show nothing.
fn is_obeyed(c: char) -> bool {
    breaks_lines(c) || is_invisible(c)
}

/// A text that others wrote, in one line: what would be obeyed or not be seen is named by its number, `[U+202E]`.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            let _infallible = write!(printable, "[U+{:04X}]", u32::from(c));
        } else {
            printable.push(c);
        }
    }
    printable
}

/// The same for a line that has our own colours in it, and may have what others wrote: all they could do is to colour
/// it as we do.
fn styled(line: &str) -> String {
    let own: Vec<_> = [GOOD, WARN, BAD, BOLD, DIM]
        .iter()
        .flat_map(|style| [style.render().to_string(), style.render_reset().to_string()])
        .collect();
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, after) = rest.split_at(at);
        shown.push_str(&printable(before));
        let sequence = own.iter().find(|own| after.starts_with(own.as_str()));
        let length = sequence.map_or('\u{1b}'.len_utf8(), String::len);
        let (escape, beyond) = after.split_at(length);
        match sequence {
            Some(_) => shown.push_str(escape),
            None => shown.push_str(&printable(escape)),
        }
        rest = beyond;
    }
    shown.push_str(&printable(rest));
    shown
}

/// An error's text: each of its lines as [`printable`] has it.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// JSON for programs and terminals: the same values, but no character in them that would be obeyed or not be seen.
///
/// JSON has such characters in its texts only, where an escape stands for the same.
/// <https://www.rfc-editor.org/rfc/rfc8259#section-7>
pub(crate) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_obeyed(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A report as a person without a colour terminal reads it.
#[cfg(test)]
pub(crate) fn plain(report: &impl Report, now: i64) -> String {
    let mut page = Page::new(now, None);
    report.print(&mut page);
    anstream::adapter::strip_str(page.text()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times_and_ages() {
        assert_eq!(Time(1_795_000_600_999).to_string(), "2026-11-18T11:16:40Z");
        assert_eq!(serde_json::to_string(&Time::of_seconds(0)).unwrap(), "\"1970-01-01T00:00:00Z\"");
        for (seconds, expected) in
            [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")]
        {
            assert_eq!(duration(seconds), expected);
        }
        assert_eq!((count(1, "row"), count(0, "row")), ("1 row".to_owned(), "0 rows".to_owned()));
    }

    #[test]
    fn aligns_columns_whatever_their_colours_and_prints_nothing_that_a_terminal_obeys() {
        let mut page = Page::new(0, None);
        let rows = [
            vec![Cell::state("done"), Cell::new("x")],
            vec![Cell::state("unknown"), Cell::new("é\u{1b}[2J")],
            vec![Cell::state("retry"), Cell::new("")],
        ];
        page.table(&["state", "what"], &rows);
        let plain = anstream::adapter::strip_str(page.text()).to_string();
        insta::assert_snapshot!(plain, @r#"
        state    what
        done     x
        unknown  é[U+001B][2J
        retry
        "#);
    }

    #[test]
    fn a_table_that_does_not_fit_the_terminal_becomes_blocks() {
        let rows = [
            vec![
                Cell::new("FAIL"),
                Cell::new("Stripe key"),
                Cell::new("Stripe does not let it in: make a new one"),
            ],
            vec![Cell::new("pass"), Cell::new("ledger"), Cell::new("")],
        ];
        let mut page = Page::new(0, Some(36));
        page.table(&["result", "what", "seen"], &rows);
        let text = anstream::adapter::strip_str(page.text()).to_string();
        insta::assert_snapshot!(text, @r#"
        FAIL  Stripe key
            seen: Stripe does not let it
              in: make a new one
        pass  ledger
        "#);
        assert!(text.lines().all(|line| line.chars().count() <= 36), "{text}");
        let mut wide = Page::new(0, Some(100));
        wide.table(&["result", "what", "seen"], &rows);
        assert_eq!(wide.text().lines().count(), 3);
    }

    /// What strangers might write so that a terminal obeys it, or so that a text looks like another.
    const HOSTILE: &str =
        "a\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}8m\r\n\u{202e}gpj\u{200b}\u{feff}\u{2028}\u{e0041}\u{7f}b";

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through_a_line_a_table_or_an_error() {
        let mut page = Page::new(0, None);
        page.heading(HOSTILE);
        page.line(format_args!("\n{BAD}{HOSTILE}{BAD:#}"));
        page.table(&["what"], &[vec![Cell::new(HOSTILE)]]);
        let text = [BAD, BOLD, DIM].iter().fold(page.text().to_owned(), |text, style| {
            text.replace(&style.render().to_string(), "").replace(&style.render_reset().to_string(), "")
        });
        assert!(!text.chars().any(|c| c != '\n' && is_obeyed(c)), "{text:?}");
        // Two lines, an empty one, and a table of two: what others wrote has added none.
        assert_eq!(text.lines().count(), 5, "{text}");
        let named = "a[U+001B]]0;x[U+0007][U+001B][2J[U+009B]8m[U+000D][U+000A][U+202E]gpj[U+200B][U+FEFF][U+2028]\
            [U+E0041][U+007F]b";
        assert_eq!(text.matches(named).count(), 3, "{text}");
        assert_eq!(printable_lines("one\ntwo\u{1b}[2J"), "one\ntwo[U+001B][2J");
    }

    #[test]
    fn json_has_the_same_values_without_what_a_terminal_obeys() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "é👩\u{200d}💻"] });
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| c != '\n' && is_obeyed(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
