use serde::{Deserialize, Serialize};
use stripe_events::{DisputeStatus as Wire, Event, EventType, Object};

use crate::correction::{Correction, snapshot};
use crate::{AsOf, Money, NotACorrection, PaymentId, SkipReason};

/// A dispute event, read and validated. It may be about another business's payment: disputes carry no marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeEvent {
    /// The key of the payment that is disputed.
    pub payment_id: PaymentId,
    /// `evt_…`
    pub event_id: String,
    /// When it happened, in Unix seconds.
    pub occurred_at: i64,
    /// `dp_…` or `du_…`
    pub dispute_id: String,
    /// How much is disputed, in the currency the payment was charged in.
    pub amount: Money,
    /// Where the dispute stands.
    pub status: DisputeStatus,
    /// What this event did to our balance.
    pub moved: DisputeMoved,
    /// Which of two events of one second is the later one.
    pub step: DisputeStep,
    /// When the dispute was opened, in Unix seconds.
    pub created_at: Option<i64>,
}

/// Where a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// A question before a dispute, open or answered. No money moves.
    Inquiry,
    /// Being argued, also on appeal. The money is gone meanwhile.
    Open,
    /// Decided for us, or prevented: the money is ours.
    Won,
    /// Decided against us.
    Lost,
}

/// What a dispute event did to our balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisputeMoved {
    /// Nothing.
    None,
    /// The disputed money left.
    Withdrawn,
    /// The disputed money came back.
    Reinstated,
}

/// The steps of a dispute in their order. Stripe's times have a resolution of one second, and disputes have been
/// seen to be opened and closed within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStep {
    /// `charge.dispute.created`
    Created,
    /// `charge.dispute.funds_withdrawn`
    Withdrawn,
    /// `charge.dispute.funds_reinstated`
    Reinstated,
    /// `charge.dispute.closed`
    Closed,
}

impl DisputeEvent {
    /// Reads an event; checks again what the rule filtered.
    ///
    /// # Errors
    ///
    /// [`NotACorrection::Skip`] for what is none of our business, [`NotACorrection::Broken`] for what nothing
    /// can be made of.
    pub fn read(event: &Event, livemode: bool) -> Result<Self, NotACorrection> {
        let event = snapshot(event)?;
        let Object::Dispute(dispute) = &event.object else {
            return Err(SkipReason::OtherEventType.into());
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "an event type added later is not about disputes")]
        let (step, moved) = match &event.event_type {
            EventType::DisputeCreated => (DisputeStep::Created, DisputeMoved::None),
            EventType::DisputeFundsWithdrawn => (DisputeStep::Withdrawn, DisputeMoved::Withdrawn),
            EventType::DisputeFundsReinstated => (DisputeStep::Reinstated, DisputeMoved::Reinstated),
            EventType::DisputeClosed => (DisputeStep::Closed, DisputeMoved::None),
            _ => return Err(SkipReason::OtherEventType.into()),
        };
        let status = match &dispute.status {
            Some(Wire::WarningNeedsResponse | Wire::WarningUnderReview | Wire::WarningClosed) => {
                DisputeStatus::Inquiry
            }
            Some(Wire::Won | Wire::Prevented) => DisputeStatus::Won,
            Some(Wire::Lost) => DisputeStatus::Lost,
            // A status this version does not know: somebody has to look at the dispute.
            Some(
                Wire::NeedsResponse
                | Wire::UnderReview
                | Wire::AppealNeedsResponse
                | Wire::AppealUnderReview
                | Wire::Other(_),
            )
            | None => DisputeStatus::Open,
        };
        let correction =
            Correction::read(event, livemode, &dispute.id, dispute.amount, dispute.currency.as_deref())?;
        Ok(Self {
            payment_id: correction.payment_id,
            event_id: event.id.clone(),
            occurred_at: event.created,
            dispute_id: dispute.id.clone(),
            amount: correction.amount,
            status,
            moved,
            step,
            created_at: dispute.created,
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
    use crate::CorrectionBroken;

    fn fixture() -> Value {
        serde_json::from_str(include_str!("../../testkit/fixtures/dispute_closed_inquiry.json")).unwrap()
    }

    fn read(event: Value) -> Result<DisputeEvent, NotACorrection> {
        DisputeEvent::read(&Event::from_value(event).unwrap(), false)
    }

    #[test]
    fn an_inquiry_moves_no_money() {
        let dispute = read(fixture()).unwrap();
        assert_eq!(dispute.payment_id.as_str(), "pi_3FixtureContribution");
        assert_eq!(dispute.dispute_id, "du_1Fixture");
        assert_eq!((dispute.amount.minor(), dispute.amount.currency().as_str()), (1250, "gbp"));
        assert_eq!((dispute.status, dispute.moved), (DisputeStatus::Inquiry, DisputeMoved::None));
    }

    #[test]
    fn knows_who_is_winning_and_where_the_money_is() {
        let check = |event_type: &str, status: &str, expected: (DisputeStatus, DisputeMoved)| {
            let mut event = fixture();
            event["type"] = json!(format!("charge.dispute.{event_type}"));
            event["data"]["object"]["status"] = json!(status);
            let read = read(event).unwrap();
            assert_eq!((read.status, read.moved), expected, "{event_type} {status}");
        };
        use DisputeMoved::{None, Reinstated, Withdrawn};
        use DisputeStatus::{Inquiry, Lost, Open, Won};
        check("created", "warning_needs_response", (Inquiry, None));
        check("created", "needs_response", (Open, None));
        check("funds_withdrawn", "under_review", (Open, Withdrawn));
        check("funds_reinstated", "won", (Won, Reinstated));
        check("funds_reinstated", "appeal_under_review", (Open, Reinstated));
        check("closed", "won", (Won, None));
        check("closed", "lost", (Lost, None));
        check("closed", "prevented", (Won, None));
        check("created", "in_mediation", (Open, None));
    }

    #[test]
    fn skips_or_parks_what_it_cannot_use() {
        use SkipReason::*;
        let changed = |pointer: &str, value: Value| {
            let mut event = fixture();
            *event.pointer_mut(pointer).unwrap() = value;
            read(event)
        };
        for (pointer, value, expected) in [
            ("/data/object/payment_intent", json!(null), NoPaymentIntent),
            ("/livemode", json!(true), OtherLivemode),
            ("/type", json!("charge.dispute.updated"), OtherEventType),
        ] {
            assert_eq!(changed(pointer, value), Err(NotACorrection::Skip(expected)), "{pointer}");
        }
        let broken = changed("/data/object/amount", json!(null)).unwrap_err();
        assert!(
            matches!(broken, NotACorrection::Broken { broken: CorrectionBroken::NoAmount, .. }),
            "{broken:?}"
        );
    }
}
