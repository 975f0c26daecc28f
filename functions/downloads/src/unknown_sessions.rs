use std::cell::RefCell;
use std::collections::VecDeque;

/// Sessions that Stripe does not have, or that are not ours, as far as this instance asked lately.
///
/// Anybody can invent session ids. One that is asked for again and again costs Stripe's rate limit once.
#[derive(Debug, Default)]
pub(crate) struct UnknownSessions(RefCell<VecDeque<(String, i64)>>);

/// The most sessions that are kept: about 100 KB.
const MOST: usize = 1000;

/// Seconds. Stripe has a session before its customer sees the page.
const KEPT: i64 = 300;

impl UnknownSessions {
    /// Whether Stripe was asked lately, and the session was none of ours. `now` is in Unix seconds.
    pub(crate) fn contains(&self, session_id: &str, now: i64) -> bool {
        let mut known = self.0.borrow_mut();
        while known.front().is_some_and(|(_, at)| now - at >= KEPT) {
            known.pop_front();
        }
        known.iter().any(|(id, _)| id == session_id)
    }

    pub(crate) fn insert(&self, session_id: &str, now: i64) {
        let mut known = self.0.borrow_mut();
        if known.len() >= MOST {
            known.pop_front();
        }
        known.push_back((session_id.to_owned(), now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kept_for_five_minutes() {
        let unknown = UnknownSessions::default();
        unknown.insert("cs_live_a", 1000);
        assert!(unknown.contains("cs_live_a", 1299) && !unknown.contains("cs_live_b", 1299));
        assert!(!unknown.contains("cs_live_a", 1300));
    }

    #[test]
    fn a_flood_takes_no_more_memory_than_a_thousand_ids() {
        let unknown = UnknownSessions::default();
        for number in 0..5000 {
            unknown.insert(&format!("cs_live_{number}"), 0);
        }
        assert_eq!(unknown.0.borrow().len(), MOST);
        assert!(unknown.contains("cs_live_4999", 1) && !unknown.contains("cs_live_0", 1));
    }
}
