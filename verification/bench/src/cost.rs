//! US dollars per million contributions, from the calls that were counted.

use std::collections::{BTreeMap, BTreeSet};

use aws_in_memory::Cloud;
use serde::Serialize;
use serde_json::Value;

use crate::capacity::{Units, of_call};
use crate::deployment::Deployment;
use crate::measure::{Cost, Protocol, Speed};
use crate::prices::Prices;
use crate::sample::Spread;
use crate::workload::{Scenario, Trigger, trigger};

/// What a million contributions cost, by service, in US dollars.
pub(crate) type Bill = BTreeMap<&'static str, f64>;

/// Memory that buys a whole processor, in MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const MB_A_PROCESSOR: f64 = 1769.0;
const GB: f64 = 1e9;
const KB_64: usize = 64 * 1024;
/// What CloudWatch adds to each line that is logged, in bytes.
const LINE_OVERHEAD: usize = 26;
/// The services whose share of the bill is the mails'.
pub(crate) const SES: &str = "SES";

/// The model's input.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) prices: &'a Prices,
    pub(crate) cloud: &'a Cloud,
    pub(crate) protocols: &'a BTreeMap<String, Protocol>,
    /// Measured with replies that take as long as AWS's.
    pub(crate) speeds: &'a BTreeMap<String, Speed>,
    pub(crate) deployment: &'a Deployment,
    /// Of a payment's event, as Stripe sends it.
    pub(crate) event_bytes: usize,
}

/// A way to build it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Design {
    pub(crate) name: &'static str,
    pub(crate) batch: Batch,
    pub(crate) source: Source,
    /// Whether the tasks share one queue and one function. As deployed: each has its own.
    pub(crate) shared_queue: bool,
    /// Step Functions' standard workflow in place of queues.
    pub(crate) workflow: bool,
    /// The functions' memory, where it is not the deployed one, in MB.
    pub(crate) memory_mb: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// Every event comes alone: a quiet day.
    One,
    /// Every batch is full: a busy one.
    Ten,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Stripe calls the webhook.
    Webhook,
    /// Stripe puts events on the partner bus, whose rule forwards them.
    Partner,
}

/// The comparisons: as deployed on a quiet and on a busy day, then other ways on a busy day.
pub(crate) const DESIGNS: [Design; 7] = {
    let deployed = Design {
        name: "as deployed, webhook, batches of 1",
        batch: Batch::One,
        source: Source::Webhook,
        shared_queue: false,
        workflow: false,
        memory_mb: None,
    };
    let busy = Design { name: "as deployed, webhook, batches of 10", batch: Batch::Ten, ..deployed };
    [
        deployed,
        busy,
        Design { name: "partner bus, batches of 1", source: Source::Partner, ..deployed },
        Design { name: "partner bus, batches of 10", source: Source::Partner, ..busy },
        Design { name: "webhook, batches of 10, 128 MB", memory_mb: Some(128.0), ..busy },
        Design { name: "one queue and function for all tasks, batches of 10", shared_queue: true, ..busy },
        Design { name: "Step Functions (standard) in place of queues", workflow: true, ..deployed },
    ]
};

impl Counted<'_> {
    /// The bill of a million contributions that are each paid once and delivered once.
    pub(crate) fn bill(&self, design: Design) -> Bill {
        let prices = self.prices;
        let mut bill = Bill::new();
        let mut add = |service, dollars: f64| *bill.entry(service).or_default() += dollars;
        let memory_mb = design.memory_mb.unwrap_or(self.deployment.memory_mb);
        let entries = self.event_bytes.div_ceil(KB_64) as f64;
        // The partner's own event, then the one that the rule forwards. The webhook's is among its calls.
        if design.source == Source::Partner {
            add("EventBridge", 2.0 * entries * prices.event_bridge.million_events);
        }
        let mut tasks = 0.0;
        for (name, protocol) in self.protocols {
            let per_event = match trigger(name) {
                Some(Trigger::Queue) => {
                    tasks += 1.0;
                    match (design.batch, &protocol.batch) {
                        (Batch::Ten, Some(cost)) => self.of(cost, 10.0),
                        _ => self.of_one(protocol),
                    }
                }
                Some(Trigger::Url) if design.source == Source::Webhook => self.of_one(protocol),
                Some(
                    Trigger::Url
                    | Trigger::Page
                    | Trigger::Schedule
                    | Trigger::Upload
                    | Trigger::WholeBatches
                    | Trigger::Nothing,
                )
                | None => continue,
            };
            for (service, dollars) in per_event {
                add(service, dollars);
            }
            let batch = if trigger(name) == Some(Trigger::Queue) { design.batch } else { Batch::One };
            let (seconds, invocations) = self.lambda(name, batch, memory_mb);
            // Of a shared function's four parts, one pays for the invocation.
            let parts = if design.shared_queue && trigger(name) == Some(Trigger::Queue) { 4.0 } else { 1.0 };
            add("Lambda", invocations / parts * prices.lambda.million_requests);
            add("Lambda", seconds * memory_mb / 1024.0 * prices.lambda.million_gb_seconds);
        }
        if design.workflow {
            // Start, a parallel state, each task, end.
            add("Step Functions", (tasks + 3.0) * prices.step_functions.million_transitions);
        } else {
            let queues = if design.shared_queue { 1.0 } else { tasks };
            let receive_and_delete = if design.batch == Batch::Ten { 0.2 } else { 2.0 };
            add("SQS", queues * (1.0 + receive_and_delete) * prices.sqs.million_requests);
        }
        bill
    }

    /// The units of DynamoDB's capacity that each function takes for a paid payment.
    pub(crate) fn units(&self) -> BTreeMap<String, Units> {
        let mut all = BTreeMap::new();
        for (name, protocol) in self.protocols {
            let mut units = Units::default();
            for call in protocol.scenarios.get(Scenario::Paid.name()).iter().flat_map(|cost| &cost.calls) {
                units += of_call(self.cloud, call);
            }
            if units != Units::default() {
                all.insert(name.clone(), units);
            }
        }
        all
    }

    fn of_one(&self, protocol: &Protocol) -> Bill {
        protocol.scenarios.get(Scenario::Paid.name()).map(|cost| self.of(cost, 1.0)).unwrap_or_default()
    }

    /// What a million of everything else costs, in US dollars: function, what, how much.
    pub(crate) fn others(&self) -> Vec<(String, &'static str, f64)> {
        let mut others = Vec::new();
        for (name, protocol) in self.protocols {
            for scenario in Scenario::OF_OTHERS {
                let Some(cost) = protocol.scenarios.get(scenario.name()) else {
                    continue;
                };
                let (seconds, invocations) = self.lambda(name, Batch::One, self.deployment.memory_mb);
                let lambda = invocations * self.prices.lambda.million_requests
                    + seconds * self.deployment.memory_mb / 1024.0 * self.prices.lambda.million_gb_seconds;
                let calls: f64 = self.of(cost, 1.0).into_values().sum();
                others.push((name.clone(), scenario.name(), calls + lambda));
            }
        }
        others
    }

    /// What calls and log lines for `events` events cost, for a million events.
    fn of(&self, cost: &Cost, events: f64) -> Bill {
        let prices = self.prices;
        let mut bill = Bill::new();
        let mut add = |service, dollars: f64| *bill.entry(service).or_default() += dollars / events;
        for call in &cost.calls {
            let Units { write, read } = of_call(self.cloud, call);
            add("DynamoDB", write * prices.dynamodb.million_write_units);
            add("DynamoDB", read * prices.dynamodb.million_read_units);
            let chunks = call.request.len().div_ceil(KB_64) as f64;
            match call.kind.as_str() {
                "EventBridge PutEvents" => add("EventBridge", chunks * prices.event_bridge.million_events),
                "Ses SendEmail" => add(SES, prices.ses.million_mails),
                "S3 ListObjectsV2" => add("S3", prices.s3.million_lists),
                // Looking at an object costs as much as reading it.
                "S3 GetObject" | "S3 HeadObject" => add("S3", prices.s3.million_gets),
                "SecretsManager GetSecretValue" => {
                    add("Secrets Manager", prices.secrets_manager.million_calls);
                }
                kind if kind.starts_with("Sqs ") => add("SQS", chunks * prices.sqs.million_requests),
                _ => {}
            }
        }
        let logged = cost.logged.len() + cost.logged.lines().count() * LINE_OVERHEAD;
        add("CloudWatch Logs", logged as f64 * 1e6 / GB * prices.cloudwatch.gb_logged);
        bill
    }

    /// Billed seconds and invocations of one event.
    ///
    /// Here a function has a processor to itself; on AWS it has the part that its memory buys, and its processor
    /// time takes longer by as much. Waiting does not.
    fn lambda(&self, function: &str, batch: Batch, memory_mb: f64) -> (f64, f64) {
        let Some(speed) = self.speeds.get(function) else {
            return (0.0, 1.0);
        };
        let stretch = stretch(memory_mb);
        let cpu = |spread: &Option<Spread>| spread.map_or(0.0, |spread| spread.median);
        let (ms, invocations) = match (batch, &speed.batch) {
            (Batch::Ten, Some(batch)) => {
                ((batch.ms.median + 10.0 * stretch * cpu(&speed.cpu_in_batch)) / 10.0, 0.1)
            }
            _ => (speed.event.ms.median + stretch * cpu(&speed.cpu), 1.0),
        };
        (ms / 1000.0, invocations)
    }
}

/// By how many times its length here a function's processor time becomes longer on AWS.
pub(crate) fn stretch(memory_mb: f64) -> f64 {
    (MB_A_PROCESSOR / memory_mb - 1.0).max(0.0)
}

/// What a month costs before the first payment, in US dollars.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Idle {
    pub(crate) polling: f64,
    pub(crate) alarms: f64,
    pub(crate) dashboard: f64,
    pub(crate) secret: f64,
    /// All metrics, if each is written in every hour. A metric costs nothing in an hour in which it is not written.
    pub(crate) metrics: f64,
}

/// Pollers of a queue on which nothing happens: five, because a mapping with a maximum concurrency is not scaled
/// back to two. <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
const POLLERS: f64 = 5.0;
/// Each asks for 20 seconds, all month.
const POLLS_A_MONTH: f64 = 30.0 * 24.0 * 3600.0 / 20.0;

impl Idle {
    pub(crate) fn of(
        prices: &Prices,
        deployment: &Deployment,
        protocols: &BTreeMap<String, Protocol>,
    ) -> Self {
        Self {
            polling: deployment.queues.len() as f64 * POLLERS * POLLS_A_MONTH / 1e6
                * prices.sqs.million_requests,
            alarms: deployment.alarm_metrics as f64 * prices.cloudwatch.alarm_month,
            dashboard: deployment.dashboards as f64 * prices.cloudwatch.dashboard_month,
            secret: deployment.secrets as f64 * prices.secrets_manager.secret_month,
            metrics: metrics(protocols) as f64 * prices.cloudwatch.metric_month,
        }
    }

    /// Without the metrics, which no function writes.
    pub(crate) fn total(&self) -> f64 {
        self.polling + self.alarms + self.dashboard + self.secret
    }
}

/// How many metrics the functions write in CloudWatch's embedded format: each name under each set of dimensions.
fn metrics(protocols: &BTreeMap<String, Protocol>) -> usize {
    let costs = protocols.values().flat_map(|protocol| protocol.scenarios.values().chain(&protocol.batch));
    let lines = costs.flat_map(|cost| cost.logged.lines());
    let documents = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let metrics: BTreeSet<String> = documents
        .flat_map(|document| {
            let directives = document["_aws"]["CloudWatchMetrics"].as_array().cloned().unwrap_or_default();
            directives.into_iter().flat_map(move |directive| names(&document, &directive)).collect::<Vec<_>>()
        })
        .collect();
    metrics.len()
}

/// The metrics of one directive, each with the values of its dimensions.
fn names(document: &Value, directive: &Value) -> Vec<String> {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let sets = array(&directive["Dimensions"]);
    let metrics = array(&directive["Metrics"]);
    sets.iter()
        .flat_map(|set| {
            let values: Vec<String> =
                array(set).iter().filter_map(|name| Some(document[name.as_str()?].to_string())).collect();
            metrics.iter().map(move |metric| format!("{} {}", metric["Name"], values.join(" ")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_counted_once_for_each_set_of_dimensions() {
        let line = |task: &str, metric: &str| {
            serde_json::json!({
                "_aws": { "CloudWatchMetrics": [{
                    "Dimensions": [["Task"]], "Metrics": [{ "Name": metric }, { "Name": "Handled" }]
                }] },
                "Task": task
            })
        };
        let lines =
            [line("mail", "Done"), line("mail", "Done"), line("mail", "Failed"), line("records", "Done")];
        let logged = lines.map(|line| format!("{line}\n")).concat() + "not JSON\n";
        let cost = Cost { logged, ..Cost::default() };
        let protocol = Protocol { scenarios: [("paid".to_owned(), cost)].into(), batch: None };
        assert_eq!(metrics(&[("mail".to_owned(), protocol)].into()), 5);
    }
}
