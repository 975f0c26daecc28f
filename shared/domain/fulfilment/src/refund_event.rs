use serde::{Deserialize, Serialize};
use stripe_events::{Event, EventType, Object, RefundStatus as Wire};

use crate::attribution::publishable;
use crate::correction::{Correction, snapshot};
use crate::{AsOf, Money, NotACorrection, PaymentId, SkipReason};

/// A refund event, read and validated. It may be about another business's payment: refunds carry no marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundEvent {
    /// The key of the payment that is refunded.
    pub payment_id: PaymentId,
    /// `evt_…`
    pub event_id: String,
    /// When it happened, in Unix seconds.
    pub occurred_at: i64,
    /// `re_…` or `pyr_…`
    pub refund_id: String,
    /// How much goes back, in the currency the payment was charged in.
    pub amount: Money,
    /// Where the refund stands.
    pub status: RefundStatus,
    /// Stripe's word for why it was made.
    pub reason: Option<String>,
    /// When the refund was made, in Unix seconds.
    pub created_at: Option<i64>,
}

/// Where a refund stands, in the order a refund can go through: what is further down never goes back up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// On its way, or waiting for the customer. The money has left our balance.
    Pending,
    /// The customer has it.
    Succeeded,
    /// Called off: the money is ours again.
    Canceled,
    /// It did not arrive, which may turn out long after it seemed to have: the money is ours again.
    Failed,
}

impl RefundStatus {
    /// Whether the money is the customer's now, or on its way to them.
    pub const fn returns_money(self) -> bool {
        match self {
            Self::Pending | Self::Succeeded => true,
            Self::Canceled | Self::Failed => false,
        }
    }
}

impl RefundEvent {
    /// Reads an event; checks again what the rule filtered.
    ///
    /// # Errors
    ///
    /// [`NotACorrection::Skip`] for an event that is not ours, [`NotACorrection::Broken`] for one that nothing
    /// can be made of.
    pub fn from_event(event: &Event, livemode: bool) -> Result<Self, NotACorrection> {
        let event = snapshot(event)?;
        let Object::Refund(refund) = &event.object else {
            return Err(SkipReason::OtherEventType.into());
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "an event type added later is not about refunds")]
        let failed = match &event.event_type {
            EventType::RefundCreated | EventType::RefundUpdated => false,
            EventType::RefundFailed => true,
            _ => return Err(SkipReason::OtherEventType.into()),
        };
        let status = match &refund.status {
            Some(Wire::Canceled) => RefundStatus::Canceled,
            Some(Wire::Failed) => RefundStatus::Failed,
            // The event's own word, whatever the object says.
            _ if failed => RefundStatus::Failed,
            Some(Wire::Succeeded) => RefundStatus::Succeeded,
            // A status this version does not know: the refund was meant to return the money.
            Some(Wire::Pending | Wire::RequiresAction | Wire::Other(_)) | None => RefundStatus::Pending,
        };
        let correction =
            Correction::read(event, livemode, &refund.id, refund.amount, refund.currency.as_deref())?;
        Ok(Self {
            payment_id: correction.payment_id,
            event_id: event.id.clone(),
            occurred_at: event.created,
            refund_id: refund.id.clone(),
            amount: correction.amount,
            status,
            reason: refund.reason.as_deref().and_then(publishable),
            created_at: refund.created,
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
        serde_json::from_str(include_str!("../../../../verification/testkit/fixtures/refund_created.json"))
            .unwrap()
    }

    fn read(event: Value) -> Result<RefundEvent, NotACorrection> {
        RefundEvent::from_event(&Event::from_value(event).unwrap(), false)
    }

    fn changed(pointer: &str, value: Value) -> Result<RefundEvent, NotACorrection> {
        let mut event = fixture();
        *event.pointer_mut(pointer).unwrap() = value;
        read(event)
    }

    #[test]
    fn reads_a_refund_under_its_payments_key() {
        let refund = read(fixture()).unwrap();
        assert_eq!(refund.payment_id.as_str(), "pi_3FixtureContribution");
        assert_eq!(refund.refund_id, "re_3Fixture");
        assert_eq!((refund.amount.minor(), refund.amount.currency().as_str()), (500, "gbp"));
        assert_eq!((refund.status, refund.created_at), (RefundStatus::Succeeded, Some(1_795_000_600)));
    }

    #[test]
    fn reports_where_the_money_is() {
        let check = |event_type: &str, status: Value, expected: RefundStatus, returns_money: bool| {
            let mut event = fixture();
            event["type"] = json!(event_type);
            event["data"]["object"]["status"] = status.clone();
            let status = read(event).unwrap().status;
            assert_eq!(
                (status, status.returns_money()),
                (expected, returns_money),
                "{event_type} {status:?}"
            );
        };
        use RefundStatus::*;
        check("refund.created", json!("pending"), Pending, true);
        check("refund.created", json!("requires_action"), Pending, true);
        check("refund.created", json!("succeeded"), Succeeded, true);
        check("refund.updated", json!("canceled"), Canceled, false);
        check("refund.updated", json!("failed"), Failed, false);
        check("refund.failed", json!("failed"), Failed, false);
        check("refund.failed", json!("pending"), Failed, false);
        check("refund.updated", json!("half_way"), Pending, true);
        check("refund.created", json!(null), Pending, true);
    }

    #[test]
    fn skips_what_is_none_of_our_business() {
        use SkipReason::*;
        for (pointer, value, expected) in [
            ("/data/object/payment_intent", json!(null), NoPaymentIntent),
            ("/livemode", json!(true), OtherLivemode),
            ("/type", json!("charge.refund.updated"), OtherEventType),
        ] {
            assert_eq!(changed(pointer, value), Err(NotACorrection::Skip(expected)), "{pointer}");
        }
        // Without a payment intent it may be as strange as it likes.
        let mut strange = fixture();
        strange["data"]["object"]["payment_intent"] = json!(null);
        strange["data"]["object"]["amount"] = json!(null);
        assert_eq!(read(strange), Err(NotACorrection::Skip(NoPaymentIntent)));
    }

    #[test]
    fn passes_stripes_word_for_it_on_as_it_is_and_nothing_that_is_no_word() {
        for (reason, expected) in [
            (json!("requested_by_customer"), Some("requested_by_customer")),
            (json!("expired_uncaptured_charge"), Some("expired_uncaptured_charge")),
            (json!("a_word_of_2027"), Some("a_word_of_2027")),
            (json!(null), None),
            (json!(" "), None),
            (json!("=HYPERLINK(1)"), Some("HYPERLINK(1)")),
            (json!("asked by ada@example.org"), None),
        ] {
            assert_eq!(changed("/data/object/reason", reason.clone()).unwrap().reason.as_deref(), expected);
        }
    }

    #[test]
    fn parks_a_refund_without_an_amount() {
        for (pointer, value) in
            [("/data/object/amount", json!(null)), ("/data/object/currency", json!("pounds"))]
        {
            let expected = NotACorrection::Broken {
                payment_id: PaymentId::new("pi_3FixtureContribution"),
                correction_id: "re_3Fixture".to_owned(),
                broken: CorrectionBroken::NoAmount,
            };
            assert_eq!(changed(pointer, value), Err(expected), "{pointer}");
        }
    }
}
