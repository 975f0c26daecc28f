//! A stage in memory for the tests of commands: a ledger, and the queues of every task.

use std::collections::BTreeMap;

use aws_in_memory::{Cloud, MessageAttribute, QueueDefinition, sdk_config};
use catalogue::{construct_id, queued};
use testkit::clock::ManualClock;

use crate::deployment::Deployment;

/// When the messages are sent, in Unix milliseconds.
pub(crate) const NOW: i64 = 1_795_000_000_000;

pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    pub(crate) here: Deployment,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let cloud = Cloud::with_tables();
        let mut outputs = vec![("EffectsTableName".to_owned(), "effects".to_owned())];
        outputs.push(("Livemode".to_owned(), "false".to_owned()));
        let names = queued().flat_map(|function| {
            ["Queue", "Dlq"].map(|queue| format!("{}{queue}", construct_id(function.name)))
        });
        for name in names.chain(["ForwardDlq".to_owned()]) {
            let url = format!("https://sqs.example/{name}");
            cloud.create_queue(QueueDefinition { url: url.clone(), visibility_ms: 30_000, redrive: None });
            outputs.push((format!("{name}Url"), url));
        }
        let here = Deployment::in_memory(sdk_config(&cloud, ManualClock::default()), outputs);
        Self { cloud, here }
    }

    /// The same with a Stripe that has nothing yet, and the outputs that reading it takes.
    pub(crate) fn with_stripe() -> Self {
        let Self { cloud, .. } = Self::new();
        cloud.put_secret("stripe-key", "rk_test_simulated");
        let outputs = [
            ("EffectsTableName", "effects"),
            ("Livemode", "false"),
            ("StripeKeyName", "stripe-key"),
            ("SupporterNamespace", "7d0f3a52-6a55-4d0e-9a4f-2f6f4f3f9f11"),
        ];
        let outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let here = Deployment::in_memory(sdk_config(&cloud, ManualClock::default()), outputs);
        Self { cloud, here }
    }

    /// Puts a message into a queue, with a reason as tasks give one.
    pub(crate) fn send(&self, queue_url: &str, body: &str, reason: Option<&str>) {
        let attribute = |reason: &str| MessageAttribute {
            data_type: "String".to_owned(),
            string_value: reason.to_owned(),
        };
        let attributes: BTreeMap<_, _> =
            reason.map(|reason| ("reason".to_owned(), attribute(reason))).into_iter().collect();
        self.cloud.send(NOW, queue_url, body, attributes);
    }

    /// How many messages a queue has, hidden ones included.
    pub(crate) fn depth(&self, queue_url: &str) -> usize {
        self.cloud.messages(queue_url).len()
    }
}
