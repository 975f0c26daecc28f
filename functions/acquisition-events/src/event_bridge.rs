use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use effect_ledger::Attempted;
use fulfilment::AcquisitionEvent;

use crate::bus::{AcquisitionBus, NotPublished};

/// An EventBridge bus, one entry a call: each has its own row in the ledger, and is sent again alone.
pub(crate) struct EventBridgeAcquisitionBus {
    client: Client,
    name: String,
}

impl EventBridgeAcquisitionBus {
    pub(crate) const fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }
}

impl AcquisitionBus for EventBridgeAcquisitionBus {
    async fn publish(&self, event: &AcquisitionEvent) -> Attempted<NotPublished> {
        let detail = match serde_json::to_string(event) {
            Ok(detail) => detail,
            Err(error) => return Attempted::Rejected(NotPublished::Refused(error.to_string())),
        };
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(AcquisitionEvent::SOURCE)
            .detail_type(AcquisitionEvent::DETAIL_TYPE)
            .detail(detail)
            .build();
        let answer = match self.client.put_events().entries(entry).send().await {
            Ok(answer) => answer,
            Err(error) => return Attempted::Ambiguous(NotPublished::NoAnswer(error.into())),
        };
        let entry = answer.entries().first();
        // A 200 may still hold a refused entry.
        // https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
        if answer.failed_entry_count() == 0 {
            return Attempted::Accepted(
                entry.and_then(|entry| entry.event_id()).unwrap_or_default().to_owned(),
            );
        }
        let code = entry.and_then(|entry| entry.error_code()).unwrap_or("no code").to_owned();
        match code.as_str() {
            // Whatever is wrong with this entry will be wrong with it tomorrow.
            "MalformedDetail" | "InvalidArgument" => Attempted::Rejected(NotPublished::Refused(code)),
            _ => Attempted::NotDone(NotPublished::NotTaken(code)),
        }
    }
}

#[cfg(test)]
mod tests;
