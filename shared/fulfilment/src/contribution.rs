use serde::{Deserialize, Serialize};
use stripe_events::Personal;
use uuid::Uuid;

use crate::{FulfilmentKind, PaymentId, Policy, SessionEvent, SessionOutcome, SupporterId};

/// The record of one payment: the facts its events have told so far.
///
/// Applying events is commutative and idempotent: any order and any duplication of the same events give the
/// same record. Each field is therefore one that can only grow in one direction: the earliest time something
/// happened, or the newest version of what a session says (newest by [`AsOf`], which orders events the same way
/// everywhere). Status and expiry are derived, never stored as facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// The key.
    pub payment_id: PaymentId,
    /// What the newest session event says.
    #[serde(flatten)]
    pub session: SessionFacts,
    /// When the customer finished without the money being there, in Unix seconds.
    #[serde(default)]
    pub pending_at: Option<i64>,
    /// When the money came, in Unix seconds.
    #[serde(default)]
    pub paid_at: Option<i64>,
    /// When it turned out that it will not come, in Unix seconds.
    #[serde(default)]
    pub failed_at: Option<i64>,
}

/// What a session says of the purchase. All empty until a session event has come: a refund may come first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionFacts {
    /// Which event these facts are from.
    #[serde(flatten)]
    pub as_of: AsOf,
    /// `cs_…`
    pub session_id: Option<String>,
    /// When the customer opened the page, in Unix seconds.
    pub opened_at: Option<i64>,
    /// `plink_…`
    pub payment_link_id: Option<String>,
    /// `cus_…`
    pub customer_id: Option<String>,
    /// `sub_…`
    pub subscription_id: Option<String>,
    /// What was sold.
    pub kind: Option<FulfilmentKind>,
    /// Minor units of `currency`: what is booked.
    pub amount: Option<i64>,
    /// Three lower-case letters.
    pub currency: Option<String>,
    /// Minor units of `presentment_currency`: what the customer saw, when it differs.
    pub presentment_amount: Option<i64>,
    /// Three lower-case letters.
    pub presentment_currency: Option<String>,
    /// Who paid.
    pub supporter_id: Option<SupporterId>,
    /// Their address.
    pub email: Option<Personal<String>>,
    /// Their name, as typed.
    pub name: Option<Personal<String>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// State, county or province.
    pub state: Option<String>,
    /// ZIP or postal code.
    pub postal_code: Option<Personal<String>>,
    /// The language tag of the payment page.
    pub locale: Option<String>,
}

/// The place of an event among a payment's events: by time, then by id.
///
/// Stripe's times have a resolution of one second and its ids are not in order of time, so the id only settles
/// ties, the same way on every machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AsOf {
    /// When the event happened, in Unix seconds.
    #[serde(rename = "as_of")]
    pub occurred_at: i64,
    /// `evt_…`
    #[serde(rename = "as_of_event")]
    pub event_id: String,
}

/// Where a contribution stands. Derived from the facts by [`Contribution::status`] and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContributionStatus {
    /// Nothing is known of the money yet.
    Pending,
    /// The money is there.
    Paid,
    /// The money will not come.
    Failed,
}

impl ContributionStatus {
    /// The name in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Failed => "failed",
        }
    }
}

const SECONDS_A_DAY: i64 = 86_400;

impl Contribution {
    /// A record of which nothing is known yet.
    pub fn new(payment_id: PaymentId) -> Self {
        Self {
            payment_id,
            session: SessionFacts::default(),
            pending_at: None,
            paid_at: None,
            failed_at: None,
        }
    }

    /// Adds what a session event tells. `namespace` is the deployment's, for supporter ids.
    #[must_use]
    pub fn with_session_event(mut self, event: &SessionEvent, namespace: &Uuid) -> Self {
        let at = match event.outcome {
            SessionOutcome::Pending => &mut self.pending_at,
            SessionOutcome::Failed => &mut self.failed_at,
            SessionOutcome::Paid => &mut self.paid_at,
        };
        *at = Some(at.map_or(event.occurred_at, |earlier| earlier.min(event.occurred_at)));
        if event.as_of() > self.session.as_of {
            self.session = SessionFacts::of(event, namespace);
        }
        self
    }

    /// Where the contribution stands. Money that came is not undone by an older failure.
    pub const fn status(&self) -> ContributionStatus {
        if self.paid_at.is_some() {
            ContributionStatus::Paid
        } else if self.failed_at.is_some() {
            ContributionStatus::Failed
        } else {
            ContributionStatus::Pending
        }
    }

    /// When the record may be deleted, in Unix seconds: the policy's retention, counted from the payment, or
    /// from the first thing known while there is none. `None` before any session event.
    pub fn expires_at(&self, policy: &Policy) -> Option<i64> {
        let retention = policy.kind(self.session.kind?).retention_days.saturating_mul(SECONDS_A_DAY);
        let from = self.paid_at.or(self.pending_at).or(self.failed_at)?;
        Some(from.saturating_add(retention))
    }
}

impl SessionFacts {
    fn of(event: &SessionEvent, namespace: &Uuid) -> Self {
        let supporter_id = event.email.as_ref().map(|email| SupporterId::of_email(namespace, email.expose()));
        Self {
            as_of: event.as_of(),
            session_id: Some(event.session_id.clone()),
            opened_at: event.opened_at,
            payment_link_id: event.payment_link_id.clone(),
            customer_id: event.customer_id.clone(),
            subscription_id: event.subscription_id.clone(),
            kind: Some(event.link.kind),
            amount: Some(event.amount.minor()),
            currency: Some(event.amount.currency().as_str().to_owned()),
            presentment_amount: event.presentment.as_ref().map(|shown| shown.minor()),
            presentment_currency: event
                .presentment
                .as_ref()
                .map(|shown| shown.currency().as_str().to_owned()),
            supporter_id,
            email: event.email.clone(),
            name: event.name.clone(),
            country: event.country.clone(),
            state: event.state.clone(),
            postal_code: event.postal_code.clone(),
            locale: event.locale.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Currency, LinkContract, Money};

    const NAMESPACE: Uuid = Uuid::from_u128(7);

    fn event(outcome: SessionOutcome, occurred_at: i64, event_id: &str, email: &str) -> SessionEvent {
        SessionEvent {
            payment_id: PaymentId::new("pi_1"),
            event_id: event_id.to_owned(),
            occurred_at,
            outcome,
            link: LinkContract { kind: FulfilmentKind::Contribution, thank_you: None, files: Vec::new() },
            attribution: crate::Attribution::default(),
            session_id: "cs_1".to_owned(),
            opened_at: Some(1),
            payment_link_id: None,
            customer_id: None,
            subscription_id: None,
            promotion_code_id: None,
            amount: Money::new(1250, Currency::try_from("gbp").unwrap()),
            presentment: None,
            email: Some(Personal::new(email.to_owned())),
            name: None,
            country: None,
            state: None,
            postal_code: None,
            locale: None,
        }
    }

    fn fold(events: &[SessionEvent]) -> Contribution {
        events.iter().fold(Contribution::new(PaymentId::new("pi_1")), |record, event| {
            record.with_session_event(event, &NAMESPACE)
        })
    }

    #[test]
    fn status_follows_the_money() {
        use SessionOutcome::{Failed, Paid, Pending};
        let status = |outcomes: &[SessionOutcome]| {
            let events: Vec<_> = outcomes.iter().map(|o| event(*o, 5, "evt_1", "ada@example.org")).collect();
            fold(&events).status()
        };
        assert_eq!(status(&[]), ContributionStatus::Pending);
        assert_eq!(status(&[Pending]), ContributionStatus::Pending);
        assert_eq!(status(&[Failed, Pending]), ContributionStatus::Failed);
        assert_eq!(status(&[Paid, Pending]), ContributionStatus::Paid);
        assert_eq!(status(&[Paid, Failed]), ContributionStatus::Paid);
    }

    #[test]
    fn is_kept_as_long_as_the_policy_says() {
        let policy = Policy::compiled_in().unwrap();
        let days = policy.kind(FulfilmentKind::Contribution).retention_days;
        let paid = fold(&[event(SessionOutcome::Paid, 1000, "evt_1", "ada@example.org")]);
        assert_eq!(paid.expires_at(&policy), Some(1000 + days * 86_400));
        assert_eq!(Contribution::new(PaymentId::new("pi_1")).expires_at(&policy), None);
    }

    #[test]
    fn survives_being_stored() {
        let record = fold(&[event(SessionOutcome::Paid, 1000, "evt_1", "ada@example.org")]);
        let stored = serde_json::to_value(&record).unwrap();
        assert_eq!(stored["as_of_event"], "evt_1");
        assert_eq!(stored["email"], "ada@example.org");
        assert_eq!(serde_json::from_value::<Contribution>(stored).unwrap(), record);
        let empty = Contribution::new(PaymentId::new("pi_1"));
        let stored = serde_json::to_value(&empty).unwrap();
        assert_eq!(serde_json::from_value::<Contribution>(stored).unwrap(), empty);
    }

    fn any_event() -> impl Strategy<Value = SessionEvent> {
        let outcome = prop_oneof![
            Just(SessionOutcome::Pending),
            Just(SessionOutcome::Failed),
            Just(SessionOutcome::Paid)
        ];
        // Few times and ids, so that ties are common. An event's content follows from its id, as Stripe's does.
        (outcome, 0i64..3, 0u8..4).prop_map(|(outcome, at, id)| {
            event(outcome, at, &format!("evt_{at}{id}{outcome:?}"), &format!("{id}@example.org"))
        })
    }

    proptest! {
        #[test]
        fn any_order_and_any_duplication_give_the_same_record(
            events in proptest::collection::vec(any_event(), 1..8),
            again in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
            order in any::<u64>(),
        ) {
            let mut shuffled = events.clone();
            shuffled.extend(again.iter().map(|index| index.get(&events).clone()));
            // A deterministic shuffle that proptest can shrink.
            shuffled.sort_by_key(|event| {
                let mut key = order;
                for byte in event.event_id.bytes() {
                    key = key.rotate_left(7) ^ u64::from(byte).wrapping_mul(0x9E37_79B9);
                }
                key
            });
            prop_assert_eq!(fold(&shuffled), fold(&events));
        }
    }
}
