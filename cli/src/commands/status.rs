use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use catalogue::{Task, queued};
use clap::Args;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reconciliation::{Journal as _, Missing, Verdict as Judged, judge};
use serde::Serialize;

use crate::commands::reconcile::{self, Gap, Since, Window, journal, print_gaps, since};
use crate::commands::tasks::OpenEffect;
use crate::deployment::Deployment;
use crate::interrupt::Interrupt;
use crate::metric::newest_of_metric;
use crate::page::{BAD, Cell, DIM, GOOD, PLAIN, Page, Report, Time, Verdict, count, duration};
use crate::progress::Progress;
use crate::queues::{Depth, depth, name_of};
use crate::reason;

/// Without a checkpoint, so far back is looked.
const DAY_SECONDS: i64 = 86_400;

/// Reports the state of the deployment: queues and dead-letter queues, the open effects, and payments at Stripe that
/// nothing explains.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// From when payments are compared with Stripe [default: since the last reconciliation, or 24h]
    #[arg(long, value_parser = since)]
    since: Option<Since>,
}

#[derive(Serialize)]
pub(crate) struct Status {
    queues: Vec<TaskQueues>,
    open: Vec<OpenCount>,
    reconciliation: ReconciliationStatus,
    /// What could not be looked at, so that nothing is known of it.
    unclear: Vec<Unclear>,
}

/// A part of the system that did not answer.
#[derive(Serialize)]
struct Unclear {
    what: String,
    why: String,
}

#[derive(Serialize)]
struct TaskQueues {
    /// A task, another function behind a queue, or `forward` for what comes from Stripe's bus.
    task: &'static str,
    /// None where there is a dead-letter queue only.
    queue: Option<Depth>,
    /// How long the oldest message has waited, in seconds. CloudWatch knows; the local cloud has none.
    oldest_seconds: Option<i64>,
    dead_letters: u64,
    oldest_dead_letter_seconds: Option<i64>,
}

/// Open effects of one task in one state for one reason.
#[derive(Serialize)]
struct OpenCount {
    task: Option<Task>,
    state: &'static str,
    reason: Option<String>,
    effects: usize,
    /// How many of them are still retried and should have been done by now.
    waiting_too_long: usize,
    /// When the longest-standing got there.
    oldest: Option<Time>,
}

#[derive(Default, Serialize)]
struct ReconciliationStatus {
    /// Up to when everything was compared, by the scheduled function.
    checked_until: Option<Time>,
    /// Up to when the daily proof was given.
    proven_until: Option<Time>,
    /// Paid, and something is missing.
    unexplained: Vec<Gap>,
    /// Sessions that wait for their money: bank debits, and holds that were not captured.
    pending: usize,
    /// Since when the oldest of them does.
    oldest_pending: Option<Time>,
}

/// So many payments are listed at most; JSON has all.
const LISTED: usize = 20;

/// Asks everything, and reports what answers.
pub(crate) async fn find_out(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Status> {
    let progress = Progress::new();
    let mut status = Status {
        queues: Vec::new(),
        open: Vec::new(),
        reconciliation: ReconciliationStatus::default(),
        unclear: Vec::new(),
    };
    progress.say("Asking the queues");
    let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
    let tasks = join_all(queued().map(async |function| {
        (
            function.name,
            queues_of(
                deployment,
                &sqs,
                function.name,
                deployment.queue_url(function).map(Some),
                deployment.dlq_url(function),
                now,
            )
            .await,
        )
    }))
    .await;
    let forward = match deployment.optional("ForwardDlqUrl") {
        Some(url) => Some(("forward", queues_of(deployment, &sqs, "forward", Ok(None), Ok(url), now).await)),
        None => None,
    };
    for (name, queues) in tasks.into_iter().chain(forward) {
        let what = || format!("the queues of {name}");
        status.queues.extend(known(queues, what, &mut status.unclear));
    }
    progress.say("Asking the ledger");
    let open = async || Ok(deployment.ledger()?.open_effects("").await?);
    let open = known(open().await, || "the ledger".to_owned(), &mut status.unclear);
    let open = open.unwrap_or_default().rows.into_iter().map(|row| OpenEffect::of(row, now));
    status.open = counted(open);
    progress.say("Comparing Stripe with the ledger");
    status.reconciliation = reconciliation(deployment, arguments, now, &mut status.unclear).await;
    Ok(status)
}

/// What answered; what did not is noted down.
fn known<T>(found: Result<T>, what: impl Fn() -> String, unclear: &mut Vec<Unclear>) -> Option<T> {
    found.map_err(|error| unclear.push(Unclear { what: what(), why: format!("{error:#}") })).ok()
}

async fn queues_of(
    deployment: &Deployment,
    sqs: &aws_sdk_sqs::Client,
    task: &'static str,
    queue_url: Result<Option<&str>>,
    dlq_url: Result<&str>,
    now: i64,
) -> Result<TaskQueues> {
    let (queue_url, dlq_url) = (queue_url?, dlq_url?);
    let dlq = depth(sqs, dlq_url).await?;
    let (queue, oldest_seconds) = match queue_url {
        Some(url) => (Some(depth(sqs, url).await?), oldest(deployment, url, now).await),
        None => (None, None),
    };
    Ok(TaskQueues {
        task,
        queue,
        oldest_seconds,
        dead_letters: dlq.waiting + dlq.in_flight,
        oldest_dead_letter_seconds: oldest(deployment, dlq_url, now).await,
    })
}

/// The age of a queue's oldest message, from CloudWatch. A number that cannot be had is left out: the rest is worth
/// telling.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>
async fn oldest(deployment: &Deployment, queue_url: &str, now: i64) -> Option<i64> {
    if deployment.local {
        return None;
    }
    let dimension = ("QueueName", name_of(queue_url));
    let sdk = &deployment.sdk;
    newest_of_metric(sdk, "AWS/SQS", "ApproximateAgeOfOldestMessage", dimension, now - 600_000, now)
        .await
        .ok()?
}

fn counted(open: impl Iterator<Item = OpenEffect>) -> Vec<OpenCount> {
    let mut counts: BTreeMap<_, OpenCount> = BTreeMap::new();
    for effect in open {
        let key = (effect.task, effect.state, effect.reason.clone());
        let count = counts.entry(key).or_insert(OpenCount {
            task: effect.task,
            state: effect.state,
            reason: effect.reason,
            effects: 0,
            waiting_too_long: 0,
            oldest: effect.updated_at,
        });
        count.effects += 1;
        count.waiting_too_long += usize::from(effect.waits_too_long);
        count.oldest = [count.oldest, effect.updated_at].into_iter().flatten().min();
    }
    counts.into_values().collect()
}

/// What earlier runs found missing, and what has gone missing since.
async fn reconciliation(
    deployment: &Deployment,
    arguments: &Arguments,
    now: i64,
    unclear: &mut Vec<Unclear>,
) -> ReconciliationStatus {
    let read = async || {
        let journal = journal(deployment)?;
        let still = still_missing(deployment, journal.missing().await?, now).await?;
        Ok((journal.position().await?, still, journal.pending().await?))
    };
    let what = || "what reconciliation found".to_owned();
    let Some((position, missing, pending)) = known(read().await, what, unclear) else {
        return ReconciliationStatus::default();
    };
    let mut unexplained: Vec<Gap> = missing.into_iter().map(Gap::from).collect();
    let from = arguments.since.map(|since| since.at(now));
    let checked = position.as_ref().map(|position| position.until);
    let from = from.or(checked).unwrap_or(now / 1000 - DAY_SECONDS);
    let window = Window { from, put_back: false, at_most: u64::MAX, again: false };
    let looked = async || {
        let journal = journal(deployment)?;
        reconcile::look_back(deployment, &journal, &window, now, &Interrupt::default()).await
    };
    if let Some(report) = known(looked().await, || "what is newer at Stripe".to_owned(), unclear) {
        let known: BTreeSet<_> = unexplained.iter().map(|gap| gap.event_id.clone()).collect();
        let fresh = report.missing.into_iter().map(Gap::from).filter(|gap| !known.contains(&gap.event_id));
        unexplained.extend(fresh);
    }
    ReconciliationStatus {
        checked_until: checked.map(Time::of_seconds),
        proven_until: position.map(|position| Time::of_seconds(position.proven_until)),
        unexplained,
        pending: pending.len(),
        oldest_pending: pending.iter().map(|pending| pending.since).min().map(Time::of_seconds),
    }
}

/// Those of which something is missing still. The scheduled function strikes out the others at its next run.
async fn still_missing(deployment: &Deployment, missing: Vec<Missing>, now: i64) -> Result<Vec<Missing>> {
    let ledger = deployment.ledger()?;
    let ledger = &ledger;
    let checked = missing.into_iter().map(async |mut missing| {
        let rows = ledger.history(&missing.payment_id).await?.effects;
        let sent_at = missing.put_back_at.unwrap_or_default().max(missing.happened_at);
        missing.effects.retain(|effect| judge(effect, &rows, sent_at, now) == Judged::Missing);
        Ok::<_, anyhow::Error>(missing)
    });
    let checked: Vec<_> = stream::iter(checked).buffered(16).try_collect().await?;
    Ok(checked.into_iter().filter(|missing| !missing.effects.is_empty()).collect())
}

impl Status {
    fn print_queues(&self, page: &mut Page) {
        let age =
            |seconds: Option<i64>| seconds.filter(|seconds| *seconds > 0).map_or_else(String::new, duration);
        let rows: Vec<_> = self
            .queues
            .iter()
            .map(|queues| {
                let dead = if queues.dead_letters > 0 { BAD } else { PLAIN };
                let depth = |of: fn(&Depth) -> u64| {
                    queues.queue.as_ref().map_or_else(String::new, |depth| of(depth).to_string())
                };
                vec![
                    Cell::new(queues.task),
                    Cell::new(depth(|depth| depth.waiting)),
                    Cell::new(depth(|depth| depth.in_flight)),
                    Cell::new(age(queues.oldest_seconds)),
                    Cell::styled(dead, queues.dead_letters),
                    Cell::new(age(queues.oldest_dead_letter_seconds)),
                ]
            })
            .collect();
        page.table(&["task", "waiting", "in flight", "oldest", "DLQ", "oldest"], &rows);
        for queues in self.queues.iter().filter(|queues| queues.dead_letters > 0) {
            let task = queues.task;
            page.line(match queues.queue {
                Some(_) => format!("  `afterlink redrive --task {task}` says why they are there"),
                None => "  docs/runbooks/dead-letter-queue.md says what reached no task, and how it is found again".to_owned(),
            });
        }
    }

    fn print_open(&self, page: &mut Page) {
        if self.open.is_empty() {
            if !self.unclear.iter().any(|unclear| unclear.what == "the ledger") {
                page.line(format_args!("  {GOOD}nothing{GOOD:#}"));
            }
            return;
        }
        let rows: Vec<_> = self
            .open
            .iter()
            .map(|count| {
                let state = if count.waiting_too_long > 0 {
                    Cell::styled(BAD, count.state)
                } else {
                    Cell::state(count.state)
                };
                vec![
                    Cell::new(count.task.map_or("of another version", Task::name)),
                    state,
                    Cell::new(count.reason.as_deref().unwrap_or_default()),
                    Cell::new(count.effects),
                    Cell::new(count.oldest.map_or_else(String::new, |oldest| page.ago(oldest))),
                ]
            })
            .collect();
        page.table(&["task", "state", "reason", "effects", "longest for"], &rows);
        for count in self.open.iter().filter(|count| count.waiting_too_long > 0) {
            let reason = count.reason.as_deref().unwrap_or_default();
            let meaning = reason::in_short(reason).unwrap_or_else(|| reason.to_owned());
            page.line(format_args!(
                "  {BAD}{} of {} retried for too long:{BAD:#} {meaning}",
                count.waiting_too_long,
                count.task.map_or("another version", Task::name)
            ));
        }
        page.line("  `afterlink tasks` lists them, `afterlink explain <payment>` says what to do");
    }

    fn print_reconciliation(&self, page: &mut Page) {
        let ReconciliationStatus { checked_until, proven_until, unexplained, pending, oldest_pending } =
            &self.reconciliation;
        if !unexplained.is_empty() {
            print_gaps(page, unexplained.get(..LISTED).unwrap_or(unexplained));
            if unexplained.len() > LISTED {
                page.line(format_args!("  and {} more, which --json has", unexplained.len() - LISTED));
            }
            page.line(
                "  `afterlink explain <payment>` says what stands in the way. What never came, `afterlink reconcile` puts back; \
                 what waits for a function that does not run (`afterlink doctor`) is done once it does.",
            );
        } else if self.unclear.is_empty() {
            page.line(format_args!("  {GOOD}nothing{GOOD:#}"));
        }
        if let Some(oldest) = oldest_pending {
            let sessions = count(*pending, "session");
            page.line(format_args!("  {sessions} waiting for money, the oldest for {}", page.ago(*oldest)));
        }
        let until = |time: &Option<Time>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
        page.line(format_args!(
            "  {DIM}reconciled until {}, proven until {}{DIM:#}",
            until(checked_until),
            until(proven_until)
        ));
    }
}

impl Report for Status {
    fn print(&self, page: &mut Page) {
        page.heading("Queues");
        self.print_queues(page);
        page.heading("Open in the ledger");
        self.print_open(page);
        page.heading("Paid and unexplained");
        self.print_reconciliation(page);
        if !self.unclear.is_empty() {
            page.heading("Could not be looked at");
            for Unclear { what, why } in &self.unclear {
                page.line(format_args!("  {BAD}{what}:{BAD:#} {why}"));
            }
        }
    }

    fn verdict(&self) -> Verdict {
        let dead = self.queues.iter().any(|queues| queues.dead_letters > 0);
        let waiting = self
            .open
            .iter()
            .any(|count| matches!(count.state, "parked" | "unknown") || count.waiting_too_long > 0);
        let needs = dead || waiting || !self.reconciliation.unexplained.is_empty();
        Verdict::needs_you_if(needs).max(Verdict::unclear_if(!self.unclear.is_empty()))
    }
}

#[cfg(test)]
mod tests;
