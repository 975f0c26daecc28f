//! The results, as tables in Markdown: for the terminal and for `docs/`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::capacity::Units;
use crate::cost::{Bill, Idle, SES};
use crate::instructions::Instructions;
use crate::measure::{Compared, Protocol, Speed};
use crate::payments::Load;
use crate::prices::Prices;
use crate::sample::Spread;
use crate::scale::Outcome;
use crate::workload::{FLOOR, REFERENCES, Scenario};

/// Where and when it was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Circumstances {
    pub(crate) machine: String,
    pub(crate) date: String,
    /// Programs that wanted a processor when it began.
    pub(crate) load: Option<f64>,
    /// Cold starts of each function over each wire, and rounds of warm events.
    pub(crate) starts: usize,
    pub(crate) rounds: usize,
}

/// What a function's file takes, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Size {
    pub(crate) binary: u64,
    pub(crate) zip: u64,
}

pub(crate) fn circumstances(it: &Circumstances) -> String {
    let load = it.load.map_or_else(String::new, |load| format!(", load {load:.1} when it began"));
    format!(
        "{}, on {}{load}. {} cold starts of each function over each wire, {} rounds of warm events; every \
         function takes part in every round. A figure is the median; in brackets, the middle half. `×` is \
         times the do-nothing function in the same round.\n",
        it.machine, it.date, it.starts, it.rounds
    )
}

/// Start-up.
pub(crate) fn starts(speeds: &BTreeMap<String, Speed>) -> String {
    let mut rows = vec![row(&["function", "first poll", "first event", "first event over TLS"])];
    for (name, speed) in references_last(speeds) {
        let both = |it: &Compared| format!("{:.1} ms, {}", it.ms.median, times(&it.floors));
        rows.push(row(&[
            name,
            &both(&speed.first_poll),
            &both(&speed.first_event),
            &both(&speed.first_event_tls),
        ]));
    }
    table(rows)
}

/// Warm.
pub(crate) fn warm(speeds: &BTreeMap<String, Speed>) -> String {
    let mut rows = vec![row(&[
        "function",
        "an event",
        "a batch of 10",
        "own CPU an event",
        "own CPU an event of 10",
        "peak memory",
    ])];
    for (name, speed) in references_last(speeds) {
        let cpu = |it: Option<Spread>| it.map_or("not measured".to_owned(), |it| spread(&it, "ms", 2));
        let memory = speed.peak_memory.map_or("not measured".to_owned(), |bytes| {
            format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
        });
        let batch = speed.batch.map_or("–".to_owned(), |batch| spread(&batch.ms, "ms", 2));
        let in_batch = if speed.batch.is_some() { cpu(speed.cpu_in_batch) } else { "–".to_owned() };
        rows.push(row(&[
            name,
            &spread(&speed.event.ms, "ms", 2),
            &batch,
            &cpu(speed.cpu),
            &in_batch,
            &memory,
        ]));
    }
    table(rows)
}

/// The executed instructions.
pub(crate) fn instructions(counted: &BTreeMap<String, Instructions>) -> String {
    let mut rows =
        vec![row(&["function", "first poll", "first event", "a warm event", "an event of a batch of 10"])];
    let floor = counted.get(FLOOR);
    for (name, it) in references_last(counted) {
        let cell = |mine: u64, floor: Option<u64>| {
            let times =
                floor.map_or_else(String::new, |floor| format!(", {:.1}×", mine as f64 / floor as f64));
            format!("{:.2} M{times}", mine as f64 / 1e6)
        };
        rows.push(row(&[
            name.clone(),
            cell(it.first_poll, floor.map(|floor| floor.first_poll)),
            cell(it.first_event, floor.map(|floor| floor.first_event)),
            cell(it.event, None),
            it.event_in_batch.map_or("–".to_owned(), |mine| cell(mine, None)),
        ]));
    }
    table(rows)
}

/// Files.
pub(crate) fn sizes(sizes: &BTreeMap<String, Size>) -> String {
    let mut rows = vec![row(&["function", "binary", "zip"])];
    for (name, size) in references_last(sizes) {
        let mb = |bytes: u64| format!("{:.2} MB", bytes as f64 / 1e6);
        rows.push(row(&[name, &mb(size.binary), &mb(size.zip)]));
    }
    table(rows)
}

/// Calls to AWS: what happens to payments, then everything else.
pub(crate) fn calls(protocols: &BTreeMap<String, Protocol>) -> String {
    let mut header = vec!["function"];
    header.extend(Scenario::OF_PAYMENTS.iter().map(|scenario| scenario.name()));
    header.push("logged, paid");
    let mut of_payments = vec![row(&header)];
    let mut others = vec![row(&["function", "for", "calls", "logged"])];
    for (name, protocol) in protocols.iter().filter(|(name, _)| !REFERENCES.contains(&name.as_str())) {
        let calls = |scenario: Scenario| {
            words(&protocol.scenarios.get(scenario.name()).map(|cost| cost.by_kind()).unwrap_or_default())
        };
        if let Some(paid) = protocol.scenarios.get(Scenario::Paid.name()) {
            let mut cells = vec![name.clone()];
            cells.extend(Scenario::OF_PAYMENTS.into_iter().map(calls));
            let in_batch = protocol.batch.as_ref().map(|cost| cost.logged.len() / 10);
            let in_batch = in_batch.map(|bytes| format!("; {bytes} B in a batch of 10"));
            cells.push(format!("{} B{}", paid.logged.len(), in_batch.unwrap_or_default()));
            of_payments.push(row(&cells));
        }
        for scenario in Scenario::OF_OTHERS {
            if let Some(cost) = protocol.scenarios.get(scenario.name()) {
                let logged = format!("{} B", cost.logged.len());
                others.push(row(&[name.as_str(), scenario.name(), &calls(scenario), &logged]));
            }
        }
    }
    [table(of_payments), table(others)].join("\n")
}

/// Payments on the local cloud.
pub(crate) fn payments(loads: &[Load]) -> String {
    let mut rows =
        vec![row(&["payments at once", "done after (half)", "done after (99 of 100)", "payments a second"])];
    for load in loads {
        let [half, most] = load.done_after_ms;
        rows.push(row(&[
            load.payments.to_string(),
            format!("{half:.0} ms"),
            format!("{most:.0} ms"),
            format!("{:.0}", load.per_second),
        ]));
    }
    table(rows)
}

/// US dollars per million contributions.
pub(crate) fn bills(bills: &[(&str, Bill)]) -> String {
    let services: Vec<&str> = {
        let mut services: Vec<&str> = bills.iter().flat_map(|(_, bill)| bill.keys().copied()).collect();
        services.sort_unstable();
        services.dedup();
        services.retain(|service| *service != SES);
        services
    };
    let mut header = vec!["design"];
    header.extend(&services);
    header.extend(["without SES", SES]);
    let mut rows = vec![row(&header)];
    for (name, bill) in bills {
        let of = |service: &str| bill.get(service).copied().unwrap_or_default();
        let mut cells = vec![(*name).to_owned()];
        cells.extend(services.iter().map(|service| format!("{:.2}", of(service))));
        cells.push(format!("**{:.2}**", services.iter().map(|service| of(service)).sum::<f64>()));
        cells.push(format!("{:.2}", of(SES)));
        rows.push(row(&cells));
    }
    table(rows)
}

/// DynamoDB's units for a paid payment.
pub(crate) fn units(units: &BTreeMap<String, Units>, prices: &Prices) -> String {
    let mut rows =
        vec![row(&["DynamoDB, a paid payment", "write units", "read units", "US dollars a million"])];
    for (name, Units { write, read }) in units {
        let dollars = write * prices.dynamodb.million_write_units + read * prices.dynamodb.million_read_units;
        rows.push(row(&[name.clone(), write.to_string(), read.to_string(), format!("{dollars:.2}")]));
    }
    table(rows)
}

/// US dollars for a million calls that no event causes.
pub(crate) fn others(others: &[(String, &'static str, f64)]) -> String {
    let mut rows = vec![row(&["function", "a million times", "US dollars"])];
    rows.extend(
        others.iter().map(|(name, what, dollars)| row(&[name.as_str(), what, &format!("{dollars:.2}")])),
    );
    table(rows)
}

/// US dollars a month without a payment.
pub(crate) fn idle(idle: &Idle) -> String {
    let dollars = |what: &str, dollars: f64| row(&[what.to_owned(), format!("{dollars:.2}")]);
    table(vec![
        row(&["idle, a month", "US dollars"]),
        dollars("polling the queues", idle.polling),
        dollars("alarms", idle.alarms),
        dollars("dashboard", idle.dashboard),
        dollars("secret", idle.secret),
        dollars("together", idle.total()),
        dollars("and the metrics, while payments come in every hour", idle.metrics),
    ])
}

/// Queues under a rush.
pub(crate) fn rushes(outcomes: &[Outcome]) -> String {
    let mut rows = vec![row(&[
        "a second",
        "task",
        "can do a second",
        "waiting at the end",
        "age: half",
        "age: 99 of 100",
        "oldest",
        "drained after",
        "in the DLQ",
    ])];
    for it in outcomes {
        let [half, most, oldest] = it.age_seconds;
        rows.push(row(&[
            it.per_second.to_string(),
            it.task.clone(),
            format!("{:.0}", it.capacity_per_second),
            it.backlog.to_string(),
            seconds(half),
            seconds(most),
            seconds(oldest),
            seconds(it.drained_after_seconds),
            it.dead_lettered.to_string(),
        ]));
    }
    table(rows)
}

/// Puts a text between the marks `<!-- name -->` and `<!-- /name -->` of a file.
pub(crate) fn write_between(file: &Path, name: &str, text: &str) -> Result<()> {
    let begin = format!("<!-- {name} -->\n");
    let end = format!("<!-- /{name} -->");
    let old = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let marked = || format!("{} has no place marked {name}", file.display());
    let (before, rest) = old.split_once(&begin).with_context(marked)?;
    let (_, after) = rest.split_once(&end).with_context(marked)?;
    fs::write(file, format!("{before}{begin}{text}{end}{after}"))?;
    Ok(())
}

/// What the functions are compared with comes last.
fn references_last<T>(of_functions: &BTreeMap<String, T>) -> impl Iterator<Item = (&String, &T)> {
    let is_reference = |(name, _): &(&String, &T)| REFERENCES.contains(&name.as_str());
    let references = REFERENCES.iter().filter_map(|name| of_functions.get_key_value(*name));
    of_functions.iter().filter(move |it| !is_reference(it)).chain(references)
}

/// `2.1× (2.0–2.3)`
fn times(ratio: &Spread) -> String {
    format!("{:.1}× ({:.1}–{:.1})", ratio.median, ratio.low, ratio.high)
}

fn spread(it: &Spread, unit: &str, digits: usize) -> String {
    format!("{:.digits$} {unit} ({:.digits$}–{:.digits$})", it.median, it.low, it.high)
}

/// `0.3 s`, `5 min`, `7.5 h`
fn seconds(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.1} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// `Query, 2 UpdateItem`; a dash for none.
fn words(kinds: &BTreeMap<String, u64>) -> String {
    let words: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| {
            let operation = kind.rsplit(' ').next().unwrap_or_default();
            if *count == 1 { operation.to_owned() } else { format!("{count} {operation}") }
        })
        .collect();
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

fn row(cells: &[impl AsRef<str>]) -> Vec<String> {
    cells.iter().map(|cell| cell.as_ref().to_owned()).collect()
}

/// A table, its first row the header, its columns in line.
fn table(rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            widths.iter().for_each(|width| text.push_str(&format!("|{}", "-".repeat(width + 2))));
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_that_people_can_read_as_it_is() {
        let text = table(vec![row(&["a", "long"]), row(&["wide cell", "–"])]);
        assert_eq!(text, "| a         | long |\n|-----------|------|\n| wide cell | –    |\n");
    }

    #[test]
    fn what_functions_are_compared_with_comes_last_where_it_was_measured() {
        let names = |measured: &[&str]| {
            let of_functions = measured.iter().map(|name| ((*name).to_owned(), ())).collect();
            references_last(&of_functions).map(|(name, ())| name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&["floor", "ordinary", "downloads", "soft-opt-ins"]),
            ["downloads", "soft-opt-ins", "ordinary", "floor"]
        );
        assert_eq!(names(&["floor", "thank-you-email"]), ["thank-you-email", "floor"]);
    }

    #[test]
    fn times_are_shown_in_the_unit_people_would_use() {
        assert_eq!([0.31, 300.0, 27_000.0].map(seconds), ["0.3 s", "5 min", "7.5 h"]);
    }
}
