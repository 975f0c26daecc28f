use std::error::Error;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use stripe_events::Door;

/// Where accepted events go.
pub(crate) trait EventBus {
    /// Puts one event on the bus, verbatim. `Ok` only once the bus has taken it.
    fn put(&self, event_type: &str, event: &str) -> impl Future<Output = Result<(), NotPut>>;
}

/// The bus did not take the event. Stripe is asked to send it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPut {
    #[error("the bus did not answer")]
    NoAnswer(#[source] Box<dyn Error + Send + Sync>),
    #[error("the bus refused the entry ({code})")]
    EntryRefused { code: String },
}

/// An EventBridge bus.
pub(crate) struct EventBridgeBus {
    client: Client,
    name: String,
}

impl EventBridgeBus {
    pub(crate) const fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }
}

impl EventBus for EventBridgeBus {
    async fn put(&self, event_type: &str, event: &str) -> Result<(), NotPut> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(Door::WEBHOOK_SOURCE)
            .detail_type(event_type)
            .detail(event)
            .build();
        let answer = self.client.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| NotPut::NoAnswer(error.into()))?;
        // A 200 may still hold a refused entry.
        // https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
        if answer.failed_entry_count() == 0 {
            return Ok(());
        }
        let code = answer.entries().first().and_then(|entry| entry.error_code()).unwrap_or("no code");
        Err(NotPut::EntryRefused { code: code.to_owned() })
    }
}

#[cfg(test)]
mod tests;
