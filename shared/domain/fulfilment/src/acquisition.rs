use serde::Serialize;
use uuid::Uuid;

use crate::{
    AbTest, AcquisitionCorrection, AcquisitionKind, AmountParts, Cause, MarketingAnswer, Money, Movement,
    PaymentFrequency, PaymentId, Policy, QueryParameter, SessionEvent, SoldItem, SubscriptionPayment,
    SupporterId,
};

/// What analysts read of a payment, or of money that went back. No personal data.
///
/// The names are those of version 1 of the published event, `docs/acquisition-event.v1.schema.json`: they load
/// into a warehouse as they are. Unknown values are null, never left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcquisitionEvent {
    /// Grows when a field changes its meaning or goes.
    pub schema_version: u32,
    /// The same however often this is published.
    pub event_id: Uuid,
    /// What it is.
    pub kind: AcquisitionKind,
    /// The event it corrects.
    pub reverses: Option<Uuid>,
    /// What moved the money of a correction.
    pub cause: Option<Cause>,
    /// The refund's or the dispute's id: `re_…`, `du_…`, `dp_…`.
    pub cause_id: Option<String>,
    /// Stripe's word for why the refund was made or the dispute opened.
    pub reason: Option<String>,
    /// When the money moved, in UTC: `2026-11-18T11:06:40Z`.
    pub occurred_at: String,
    /// When this copy was published, in UTC. The one field that differs by design between two copies.
    pub published_at: String,
    /// As `policy.toml` names it.
    pub product: Option<String>,
    /// What was sold, as the marketer or `publish` wrote it on the link.
    pub item: Option<String>,
    /// What the payment was for, where an event or a look-up that was needed anyway says.
    pub items: Vec<SoldItem>,
    /// Minor units of `currency`; below zero for money that went back, so that amounts add up.
    pub amount: i64,
    /// Three capital letters.
    pub currency: String,
    /// How many of the amount's digits are decimals, by Stripe's table.
    pub currency_exponent: u32,
    /// The amount as people write numbers: `12.50`.
    pub amount_decimal: String,
    /// Minor units of `currency`: before discounts, and before taxes that are added.
    pub amount_subtotal: Option<i64>,
    /// Minor units of `currency`: what discounts took off, above zero.
    pub amount_discount: Option<i64>,
    /// Minor units of `currency`: all taxes, those in the prices too.
    pub amount_tax: Option<i64>,
    /// Minor units of `currency`.
    pub amount_shipping: Option<i64>,
    /// Minor units of `presentment_currency`: what the customer saw, when it differs.
    pub presentment_amount: Option<i64>,
    /// Three capital letters.
    pub presentment_currency: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// State, county or province.
    pub state: Option<String>,
    /// How often it will be paid.
    pub payment_frequency: Option<PaymentFrequency>,
    /// Always `STRIPE`.
    pub payment_provider: &'static str,
    /// The key of the contribution record.
    pub contribution_id: PaymentId,
    /// Ties a correction to its acquisition.
    pub payment_id: PaymentId,
    /// `cs_…`
    pub session_id: Option<String>,
    /// `plink_…`
    pub payment_link_id: Option<String>,
    /// Who paid, without their address.
    pub supporter_id: Option<SupporterId>,
    /// The campaigns that brought the customer.
    pub campaign_codes: Vec<String>,
    /// Which part of the site.
    pub component_id: Option<String>,
    /// What kind of part: a banner, a mail.
    pub component_type: Option<String>,
    /// Where the customer came from.
    pub source: Option<String>,
    /// Payment Links do not have it.
    pub referrer_url: Option<String>,
    /// The page view that led to the payment.
    pub page_view_id: Option<String>,
    /// The browser, as the site counts browsers.
    pub browser_id: Option<String>,
    /// The tests the customer took part in.
    pub ab_tests: Vec<AbTest>,
    /// The marketer's own words.
    pub labels: Vec<String>,
    /// `promo_…`, Stripe's id of the promotion code.
    pub promo_code: Option<String>,
    /// What a site passed on of its page's address in a `client_reference_id` of ours. Another tool's is not published:
    /// it may name a person.
    pub query_parameters: Vec<QueryParameter>,
    /// Where it was sold.
    pub platform: Option<&'static str>,
    /// Kept for sellers of gifts: Payment Links do not have it.
    pub reader_type: Option<String>,
    /// How it came about.
    pub acquisition_type: Option<&'static str>,
    /// What the customer answered about marketing.
    pub marketing_answer: Option<MarketingAnswer>,
    /// Real money or not.
    pub livemode: bool,
    /// Whether reconciliation found it, late.
    pub replayed: bool,
}

/// How an event comes to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// Real money or not.
    pub livemode: bool,
    /// Whether reconciliation found it.
    pub replayed: bool,
    /// Now, in Unix seconds.
    pub published_at: i64,
}

/// Where the ids of published events come from. Never changes: consumers drop what they have seen.
const EVENT_IDS: Uuid = Uuid::from_u128(0x3c1f_6a0e_9d52_4b7c_8e46_70a5_1b93_d2f8);

impl AcquisitionEvent {
    /// The version of the events published here.
    pub const SCHEMA_VERSION: u32 = 1;
    /// The envelope's `source`.
    pub const SOURCE: &str = "afterlink";
    /// The envelope's `detail-type`.
    pub const DETAIL_TYPE: &str = "AcquisitionEvent";

    /// The acquisition of a paid session. `namespace` is the deployment's, for supporter ids.
    pub fn of_session(
        event: &SessionEvent,
        policy: &Policy,
        namespace: &Uuid,
        circumstances: Circumstances,
    ) -> Self {
        let attribution = event.attribution.clone();
        let supporter_id = event.email.as_ref().map(|email| SupporterId::of_email(namespace, email.expose()));
        Self {
            product: Some(policy.kind(event.link.kind).product.clone()),
            item: event.link.item.clone(),
            presentment_amount: event.presentment.map(|shown| shown.minor()),
            presentment_currency: event.presentment.map(|shown| shown.currency().code()),
            country: event.country.clone(),
            state: event.state.clone(),
            payment_frequency: Some(match event.subscription_id {
                None => PaymentFrequency::OneOff,
                Some(_) => PaymentFrequency::Recurring,
            }),
            session_id: Some(event.session_id.clone()),
            payment_link_id: event.payment_link_id.clone(),
            supporter_id,
            campaign_codes: attribution.campaign_codes,
            component_id: attribution.component_id,
            component_type: attribution.component_type,
            source: attribution.source,
            page_view_id: attribution.page_view_id,
            browser_id: attribution.browser_id,
            ab_tests: attribution.ab_tests,
            labels: attribution.labels,
            promo_code: event.promotion_code_id.clone(),
            query_parameters: attribution.query_parameters,
            platform: Some("STRIPE_CHECKOUT"),
            acquisition_type: Some("PURCHASE"),
            marketing_answer: Some(MarketingAnswer::of(&event.consent_form, &policy.marketing)),
            ..Self::bare(&event.payment_id, None, event.amount, event.occurred_at, circumstances)
        }
        .made_of(event.parts)
    }

    /// The same payment with what its amount is made of.
    fn made_of(self, parts: AmountParts) -> Self {
        let AmountParts { subtotal, discount, tax, shipping } = parts;
        Self {
            amount_subtotal: subtotal,
            amount_discount: discount,
            amount_tax: tax,
            amount_shipping: shipping,
            ..self
        }
    }

    /// The same payment with what it was for, which no session event says.
    #[must_use]
    pub fn of_items(self, items: Vec<SoldItem>) -> Self {
        Self { items, ..self }
    }

    /// The same payment with the word for how often it is due, which no session says.
    #[must_use]
    pub fn due(self, frequency: PaymentFrequency) -> Self {
        Self { payment_frequency: Some(frequency), ..self }
    }

    /// The acquisition of a subscription's paid invoice, where no session reports the same payment.
    pub fn of_invoice(
        event: &SubscriptionPayment,
        policy: &Policy,
        namespace: &Uuid,
        circumstances: Circumstances,
    ) -> Self {
        let SubscriptionPayment { invoice, contract, amount } = event;
        let attribution = contract.attribution.clone();
        let supporter_id =
            invoice.email.as_ref().map(|email| SupporterId::of_email(namespace, email.expose()));
        Self {
            product: Some(policy.kind(contract.kind).product.clone()),
            item: contract.item.clone(),
            items: invoice.items.clone(),
            country: invoice.country.clone(),
            state: invoice.state.clone(),
            payment_frequency: Some(invoice.frequency.unwrap_or(PaymentFrequency::Recurring)),
            session_id: contract.session_id.clone(),
            payment_link_id: contract.payment_link_id.clone(),
            supporter_id,
            campaign_codes: attribution.campaign_codes,
            component_id: attribution.component_id,
            component_type: attribution.component_type,
            source: attribution.source,
            ab_tests: attribution.ab_tests,
            labels: attribution.labels,
            platform: Some("STRIPE_BILLING"),
            acquisition_type: Some(if invoice.is_first { "PURCHASE" } else { "RENEWAL" }),
            ..Self::bare(&invoice.payment_id, None, *amount, invoice.paid_at, circumstances)
        }
        .made_of(invoice.parts)
    }

    /// The event of a correction: which event it corrects, and by how much. The product, and the attribution,
    /// is said by the acquisition of the same payment.
    pub fn of_correction(correction: &AcquisitionCorrection, circumstances: Circumstances) -> Self {
        let AcquisitionCorrection { payment_id, movement, reason, amount, occurred_at } = correction;
        let (cause, cause_id) = movement.cause();
        let amount = match movement.kind() {
            AcquisitionKind::Reversal => Money::new(amount.minor().saturating_neg(), amount.currency()),
            AcquisitionKind::Acquisition | AcquisitionKind::Reinstatement => *amount,
        };
        Self {
            cause: Some(cause),
            cause_id: Some(cause_id.to_owned()),
            reason: reason.clone(),
            ..Self::bare(payment_id, Some(movement), amount, *occurred_at, circumstances)
        }
    }

    /// What every event has; all else is null.
    fn bare(
        payment_id: &PaymentId,
        movement: Option<&Movement>,
        amount: Money,
        occurred_at: i64,
        circumstances: Circumstances,
    ) -> Self {
        Self {
            schema_version: Self::SCHEMA_VERSION,
            event_id: event_id(payment_id, movement),
            kind: movement.map_or(AcquisitionKind::Acquisition, Movement::kind),
            reverses: movement.map(|movement| event_id(payment_id, movement.undoes().as_ref())),
            cause: None,
            cause_id: None,
            reason: None,
            occurred_at: utc(occurred_at),
            published_at: utc(circumstances.published_at),
            product: None,
            item: None,
            items: Vec::new(),
            amount: amount.minor(),
            currency: amount.currency().code(),
            currency_exponent: amount.currency().exponent(),
            amount_decimal: amount.decimal_text(),
            amount_subtotal: None,
            amount_discount: None,
            amount_tax: None,
            amount_shipping: None,
            presentment_amount: None,
            presentment_currency: None,
            country: None,
            state: None,
            payment_frequency: None,
            payment_provider: "STRIPE",
            contribution_id: payment_id.clone(),
            payment_id: payment_id.clone(),
            session_id: None,
            payment_link_id: None,
            supporter_id: None,
            campaign_codes: Vec::new(),
            component_id: None,
            component_type: None,
            source: None,
            referrer_url: None,
            page_view_id: None,
            browser_id: None,
            ab_tests: Vec::new(),
            labels: Vec::new(),
            promo_code: None,
            query_parameters: Vec::new(),
            platform: None,
            reader_type: None,
            acquisition_type: None,
            marketing_answer: None,
            livemode: circumstances.livemode,
            replayed: circumstances.replayed,
        }
    }
}

/// The id of a payment's acquisition, or of one of its corrections.
fn event_id(payment_id: &PaymentId, movement: Option<&Movement>) -> Uuid {
    let what = movement.map_or_else(|| "acquisition".to_owned(), Movement::name);
    Uuid::new_v5(&EVENT_IDS, format!("{payment_id}/{what}").as_bytes())
}

/// A moment in UTC, as warehouses read it: `2026-11-18T11:06:40Z`.
pub fn utc(unix_seconds: i64) -> String {
    // Stripe did not exist before 1970, and a year of five digits would be no date to a warehouse.
    let unix_seconds = unix_seconds.clamp(0, 253_402_300_799);
    let mut day = unix_seconds / 86_400;
    let second = unix_seconds % 86_400;
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let day = day + 1;
    let hour = second / 3600;
    let minute = second / 60 % 60;
    let second = second % 60;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests;
