//! What would be deployed: the template of the stage `live`, as the CDK app synthesizes it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::checkout::Checkout;
use xtask::templates::{is_of_stage, synthesize};

/// How many metrics an alarm looks at.
fn metrics_of(alarm: &Value) -> usize {
    let queries = alarm["Properties"]["Metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    queries.iter().filter(|query| !query["MetricStat"].is_null()).count().max(1)
}

/// What the model and the simulation need of it.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// By function name.
    pub(crate) queues: BTreeMap<String, Mapping>,
    /// Memory of the functions, in MB: all have the same.
    pub(crate) memory_mb: f64,
    /// An alarm over an expression is paid for each metric in it: <https://aws.amazon.com/cloudwatch/pricing/>.
    pub(crate) alarm_metrics: usize,
    pub(crate) dashboards: usize,
    pub(crate) secrets: usize,
}

/// How a queue's messages come to its function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping {
    pub(crate) batch_size: usize,
    pub(crate) max_concurrency: usize,
}

impl Deployment {
    /// Synthesizes the app.
    ///
    /// # Errors
    ///
    /// When that fails, or the template lacks something.
    pub(crate) fn live(checkout: &Checkout) -> Result<Self> {
        let files = synthesize(checkout, &checkout.root().join("target/bench/templates"))?;
        let stacks = files.iter().filter(|file| is_of_stage(file, "live")).map(|file| {
            let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            serde_json::from_slice(&text).context("a template is not JSON")
        });
        let stacks = stacks.collect::<Result<Vec<Value>>>()?;
        let resources: BTreeMap<&String, &Value> =
            stacks.iter().filter_map(|stack| stack["Resources"].as_object()).flatten().collect();
        let of_type = |wanted: &'static str| resources.values().filter(move |it| it["Type"] == wanted);
        let number = |value: &Value| value.as_u64().context("the template lacks a number");

        let mut queues = BTreeMap::new();
        for mapping in of_type("AWS::Lambda::EventSourceMapping") {
            let mapping = &mapping["Properties"];
            let function = mapping["FunctionName"]["Ref"].as_str().unwrap_or_default().to_owned();
            let function = resources.get(&function).context("a mapping without a function")?;
            let name =
                function["Properties"]["FunctionName"].as_str().context("a function without a name")?;
            queues.insert(
                name.trim_start_matches("afterlink-live-").to_owned(),
                Mapping {
                    batch_size: number(&mapping["BatchSize"])?.try_into()?,
                    max_concurrency: number(&mapping["ScalingConfig"]["MaximumConcurrency"])?.try_into()?,
                },
            );
        }
        let memory = of_type("AWS::Lambda::Function").next().context("no functions")?;
        Ok(Self {
            queues,
            memory_mb: u32::try_from(number(&memory["Properties"]["MemorySize"])?)?.into(),
            alarm_metrics: of_type("AWS::CloudWatch::Alarm").map(|alarm| metrics_of(alarm)).sum(),
            dashboards: of_type("AWS::CloudWatch::Dashboard").count(),
            secrets: of_type("AWS::SecretsManager::Secret").count(),
        })
    }
}
