use stripe_events::{Event, SnapshotEvent};

use crate::{Currency, Money, PaymentId, SkipReason};

/// Why an event is neither a [`RefundEvent`](crate::RefundEvent) nor a [`DisputeEvent`](crate::DisputeEvent).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotACorrection {
    /// None of our business: acknowledge and count.
    #[error(transparent)]
    Skip(#[from] SkipReason),
    /// Nothing can be made of it: park, under the effect it should have had.
    #[error("the event cannot be acted on")]
    Broken {
        /// The payment it is about.
        payment_id: PaymentId,
        /// The refund's or the dispute's id.
        correction_id: String,
        /// The defect.
        #[source]
        broken: CorrectionBroken,
    },
}

/// A refund or a dispute that nothing can be made of. Permanent: the event never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionBroken {
    /// Stripe always sends both.
    #[error("the refund or dispute has no amount or currency")]
    NoAmount,
}

impl CorrectionBroken {
    /// A short name for metrics, the ledger and the DLQ.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAmount => "no_amount",
        }
    }
}

/// What refunds and disputes have in common: both are about a payment, and neither carries our marker.
pub(crate) struct Correction {
    pub(crate) payment_id: PaymentId,
    pub(crate) amount: Money,
}

impl Correction {
    /// Checks what the rule filtered, and what Stripe's types leave open.
    pub(crate) fn read(
        event: &SnapshotEvent,
        livemode: bool,
        correction_id: &str,
        minor: Option<i64>,
        currency: Option<&str>,
    ) -> Result<Self, NotACorrection> {
        if event.livemode != livemode {
            return Err(SkipReason::OtherLivemode.into());
        }
        let Some(payment_id) = PaymentId::of_event(event) else {
            return Err(SkipReason::NoPaymentIntent.into());
        };
        let currency = currency.and_then(|currency| Currency::try_from(currency).ok());
        match minor.zip(currency) {
            Some((minor, currency)) => Ok(Self { payment_id, amount: Money::new(minor, currency) }),
            None => Err(NotACorrection::Broken {
                payment_id,
                correction_id: correction_id.to_owned(),
                broken: CorrectionBroken::NoAmount,
            }),
        }
    }
}

/// The snapshot behind an event of our own account: a thin one carries nothing to act on.
///
/// # Errors
///
/// The reason to leave the event alone.
pub fn snapshot(event: &Event) -> Result<&SnapshotEvent, SkipReason> {
    match event {
        Event::Snapshot(event) if event.account.is_some() => Err(SkipReason::ConnectedAccount),
        Event::Snapshot(event) => Ok(event),
        Event::Thin(_) => Err(SkipReason::ThinEvent),
    }
}
