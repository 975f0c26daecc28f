/// What the ids of events begin with that Stripe never sent: reconciliation makes them from what Stripe has now.
pub const MADE_EVENT_PREFIX: &str = "evt_reconcile_";

/// Whether an event is made from an object: its time is not the time of what it reports.
pub(crate) fn is_made(event_id: &str) -> bool {
    event_id.starts_with(MADE_EVENT_PREFIX)
}
