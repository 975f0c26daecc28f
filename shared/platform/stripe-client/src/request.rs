use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// A GET of Stripe's API: a list with its filters, or one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    path: String,
    /// The path without ids.
    endpoint: String,
    query: Vec<(&'static str, String)>,
}

/// The most objects a page can have. <https://docs.stripe.com/api/pagination>
const LARGEST_PAGE: u32 = 100;

impl Request {
    /// Events of some types (at most 20), newest first. Stripe keeps them for 30 days and shows them with a delay.
    ///
    /// <https://docs.stripe.com/api/events/list>
    pub fn events(types: &[&str]) -> Self {
        types.iter().fold(Self::list("/v1/events"), |request, name| request.with("types[]", *name))
    }

    /// Events of some types that Stripe has not delivered to every webhook endpoint of the account: it still tries, or
    /// has given up. <https://docs.stripe.com/api/events/list#list_events-delivery_success>
    pub fn undelivered_events(types: &[&str]) -> Self {
        Self::events(types).with("delivery_success", "false")
    }

    /// Checkout sessions, newest first, by when they were opened.
    ///
    /// <https://docs.stripe.com/api/checkout/sessions/list>
    pub fn sessions() -> Self {
        Self::list("/v1/checkout/sessions")
    }

    /// Checkout sessions that a customer finished.
    pub fn completed_sessions() -> Self {
        Self::sessions().with("status", "complete")
    }

    /// The line items of a session.
    ///
    /// <https://docs.stripe.com/api/checkout/sessions/line_items>
    pub fn line_items(session_id: &str) -> Self {
        Self::below("/v1/checkout/sessions", session_id, "line_items")
    }

    /// Refunds, newest first. <https://docs.stripe.com/api/refunds/list>
    pub fn refunds() -> Self {
        Self::list("/v1/refunds")
    }

    /// Disputes, newest first. <https://docs.stripe.com/api/disputes/list>
    pub fn disputes() -> Self {
        Self::list("/v1/disputes")
    }

    /// Payment Links, newest first. <https://docs.stripe.com/api/payment-link/list>
    pub fn payment_links() -> Self {
        Self::list("/v1/payment_links")
    }

    /// Where Stripe sends events to. <https://docs.stripe.com/api/v2/core/event-destinations/list>
    pub fn event_destinations() -> Self {
        Self::list("/v2/core/event_destinations").with("include[0]", "webhook_endpoint.url")
    }

    /// What a payment intent pays of invoices. <https://docs.stripe.com/api/invoice-payment/list>
    pub fn invoice_payments_of(payment_intent: &str) -> Self {
        Self::list("/v1/invoice_payments")
            .with("payment[type]", "payment_intent")
            .with("payment[payment_intent]", payment_intent)
    }

    /// One invoice, by `in_…`. <https://docs.stripe.com/api/invoices/retrieve>
    pub fn invoice(id: &str) -> Self {
        Self::one("/v1/invoices", id)
    }

    /// One subscription, by `sub_…`. <https://docs.stripe.com/api/subscriptions/retrieve>
    pub fn subscription(id: &str) -> Self {
        Self::one("/v1/subscriptions", id)
    }

    /// One event, by `evt_…`. <https://docs.stripe.com/api/events/retrieve>
    pub fn event(id: &str) -> Self {
        Self::one("/v1/events", id)
    }

    /// One session, by `cs_…`, with the first of its line items.
    ///
    /// <https://docs.stripe.com/api/checkout/sessions/retrieve>
    pub fn session(id: &str) -> Self {
        Self::one("/v1/checkout/sessions", id).expand("line_items")
    }

    /// Invoices of which nothing is owed any more, newest first. <https://docs.stripe.com/api/invoices/list>
    pub fn paid_invoices() -> Self {
        Self::list("/v1/invoices").with("status", "paid")
    }

    /// What pays an invoice. <https://docs.stripe.com/api/invoice-payment/list>
    pub fn payments_of_invoice(invoice: &str) -> Self {
        Self::list("/v1/invoice_payments").with("invoice", invoice)
    }

    /// One charge, by `ch_…` or `py_…`. <https://docs.stripe.com/api/charges/retrieve>
    pub fn charge(id: &str) -> Self {
        Self::one("/v1/charges", id)
    }

    /// One refund, by `re_…`. <https://docs.stripe.com/api/refunds/retrieve>
    pub fn refund(id: &str) -> Self {
        Self::one("/v1/refunds", id)
    }

    /// One dispute, by `dp_…` or `du_…`. <https://docs.stripe.com/api/disputes/retrieve>
    pub fn dispute(id: &str) -> Self {
        Self::one("/v1/disputes", id)
    }

    /// One Payment Link, by `plink_…`. <https://docs.stripe.com/api/payment-link/retrieve>
    pub fn payment_link(id: &str) -> Self {
        Self::one("/v1/payment_links", id)
    }

    /// One product, by its id. <https://docs.stripe.com/api/products/retrieve>
    pub fn product(id: &str) -> Self {
        Self::one("/v1/products", id)
    }

    /// Prices, newest first: the active ones, unless [`Request::active`] says otherwise.
    ///
    /// <https://docs.stripe.com/api/prices/list>
    pub fn prices() -> Self {
        Self::list("/v1/prices")
    }

    /// Products, newest first. <https://docs.stripe.com/api/products/list>
    pub fn products() -> Self {
        Self::list("/v1/products")
    }

    /// What a Payment Link sells. <https://docs.stripe.com/api/payment-link/retrieve-line-items>
    pub fn payment_link_line_items(id: &str) -> Self {
        Self::below("/v1/payment_links", id, "line_items")
    }

    /// One price, by `price_…`. <https://docs.stripe.com/api/prices/retrieve>
    pub fn price(id: &str) -> Self {
        Self::one("/v1/prices", id)
    }

    /// Only prices of a product.
    #[must_use]
    pub fn of_product(self, id: &str) -> Self {
        self.with("product", id)
    }

    /// Only what belongs to a customer (sessions, invoices).
    #[must_use]
    pub fn of_customer(self, id: &str) -> Self {
        self.with("customer", id)
    }

    /// Only active objects, or only inactive ones. Stripe's list of prices leaves out the inactive ones when nothing is
    /// said. <https://docs.stripe.com/api/prices/list>
    #[must_use]
    pub fn active(self, active: bool) -> Self {
        self.with("active", active.to_string())
    }

    /// Only objects created between two times, both included, in Unix seconds.
    #[must_use]
    pub fn created(self, from: i64, to: i64) -> Self {
        self.with("created[gte]", from.to_string()).with("created[lte]", to.to_string())
    }

    /// Only what belongs to a payment intent (sessions, refunds, disputes).
    #[must_use]
    pub fn of_payment_intent(self, id: &str) -> Self {
        self.with("payment_intent", id)
    }

    /// Only what belongs to a subscription (sessions).
    #[must_use]
    pub fn of_subscription(self, id: &str) -> Self {
        self.with("subscription", id)
    }

    /// Only sessions of a Payment Link.
    #[must_use]
    pub fn of_payment_link(self, id: &str) -> Self {
        self.with("payment_link", id)
    }

    /// Only objects after this one in the list, which are older.
    #[must_use]
    pub fn starting_after(self, id: &str) -> Self {
        self.without("starting_after").with("starting_after", id)
    }

    /// Only objects before this one in the list, which are newer; still newest first.
    #[must_use]
    pub fn ending_before(self, id: &str) -> Self {
        self.without("ending_before").with("ending_before", id)
    }

    /// Pages of another size than the largest.
    #[must_use]
    pub fn limit(self, objects: u32) -> Self {
        self.without("limit").with("limit", objects.min(LARGEST_PAGE).to_string())
    }

    /// With an object in place of its id, e.g. `data.line_items`.
    ///
    /// <https://docs.stripe.com/expand>
    #[must_use]
    pub fn expand(self, field: &str) -> Self {
        self.with("expand[]", field)
    }

    /// The endpoint, without the query and with `{id}` for an id: what errors and logs show. A session's id opens what
    /// was sold in it, so it is in neither.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The names of the parameters, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|(name, _)| *name)
    }

    /// Path and query, as they go over the wire.
    pub(crate) fn target(&self) -> String {
        let mut target = self.path.clone();
        for (i, (name, value)) in self.query.iter().enumerate() {
            let separator = if i == 0 { '?' } else { '&' };
            // Writing to a string cannot fail.
            let _ = write!(target, "{separator}{}={}", encoded(name), encoded(value));
        }
        target
    }

    /// The request of a page whose address Stripe gave (API v2): its path and query as they are.
    pub(crate) fn at(target: &str) -> Self {
        let endpoint = target.split(['?', '#']).next().unwrap_or(target).to_owned();
        Self { path: target.to_owned(), endpoint, query: Vec::new() }
    }

    pub(crate) fn list(path: &str) -> Self {
        Self::to(path.to_owned(), path.to_owned()).with("limit", LARGEST_PAGE.to_string())
    }

    fn below(path: &str, id: &str, list: &str) -> Self {
        Self::to(format!("{path}/{}/{list}", encoded(id)), format!("{path}/{{id}}/{list}"))
            .with("limit", LARGEST_PAGE.to_string())
    }

    fn one(path: &str, id: &str) -> Self {
        Self::to(format!("{path}/{}", encoded(id)), format!("{path}/{{id}}"))
    }

    const fn to(path: String, endpoint: String) -> Self {
        Self { path, endpoint, query: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self
    }
}

/// Everything but what RFC 3986 calls unreserved.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_stripe_reads() {
        let check = |request: Request, expected: &str| assert_eq!(request.target(), expected);
        check(
            Request::events(&["refund.created", "refund.failed"]).created(1, 2).starting_after("evt_1"),
            "/v1/events?limit=100&types%5B%5D=refund.created&types%5B%5D=refund.failed&created%5Bgte%5D=1\
             &created%5Blte%5D=2&starting_after=evt_1",
        );
        check(
            Request::completed_sessions().of_payment_link("plink_1").limit(500).expand("data.line_items"),
            "/v1/checkout/sessions?status=complete&payment_link=plink_1&limit=100\
             &expand%5B%5D=data.line_items",
        );
        check(
            Request::invoice_payments_of("pi_1").limit(1).expand("data.invoice"),
            "/v1/invoice_payments?payment%5Btype%5D=payment_intent&payment%5Bpayment_intent%5D=pi_1&limit=1\
             &expand%5B%5D=data.invoice",
        );
        check(
            Request::sessions().of_subscription("sub_1").limit(1),
            "/v1/checkout/sessions?subscription=sub_1&limit=1",
        );
        check(Request::session("cs_1"), "/v1/checkout/sessions/cs_1?expand%5B%5D=line_items");
        check(Request::line_items("cs_1"), "/v1/checkout/sessions/cs_1/line_items?limit=100");
    }

    #[test]
    fn what_somebody_typed_cannot_leave_its_place() {
        assert_eq!(Request::event("../refunds?x=1&y").target(), "/v1/events/..%2Frefunds%3Fx%3D1%26y");
    }
}
