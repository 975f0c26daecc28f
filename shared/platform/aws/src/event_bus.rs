use std::error::Error;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use aws_types::SdkConfig;

/// An entry for an event bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusEntry {
    /// The envelope's `source`.
    pub source: &'static str,
    /// The envelope's `detail-type`.
    pub detail_type: String,
    /// The event, as JSON.
    pub detail: String,
}

/// The bus did not take every entry.
#[derive(Debug, thiserror::Error)]
pub enum NotPut {
    /// No answer, or a refusal of the whole call.
    #[error("the bus did not answer")]
    NoAnswer(#[source] Box<dyn Error + Send + Sync>),
    /// Entries were refused in a call that succeeded.
    #[error("the bus refused {count} entries ({code})")]
    EntriesRefused {
        /// How many.
        count: usize,
        /// EventBridge's code for the first.
        code: String,
    },
}

/// Whether an entry refused with this code will be refused tomorrow as well: the entry is wrong, not the bus.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
pub fn is_permanent_refusal(code: &str) -> bool {
    matches!(code, "MalformedDetail" | "InvalidArgument")
}

/// A bus in EventBridge.
#[derive(Debug, Clone)]
pub struct EventBridgeBus {
    client: Client,
    name: String,
}

/// Entries in one call. <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
const ENTRIES: usize = 10;

/// Bytes in one call, well below the limit of 256 KB that all entries once shared.
const BYTES: usize = 200_000;

/// How often refused entries are sent.
const TRIES: u32 = 3;

impl EventBridgeBus {
    /// A bus, by its name.
    pub fn new(sdk: &SdkConfig, name: impl Into<String>) -> Self {
        Self { client: Client::new(sdk), name: name.into() }
    }

    /// Puts one entry in one call. Returns EventBridge's id for it.
    ///
    /// # Errors
    ///
    /// [`NotPut`]. Without an answer, the bus may have taken it.
    pub async fn put(&self, entry: &BusEntry) -> Result<String, NotPut> {
        let ids = self.call(&[entry]).await?;
        let id = ids.into_iter().next().unwrap_or_else(|| Err("no code".to_owned()));
        id.map_err(|code| NotPut::EntriesRefused { count: 1, code })
    }

    /// Puts entries in as few calls as their number and size allow, and sends refused ones again.
    ///
    /// # Errors
    ///
    /// [`NotPut`]; the bus may have taken some of them.
    pub async fn put_all(&self, entries: &[BusEntry]) -> Result<(), NotPut> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (call, later) = rest.split_at(call_size(rest));
            self.put_persistently(call).await?;
            rest = later;
        }
        Ok(())
    }

    async fn put_persistently(&self, entries: &[BusEntry]) -> Result<(), NotPut> {
        let mut waiting: Vec<_> = entries.iter().collect();
        let mut code = String::new();
        for _ in 0..TRIES {
            let results = self.call(&waiting).await?;
            let refused: Vec<_> = waiting
                .iter()
                .zip(results)
                .filter_map(|(entry, result)| result.err().map(|code| (*entry, code)))
                .collect();
            let Some((_, first)) = refused.first() else {
                return Ok(());
            };
            code.clone_from(first);
            waiting = refused.into_iter().map(|(entry, _)| entry).collect();
        }
        Err(NotPut::EntriesRefused { count: waiting.len(), code })
    }

    /// One call. For each entry, in their order, EventBridge's id or the code with which it was refused: a 200 may hold
    /// refused entries. <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
    async fn call(&self, entries: &[&BusEntry]) -> Result<Vec<Result<String, String>>, NotPut> {
        let built = entries.iter().map(|entry| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(entry.source)
                .detail_type(&entry.detail_type)
                .detail(&entry.detail)
                .build()
        });
        let reply = self.client.put_events().set_entries(Some(built.collect())).send().await;
        let reply = reply.map_err(|error| NotPut::NoAnswer(error.into()))?;
        let result = |entry: &PutEventsResultEntry| match entry.error_code() {
            Some(code) => Err(code.to_owned()),
            None => Ok(entry.event_id().unwrap_or_default().to_owned()),
        };
        let results: Vec<_> = reply.entries().iter().map(result).collect();
        if results.len() == entries.len() || reply.failed_entry_count() == 0 {
            return Ok(results);
        }
        Ok(vec![Err("no code".to_owned()); entries.len()])
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
    use super::*;

    #[test]
    fn keeps_calls_small() {
        let entry =
            |bytes: usize| BusEntry { source: "s", detail_type: "t".to_owned(), detail: "x".repeat(bytes) };
        assert_eq!(call_size(&[entry(150_000), entry(100_000)]), 1);
        assert_eq!(call_size(&[entry(500_000), entry(1)]), 1);
        assert_eq!(call_size(&[entry(90_000), entry(90_000), entry(90_000)]), 2);
    }
}
