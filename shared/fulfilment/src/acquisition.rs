use serde::Serialize;
use uuid::Uuid;

use crate::{
    AbTest, DisputeEvent, DisputeMoved, Money, PaymentId, Policy, RefundEvent, SessionEvent, SupporterId,
};

/// What analysts read of a payment, or of money that went back. No personal data.
///
/// The names are those of version 1 of the published event, `docs/acquisition-event.v1.schema.json`: they load
/// into a warehouse as they are. What is not known is null, never left out.
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
    /// When the money moved, in UTC: `2026-11-18T11:06:40Z`.
    pub occurred_at: String,
    /// As `policy.toml` names it.
    pub product: Option<String>,
    /// Minor units of `currency`; below zero for money that went back, so that amounts add up.
    pub amount: i64,
    /// Three capital letters.
    pub currency: String,
    /// How many of the amount's digits are decimals, by Stripe's table.
    pub currency_exponent: u32,
    /// The amount as people write numbers: `12.50`.
    pub amount_decimal: String,
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
    /// Payment Links do not tell.
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
    /// Stripe's events hold none. Another tool's `client_reference_id` is not told: it may name a person.
    pub query_parameters: Vec<QueryParameter>,
    /// Where it was sold.
    pub platform: Option<&'static str>,
    /// Kept for whoever sells gifts: Payment Links do not tell.
    pub reader_type: Option<String>,
    /// How it came about.
    pub acquisition_type: Option<&'static str>,
    /// Real money or not.
    pub livemode: bool,
    /// Whether reconciliation found it, late.
    pub replayed: bool,
}

/// What a published event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AcquisitionKind {
    /// A payment.
    Acquisition,
    /// Money that went back.
    Reversal,
    /// Money that had gone back and came again.
    Reinstatement,
}

/// How often a product is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentFrequency {
    /// Once.
    OneOff,
    /// The first payment of a subscription. Its session does not tell the interval.
    Recurring,
}

/// A part of the address by which the customer came to the payment page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueryParameter {
    /// The part before `=`.
    pub name: String,
    /// The part after it.
    pub value: String,
}

/// How an event comes to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// Real money or not.
    pub livemode: bool,
    /// Whether reconciliation found it.
    pub replayed: bool,
}

/// Money that moved after the payment, of which its acquisition could not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcquisitionCorrection {
    /// The payment.
    pub payment_id: PaymentId,
    /// What moved it. With the payment, the correction's identity.
    pub movement: Movement,
    /// How much, above zero in either direction.
    pub amount: Money,
    /// When, in Unix seconds.
    pub occurred_at: i64,
}

/// What can move money after a payment. Each happens once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Movement {
    /// `re_…`: the money goes back.
    Refund(String),
    /// `re_…`: it did not arrive, and is ours again.
    RefundFailed(String),
    /// `dp_…`: the bank takes the money.
    Dispute(String),
    /// `dp_…`: the bank gives it back.
    DisputeReinstated(String),
}

/// Where the ids of published events come from. Never changes: consumers drop what they have seen.
const EVENT_IDS: Uuid = Uuid::from_u128(0x3c1f_6a0e_9d52_4b7c_8e46_70a5_1b93_d2f8);

impl AcquisitionEvent {
    /// The version of what is published here.
    pub const SCHEMA_VERSION: u32 = 1;
    /// The envelope's `source`.
    pub const SOURCE: &str = "afterlink";
    /// The envelope's `detail-type`.
    pub const DETAIL_TYPE: &str = "AcquisitionEvent";

    /// What a paid session tells analysts. `namespace` is the deployment's, for supporter ids.
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
            platform: Some("STRIPE_CHECKOUT"),
            acquisition_type: Some("PURCHASE"),
            ..Self::bare(&event.payment_id, None, event.amount, event.occurred_at, circumstances)
        }
    }

    /// What a correction tells analysts: which event it corrects, and by how much. What was bought, and why,
    /// is said by the acquisition of the same payment.
    pub fn of_correction(correction: &AcquisitionCorrection, circumstances: Circumstances) -> Self {
        let AcquisitionCorrection { payment_id, movement, amount, occurred_at } = correction;
        let amount = match movement.kind() {
            AcquisitionKind::Reversal => Money::new(amount.minor().saturating_neg(), amount.currency()),
            AcquisitionKind::Acquisition | AcquisitionKind::Reinstatement => *amount,
        };
        Self::bare(payment_id, Some(movement), amount, *occurred_at, circumstances)
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
            occurred_at: utc(occurred_at),
            product: None,
            amount: amount.minor(),
            currency: amount.currency().code(),
            currency_exponent: amount.currency().exponent(),
            amount_decimal: amount.decimal_text(),
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
            livemode: circumstances.livemode,
            replayed: circumstances.replayed,
        }
    }
}

impl AcquisitionCorrection {
    /// What a refund says has moved so far: the refund itself, and its return if it failed.
    ///
    /// A failed refund is told with the refund that it undoes, whichever of its events comes first. So the sum
    /// is right after any of them, and the same after all.
    pub fn of_refund(refund: &RefundEvent) -> Vec<Self> {
        let correction = |movement: fn(String) -> Movement, occurred_at| Self {
            payment_id: refund.payment_id.clone(),
            movement: movement(refund.refund_id.clone()),
            amount: refund.amount,
            occurred_at,
        };
        let made_at = refund.created_at.unwrap_or(refund.occurred_at);
        let mut moved = vec![correction(Movement::Refund, made_at)];
        if !refund.status.returns_money() {
            moved.push(correction(Movement::RefundFailed, refund.occurred_at));
        }
        moved
    }

    /// What a dispute says has moved so far; nothing for an inquiry and for one that was only opened or closed.
    pub fn of_dispute(dispute: &DisputeEvent) -> Vec<Self> {
        let correction = |movement: fn(String) -> Movement, occurred_at| Self {
            payment_id: dispute.payment_id.clone(),
            movement: movement(dispute.dispute_id.clone()),
            amount: dispute.amount,
            occurred_at,
        };
        match dispute.moved {
            DisputeMoved::None => Vec::new(),
            DisputeMoved::Withdrawn => vec![correction(Movement::Dispute, dispute.occurred_at)],
            // The word of the withdrawal may still be on its way, but it was before this.
            DisputeMoved::Reinstated => vec![
                correction(Movement::Dispute, dispute.created_at.unwrap_or(dispute.occurred_at)),
                correction(Movement::DisputeReinstated, dispute.occurred_at),
            ],
        }
    }
}

impl Movement {
    /// In which direction.
    pub const fn kind(&self) -> AcquisitionKind {
        match self {
            Self::Refund(_) | Self::Dispute(_) => AcquisitionKind::Reversal,
            Self::RefundFailed(_) | Self::DisputeReinstated(_) => AcquisitionKind::Reinstatement,
        }
    }

    /// The movement that this one takes back; `None` when it takes back the payment itself.
    fn undoes(&self) -> Option<Self> {
        match self {
            Self::Refund(_) | Self::Dispute(_) => None,
            Self::RefundFailed(id) => Some(Self::Refund(id.clone())),
            Self::DisputeReinstated(id) => Some(Self::Dispute(id.clone())),
        }
    }

    /// The name within a payment: `refund#re_1`, `refund#re_1#failed`.
    pub fn name(&self) -> String {
        match self {
            Self::Refund(id) => format!("refund#{id}"),
            Self::RefundFailed(id) => format!("refund#{id}#failed"),
            Self::Dispute(id) => format!("dispute#{id}"),
            Self::DisputeReinstated(id) => format!("dispute#{id}#reinstated"),
        }
    }

    /// Reads a name back.
    pub fn from_name(name: &str) -> Option<Self> {
        let parts: Vec<_> = name.split('#').collect();
        match parts[..] {
            ["refund", id] => Some(Self::Refund(id.to_owned())),
            ["refund", id, "failed"] => Some(Self::RefundFailed(id.to_owned())),
            ["dispute", id] => Some(Self::Dispute(id.to_owned())),
            ["dispute", id, "reinstated"] => Some(Self::DisputeReinstated(id.to_owned())),
            _ => None,
        }
    }
}

/// The id of a payment's acquisition, or of one of its corrections.
fn event_id(payment_id: &PaymentId, movement: Option<&Movement>) -> Uuid {
    let what = movement.map_or_else(|| "acquisition".to_owned(), Movement::name);
    Uuid::new_v5(&EVENT_IDS, format!("{payment_id}/{what}").as_bytes())
}

/// A moment in UTC, as warehouses read it.
fn utc(unix_seconds: i64) -> String {
    // Stripe did not exist before 1970, and a year of five digits would be no date to a warehouse.
    let unix_seconds = unix_seconds.clamp(0, 253_402_300_799);
    let (mut day, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
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
    let (day, hour, minute, second) = (day + 1, second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use stripe_events::Event;

    use super::*;
    use crate::{Currency, DisputeStatus, DisputeStep, RefundStatus};

    const NAMESPACE: Uuid = Uuid::from_u128(7);
    const LATE: Circumstances = Circumstances { livemode: true, replayed: true };
    const TEST: Circumstances = Circumstances { livemode: false, replayed: false };

    fn session(change: impl FnOnce(&mut Value)) -> AcquisitionEvent {
        let fixture = include_str!("../../testkit/fixtures/session_completed_paid.json");
        let mut event: Value = serde_json::from_str(fixture).unwrap();
        change(&mut event["data"]["object"]);
        let event = SessionEvent::read(&Event::from_value(event).unwrap(), false).unwrap();
        AcquisitionEvent::of_session(&event, &Policy::compiled_in().unwrap(), &NAMESPACE, TEST)
    }

    #[test]
    fn tells_what_the_session_tells() {
        let event = serde_json::to_value(session(|_| {})).unwrap();
        let expected = json!({
            "schema_version": 1,
            "event_id": event_id(&PaymentId::new("pi_3FixtureContribution"), None),
            "kind": "acquisition",
            "reverses": null,
            "occurred_at": "2026-11-18T11:06:40Z",
            "product": "CONTRIBUTION",
            "amount": 1250,
            "currency": "GBP",
            "currency_exponent": 2,
            "amount_decimal": "12.50",
            "presentment_amount": null,
            "presentment_currency": null,
            "country": "GB",
            "state": null,
            "payment_frequency": "ONE_OFF",
            "payment_provider": "STRIPE",
            "contribution_id": "pi_3FixtureContribution",
            "payment_id": "pi_3FixtureContribution",
            "session_id": "cs_test_a1FixtureContribution",
            "payment_link_id": "plink_1FixtureContribution",
            "supporter_id": SupporterId::of_email(&NAMESPACE, "ada@example.org"),
            "campaign_codes": ["autumn-appeal"],
            "component_id": null,
            "component_type": null,
            "source": null,
            "referrer_url": null,
            "page_view_id": null,
            "browser_id": null,
            "ab_tests": [],
            "labels": [],
            "promo_code": null,
            "query_parameters": [],
            "platform": "STRIPE_CHECKOUT",
            "reader_type": null,
            "acquisition_type": "PURCHASE",
            "livemode": false,
            "replayed": false
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn tells_what_was_booked_and_what_the_customer_saw() {
        let event = session(|session| {
            session["amount_total"] = json!(1500);
            session["currency"] = json!("kwd");
            session["presentment_details"] =
                json!({ "presentment_amount": 700, "presentment_currency": "jpy" });
        });
        assert_eq!(
            (event.amount, event.currency.as_str(), event.currency_exponent, event.amount_decimal.as_str()),
            (1500, "KWD", 3, "1.500")
        );
        assert_eq!(
            (event.presentment_amount, event.presentment_currency.as_deref()),
            (Some(700), Some("JPY"))
        );
    }

    #[test]
    fn a_subscription_will_be_paid_again() {
        let event = session(|session| session["subscription"] = json!("sub_1"));
        assert_eq!(event.payment_frequency, Some(PaymentFrequency::Recurring));
    }

    #[test]
    fn names_the_promotion_code() {
        let discounts = json!([{ "coupon": "c1", "promotion_code": null }, { "promotion_code": "promo_1" }]);
        assert_eq!(
            session(|session| session["discounts"] = discounts).promo_code.as_deref(),
            Some("promo_1")
        );
        let coupon_only = json!([{ "coupon": "c1", "promotion_code": null }]);
        assert_eq!(session(|session| session["discounts"] = coupon_only).promo_code, None);
    }

    #[test]
    fn tells_nothing_of_what_another_tool_put_into_the_address() {
        let event = session(|session| session["client_reference_id"] = json!("ada-lovelace"));
        assert!(!serde_json::to_string(&event).unwrap().contains("ada"), "{event:?}");
    }

    #[test]
    fn a_correction_names_what_it_corrects_and_takes_its_amount_away() {
        let correction = |movement, amount| {
            let correction = AcquisitionCorrection {
                payment_id: PaymentId::new("pi_1"),
                movement,
                amount: Money::new(amount, Currency::try_from("gbp").unwrap()),
                occurred_at: 1_795_000_600,
            };
            AcquisitionEvent::of_correction(&correction, LATE)
        };
        let acquisition = event_id(&PaymentId::new("pi_1"), None);
        let refund = correction(Movement::Refund("re_1".to_owned()), 500);
        assert_eq!((refund.kind, refund.reverses), (AcquisitionKind::Reversal, Some(acquisition)));
        assert_eq!((refund.amount, refund.amount_decimal.as_str()), (-500, "-5.00"));
        assert_eq!((refund.livemode, refund.replayed), (true, true));
        assert_eq!((refund.product, refund.supporter_id), (None, None));
        let failed = correction(Movement::RefundFailed("re_1".to_owned()), 500);
        assert_eq!((failed.kind, failed.reverses), (AcquisitionKind::Reinstatement, Some(refund.event_id)));
        assert_eq!(failed.amount, 500);
        let other = correction(Movement::Refund("re_2".to_owned()), 500);
        assert_ne!(other.event_id, refund.event_id);
    }

    #[test]
    fn movements_can_be_read_back_from_their_names() {
        let id = || "x_1".to_owned();
        use Movement::*;
        for movement in [Refund(id()), RefundFailed(id()), Dispute(id()), DisputeReinstated(id())] {
            assert_eq!(Movement::from_name(&movement.name()), Some(movement));
        }
        for name in ["", "refund", "refund#re_1#reinstated", "refund#re_1#failed#twice", "gift#1"] {
            assert_eq!(Movement::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn event_ids_never_change() {
        let id = |movement: Option<&Movement>| event_id(&PaymentId::new("pi_1"), movement).to_string();
        assert_eq!(id(None), "e1f98ff4-5099-56df-9d0c-afab6b2c163e");
        assert_eq!(
            id(Some(&Movement::RefundFailed("re_1".to_owned()))),
            "7ca6957f-bb29-5384-b033-494f136f11e3"
        );
    }

    #[test]
    fn writes_moments_as_warehouses_read_them() {
        for (unix_seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (1_795_000_000, "2026-11-18T11:06:40Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(unix_seconds), expected);
        }
    }

    /// What happened to a payment, beside what Stripe tells of it.
    #[derive(Debug, Clone)]
    enum Happened {
        Refund { amount: i64, fails: bool },
        Dispute { amount: i64, reinstated: bool },
        Inquiry { amount: i64 },
    }

    impl Happened {
        fn money_gone(&self) -> i64 {
            match self {
                Self::Refund { amount, fails: false } | Self::Dispute { amount, reinstated: false } => {
                    *amount
                }
                Self::Refund { .. } | Self::Dispute { .. } | Self::Inquiry { .. } => 0,
            }
        }

        /// What each of its events corrects.
        fn told(&self, number: usize) -> Vec<Vec<AcquisitionCorrection>> {
            let currency = Currency::try_from("eur").unwrap();
            let (payment_id, occurred_at) = (PaymentId::new("pi_1"), 1_795_000_000);
            let refund = |amount, status| RefundEvent {
                payment_id: payment_id.clone(),
                event_id: "evt_1".to_owned(),
                occurred_at,
                refund_id: format!("re_{number}"),
                amount: Money::new(amount, currency),
                status,
                created_at: None,
            };
            let dispute = |amount, status, moved, step| DisputeEvent {
                payment_id: payment_id.clone(),
                event_id: "evt_1".to_owned(),
                occurred_at,
                dispute_id: format!("dp_{number}"),
                amount: Money::new(amount, currency),
                status,
                moved,
                step,
                created_at: None,
            };
            let refunds: &[RefundStatus] = match self {
                Self::Refund { fails: false, .. } => &[RefundStatus::Pending, RefundStatus::Succeeded],
                Self::Refund { fails: true, .. } => &[RefundStatus::Succeeded, RefundStatus::Failed],
                Self::Dispute { .. } | Self::Inquiry { .. } => &[],
            };
            let (amount, steps) = match self {
                Self::Refund { amount, .. } => (*amount, Vec::new()),
                Self::Inquiry { amount } => (*amount, vec![(DisputeMoved::None, DisputeStep::Closed)]),
                Self::Dispute { amount, reinstated } => {
                    let mut steps = vec![
                        (DisputeMoved::None, DisputeStep::Created),
                        (DisputeMoved::Withdrawn, DisputeStep::Withdrawn),
                    ];
                    if *reinstated {
                        steps.push((DisputeMoved::Reinstated, DisputeStep::Reinstated));
                    }
                    (*amount, steps)
                }
            };
            let refunds = refunds.iter().map(|status| refund(amount, *status));
            let disputes =
                steps.into_iter().map(|(moved, step)| dispute(amount, DisputeStatus::Open, moved, step));
            refunds
                .map(|event| AcquisitionCorrection::of_refund(&event))
                .chain(disputes.map(|event| AcquisitionCorrection::of_dispute(&event)))
                .collect()
        }
    }

    fn happened() -> impl Strategy<Value = Happened> {
        prop_oneof![
            (1i64..5000, any::<bool>()).prop_map(|(amount, fails)| Happened::Refund { amount, fails }),
            (1i64..5000, any::<bool>())
                .prop_map(|(amount, reinstated)| Happened::Dispute { amount, reinstated }),
            (1i64..5000).prop_map(|amount| Happened::Inquiry { amount }),
        ]
    }

    proptest! {
        #[test]
        fn acquisition_and_corrections_add_up_to_the_money_kept(
            paid in 0i64..1_000_000,
            history in proptest::collection::vec(happened(), 0..6),
            again in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
            order in any::<u64>(),
        ) {
            let mut told: Vec<_> =
                history.iter().enumerate().flat_map(|(number, happened)| happened.told(number)).collect();
            if !told.is_empty() {
                let repeated: Vec<_> = again.iter().map(|index| index.get(&told).clone()).collect();
                told.extend(repeated);
                let first = usize::try_from(order % told.len() as u64).unwrap();
                told.rotate_left(first);
                if order % 2 == 0 {
                    told.reverse();
                }
            }
            // A consumer that drops the ids it has seen.
            let mut seen: BTreeMap<Uuid, AcquisitionEvent> = BTreeMap::new();
            for correction in told.iter().flatten() {
                let event = AcquisitionEvent::of_correction(correction, TEST);
                seen.insert(event.event_id, event);
            }
            let kept = paid + seen.values().map(|event| event.amount).sum::<i64>();
            prop_assert_eq!(kept, paid - history.iter().map(Happened::money_gone).sum::<i64>());
            // Whatever is corrected was published, too.
            let acquisition = event_id(&PaymentId::new("pi_1"), None);
            for event in seen.values() {
                let reverses = event.reverses.unwrap();
                prop_assert!(reverses == acquisition || seen.contains_key(&reverses));
            }
        }
    }
}
