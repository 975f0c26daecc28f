use aws::{BusEntry, EventBridgeBus, NotPut};
use stripe_events::Source;

/// The bus that takes accepted events.
pub(crate) trait EventBus {
    /// Puts one event on the bus, verbatim. `Ok` only once the bus has taken it.
    fn put(&self, event_type: &str, event: &str) -> impl Future<Output = Result<(), NotPut>>;
}

impl EventBus for EventBridgeBus {
    async fn put(&self, event_type: &str, event: &str) -> Result<(), NotPut> {
        let entry = BusEntry {
            source: Source::WEBHOOK_SOURCE,
            detail_type: event_type.to_owned(),
            detail: event.to_owned(),
        };
        Self::put(self, &entry).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::aws::{Endpoint, Reply};

    use super::*;

    async fn put(entry: serde_json::Value, failed: u32) -> (Result<(), NotPut>, Endpoint) {
        let endpoint =
            Endpoint::start([Reply::json(200, &json!({ "FailedEntryCount": failed, "Entries": [entry] }))]);
        let bus = EventBridgeBus::new(&endpoint.sdk_config(), "fulfilment");
        let put = EventBus::put(&bus, "refund.created", r#"{ "id":"evt_1" }"#).await;
        (put, endpoint)
    }

    #[tokio::test]
    async fn an_event_is_put_verbatim_and_a_refusal_is_an_error() {
        let (taken, endpoint) = put(json!({ "EventId": "eb-1" }), 0).await;
        assert!(taken.is_ok());
        let entry = json!({
            "EventBusName": "fulfilment", "Source": "afterlink.webhook", "DetailType": "refund.created",
            "Detail": r#"{ "id":"evt_1" }"#
        });
        assert_eq!(endpoint.bodies(), [json!({ "Entries": [entry] })]);
        let (refused, _endpoint) =
            put(json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "later" }), 1).await;
        assert!(refused.is_err());
    }
}
