use crate::{Direction, DisputeEvent, DisputeMovement, Money, Movement, PaymentId, RefundEvent};

/// Money that moved after the payment, of which its acquisition could not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcquisitionCorrection {
    /// The payment.
    pub payment_id: PaymentId,
    /// What moved it. With the payment, the correction's identity.
    pub movement: Movement,
    /// Stripe's word for why, of the refund or the dispute.
    pub reason: Option<String>,
    /// How much, above zero in either direction.
    pub amount: Money,
    /// When, in Unix seconds.
    pub occurred_at: i64,
}

impl AcquisitionCorrection {
    /// What a refund says has moved so far: the refund itself, and its return if it failed.
    ///
    /// A failed refund is published with the refund that it undoes, whichever of its events comes first. So the sum
    /// is right after any of them, and the same after all.
    pub fn of_refund(refund: &RefundEvent) -> Vec<Self> {
        let correction = |movement: fn(String) -> Movement, occurred_at| Self {
            payment_id: refund.payment_id.clone(),
            movement: movement(refund.refund_id.clone()),
            reason: refund.reason.clone(),
            amount: refund.amount,
            occurred_at,
        };
        let made_at = refund.created_at.unwrap_or(refund.occurred_at);
        let mut moved = vec![correction(Movement::Refund, made_at)];
        if !refund.status.returns_money() {
            moved.push(correction(Movement::RefundFailed, refund.occurred_at));
        }
        moved
    }

    /// What a dispute says has moved so far; nothing for an inquiry and for one of which no money is known to have
    /// moved. A return of which the amount is not known is left out: see [`DisputeEvent::return_unknown`].
    pub fn of_dispute(dispute: &DisputeEvent) -> Vec<Self> {
        let correction = |moved: &DisputeMovement| Self {
            payment_id: dispute.payment_id.clone(),
            movement: match moved.direction {
                Direction::Out => Movement::Dispute { id: dispute.dispute_id.clone(), nth: moved.nth },
                Direction::Back => {
                    Movement::DisputeReinstated { id: dispute.dispute_id.clone(), nth: moved.nth }
                }
            },
            reason: dispute.reason.clone(),
            amount: moved.amount,
            occurred_at: moved.occurred_at,
        };
        dispute.movements.iter().map(correction).collect()
    }
}
