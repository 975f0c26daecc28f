use std::borrow::Cow;

use uuid::Uuid;

/// An id as logs, tables and customers see it.
///
/// A session id (`cs_…`) opens the customer's pages for a day, so it is shown as `ref_` and twelve hexadecimal digits that
/// follow from it and do not lead back; also at the end of the id of an event that reconciliation made
/// (`evt_reconcile_cs_…`). Every other id is shown as it is.
pub fn shown_id(id: &str) -> Cow<'_, str> {
    let start = if id.starts_with("cs_") { Some(0) } else { id.find("_cs_").map(|before| before + 1) };
    let Some(start) = start else {
        return Cow::Borrowed(id);
    };
    let digest = Uuid::new_v5(&Uuid::nil(), &id.as_bytes()[start..]).simple().to_string();
    Cow::Owned(format!("{}ref_{}", &id[..start], &digest[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_not_shown_and_other_ids_are() {
        for id in ["pi_3QExample", "in_1Example", "evt_reconcile_re_1"] {
            assert_eq!(shown_id(id), id);
        }
        let free = shown_id("cs_test_Free").into_owned();
        assert!(free.starts_with("ref_") && free.len() == 16, "{free}");
        assert!(!free.contains("Free"), "{free}");
        assert_ne!(free, shown_id("cs_test_Free2"));
        assert_eq!(shown_id("evt_reconcile_paid_cs_test_Free"), format!("evt_reconcile_paid_{free}"));
    }
}
