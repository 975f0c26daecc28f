use serde::{Deserialize, Serialize};
use stripe_client::{ApiObject, Request};
use stripe_events::EventType;

use crate::{Tally, paid_at};

/// The event types that call for something. Stripe's list takes at most twenty.
pub const EVENT_TYPES: [EventType; 14] = [
    EventType::SessionCompleted,
    EventType::SessionAsyncPaymentSucceeded,
    EventType::SessionAsyncPaymentFailed,
    EventType::RefundCreated,
    EventType::RefundUpdated,
    EventType::RefundFailed,
    EventType::DisputeCreated,
    EventType::DisputeUpdated,
    EventType::DisputeClosed,
    EventType::DisputeFundsWithdrawn,
    EventType::DisputeFundsReinstated,
    EventType::InvoicePaid,
    EventType::EarlyFraudWarningCreated,
    EventType::EarlyFraudWarningUpdated,
];

/// How far back the list of events is asked, in seconds: a day less than Stripe keeps them, so that none goes while
/// we look. <https://docs.stripe.com/api/events>
const EVENTS_KEPT_SECONDS: i64 = 29 * 86_400;

/// A session is paid, or its payment begun, within a day of being opened.
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-expires_at>
const SESSION_OPEN_SECONDS: i64 = 86_400;

/// A bank debit's money comes up to 14 days after that. <https://docs.stripe.com/payments/bank-debits>
const DEBIT_SECONDS: i64 = 14 * 86_400;

/// An invoice is drafted up to that long before it is paid: a card is tried again for two months at most.
/// <https://docs.stripe.com/billing/revenue-recovery/smart-retries>
const INVOICE_OPEN_SECONDS: i64 = 62 * 86_400;

/// A window of time on its way through Stripe's lists, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// From when, included, in Unix seconds.
    pub from: i64,
    /// Until when, included, in Unix seconds.
    pub to: i64,
    /// What happened before this is no longer in the list of events.
    events_from: i64,
    /// Which list.
    source: ListSource,
    /// The last object that was looked at in it.
    after: Option<String>,
    /// The tally so far.
    #[serde(default)]
    pub tally: Tally,
}

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListSource {
    /// The list of events, as they were sent.
    Events,
    /// Sessions as they are now.
    Sessions,
    /// Paid invoices as they are now.
    Invoices,
    /// Refunds as they are now. Looked at in every window: Stripe writes the list of events in the version of the API
    /// that the account had then, and old versions have no events about most refunds.
    Refunds,
    /// Disputes as they are now, in every window as well.
    Disputes,
}

impl Sweep {
    /// A window that no run has begun. Times are Unix seconds.
    pub fn new(from: i64, to: i64, now: i64) -> Self {
        let events_from = from.max(now - EVENTS_KEPT_SECONDS);
        Self { from, to, events_from, source: ListSource::Events, after: None, tally: Tally::default() }
    }

    /// The list that is looked at.
    pub const fn source(&self) -> ListSource {
        self.source
    }

    /// Whether a session that was opened at a time, in Unix seconds, can only be paid in the window if its money came
    /// days later. Any other was paid before the window.
    pub(crate) const fn only_if_delayed(&self, opened_at: i64) -> bool {
        opened_at < self.from - SESSION_OPEN_SECONDS
    }

    /// Whether an invoice in the list was paid in that part of the window of which there are no events.
    pub(crate) fn was_paid_in_it(&self, invoice: &ApiObject) -> bool {
        (self.from..=self.older_to()).contains(&paid_at(invoice))
    }

    fn older_to(&self) -> i64 {
        self.to.min(self.events_from)
    }

    /// The page that is due.
    pub fn request(&self) -> Request {
        let request = match self.source {
            ListSource::Events => {
                let types: Vec<_> = EVENT_TYPES.iter().map(EventType::as_str).collect();
                Request::events(&types).created(self.events_from, self.to)
            }
            ListSource::Sessions => {
                let opened_from = self.from - SESSION_OPEN_SECONDS - DEBIT_SECONDS;
                Request::completed_sessions().created(opened_from, self.older_to())
            }
            ListSource::Invoices => {
                let drafted_from = self.from - INVOICE_OPEN_SECONDS;
                Request::paid_invoices().created(drafted_from, self.older_to())
            }
            ListSource::Refunds => Request::refunds().created(self.from, self.to),
            ListSource::Disputes => Request::disputes().created(self.from, self.to),
        };
        match &self.after {
            Some(id) => request.starting_after(id),
            None => request,
        }
    }

    /// The sweep after a page: `last` is its last object if there are more. `None` at the very end.
    #[must_use]
    pub fn advanced(self, last: Option<&str>) -> Option<Self> {
        if let Some(last) = last {
            return Some(Self { after: Some(last.to_owned()), ..self });
        }
        let is_older = self.from < self.events_from;
        let source = match self.source {
            ListSource::Events if is_older => ListSource::Sessions,
            ListSource::Sessions => ListSource::Invoices,
            ListSource::Events | ListSource::Invoices => ListSource::Refunds,
            ListSource::Refunds => ListSource::Disputes,
            ListSource::Disputes => return None,
        };
        Some(Self { source, after: None, ..self })
    }
}

#[cfg(test)]
mod tests {
    use fulfilment::ExpectedEffects;
    use fulfilment::Policy;
    use stripe_events::Event;
    use testkit::stripe::{CorrectionEvent, InvoiceEvent, SessionEvent};

    use super::*;

    const DAY: i64 = 86_400;
    const NOW: i64 = 1_795_000_000;

    fn sources(sweep: Sweep) -> Vec<ListSource> {
        std::iter::successors(Some(sweep), |sweep| sweep.clone().advanced(None))
            .map(|sweep| sweep.source())
            .collect()
    }

    #[test]
    fn lists_sessions_only_for_what_events_no_longer_report() {
        let recent = [ListSource::Events, ListSource::Refunds, ListSource::Disputes];
        assert_eq!(sources(Sweep::new(NOW - 29 * DAY, NOW, NOW)), recent);
        let all = [
            ListSource::Events,
            ListSource::Sessions,
            ListSource::Invoices,
            ListSource::Refunds,
            ListSource::Disputes,
        ];
        assert_eq!(sources(Sweep::new(NOW - 30 * DAY, NOW, NOW)), all);
    }

    #[test]
    fn stays_in_its_window_while_time_goes_by() {
        let sweep = Sweep::new(NOW - DAY, NOW - 60, NOW).advanced(Some("evt_1")).unwrap();
        let types: Vec<_> = EVENT_TYPES.iter().map(EventType::as_str).collect();
        let expected = Request::events(&types).created(NOW - DAY, NOW - 60).starting_after("evt_1");
        assert_eq!(sweep.request(), expected);
        let older = Sweep::new(NOW - 40 * DAY, NOW, NOW).advanced(None).unwrap();
        let boundary = NOW - 29 * DAY;
        assert_eq!(older.request(), Request::completed_sessions().created(NOW - 55 * DAY, boundary));
        let invoices = older.advanced(None).unwrap();
        assert_eq!(invoices.request(), Request::paid_invoices().created(NOW - 102 * DAY, boundary));
        let refunds = invoices.advanced(None).unwrap();
        assert_eq!(refunds.request(), Request::refunds().created(NOW - 40 * DAY, NOW));
    }

    #[test]
    fn asks_for_every_type_that_calls_for_something() {
        let sessions = ["completed", "async_payment_succeeded", "async_payment_failed", "expired"]
            .map(|what| (format!("checkout.session.{what}"), SessionEvent::paid().to_json()));
        let refunds = ["created", "updated", "failed"].map(|what| {
            (format!("refund.{what}"), CorrectionEvent::refund("P", "re_1", "created").to_json())
        });
        let disputes = ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"].map(|what| {
            (format!("charge.dispute.{what}"), CorrectionEvent::dispute("P", "dp_1", "created").to_json())
        });
        let invoices = ["paid", "payment_failed", "finalized", "voided"]
            .map(|what| (format!("invoice.{what}"), InvoiceEvent::renewal("P", "Second").to_json()));
        let warning =
            include_str!("../../../../verification/testkit/fixtures/early_fraud_warning_created.json");
        let warnings = ["created", "updated"].map(|what| {
            (format!("radar.early_fraud_warning.{what}"), serde_json::from_str(warning).unwrap())
        });
        let mut asked = 0;
        let policy = Policy::compiled_in().unwrap();
        let corrections = refunds.into_iter().chain(disputes).chain(warnings);
        for (name, mut event) in sessions.into_iter().chain(invoices).chain(corrections) {
            event["type"] = name.as_str().into();
            let calls =
                ExpectedEffects::from_event(&Event::from_value(event).unwrap(), false, &policy).is_some();
            assert_eq!(EVENT_TYPES.iter().any(|known| known.as_str() == name), calls, "{name}");
            asked += usize::from(calls);
        }
        assert_eq!(asked, EVENT_TYPES.len());
    }
}
