use aws::{BusEntry, EventBridgeBus, NotPut, is_permanent_refusal};
use effect_ledger::Attempted;
use fulfilment::AcquisitionEvent;

use crate::bus::{AcquisitionBus, NotPublished};

/// One entry a call: each has its own row in the ledger, and is sent again alone.
impl AcquisitionBus for EventBridgeBus {
    async fn publish(&self, event: &AcquisitionEvent) -> Attempted<NotPublished> {
        let detail = match serde_json::to_string(event) {
            Ok(detail) => detail,
            Err(error) => return Attempted::Rejected(NotPublished::Refused(error.to_string())),
        };
        let entry = BusEntry {
            source: AcquisitionEvent::SOURCE,
            detail_type: AcquisitionEvent::DETAIL_TYPE.to_owned(),
            detail,
        };
        match self.put(&entry).await {
            Ok(id) => Attempted::Accepted(id),
            Err(NotPut::NoAnswer(error)) => Attempted::Ambiguous(NotPublished::NoAnswer(error)),
            Err(NotPut::EntriesRefused { code, .. }) if is_permanent_refusal(&code) => {
                Attempted::Rejected(NotPublished::Refused(code))
            }
            Err(NotPut::EntriesRefused { code, .. }) => Attempted::NotDone(NotPublished::NotTaken(code)),
        }
    }
}

#[cfg(test)]
mod tests;
