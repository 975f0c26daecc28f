use serde::{Deserialize, Serialize};
use stripe_events::{DisputeStatus as Wire, Event, EventType, Object};

use crate::attribution::publishable;
use crate::correction::{Correction, snapshot};
use crate::dispute_movement::{DisputeBalance, DisputeMovement, Listed, Movements, Shown};
use crate::made::is_made;
use crate::{AsOf, DisputeMoved, DisputeStatus, Money, NotACorrection, PaymentId, SkipReason};

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
    /// What this event's type says of our balance.
    pub moved: DisputeMoved,
    /// All that the dispute has moved so far, as this event shows it.
    pub movements: Vec<DisputeMovement>,
    /// What the record keeps of that.
    pub balance: DisputeBalance,
    /// Money came back, and neither the balance transactions nor the status say how much. It is in no movement.
    pub return_unknown: bool,
    /// Which of two events of one second is the later one.
    pub step: DisputeStep,
    /// Stripe's word for why the customer's bank opened it.
    pub reason: Option<String>,
    /// When the dispute was opened, in Unix seconds.
    pub created_at: Option<i64>,
}

/// The steps of a dispute in their order. Stripe's times have a resolution of one second, and disputes have been
/// seen to be opened and closed within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStep {
    /// `charge.dispute.created`
    Created,
    /// `charge.dispute.updated`
    Updated,
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
    /// [`NotACorrection::Skip`] for an event that is not ours, [`NotACorrection::Broken`] for one that nothing
    /// can be made of.
    pub fn from_event(event: &Event, livemode: bool) -> Result<Self, NotACorrection> {
        let event = snapshot(event)?;
        let Object::Dispute(dispute) = &event.object else {
            return Err(SkipReason::OtherEventType.into());
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "an event type added later is not about disputes")]
        let (step, moved) = match &event.event_type {
            EventType::DisputeCreated => (DisputeStep::Created, DisputeMoved::None),
            EventType::DisputeUpdated => (DisputeStep::Updated, DisputeMoved::None),
            EventType::DisputeFundsWithdrawn => (DisputeStep::Withdrawn, DisputeMoved::Withdrawn),
            EventType::DisputeFundsReinstated => (DisputeStep::Reinstated, DisputeMoved::Reinstated),
            EventType::DisputeClosed => (DisputeStep::Closed, DisputeMoved::None),
            _ => return Err(SkipReason::OtherEventType.into()),
        };
        let correction =
            Correction::read(event, livemode, &dispute.id, dispute.amount, dispute.currency.as_deref())?;
        let listed = Listed::read_all(&dispute.balance_transactions, correction.amount);
        let is_out = Listed::net_out(&listed) > 0 || (listed.is_empty() && moved == DisputeMoved::Withdrawn);
        let status = DisputeStatus::of(dispute.status.as_ref(), dispute.case_type(), is_out);
        let is_status_known = !matches!(&dispute.status, Some(Wire::Other(_)) | None);
        let shown = Shown {
            listed: &listed,
            amount: correction.amount,
            status,
            returns_whole: is_status_known
                && !matches!(status, DisputeStatus::Lost | DisputeStatus::Prevented),
            moved,
            occurred_at: event.created,
            opened_at: dispute.created.unwrap_or(event.created),
            is_made: is_made(&event.id),
        };
        let Movements { movements, balance, return_unknown } = shown.movements();
        Ok(Self {
            payment_id: correction.payment_id,
            event_id: event.id.clone(),
            occurred_at: event.created,
            dispute_id: dispute.id.clone(),
            amount: correction.amount,
            status,
            moved,
            movements,
            balance,
            return_unknown,
            step,
            reason: dispute.reason.as_deref().and_then(publishable),
            created_at: dispute.created,
        })
    }

    /// This event's place in the order of the payment's events.
    pub fn as_of(&self) -> AsOf {
        AsOf { occurred_at: self.occurred_at, event_id: self.event_id.clone() }
    }
}

#[cfg(test)]
impl DisputeEvent {
    /// An event of the payment `pi_1` that lists no balance transactions.
    pub(crate) fn without_transactions(
        id: &str,
        step: DisputeStep,
        status: DisputeStatus,
        amount: Money,
        occurred_at: i64,
    ) -> Self {
        let moved = match step {
            DisputeStep::Withdrawn => DisputeMoved::Withdrawn,
            DisputeStep::Reinstated => DisputeMoved::Reinstated,
            DisputeStep::Created | DisputeStep::Updated | DisputeStep::Closed => DisputeMoved::None,
        };
        let returns_whole = status != DisputeStatus::Lost;
        let opened_at = 1;
        let is_made = false;
        let shown =
            Shown { listed: &[], amount, status, returns_whole, moved, occurred_at, opened_at, is_made };
        let Movements { movements, balance, return_unknown } = shown.movements();
        Self {
            payment_id: PaymentId::new("pi_1"),
            event_id: format!("evt_{id}{step:?}{status:?}"),
            occurred_at,
            dispute_id: id.to_owned(),
            amount,
            status,
            moved,
            movements,
            balance,
            return_unknown,
            step,
            reason: Some("fraudulent".to_owned()),
            created_at: Some(opened_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::CorrectionBroken;

    fn fixture() -> Value {
        serde_json::from_str(include_str!(
            "../../../../verification/testkit/fixtures/dispute_closed_inquiry.json"
        ))
        .unwrap()
    }

    fn read(event: Value) -> Result<DisputeEvent, NotACorrection> {
        DisputeEvent::from_event(&Event::from_value(event).unwrap(), false)
    }

    #[test]
    fn an_inquiry_moves_no_money() {
        let dispute = read(fixture()).unwrap();
        assert_eq!(dispute.payment_id.as_str(), "pi_3FixtureContribution");
        assert_eq!(dispute.dispute_id, "du_1Fixture");
        assert_eq!(dispute.reason.as_deref(), Some("fraudulent"));
        assert_eq!((dispute.amount.minor(), dispute.amount.currency().as_str()), (1250, "gbp"));
        assert_eq!((dispute.status, dispute.moved), (DisputeStatus::Inquiry, DisputeMoved::None));
    }

    #[test]
    fn reports_who_is_winning_and_where_the_money_is() {
        let check = |event_type: &str, status: &str, expected: (DisputeStatus, DisputeMoved)| {
            let mut event = fixture();
            event["type"] = json!(format!("charge.dispute.{event_type}"));
            event["data"]["object"]["status"] = json!(status);
            let read = read(event).unwrap();
            assert_eq!((read.status, read.moved), expected, "{event_type} {status}");
        };
        use DisputeMoved::{None, Reinstated, Withdrawn};
        use DisputeStatus::{Appealed, Inquiry, Lost, Open, Prevented, Won};
        check("created", "warning_needs_response", (Inquiry, None));
        check("created", "needs_response", (Open, None));
        check("funds_withdrawn", "under_review", (Open, Withdrawn));
        check("funds_reinstated", "won", (Won, Reinstated));
        check("funds_reinstated", "appeal_under_review", (Appealed, Reinstated));
        check("closed", "won", (Won, None));
        check("closed", "lost", (Lost, None));
        // The fixture's case is an inquiry, which does not say how a dispute was prevented.
        check("closed", "prevented", (Prevented, None));
        check("updated", "lost", (Lost, None));
        check("created", "in_mediation", (Open, None));
        check("closed", "charge_refunded", (Open, None));
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
            ("/type", json!("charge.dispute.reopened"), OtherEventType),
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
