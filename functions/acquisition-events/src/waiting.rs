//! What the ledger says of a payment's acquisition, and of corrections that wait for it.

use effect_ledger::{EffectKey, EffectRow, EffectState, Subject};
use fulfilment::{AcquisitionCorrection, effects};

/// Whether a payment is published, by its rows.
pub(crate) fn is_published(rows: &[EffectRow]) -> bool {
    rows.iter().any(|row| row.effect == effects::acquisition() && is_on_its_way(&row.state))
}

/// Whether an acquisition is published, or on its way. A parked one is neither: a correction of an acquisition that was
/// never published of would make sums wrong.
pub(crate) const fn is_on_its_way(acquisition: &EffectState) -> bool {
    match acquisition {
        EffectState::Done
        | EffectState::Claimed(_)
        | EffectState::Retry { .. }
        | EffectState::Unknown { .. } => true,
        EffectState::Parked { .. } | EffectState::Skipped { .. } => false,
    }
}

/// Where the ledger has a correction.
pub(crate) fn key(correction: &AcquisitionCorrection) -> EffectKey {
    EffectKey::new(&correction.payment_id, effects::acquisition_correction(&correction.movement))
}

/// The corrections of a payment that came before it and are not published yet: their rows kept what it takes.
pub(crate) fn waiting(payment_id: &Subject, rows: &[EffectRow]) -> Vec<AcquisitionCorrection> {
    rows.iter()
        .filter(|row| matches!(row.state, EffectState::Retry { .. } | EffectState::Claimed(_)))
        .filter_map(|row| {
            let moved = row.moved?;
            Some(AcquisitionCorrection {
                payment_id: payment_id.clone().into(),
                movement: effects::movement(&row.effect)?,
                reason: row.moved_reason.clone(),
                amount: moved.amount,
                occurred_at: moved.occurred_at,
            })
        })
        .collect()
}
