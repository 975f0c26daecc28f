use effect_key::Guarantee;
use serde::Serialize;

use crate::{Task, Trigger, functions};

/// The catalogue as the CDK app reads it, from `cdk/lib/catalogue.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Golden {
    /// Every function.
    pub functions: Vec<GoldenFunction>,
    /// The facts of tasks alone.
    pub tasks: Vec<GoldenTask>,
}

/// A function.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GoldenFunction {
    /// Its name.
    pub name: &'static str,
    /// `events`, `webhook`, `page`, `schedule` or `upload`.
    pub trigger: &'static str,
    /// Whether it is behind a queue.
    pub queued: bool,
    /// What it does.
    pub purpose: &'static str,
}

/// A task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GoldenTask {
    /// Its name.
    pub name: &'static str,
    /// The start of the names of its outputs.
    pub id: &'static str,
    /// Whether its effects are performed at most once.
    pub at_most_once: bool,
    /// The types of the events that it reacts to.
    pub reacts_to: &'static [&'static str],
}

impl Golden {
    /// The catalogue as it is.
    pub fn current() -> Self {
        let functions = functions().map(|function| GoldenFunction {
            name: function.name,
            trigger: match function.trigger {
                Trigger::Events(_) => "events",
                Trigger::Webhook => "webhook",
                Trigger::Page => "page",
                Trigger::Schedule => "schedule",
                Trigger::Upload => "upload",
            },
            queued: function.trigger.is_queued(),
            purpose: function.purpose,
        });
        let tasks = Task::ALL.map(|task| GoldenTask {
            name: task.name(),
            id: task.id(),
            at_most_once: task.guarantee() == Guarantee::AtMostOnce,
            reacts_to: task.reacts_to(),
        });
        Self { functions: functions.collect(), tasks: tasks.into() }
    }
}
