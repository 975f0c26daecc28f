use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use catalogue::Task;
use clap::Args;
use futures_util::future::try_join_all;
use reconciliation::Journal as _;
use serde::Serialize;

use crate::commands::reconcile::{self, Gap, Since, journal, print_gaps, since};
use crate::commands::tasks::OpenEffect;
use crate::deployment::Deployment;
use crate::page::{BAD, Cell, DIM, GOOD, PLAIN, Page, Report, Time, Verdict, WARN, count, duration};
use crate::query_api::QueryApi;
use crate::queues::{Depth, depth, name_of};

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
    stage: String,
    queues: Vec<TaskQueues>,
    open: Vec<OpenCount>,
    reconciliation: ReconciliationStatus,
}

#[derive(Serialize)]
struct TaskQueues {
    task: Task,
    queue: Depth,
    /// How long the oldest message has waited, in seconds. CloudWatch knows; the local cloud has none.
    oldest_seconds: Option<i64>,
    dead_letters: u64,
    oldest_dead_letter_seconds: Option<i64>,
}

/// Open effects of one task in one state.
#[derive(Serialize)]
struct OpenCount {
    task: Option<Task>,
    state: &'static str,
    effects: usize,
    /// When the longest-standing got there.
    oldest: Option<Time>,
}

#[derive(Serialize)]
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
    /// Why Stripe could not be asked, if it could not.
    not_asked: Option<String>,
}

pub(crate) async fn find_out(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Status> {
    let sqs = aws_sdk_sqs::Client::new(&deployment.sdk);
    let queues = try_join_all(Task::ALL.map(async |task| {
        let queue_url = deployment.queue_url(task)?;
        let dlq_url = deployment.dlq_url(task)?;
        let dlq = depth(&sqs, dlq_url).await?;
        Ok::<_, anyhow::Error>(TaskQueues {
            task,
            queue: depth(&sqs, queue_url).await?,
            oldest_seconds: oldest(deployment, queue_url, now).await,
            dead_letters: dlq.waiting + dlq.in_flight,
            oldest_dead_letter_seconds: oldest(deployment, dlq_url, now).await,
        })
    }))
    .await?;
    let open = deployment.ledger()?.open_effects("").await?;
    let open = open.rows.into_iter().map(OpenEffect::of);
    let reconciliation = reconciliation(deployment, arguments, now).await?;
    Ok(Status { stage: deployment.stage.clone(), queues, open: counted(open), reconciliation })
}

/// The age of a queue's oldest message, from CloudWatch. A number that cannot be had is left out: the rest is worth
/// telling.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>
async fn oldest(deployment: &Deployment, queue_url: &str, now: i64) -> Option<i64> {
    if deployment.local {
        return None;
    }
    let from = Time(now - 600_000).to_string();
    let to = Time(now).to_string();
    let form = [
        ("Action", "GetMetricStatistics"),
        ("Version", "2010-08-01"),
        ("Namespace", "AWS/SQS"),
        ("MetricName", "ApproximateAgeOfOldestMessage"),
        ("Dimensions.member.1.Name", "QueueName"),
        ("Dimensions.member.1.Value", name_of(queue_url)),
        ("StartTime", &from),
        ("EndTime", &to),
        ("Period", "60"),
        ("Statistics.member.1", "Maximum"),
    ];
    let answer = QueryApi::of("monitoring", &deployment.sdk).ok()?.call(&form).await.ok()?;
    newest_maximum(&answer)
}

fn newest_maximum(answer: &str) -> Option<i64> {
    let document = roxmltree::Document::parse(answer).ok()?;
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.tag_name().name() == name)?;
        child.text().map(str::to_owned)
    };
    let points =
        document.descendants().filter_map(|node| Some((text(node, "Timestamp")?, text(node, "Maximum")?)));
    let (_, maximum) = points.max()?;
    maximum.split('.').next()?.parse().ok()
}

fn counted(open: impl Iterator<Item = OpenEffect>) -> Vec<OpenCount> {
    let mut counts: BTreeMap<_, OpenCount> = BTreeMap::new();
    for effect in open {
        let count = counts.entry((effect.task, effect.state)).or_insert(OpenCount {
            task: effect.task,
            state: effect.state,
            effects: 0,
            oldest: effect.updated_at,
        });
        count.effects += 1;
        count.oldest = [count.oldest, effect.updated_at].into_iter().flatten().min();
    }
    counts.into_values().collect()
}

/// What earlier runs found missing, and what has gone missing since.
async fn reconciliation(
    deployment: &Deployment,
    arguments: &Arguments,
    now: i64,
) -> Result<ReconciliationStatus> {
    let journal = journal(deployment)?;
    let position = journal.position().await?;
    let mut unexplained: Vec<Gap> = journal.missing().await?.into_iter().map(Gap::from).collect();
    let pending = journal.pending().await?;
    let from = arguments.since.map(|since| since.at(now));
    let checked = position.as_ref().map(|position| position.until);
    let from = from.or(checked).unwrap_or(now / 1000 - DAY_SECONDS);
    let looked = reconcile::look_back(deployment, &journal, from, now, false, u64::MAX).await;
    let not_asked = match looked {
        Ok(report) => {
            let known: BTreeSet<_> = unexplained.iter().map(|gap| gap.event_id.clone()).collect();
            let fresh =
                report.missing.into_iter().map(Gap::from).filter(|gap| !known.contains(&gap.event_id));
            unexplained.extend(fresh);
            None
        }
        Err(error) => Some(format!("{error:#}")),
    };
    Ok(ReconciliationStatus {
        checked_until: checked.map(Time::of_seconds),
        proven_until: position.map(|position| Time::of_seconds(position.proven_until)),
        unexplained,
        pending: pending.len(),
        oldest_pending: pending.iter().map(|pending| pending.since).min().map(Time::of_seconds),
        not_asked,
    })
}

impl Report for Status {
    fn print(&self, page: &mut Page) {
        page.heading(format_args!("Queues of stage {}", self.stage));
        let age =
            |seconds: Option<i64>| seconds.filter(|seconds| *seconds > 0).map_or_else(String::new, duration);
        let rows: Vec<_> = self
            .queues
            .iter()
            .map(|queues| {
                let dead = if queues.dead_letters > 0 { BAD } else { PLAIN };
                vec![
                    Cell::new(queues.task.name()),
                    Cell::new(queues.queue.waiting),
                    Cell::new(queues.queue.in_flight),
                    Cell::new(age(queues.oldest_seconds)),
                    Cell::styled(dead, queues.dead_letters),
                    Cell::new(age(queues.oldest_dead_letter_seconds)),
                ]
            })
            .collect();
        page.table(&["task", "waiting", "in flight", "oldest", "DLQ", "oldest"], &rows);

        page.heading("Open in the ledger");
        if self.open.is_empty() {
            page.line(format_args!("  {GOOD}nothing{GOOD:#}"));
        } else {
            let rows: Vec<_> = self
                .open
                .iter()
                .map(|count| {
                    vec![
                        Cell::new(count.task.map_or("of another version", Task::name)),
                        Cell::state(count.state),
                        Cell::new(count.effects),
                        Cell::new(count.oldest.map_or_else(String::new, |oldest| page.ago(oldest))),
                    ]
                })
                .collect();
            page.table(&["task", "state", "effects", "longest for"], &rows);
        }

        page.heading("Paid and unexplained");
        let ReconciliationStatus {
            checked_until,
            proven_until,
            unexplained,
            pending,
            oldest_pending,
            not_asked,
        } = &self.reconciliation;
        if unexplained.is_empty() && not_asked.is_none() {
            page.line(format_args!("  {GOOD}nothing{GOOD:#}"));
        } else if !unexplained.is_empty() {
            print_gaps(page, unexplained);
            page.line("  `afterlink reconcile` says more, and with --yes mends it.");
        }
        if let Some(why) = not_asked {
            page.line(format_args!("  {WARN}Stripe could not be asked for what is newer:{WARN:#} {why}"));
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

    fn verdict(&self) -> Verdict {
        let dead = self.queues.iter().any(|queues| queues.dead_letters > 0);
        let waiting = self.open.iter().any(|count| matches!(count.state, "parked" | "unknown"));
        let ReconciliationStatus { unexplained, not_asked, .. } = &self.reconciliation;
        Verdict::needs_you_if(dead || waiting || !unexplained.is_empty() || not_asked.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::plain;

    fn quiet() -> Status {
        let tasks =
            [Task::ThankYouEmail, Task::ContributionRecords, Task::SoftOptIns, Task::AcquisitionEvents];
        let queues = tasks.map(|task| TaskQueues {
            task,
            queue: Depth::default(),
            oldest_seconds: Some(0),
            dead_letters: 0,
            oldest_dead_letter_seconds: None,
        });
        let reconciliation = ReconciliationStatus {
            checked_until: Some(Time(0)),
            proven_until: None,
            unexplained: Vec::new(),
            pending: 0,
            oldest_pending: None,
            not_asked: None,
        };
        Status { stage: "live".to_owned(), queues: queues.into(), open: Vec::new(), reconciliation }
    }

    #[test]
    fn a_quiet_day_needs_no_operator() {
        assert_eq!(quiet().verdict(), Verdict::Fine);
        insta::assert_snapshot!(plain(&quiet(), 0), @r#"
        Queues of stage live
          task                  waiting  in flight  oldest  DLQ  oldest
          thank-you-email       0        0                  0
          contribution-records  0        0                  0
          soft-opt-ins          0        0                  0
          acquisition-events    0        0                  0

        Open in the ledger
          nothing

        Paid and unexplained
          nothing
          reconciled until 1970-01-01T00:00:00Z, proven until never
        "#);
    }

    #[test]
    fn reports_what_needs_an_operator() {
        let mut status = quiet();
        status.queues[0].queue = Depth { waiting: 12, in_flight: 3 };
        status.queues[0].oldest_seconds = Some(400);
        status.queues[1].dead_letters = 2;
        let open =
            |state| OpenCount { task: Some(Task::ThankYouEmail), state, effects: 4, oldest: Some(Time(0)) };
        status.open = vec![open("parked"), open("retry")];
        status.reconciliation.not_asked = Some("Stripe refuses the key".to_owned());
        status.reconciliation.pending = 2;
        status.reconciliation.oldest_pending = Some(Time(0));
        insta::assert_snapshot!(plain(&status, 7_200_000), @r#"
        Queues of stage live
          task                  waiting  in flight  oldest  DLQ  oldest
          thank-you-email       12       3          6 min   0
          contribution-records  0        0                  2
          soft-opt-ins          0        0                  0
          acquisition-events    0        0                  0

        Open in the ledger
          task             state   effects  longest for
          thank-you-email  parked  4        2 h
          thank-you-email  retry   4        2 h

        Paid and unexplained
          Stripe could not be asked for what is newer: Stripe refuses the key
          2 sessions waiting for money, the oldest for 2 h
          reconciled until 1970-01-01T00:00:00Z, proven until never
        "#);
    }

    #[test]
    fn each_fault_alone_needs_an_operator() {
        let mut status = quiet();
        status.queues[0].dead_letters = 1;
        assert_eq!(status.verdict(), Verdict::NeedsYou);
        let mut status = quiet();
        status.reconciliation.not_asked = Some("Stripe refuses the key".to_owned());
        assert_eq!(status.verdict(), Verdict::NeedsYou, "what nobody looked at is not fine");
        for (state, expected) in
            [("parked", Verdict::NeedsYou), ("unknown", Verdict::NeedsYou), ("retry", Verdict::Fine)]
        {
            let mut status = quiet();
            status.open = vec![OpenCount { task: None, state, effects: 1, oldest: None }];
            assert_eq!(status.verdict(), expected, "{state}");
        }
    }

    #[test]
    fn takes_the_newest_number_of_a_metric() {
        let answer = "<R><Datapoints><member><Timestamp>2026-11-21T03:01:00Z</Timestamp><Maximum>61.0</Maximum></member>\
                      <member><Maximum>7.0</Maximum><Timestamp>2026-11-21T03:00:00Z</Timestamp></member></Datapoints></R>";
        assert_eq!(newest_maximum(answer), Some(61));
        assert_eq!(newest_maximum("<R><Datapoints/></R>"), None);
    }
}
