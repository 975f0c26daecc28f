use std::error::Error;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

/// Where events are put back and the daily proof is told.
pub trait FulfilmentBus {
    /// Puts events on the bus. `Ok` only once the bus has taken all of them; otherwise it may have taken some.
    fn put(&self, entries: &[BusEntry]) -> impl Future<Output = Result<(), NotPut>>;
}

/// What is put on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusEntry {
    /// The envelope's `source`.
    pub source: &'static str,
    /// The envelope's `detail-type`.
    pub detail_type: String,
    /// The event, as JSON.
    pub detail: String,
}

/// The bus did not take everything.
#[derive(Debug, thiserror::Error)]
pub enum NotPut {
    /// No answer, or a refusal of the whole call.
    #[error("the bus did not answer")]
    NoAnswer(#[source] Box<dyn Error + Send + Sync>),
    /// Some entries were refused, also when sent again.
    #[error("the bus refused {count} entries ({code})")]
    EntriesRefused {
        /// How many.
        count: usize,
        /// EventBridge's code for the first.
        code: String,
    },
}

/// The fulfilment bus in EventBridge.
#[derive(Debug, Clone)]
pub struct EventBridgeFulfilmentBus {
    client: Client,
    name: String,
}

/// Entries in one call. <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
const ENTRIES: usize = 10;

/// Bytes in one call, well below the limit of 256 KB that all entries once shared.
const BYTES: usize = 200_000;

/// How often refused entries are sent.
const TRIES: u32 = 3;

impl EventBridgeFulfilmentBus {
    /// A bus, by its name.
    pub const fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// One call. A 200 may still hold refused entries; these alone are sent again.
    async fn put_call(&self, entries: &[BusEntry]) -> Result<(), NotPut> {
        let mut waiting: Vec<_> = entries.iter().collect();
        for tries_left in (0..TRIES).rev() {
            let built = waiting.iter().map(|entry| {
                PutEventsRequestEntry::builder()
                    .event_bus_name(&self.name)
                    .source(entry.source)
                    .detail_type(&entry.detail_type)
                    .detail(&entry.detail)
                    .build()
            });
            let answer = self.client.put_events().set_entries(Some(built.collect())).send().await;
            let answer = answer.map_err(|error| NotPut::NoAnswer(error.into()))?;
            if answer.failed_entry_count() == 0 {
                return Ok(());
            }
            let code = answer.entries().iter().find_map(|entry| entry.error_code()).unwrap_or("no code");
            // Results stand in the order of the entries.
            let refused =
                waiting.iter().zip(answer.entries()).filter(|(_, answer)| answer.error_code().is_some());
            let refused: Vec<_> = refused.map(|(entry, _)| *entry).collect();
            if tries_left == 0 || refused.is_empty() {
                return Err(NotPut::EntriesRefused { count: waiting.len(), code: code.to_owned() });
            }
            waiting = refused;
        }
        Ok(())
    }
}

impl FulfilmentBus for EventBridgeFulfilmentBus {
    async fn put(&self, entries: &[BusEntry]) -> Result<(), NotPut> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (call, later) = rest.split_at(call_size(rest));
            self.put_call(call).await?;
            rest = later;
        }
        Ok(())
    }
}

/// How many of the entries go into one call.
fn call_size(entries: &[BusEntry]) -> usize {
    let mut bytes = 0;
    let fitting = entries.iter().take(ENTRIES).take_while(|entry| {
        bytes += entry.source.len() + entry.detail_type.len() + entry.detail.len();
        bytes <= BYTES
    });
    // One that is too large alone is refused by itself.
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use testkit::aws::{Endpoint, Reply};

    use super::*;

    fn entries(number: usize) -> Vec<BusEntry> {
        let entry =
            |i| BusEntry { source: "s", detail_type: "t".to_owned(), detail: format!("{{\"i\":{i}}}") };
        (0..number).map(entry).collect()
    }

    fn bus(endpoint: &Endpoint) -> EventBridgeFulfilmentBus {
        EventBridgeFulfilmentBus::new(Client::new(&endpoint.sdk_config()), "fulfilment".to_owned())
    }

    /// An answer: the codes of what is refused, by place.
    fn answer(codes: &[Option<&str>]) -> Reply {
        let entry = |code: &Option<&str>| match code {
            Some(code) => json!({ "ErrorCode": code, "ErrorMessage": "about it" }),
            None => json!({ "EventId": "e" }),
        };
        let failed = codes.iter().flatten().count();
        let entries: Vec<_> = codes.iter().map(entry).collect();
        Reply::json(200, &json!({ "FailedEntryCount": failed, "Entries": entries }))
    }

    fn details(body: &Value) -> Vec<&str> {
        body["Entries"].as_array().unwrap().iter().map(|entry| entry["Detail"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn puts_ten_in_a_call_and_nothing_in_none() {
        let endpoint = Endpoint::start([answer(&[None; 10]), answer(&[None; 2])]);
        bus(&endpoint).put(&entries(12)).await.unwrap();
        bus(&endpoint).put(&[]).await.unwrap();
        let sizes: Vec<_> = endpoint.bodies().iter().map(|body| details(body).len()).collect();
        assert_eq!(sizes, [10, 2]);
    }

    #[tokio::test]
    async fn sends_refused_entries_alone_again() {
        let endpoint = Endpoint::start([answer(&[None, Some("ThrottlingException"), None]), answer(&[None])]);
        bus(&endpoint).put(&entries(3)).await.unwrap();
        assert_eq!(details(&endpoint.bodies()[1]), ["{\"i\":1}"]);
    }

    #[tokio::test]
    async fn says_so_when_entries_stay_refused() {
        let endpoint = Endpoint::start(vec![answer(&[Some("InternalFailure")]); 3]);
        let error = bus(&endpoint).put(&entries(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "the bus refused 1 entries (InternalFailure)");
        assert_eq!(endpoint.count(), 3);
    }

    #[test]
    fn keeps_calls_small() {
        let large = |bytes: usize| BusEntry { detail: "x".repeat(bytes), ..entries(1).remove(0) };
        assert_eq!(call_size(&[large(150_000), large(100_000)]), 1);
        assert_eq!(call_size(&[large(500_000), large(1)]), 1);
        assert_eq!(call_size(&[large(90_000), large(90_000), large(90_000)]), 2);
    }
}
