#![doc = include_str!("../README.md")]
// The function over its clients is one future, some layers deeper than the compiler looks by itself.
#![recursion_limit = "256"]

mod story;

use anyhow::{Result, anyhow, ensure};
use aws::Environment;
use aws_in_memory::{Cloud, sdk_config};
use serde_json::Value;
use testkit::clock::ManualClock;

pub use crate::story::{Sent, Story};

/// The seed of the payments that the queries are asked about.
pub const SEED: u64 = 20_261_118;

/// For supporter ids.
pub const SUPPORTER_NAMESPACE: &str = "7d0f3a52-6a55-4d0e-9a4f-2f6f4f3f9f11";

const BUS: &str = "acquisition";

/// AWS in memory, with a bus for analysts and a key for a Stripe that has everything that happened.
pub fn cloud(story: &Story) -> Cloud {
    let cloud = Cloud::with_tables();
    cloud.create_bus(BUS);
    cloud.put_secret("stripe-key", "rk_live_simulated");
    story.at_stripe.iter().for_each(|event| cloud.record_at_stripe(event));
    cloud
}

/// What the function publishes of these events, beginning with an empty ledger.
///
/// # Errors
///
/// When it does not publish all of it at once.
pub async fn published(story: &Story, events: &[Value], clock: &ManualClock) -> Result<Vec<Value>> {
    let cloud = cloud(story);
    let sdk = sdk_config(&cloud, clock.clone());
    let mut env = Environment::new(variable);
    let config = acquisition_events::Config::from_env(&mut env);
    let config = env.finish(|| config)?;
    let task = acquisition_events::task(config, &sdk, &sdk, clock.clone()).map_err(|error| anyhow!(error))?;
    let (tally, queue) =
        testkit::queue::deliver_in_turn("acquisition-events", &task, clock, "afterlink.webhook", events)
            .await;
    let reasons: Vec<_> = queue.dead_letters.borrow().iter().map(|(_, reason)| reason.clone()).collect();
    ensure!(
        tally.retried == 0 && tally.parked == 0,
        "not everything was published: {} retried, parked for {reasons:?}",
        tally.retried
    );
    Ok(cloud.events(BUS).into_iter().map(|event| event.detail).collect())
}

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "LIVEMODE" => "true",
        "EFFECTS_TABLE" => "effects",
        "ACQUISITION_BUS" => BUS,
        "SUPPORTER_NAMESPACE" => SUPPORTER_NAMESPACE,
        "STRIPE_KEY_SECRET_NAME" => "stripe-key",
        _ => return None,
    };
    Some(value.to_owned())
}
