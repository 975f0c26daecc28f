//! The main job, reported as it happens. Every sentence is checked before it is printed.
//!
//! Long because it is a script, scene after scene.

mod membership;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::checkout::Checkout;
use crate::cloud::{Lifetime, Site};
use crate::local::bring_up;
use crate::pages::{Answer, ask};
use crate::process::interrupt;
use crate::stack::{Counts, Stack, save_mail};
use crate::stripe;
use crate::terminal::{BAD, BOLD, DIM, GOOD, duration, heading, say, table};

/// How long anything in the demo may take. Warm it is well below a second; a loaded laptop gets its time.
const DEADLINE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// Events younger than two minutes, reconciliation leaves to the other sources.
const FIVE_MINUTES: u64 = 5 * 60;
const THREE_DAYS: u64 = 3 * 24 * 60 * 60;

const PAID: &str = include_str!("../../verification/testkit/fixtures/session_completed_paid.json");
const DEBIT_PENDING: &str = include_str!("../../verification/testkit/fixtures/session_completed_unpaid.json");
const DEBIT_PAID: &str =
    include_str!("../../verification/testkit/fixtures/session_async_payment_succeeded.json");
const ANOTHER_BUSINESS: &str =
    include_str!("../../verification/testkit/fixtures/session_of_another_business.json");
const GUIDE: &str = include_str!("../../verification/testkit/fixtures/session_download_paid.json");
const REFUND: &str = include_str!("../../verification/testkit/fixtures/refund_created.json");
const DISPUTE: &str = include_str!("../../verification/testkit/fixtures/dispute_funds_withdrawn.json");
/// What Claire buys, as its owner would have put it into the bucket.
const GUIDE_FILE: &str = include_str!("demo/guide.pdf");

const ADA: &str = "pi_3FixtureContribution";
const JONAS: &str = "pi_3FixtureDebit";
const CLAIRE: &str = "pi_3FixtureGuide";
const FRIEDA: &str = "pi_3FixtureUnheard";

pub(crate) fn run(checkout: &Checkout, port: Option<u16>, once: bool) -> Result<()> {
    let started = Instant::now();
    say(format_args!("{BOLD}Afterlink{BOLD:#}: what happens after a Stripe Payment Link is paid\n"));
    let site = Site::local(checkout);
    let (cloud, stack) = bring_up(checkout, &site, port, Lifetime::Ours)?;

    let folder = |name: &str| -> Result<PathBuf> {
        let folder = site.folder().join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let mut demo = Demo {
        checkout,
        stack: &stack,
        operator: site.operator(),
        mails: folder("mails")?,
        pages: folder("pages")?,
        told_mails: 0,
        counts: stack.counts()?,
        published: BTreeMap::new(),
    };
    let result = demo.play();
    if result.is_err() {
        demo.explain(&site);
    }
    if once {
        result?;
        say(format_args!("\n{GOOD}All of it was checked.{GOOD:#} {}", duration(started.elapsed())));
        return Ok(());
    }
    match &result {
        Ok(()) => say(format_args!("\n{GOOD}All of it was checked.{GOOD:#} {}", duration(started.elapsed()))),
        Err(error) => say(format_args!("\n{BAD}The demo broke off:{BAD:#} {error:#}")),
    }
    demo.stay_up()?;
    drop(cloud);
    result
}

struct Demo<'a> {
    checkout: &'a Checkout,
    stack: &'a Stack,
    /// The operator's command line.
    operator: PathBuf,
    mails: PathBuf,
    /// Where the pages are saved that customers see.
    pages: PathBuf,
    told_mails: usize,
    /// What the tasks had done when we last looked.
    counts: BTreeMap<String, Counts>,
    /// The events published for analysts so far, by message.
    published: BTreeMap<String, Value>,
}

impl Demo<'_> {
    fn play(&mut self) -> Result<()> {
        say("");
        let visit = json!({ "c": "spring", "s": "newsletter" }).to_string();
        let visit = format!("al1-{}", BASE64_URL_SAFE_NO_PAD.encode(visit));
        let changes = [("client_reference_id", json!(visit)), ("custom_fields", marketing("yes"))];
        let paid = stripe::event(PAID, 0, &changes)?;
        let posted =
            self.post("1  Ada gives £12.50 through a Payment Link and wants the newsletter", &paid)?;
        self.show_mail(posted)?;
        let facts = [
            self.record(ADA, "paid")?,
            self.consent(ADA, "supporter_newsletter", "yes")?,
            self.publication(ADA, 1250)?,
        ];
        fact("records", facts.join(" · "), posted);

        let posted = self.post("2  Stripe delivers the same event again, as it may", &paid)?;
        for task in catalogue::Task::ALL.map(catalogue::Task::name) {
            let outcome = self.settled(task)?.words();
            ensure!(outcome == "skipped (already_done)", "{task}: {outcome}");
        }
        self.check_quiet()?;
        fact("skipped", "all four tasks: already done; still one mail, one record, one event", posted);

        let pending = stripe::event(DEBIT_PENDING, THREE_DAYS, &[])?;
        let posted = self.post("3  Jonas gives €25.00 by bank debit: the money takes days", &pending)?;
        self.show_mail(posted)?;
        let record = self.record(JONAS, "pending")?;
        // He was asked nothing, and a soft opt-in waits for the money.
        let consents = self.settled("soft-opt-ins")?.words();
        ensure!(consents == "skipped (not_paid)", "soft-opt-ins: {consents}");
        fact("records", format_args!("{record} · nothing for analysts yet"), posted);

        let foreign = stripe::event(ANOTHER_BUSINESS, 0, &[])?;
        let posted = self.post("4  Another business on the same Stripe account sells something", &foreign)?;
        ensure!(self.stack.settle(DEADLINE)?, "the queues do not empty");
        self.check_quiet()?;
        fact("ignored", "the webhook keeps nothing of it, no task is called", posted);

        let succeeded = stripe::event(DEBIT_PAID, 0, &[])?;
        let posted = self.post("5  Three days later Jonas's bank debit succeeds", &succeeded)?;
        self.show_mail(posted)?;
        let facts = [self.record(JONAS, "paid")?, self.publication(JONAS, 2500)?];
        fact("records", facts.join(" · "), posted);

        let link = self.sell_a_guide()?;

        let posted = self.post("7  Ada asks for £5.00 back", &stripe::event(REFUND, 0, &[])?)?;
        let facts = [self.record(ADA, "part_refunded")?, self.publication(ADA, -500)?];
        fact("records", facts.join(" · "), posted);

        let dispute = [("payment_intent", json!(JONAS)), ("amount", json!(2500)), ("currency", json!("eur"))];
        let posted = self.post(
            "8  Jonas's bank disputes the debit and takes the money",
            &stripe::event(DISPUTE, 0, &dispute)?,
        )?;
        let facts = [self.record(JONAS, "disputed")?, self.publication(JONAS, -2500)?];
        fact("records", facts.join(" · "), posted);

        self.take_the_guide_back(&link)?;
        self.join_and_renew()?;
        self.put_back_what_no_source_delivered()?;
        self.check_an_uploaded_mail()?;
        self.show_payments()
    }

    /// A file is bought, mailed, looked at and fetched. The link to it.
    fn sell_a_guide(&mut self) -> Result<String> {
        let bucket = self.stack.output("FilesBucketName")?;
        self.stack.aws.put_object(bucket, "files/guide.pdf", GUIDE_FILE)?;
        let bought = stripe::event(GUIDE, 0, &[])?;
        let posted = self.post("6  Claire buys a guide for €9.50, a file, and wants no news", &bought)?;
        let mail = self.show_mail(posted)?;
        let facts = [
            self.record(CLAIRE, "paid")?,
            self.consent(CLAIRE, "similar_products", "no")?,
            self.publication(CLAIRE, 950)?,
        ];
        fact("records", facts.join(" · "), posted);

        let session = serde_json::from_str::<Value>(&bought)?["data"]["object"]["id"].clone();
        let thanks =
            format!("{}/thanks?session_id={}", self.stack.pages_url()?, session.as_str().unwrap_or_default());
        let page = ask("GET", &thanks, "")?;
        ensure!(page.status == 200 && page.body.contains("guide.pdf"), "the page says {}", page.body);
        fact("page", self.saved("6-after-paying", &page)?, posted);

        let link = mail.split_whitespace().find(|word| word.contains("/d/v1."));
        let link = self.stack.reachable(link.context("the mail has no link to the file")?)?;
        let sent_on = ask("POST", &link, "file=1")?;
        ensure!(sent_on.status == 303, "the link answers {}", sent_on.status);
        let file = ask("GET", &sent_on.location, "")?;
        ensure!(file.status == 200 && file.body == GUIDE_FILE, "the file is not what was bought");
        let size = GUIDE_FILE.len();
        fact("fetched", format_args!("guide.pdf, {size} bytes, by the link in the mail"), posted);
        Ok(link)
    }

    /// The money goes back, and the file with it.
    fn take_the_guide_back(&mut self, link: &str) -> Result<()> {
        let changes = [
            ("id", json!("re_3FixtureGuide")),
            ("charge", json!("ch_3FixtureGuide")),
            ("payment_intent", json!(CLAIRE)),
            ("amount", json!(950)),
            ("currency", json!("eur")),
        ];
        let refund = stripe::renamed(&stripe::event(REFUND, 0, &changes)?, "evt_3FixtureGuideRefund")?;
        let posted = self.post("9  Claire gets her €9.50 back, and opens the link once more", &refund)?;
        let facts = [self.record(CLAIRE, "refunded")?, self.publication(CLAIRE, -950)?];
        fact("records", facts.join(" · "), posted);
        let refused = ask("POST", link, "file=1")?;
        ensure!(
            refused.status == 403 && refused.location.is_empty(),
            "the link answers {}, and leads to {:?}",
            refused.status,
            refused.location
        );
        fact("page", self.saved("9-after-the-refund", &refused)?, posted);
        Ok(())
    }

    /// What a page is headed, and where it can be looked at.
    fn saved(&self, name: &str, page: &Answer) -> Result<String> {
        let file = self.pages.join(format!("{name}.html"));
        fs::write(&file, &page.body)?;
        let heading = page.heading().context("the page has no heading")?;
        Ok(format!("{BOLD}{heading}{BOLD:#} → {}", self.checkout.display(&file)))
    }

    /// A payment at Stripe that no event reports, and the operator who finds it.
    fn put_back_what_no_source_delivered(&mut self) -> Result<()> {
        say(format_args!(
            "{BOLD}13 Frieda gives £20.00 while Stripe's destination is disabled: no event comes{BOLD:#}"
        ));
        let changes = [
            ("id", json!("cs_test_FixtureUnheard")),
            ("payment_intent", json!(FRIEDA)),
            ("amount_total", json!(2000)),
            ("amount_subtotal", json!(2000)),
            ("customer_details", json!({ "name": "Frieda Gauss", "email": "frieda@example.org" })),
        ];
        let paid = stripe::renamed(&stripe::event(PAID, FIVE_MINUTES, &changes)?, "evt_FixtureUnheard")?;
        let happened = Instant::now();
        self.stack.record_event(&paid)?;
        self.check_quiet()?;

        let (code, status) = self.afterlink(&["status", "--json"])?;
        let status: Value = serde_json::from_str(&status).context("`afterlink status` is not JSON")?;
        let unexplained = &status["reconciliation"]["unexplained"];
        ensure!(
            code == 3 && unexplained.to_string().contains(FRIEDA),
            "`afterlink status` says {code}: {status}"
        );
        fact(
            "status",
            format_args!("`afterlink status`: {BOLD}1 payment is not explained{BOLD:#}"),
            happened,
        );
        self.check_quiet()?;

        let (code, said) =
            self.afterlink(&["reconcile", "--yes", "--because", "the destination was disabled"])?;
        ensure!(code == 0, "`afterlink reconcile` ended with {code}: {said}");
        fact("put back", "`afterlink reconcile --yes` put Stripe's event back on the bus", happened);
        self.show_mail(happened)?;
        let facts = [self.record(FRIEDA, "paid")?, self.publication(FRIEDA, 2000)?];
        fact("records", facts.join(" · "), happened);
        self.settled("soft-opt-ins")?;

        let (code, demo) = self.afterlink(&["explain", FRIEDA])?;
        ensure!(
            code == 0 && demo.contains("the destination was disabled"),
            "`afterlink explain` says {code}: {demo}"
        );
        fact("explained", format_args!("`afterlink explain {FRIEDA}`"), happened);
        for line in demo.lines() {
            say(format_args!("      {DIM}{line}{DIM:#}"));
        }
        Ok(())
    }

    /// A marketer uploads a mail with a mistake in it, and corrects it, before any customer gets it.
    fn check_an_uploaded_mail(&mut self) -> Result<()> {
        say(format_args!(
            "{BOLD}14 A marketer uploads a mail of their own, and misspells the amount{BOLD:#}"
        ));
        let mail = |amount: &str| {
            format!("Subject: {{{{ {amount} }}}} for the trees\n\n# Forty trees\n\nThank you.\n")
        };
        let bucket = self.stack.output("TemplatesBucketName")?.to_owned();
        for (amount, expected) in [("ammount", "Did you mean `{{ amount }}`?"), ("amount", "ready")] {
            let uploaded = Instant::now();
            self.stack.aws.put_object(&bucket, "autumn-appeal/en.md", &mail(amount))?;
            let report = self.show_mail_of("wording-check", uploaded)?;
            ensure!(report.contains(expected), "the marketer reads: {report}");
        }
        Ok(())
    }

    /// Runs the operator's command line against the demo's cloud. Its exit code, and what it says.
    fn afterlink(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new(&self.operator);
        command.args(["--local", "--stack-file"]).arg(&self.stack.file).args(arguments);
        let output = command.output().context("cannot start the operator's command line")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().unwrap_or(-1);
        Ok((code, if said.is_empty() { complained.into_owned() } else { said }))
    }

    /// Posts an event; the webhook must take it.
    fn post(&self, title: &str, body: &str) -> Result<Instant> {
        say(format_args!("{BOLD}{title}{BOLD:#}"));
        let posted = Instant::now();
        let (status, answer) = self.stack.post(body)?;
        ensure!(status == 200, "the webhook answered {status}: {answer}");
        Ok(posted)
    }

    /// One new mail, and not two. Its text.
    fn show_mail(&mut self, posted: Instant) -> Result<String> {
        self.show_mail_of("thank-you-email", posted)
    }

    fn show_mail_of(&mut self, function: &str, posted: Instant) -> Result<String> {
        let mails = wait_for("the mail", || {
            let mails = self.stack.mails()?;
            Ok((mails.len() > self.told_mails).then_some(mails))
        })?;
        ensure!(mails.len() == self.told_mails + 1, "more than one mail was sent");
        let mail = mails.last().context("the mail is gone")?;
        self.told_mails += 1;
        let page = save_mail(&self.mails, self.told_mails, mail)?;
        let page = self.checkout.display(&page);
        fact("mail", format_args!("{BOLD}{}{BOLD:#} → {page}", mail.subject), posted);
        self.settled(function)?;
        Ok(mail.text.clone())
    }

    /// The contribution and its supporter's row say the same.
    fn record(&mut self, payment_id: &str, status: &str) -> Result<String> {
        self.settled("contribution-records")?;
        let contribution = self.row("ContributionsTableName", payment_id)?;
        ensure!(contribution["status"] == status, "{payment_id} is {}, not {status}", contribution["status"]);
        let supporter = self.row("SupportersTableName", payment_id)?;
        ensure!(supporter["status"] == status, "the supporter's row says {}", supporter["status"]);
        Ok(format!("{BOLD}{status}{BOLD:#}"))
    }

    /// What the customer said about being written to.
    fn consent(&mut self, payment_id: &str, consent: &str, answer: &str) -> Result<String> {
        self.settled("soft-opt-ins")?;
        let supporter_id = &self.row("SupportersTableName", payment_id)?["supporter_id"];
        let rows = self.stack.rows("ConsentsTableName")?;
        let is_it = |row: &&Value| {
            row["supporter_id"] == *supporter_id && row["record"] == format!("state#{consent}")
        };
        let state = rows.iter().find(is_it).with_context(|| format!("there is no consent {consent}"))?;
        ensure!(state["answer"] == answer && state["basis"] == "explicit", "{consent} is {state}");
        Ok(format!("{consent}: {BOLD}{answer}{BOLD:#}, said so"))
    }

    /// The one event that was published for analysts.
    fn publication(&mut self, payment_id: &str, amount: i64) -> Result<String> {
        self.settled("acquisition-events")?;
        let known = self.published.len();
        self.published = wait_for("the acquisition event", || {
            let mut published = self.published.clone();
            published.extend(self.stack.peek("AcquisitionBusQueueUrl")?);
            Ok((published.len() > known).then_some(published))
        })?;
        ensure!(self.published.len() == known + 1, "more than one event was published");
        let of_payment = self.published_about(payment_id);
        let event = of_payment.iter().find(|event| event["amount"] == amount);
        let event = event.with_context(|| format!("no event of {payment_id} says {amount}"))?;
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let campaign = event["campaign_codes"][0].as_str().map(|code| format!(", campaign {code}"));
        Ok(format!(
            "analysts: {} {} {}{}",
            text("kind"),
            text("amount_decimal"),
            text("currency"),
            campaign.unwrap_or_default()
        ))
    }

    fn published_about(&self, payment_id: &str) -> Vec<&Value> {
        let events = self.published.values().map(|envelope| &envelope["detail"]);
        events.filter(|event| event["payment_id"] == payment_id).collect()
    }

    fn row(&self, table: &str, payment_id: &str) -> Result<Value> {
        let rows = self.stack.rows(table)?;
        let row = rows.into_iter().find(|row| row["payment_id"] == payment_id);
        row.with_context(|| format!("{table} has no row of {payment_id}"))
    }

    /// Waits until a task has dealt with a message, which must have ended well.
    fn settled(&mut self, task: &str) -> Result<Counts> {
        let before = self.counts.get(task).cloned().unwrap_or_default();
        let now = wait_for(task, || {
            let now = self.stack.counts()?.remove(task).unwrap_or_default();
            Ok((now.since(&before).settled() > 0).then_some(now))
        })?;
        let change = now.since(&before);
        ensure!(change.parked == 0 && change.unknown == 0, "{task}: {}", change.words());
        self.counts.insert(task.to_owned(), now);
        Ok(change)
    }

    /// No mail, no event, and no task that did anything unreported.
    fn check_quiet(&self) -> Result<()> {
        ensure!(self.stack.mails()?.len() == self.told_mails, "a mail was sent that should not have been");
        let published = self.stack.peek("AcquisitionBusQueueUrl")?;
        ensure!(published.keys().all(|id| self.published.contains_key(id)), "an event was published again");
        for (task, now) in self.stack.counts()? {
            let facts = self.counts.get(&task).cloned().unwrap_or_default();
            ensure!(facts == now, "{task} did something: {}", now.since(&facts).words());
        }
        Ok(())
    }

    /// One line a payment, and the sums of the published events.
    fn show_payments(&self) -> Result<()> {
        let effects = self.stack.rows("EffectsTableName")?;
        // A row without a state is no effect: a raised version, or a count of mails.
        let settled = |row: &Value| matches!(row["state"].as_str(), None | Some("done" | "skipped"));
        let undone: Vec<&Value> = effects.iter().filter(|row| !settled(row)).collect();
        ensure!(undone.is_empty(), "the ledger holds what is not done: {undone:?}");
        let mut lines = Vec::new();
        for payment_id in [ADA, JONAS, CLAIRE, membership::FIRST, membership::RENEWED, FRIEDA] {
            let contribution = self.row("ContributionsTableName", payment_id)?;
            let text = |name: &str| contribution[name].as_str().unwrap_or("–").to_owned();
            let booked = contribution["amount"].as_i64().unwrap_or_default();
            let amounts = self.published_about(payment_id);
            let kept: i64 = amounts.iter().filter_map(|event| event["amount"].as_i64()).sum();
            let done: Vec<_> = effects
                .iter()
                .filter(|row| row["payment_id"] == payment_id && row["state"] == "done")
                .filter(|row| row["effect"].as_str().is_some_and(|effect| !effect.starts_with("operator#")))
                .collect();
            lines.push(vec![
                payment_id.to_owned(),
                text("name"),
                text("status"),
                two_decimals(booked),
                two_decimals(kept),
                text("currency"),
                format!("{} effects, each once", done.len()),
            ]);
        }
        table(&["payment", "customer", "status", "booked", "kept", "currency", "ledger"], &lines);
        Ok(())
    }

    /// Where the cause of a broken demo may be found.
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

    /// Until Ctrl-C; mails that arrive meanwhile are listed.
    fn stay_up(&mut self) -> Result<()> {
        let interrupted = interrupt();
        say(format_args!(
            "\nThe local cloud stays up at {} until Ctrl-C. In another terminal:",
            self.stack.aws.endpoint
        ));
        say("  cargo xtask local send verification/testkit/fixtures/session_adaptive_pricing.json");
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

/// The answer to a question that a marketer put on the payment page.
fn marketing(answer: &str) -> Value {
    let options = json!([{ "label": "Yes", "value": "yes" }, { "label": "No", "value": "no" }]);
    json!([{
        "key": "marketing", "optional": false, "type": "dropdown",
        "label": { "type": "custom", "custom": "May we write to you now and then?" },
        "dropdown": { "default_value": null, "options": options, "value": answer },
    }])
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
