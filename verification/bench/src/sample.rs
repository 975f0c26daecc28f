//! What repeated measuring says: a median and how far it can be trusted.

use serde::Serialize;

/// The middle half of some measurements: a quarter lies below it, a quarter above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of no measurements: all zero.
    pub(crate) fn of(measurements: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = measurements.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { low: quantile(&sorted, 0.25), median: quantile(&sorted, 0.5), high: quantile(&sorted, 0.75) }
    }

    /// How many times another's measurements, each taken in the same round.
    pub(crate) fn of_ratios(measurements: &[f64], others: &[f64]) -> Self {
        Self::of(measurements.iter().zip(others).map(|(one, other)| one / other))
    }
}

/// The smallest measurement that this share of all does not exceed; 0 when there are none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among some thousand measurements"
    )]
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_median_and_the_quartiles() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 3.0, high: 4.0 });
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn compares_what_was_measured_in_the_same_round() {
        // A round on a busy machine is slow for both.
        let spread = Spread::of_ratios(&[2.0, 20.0, 2.0], &[1.0, 10.0, 1.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 2.0, high: 2.0 });
    }
}
