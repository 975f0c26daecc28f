//! The main job, told as it happens. Every sentence is checked before it is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::checkout::Checkout;
use crate::cloud::{Lifetime, Site};
use crate::local::bring_up;
use crate::process::interrupt;
use crate::stack::{Counts, Stack, save_mail};
use crate::stripe;
use crate::terminal::{BAD, BOLD, DIM, GOOD, duration, heading, say, table};

/// How long anything in the story may take. Warm it is well below a second; a loaded laptop gets its time.
const DEADLINE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(40);
const THREE_DAYS: u64 = 3 * 24 * 60 * 60;

const PAID: &str = include_str!("../../shared/testkit/fixtures/session_completed_paid.json");
const DEBIT_PENDING: &str = include_str!("../../shared/testkit/fixtures/session_completed_unpaid.json");
const DEBIT_PAID: &str = include_str!("../../shared/testkit/fixtures/session_async_payment_succeeded.json");
const ANOTHER_BUSINESS: &str = include_str!("../../shared/testkit/fixtures/session_of_another_business.json");

pub(crate) fn run(checkout: &Checkout, port: Option<u16>, once: bool) -> Result<()> {
    let started = Instant::now();
    say(format_args!("{BOLD}Afterlink{BOLD:#}: what happens after a Stripe Payment Link is paid\n"));
    let site = Site::local(checkout);
    let (cloud, stack) = bring_up(checkout, &site, port, Lifetime::Ours)?;

    let mails = site.folder().join("mails");
    if mails.exists() {
        fs::remove_dir_all(&mails)?;
    }
    let mut story = Story { checkout, stack: &stack, mails, told_mails: 0, told: stack.counts()? };
    let result = story.tell();
    if result.is_err() {
        story.explain(&site);
    }
    if once {
        result?;
        say(format_args!("\n{GOOD}All of it was checked.{GOOD:#} {}", duration(started.elapsed())));
        return Ok(());
    }
    match result {
        Ok(()) => say(format_args!("\n{GOOD}All of it was checked.{GOOD:#} {}", duration(started.elapsed()))),
        Err(error) => say(format_args!("\n{BAD}The story broke off:{BAD:#} {error:#}")),
    }
    story.stay_up()?;
    drop(cloud);
    Ok(())
}

struct Story<'a> {
    checkout: &'a Checkout,
    stack: &'a Stack,
    mails: PathBuf,
    told_mails: usize,
    /// What the tasks had done when we last looked.
    told: BTreeMap<String, Counts>,
}

impl Story<'_> {
    fn tell(&mut self) -> Result<()> {
        let paid = stripe::event(PAID, 0)?;
        let posted = self.post("1  Ada gives £12.50 through a Payment Link", &paid)?;
        self.tell_mail(posted)?;
        self.tell_records(posted, "pi_3FixtureContribution", "paid")?;

        let posted = self.post("2  Stripe delivers the same event again, as it may", &paid)?;
        self.tell_tasks(posted)?;
        self.tell_no_mail("still one mail and one record")?;

        let pending = stripe::event(DEBIT_PENDING, THREE_DAYS)?;
        let posted = self.post("3  Jonas gives €25.00 by bank debit: the money takes days", &pending)?;
        self.tell_mail(posted)?;
        self.tell_records(posted, "pi_3FixtureDebit", "pending")?;

        let foreign = stripe::event(ANOTHER_BUSINESS, 0)?;
        self.post("4  Another business on the same Stripe account sells something", &foreign)?;
        ensure!(self.stack.settle(DEADLINE)?, "the queues do not empty");
        self.check_uncalled()?;
        self.tell_no_mail("none of our business: no rule let it through, no task was called")?;

        let succeeded = stripe::event(DEBIT_PAID, 0)?;
        let posted = self.post("5  Three days later Jonas's bank debit succeeds", &succeeded)?;
        self.tell_mail(posted)?;
        self.tell_records(posted, "pi_3FixtureDebit", "paid")?;

        self.show_records()
    }

    /// Posts an event; the webhook must take it.
    fn post(&self, title: &str, body: &str) -> Result<Instant> {
        heading(title);
        let posted = Instant::now();
        let (status, answer) = self.stack.post(body)?;
        ensure!(status == 200, "the webhook answered {status}: {answer}");
        fact("webhook", "signature good, event on the bus", posted);
        Ok(posted)
    }

    /// One new mail, and not two.
    fn tell_mail(&mut self, posted: Instant) -> Result<()> {
        let mails = wait_for("the mail", || {
            let mails = self.stack.mails()?;
            Ok((mails.len() > self.told_mails).then_some(mails))
        })?;
        ensure!(mails.len() == self.told_mails + 1, "more than one mail was sent");
        let mail = mails.last().context("the mail is gone")?;
        self.told_mails += 1;
        let page = save_mail(&self.mails, self.told_mails, mail)?;
        let page = self.checkout.display(&page);
        fact("mail", format_args!("{BOLD}{}{BOLD:#} to {} → {page}", mail.subject, mail.to), posted);
        self.settled("thank-you-email").map(|_| ())
    }

    fn tell_no_mail(&self, meaning: &str) -> Result<()> {
        let mails = self.stack.mails()?.len();
        ensure!(mails == self.told_mails, "a mail was sent that should not have been");
        say(format_args!("  {GOOD}✔{GOOD:#} {meaning}"));
        Ok(())
    }

    /// The contribution and its supporter's row say the same.
    fn tell_records(&mut self, posted: Instant, payment_id: &str, status: &str) -> Result<()> {
        self.settled("contribution-records")?;
        let is_it = |row: &Value| row["payment_id"] == payment_id;
        let contribution = self.stack.rows("ContributionsTableName")?.into_iter().find(is_it);
        let contribution = contribution.with_context(|| format!("there is no contribution {payment_id}"))?;
        ensure!(contribution["status"] == status, "{payment_id} is {}, not {status}", contribution["status"]);
        let supporter = self.stack.rows("SupportersTableName")?.into_iter().find(is_it);
        let agree =
            |row: &Value| row["status"] == status && row["supporter_id"] == contribution["supporter_id"];
        ensure!(
            supporter.is_some_and(|row| agree(&row)),
            "no supporter's row says that {payment_id} is {status}"
        );
        fact("records", format_args!("contribution and supporter, {BOLD}{status}{BOLD:#}"), posted);
        Ok(())
    }

    /// What each task made of one message.
    fn tell_tasks(&mut self, posted: Instant) -> Result<()> {
        let mut outcomes = Vec::new();
        for task in self.stack.tasks() {
            outcomes.push(format!("{task} {}", self.settled(&task)?.words()));
        }
        fact("tasks", outcomes.join(", "), posted);
        Ok(())
    }

    /// Waits until a task has dealt with a message, which must have ended well.
    fn settled(&mut self, task: &str) -> Result<Counts> {
        let before = self.told.get(task).cloned().unwrap_or_default();
        let now = wait_for(task, || {
            let now = self.stack.counts()?.remove(task).unwrap_or_default();
            Ok((now.since(&before).settled() > 0).then_some(now))
        })?;
        let change = now.since(&before);
        ensure!(change.parked == 0 && change.unknown == 0, "{task}: {}", change.words());
        self.told.insert(task.to_owned(), now);
        Ok(change)
    }

    fn check_uncalled(&self) -> Result<()> {
        for (task, now) in self.stack.counts()? {
            ensure!(
                self.told.get(&task) == Some(&now),
                "{task} was called, although it is none of our business"
            );
        }
        Ok(())
    }

    fn show_records(&self) -> Result<()> {
        let contributions = self.stack.rows("ContributionsTableName")?;
        let supporters = self.stack.rows("SupportersTableName")?;
        let effects = self.stack.rows("EffectsTableName")?;
        ensure!(contributions.len() == 2, "{} contributions were recorded, not 2", contributions.len());
        ensure!(supporters.len() == 2, "{} supporter records were written, not 2", supporters.len());
        let undone: Vec<&Value> = effects.iter().filter(|row| row["state"] != "done").collect();
        ensure!(undone.is_empty(), "the ledger holds what is not done: {undone:?}");

        heading("Contributions");
        show(&["payment_id", "status", "amount", "currency", "name", "email", "country"], contributions);
        heading("Supporters");
        show(&["payment_id", "status", "amount", "currency", "product", "supporter_id"], supporters);
        heading("The ledger: what was done, each once");
        let mut done = BTreeMap::<String, Vec<String>>::new();
        for row in &effects {
            let text = |name: &str| cell(name, &row[name]);
            done.entry(text("payment_id")).or_default().push(text("effect"));
        }
        let rows: Vec<_> =
            done.into_iter().map(|(payment_id, effects)| vec![payment_id, effects.join(", ")]).collect();
        table(&["payment_id", "done"], &rows);
        Ok(())
    }

    /// What may tell why the story broke off.
    fn explain(&self, site: &Site) {
        let complaints = self.stack.complaints().unwrap_or_default();
        if !complaints.is_empty() {
            heading("What the functions complained of");
        }
        for line in complaints.iter().rev().take(8).rev() {
            say(format_args!("  {line}"));
        }
        for queue in self.stack.queues().unwrap_or_default() {
            if queue.messages > 0 {
                say(format_args!("  {} holds {} messages", queue.name, queue.messages));
            }
        }
        say(format_args!("  The local cloud's log: {}", self.checkout.display(&site.log())));
    }

    /// Until Ctrl-C; mails that arrive meanwhile are told.
    fn stay_up(&mut self) -> Result<()> {
        let interrupted = interrupt();
        say(format_args!(
            "\nThe local cloud stays up at {} until Ctrl-C. In another terminal:",
            self.stack.aws.endpoint
        ));
        say("  cargo xtask local send shared/testkit/fixtures/session_adaptive_pricing.json");
        say("  cargo xtask local status");
        say(format_args!(
            "{DIM}Keys and names for other tools: {}{DIM:#}",
            self.checkout.display(&self.stack.file)
        ));
        while interrupted.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            let mails = self.stack.mails().context("the local cloud is gone")?;
            for mail in mails.iter().skip(self.told_mails) {
                self.told_mails += 1;
                let page = save_mail(&self.mails, self.told_mails, mail)?;
                say(format_args!(
                    "  {GOOD}✉{GOOD:#} {} to {}  {DIM}{}{DIM:#}",
                    mail.subject,
                    mail.to,
                    self.checkout.display(&page)
                ));
            }
        }
        say("\nThe local cloud is down.");
        Ok(())
    }
}

fn fact(who: &str, what: impl std::fmt::Display, since: Instant) {
    let elapsed = duration(since.elapsed());
    say(format_args!("  {GOOD}✔{GOOD:#} {who:<8} {what}  {DIM}after {elapsed}{DIM:#}"));
}

/// Looks until there is something to see.
fn wait_for<T>(what: &str, look: impl Fn() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what} did not come within {}", duration(DEADLINE));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Rows of a table in the order of their payments.
fn show(columns: &[&str], mut rows: Vec<Value>) {
    rows.sort_by_key(|row| row["payment_id"].to_string());
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|name| cell(name, &row[*name])).collect()).collect();
    table(columns, &cells);
}

fn cell(column: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if column == "amount" => two_decimals(number.as_i64().unwrap_or(0)),
        Value::Null => "–".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Minor units with their point. All currencies of the demo have two decimals.
fn two_decimals(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_minor_units_with_their_point() {
        assert_eq!(two_decimals(1250), "12.50");
        assert_eq!(two_decimals(2500), "25.00");
        assert_eq!(two_decimals(5), "0.05");
    }
}
