use stripe_events::{Event, EventType, Object};

use crate::correction::snapshot;
use crate::{AsOf, PaymentId, SkipReason};

/// A card issuer's warning of fraud, read. It may be about another business's payment: warnings carry no marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FraudWarningEvent {
    /// The key of the payment it is about.
    pub payment_id: PaymentId,
    /// `evt_…`
    pub event_id: String,
    /// When it happened, in Unix seconds.
    pub occurred_at: i64,
    /// `issfr_…`
    pub warning_id: String,
    /// The issuer's word for the kind of fraud.
    pub fraud_type: Option<String>,
    /// Whether a refund now can still prevent a dispute.
    pub actionable: Option<bool>,
    /// When the issuer gave it, in Unix seconds.
    pub created_at: Option<i64>,
}

impl FraudWarningEvent {
    /// Reads an event; checks again what the rule filtered.
    ///
    /// # Errors
    ///
    /// The reason to leave it alone.
    pub fn from_event(event: &Event, livemode: bool) -> Result<Self, SkipReason> {
        let event = snapshot(event)?;
        let Object::EarlyFraudWarning(warning) = &event.object else {
            return Err(SkipReason::OtherEventType);
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "an event type added later is not about warnings")]
        match &event.event_type {
            EventType::EarlyFraudWarningCreated | EventType::EarlyFraudWarningUpdated => {}
            _ => return Err(SkipReason::OtherEventType),
        }
        if event.livemode != livemode {
            return Err(SkipReason::OtherLivemode);
        }
        Ok(Self {
            payment_id: PaymentId::of_event(event).ok_or(SkipReason::NoPaymentIntent)?,
            event_id: event.id.clone(),
            occurred_at: event.created,
            warning_id: warning.id.clone(),
            fraud_type: warning.fraud_type.clone(),
            actionable: warning.actionable,
            created_at: warning.created,
        })
    }

    /// This event's place in the order of the payment's events.
    pub fn as_of(&self) -> AsOf {
        AsOf { occurred_at: self.occurred_at, event_id: self.event_id.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn reads_a_warning_and_leaves_others_alone() {
        let fixture =
            include_str!("../../../../verification/testkit/fixtures/early_fraud_warning_created.json");
        let mut event: Value = serde_json::from_str(fixture).unwrap();
        let read =
            |event: &Value| FraudWarningEvent::from_event(&Event::from_value(event.clone()).unwrap(), false);
        let warning = read(&event).unwrap();
        assert_eq!(warning.payment_id.as_str(), "pi_3FixtureContribution");
        assert_eq!(warning.warning_id, "issfr_1Fixture");
        assert_eq!(warning.created_at, Some(1_795_089_990));
        event["type"] = json!("radar.early_fraud_warning.updated");
        assert!(read(&event).is_ok());
        event["data"]["object"]["payment_intent"] = json!(null);
        assert_eq!(read(&event), Err(SkipReason::NoPaymentIntent));
        event["type"] = json!("radar.early_fraud_warning.deleted");
        assert_eq!(read(&event), Err(SkipReason::OtherEventType));
    }
}
