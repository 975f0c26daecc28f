use effect_ledger::{Effect, EffectRow, EffectState};
use fulfilment::{ExpectedEffects, effects};

/// What the ledger says of an expected effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Done, or deliberately not done.
    Settled,
    /// Claimed, or its message is on its way, or it waits for its payment.
    UnderWay,
    /// Parked or unknown: an alarm was raised.
    Open,
    /// The ledger has no trace of it.
    Missing,
}

/// A message is given up at the age of ten hours. After this many seconds none of an event is left, but for those that
/// a service throttles.
pub const MESSAGE_LIFE_SECONDS: i64 = 11 * 3600;

/// The longest pause between two tries of a message is an hour, a fifth more or less. A row that was written within
/// this time has a message that will be tried again, however old it is: a mail may be throttled for days.
const LONGEST_PAUSE_MS: i64 = 2 * 3_600_000;

/// What the ledger says of one effect. `sent_at` is when the event was last put on its way, in Unix seconds; `now` is
/// in Unix milliseconds.
pub fn judge(effect: &Effect, rows: &[EffectRow], sent_at: i64, now: i64) -> Verdict {
    let Some(row) = rows.iter().find(|row| row.effect == *effect) else {
        return Verdict::Missing;
    };
    match &row.state {
        EffectState::Done | EffectState::Skipped { .. } => Verdict::Settled,
        EffectState::Parked { .. } | EffectState::Unknown { .. } => Verdict::Open,
        EffectState::Claimed(claim) if claim.lease_until >= now => Verdict::UnderWay,
        EffectState::Claimed(_) => Verdict::Missing,
        EffectState::Retry { .. } if now / 1000 - sent_at < MESSAGE_LIFE_SECONDS => Verdict::UnderWay,
        EffectState::Retry { .. } if row.updated_at.is_some_and(|at| now - at < LONGEST_PAUSE_MS) => {
            Verdict::UnderWay
        }
        // It waits for its payment to be published, which finds it there: what waits keeps its money.
        EffectState::Retry { .. } if row.moved.is_some() && !is_published(rows) => Verdict::UnderWay,
        EffectState::Retry { .. } => Verdict::Missing,
    }
}

/// The missing effects.
pub fn missing(expected: &ExpectedEffects, rows: &[EffectRow], sent_at: i64, now: i64) -> Vec<Effect> {
    let effects = expected.effects.iter();
    effects.filter(|effect| judge(effect, rows, sent_at, now) == Verdict::Missing).cloned().collect()
}

/// Whether the payment was published.
fn is_published(rows: &[EffectRow]) -> bool {
    rows.iter().any(|row| row.effect == effects::acquisition() && row.state == EffectState::Done)
}

#[cfg(test)]
mod tests {
    use effect_ledger::Claim;

    use super::*;

    const NOW: i64 = 1_795_000_000_000;
    const HOUR: i64 = 3600;

    fn row(effect: Effect, state: EffectState) -> EffectRow {
        EffectRow::new(effect, state)
    }

    fn reason() -> String {
        "a_reason".to_owned()
    }

    #[test]
    fn every_state_has_its_verdict() {
        let check = |state: EffectState, hours_ago: i64, expected: Verdict| {
            let rows = [row(effects::acquisition(), state.clone())];
            let verdict = judge(&effects::acquisition(), &rows, NOW / 1000 - hours_ago * HOUR, NOW);
            assert_eq!(verdict, expected, "{state:?}");
        };
        let claim = |lease_until| EffectState::Claimed(Claim { owner: "o".into(), attempt: 1, lease_until });
        check(EffectState::Done, 90, Verdict::Settled);
        check(EffectState::Skipped { reason: reason() }, 90, Verdict::Settled);
        check(EffectState::Parked { reason: reason() }, 90, Verdict::Open);
        check(EffectState::Unknown { reason: reason() }, 90, Verdict::Open);
        check(claim(NOW), 90, Verdict::UnderWay);
        check(claim(NOW - 1), 0, Verdict::Missing);
        check(EffectState::Retry { reason: reason() }, 10, Verdict::UnderWay);
        check(EffectState::Retry { reason: reason() }, 11, Verdict::Missing);
        assert_eq!(judge(&effects::consents(), &[], 0, NOW), Verdict::Missing);
    }

    #[test]
    fn a_message_that_is_still_tried_after_ten_hours_is_under_way() {
        let check = |minutes_ago: i64, expected: Verdict| {
            let retry = row(effects::consents(), EffectState::Retry { reason: reason() });
            let rows = [EffectRow { updated_at: Some(NOW - minutes_ago * 60_000), ..retry }];
            assert_eq!(judge(&effects::consents(), &rows, 0, NOW), expected);
        };
        check(72, Verdict::UnderWay);
        check(119, Verdict::UnderWay);
        check(120, Verdict::Missing);
    }

    #[test]
    fn a_correction_may_wait_for_its_payment() {
        let correction = effects::acquisition_correction(&fulfilment::Movement::Refund("re_1".into()));
        let amount = fulfilment::Money::new(500, fulfilment::Currency::try_from("gbp").unwrap());
        let check = |acquisition: EffectState, expected: Verdict| {
            // Until the payment is known to be ours, it would go away by itself.
            for expires_at in [Some(NOW), None] {
                let waiting = EffectRow {
                    moved: Some(effect_ledger::MovedMoney { amount, occurred_at: 1 }),
                    expires_at,
                    ..row(correction.clone(), EffectState::Retry { reason: reason() })
                };
                let rows = [waiting, row(effects::acquisition(), acquisition.clone())];
                assert_eq!(judge(&correction, &rows, 0, NOW), expected);
            }
        };
        check(EffectState::Parked { reason: reason() }, Verdict::UnderWay);
        check(EffectState::Done, Verdict::Missing);
    }
}
