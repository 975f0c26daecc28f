use std::cell::Cell;

/// How fast strangers may make us call Stripe.
///
/// Anyone with the address of the pages can invent session ids, and every one that has the right form is a call. Stripe
/// takes 25 calls a second at one address of a live account, which reconciliation, the mails and every other business
/// of the account share: <https://docs.stripe.com/rate-limits>. So an instance of the function makes a few calls at
/// once, and one a second after that.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Thousandths of a call that may be made now.
    allowance: Cell<i64>,
    refilled_at_ms: Cell<i64>,
    /// When the page that is being made must be answered.
    deadline_ms: Cell<i64>,
}

/// Calls at once: a few customers who come back from Stripe at the same moment, with their line items.
const BURST: i64 = 10;

/// Thousandths of a call that are refilled in a millisecond: one call a second.
const REFILL: i64 = 1;

/// What Stripe may take of the time of one page, all its calls together.
pub(crate) const PAGE_MS: i64 = 4000;

impl Pace {
    pub(crate) const fn new(now_ms: i64) -> Self {
        Self {
            allowance: Cell::new(BURST * 1000),
            refilled_at_ms: Cell::new(now_ms),
            deadline_ms: Cell::new(now_ms.saturating_add(PAGE_MS)),
        }
    }

    /// A page is begun.
    pub(crate) fn begin_page(&self, now_ms: i64) {
        self.deadline_ms.set(now_ms.saturating_add(PAGE_MS));
    }

    /// How long the calls of this page may still take, in milliseconds.
    pub(crate) fn left_ms(&self, now_ms: i64) -> u64 {
        u64::try_from(self.deadline_ms.get().saturating_sub(now_ms)).unwrap_or_default()
    }

    /// Whether one more call may be made now; counts it.
    pub(crate) fn allows_call(&self, now_ms: i64) -> bool {
        let passed = now_ms.saturating_sub(self.refilled_at_ms.get()).max(0);
        let refilled = self.allowance.get().saturating_add(passed.saturating_mul(REFILL)).min(BURST * 1000);
        self.refilled_at_ms.set(now_ms);
        let allowed = refilled >= 1000;
        self.allowance.set(if allowed { refilled - 1000 } else { refilled });
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_calls_at_once_and_one_a_second_after_that() {
        let pace = Pace::new(0);
        let burst = (0..50).filter(|_| pace.allows_call(0)).count();
        assert_eq!(burst, 10);
        assert!(!pace.allows_call(999) && pace.allows_call(1000) && !pace.allows_call(1000));
        // A quiet hour allows no more than the burst.
        assert_eq!((0..50).filter(|_| pace.allows_call(3_600_000)).count(), 10);
    }

    #[test]
    fn a_clock_that_goes_back_allows_nothing() {
        let pace = Pace::new(10_000);
        while pace.allows_call(10_000) {}
        assert!(!pace.allows_call(5000));
    }

    #[test]
    fn the_calls_of_a_page_share_its_time() {
        let pace = Pace::new(0);
        pace.begin_page(1000);
        assert_eq!([pace.left_ms(1000), pace.left_ms(4000), pace.left_ms(9000)], [4000, 1000, 0]);
    }
}
