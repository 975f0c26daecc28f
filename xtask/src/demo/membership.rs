//! A membership: joined, renewed, and one of its renewals given back.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{BOLD, DEADLINE, Demo, fact};
use crate::stripe;

const JOINED: &str = include_str!("../../../verification/testkit/fixtures/session_subscription.json");
const FIRST_INVOICE: &str = include_str!("../../../verification/testkit/fixtures/invoice_paid_first.json");
const RENEWAL: &str = include_str!("../../../verification/testkit/fixtures/invoice_paid_renewal.json");
const RENEWAL_PAYMENT: &str =
    include_str!("../../../verification/testkit/fixtures/invoice_payment_paid.json");

/// The keys of the membership's payments: its invoices.
pub(super) const FIRST: &str = "in_1Fixture";
pub(super) const RENEWED: &str = "in_1FixtureRenewal";
/// What pays the renewal. Only Stripe knows that it does.
const RENEWAL_INTENT: &str = "pi_3FixtureRenewal";

impl Demo<'_> {
    /// A member joins, pays the second month, and gets that month's money back.
    pub(super) fn join_and_renew(&mut self) -> Result<()> {
        let customer =
            json!({ "name": "Mia Curie", "email": "mia@example.org", "address": { "country": "GB" } });
        let joined = stripe::event(JOINED, 0, &[("customer_details", customer)])?;
        self.stack.record_event(&subscription())?;
        let posted = self.post("10 Mia becomes a member for £5.00 a month", &joined)?;
        self.show_mail(posted)?;
        let facts = [self.record(FIRST, "paid")?, self.publication(FIRST, 500)?];
        fact("records", facts.join(" · "), posted);

        // Stripe reports the first payment twice: by the session, and by its invoice.
        let invoice = [("customer_email", json!("mia@example.org")), ("customer_name", json!("Mia Curie"))];
        let first = stripe::event(FIRST_INVOICE, 0, &invoice)?;
        self.pass(&first)?;
        fact("invoice", "of the same payment: no second mail, record or event", posted);

        let renewal = stripe::event(RENEWAL, 0, &invoice)?;
        let posted = self.post("11 A month later Stripe renews the membership", &renewal)?;
        let facts = [self.record(RENEWED, "paid")?, self.publication(RENEWED, 500)?];
        fact("records", facts.join(" · "), posted);
        self.pass(&stripe::event(RENEWAL_PAYMENT, 0, &[])?)?;
        fact("mail", "none: a renewal is thanked only if policy.toml says so", posted);

        let refund = [
            ("id", json!("re_3FixtureRenewal")),
            ("charge", json!("ch_3FixtureRenewal")),
            ("payment_intent", json!(RENEWAL_INTENT)),
        ];
        let refund =
            stripe::renamed(&stripe::event(super::REFUND, 0, &refund)?, "evt_3FixtureRenewalRefund")?;
        let posted = self.post("12 Mia gets the second month's £5.00 back", &refund)?;
        let facts = [self.record(RENEWED, "refunded")?, self.publication(RENEWED, -500)?];
        fact("records", facts.join(" · "), posted);
        let first = self.row("ContributionsTableName", FIRST)?;
        ensure!(first["status"] == "paid", "the first month is {}", first["status"]);
        fact("kept", format_args!("the first month: {BOLD}paid{BOLD:#}"), posted);
        Ok(())
    }

    /// Posts an event that changes no mail and nothing for the analysts.
    fn pass(&mut self, event: &str) -> Result<Instant> {
        let posted = Instant::now();
        let (status, answer) = self.stack.post(event)?;
        ensure!(status == 200, "the webhook answered {status}: {answer}");
        ensure!(self.stack.settle(DEADLINE)?, "the queues do not empty");
        self.counts = self.stack.counts()?;
        self.check_quiet()?;
        Ok(posted)
    }
}

/// The subscription as Stripe made it, with its monthly price.
fn subscription() -> String {
    let price = json!({
        "id": "price_1Fixture", "object": "price", "recurring": { "interval": "month", "interval_count": 1 }
    });
    let object = json!({
        "id": "sub_1Fixture", "object": "subscription", "status": "active", "metadata": {},
        "items": { "object": "list", "data": [{ "id": "si_1Fixture", "object": "subscription_item", "price": price }] }
    });
    let event: Value = json!({
        "id": "evt_1FixtureSubscription", "object": "event", "type": "customer.subscription.created",
        "data": { "object": object }
    });
    event.to_string()
}
